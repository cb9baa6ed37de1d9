//! A member of a classic group: joins, assigns when it is the leader, and stays with heartbeats until it joins again.
//!
//! One task per membership. It waits in JoinGroup and for the application to take a change, never for records.

mod join;
mod leader;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use protocol::Message as _;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use tokio::time::Instant;

use super::assignor::PartitionCounts;
use super::coordinator::Coordinator;
use super::member::{Change, Link, difference};
use super::options::GroupOptions;
use super::topics::Topics;
use crate::cluster::Client;
use crate::error::{Error, Result};
use outcome::{Outcome, outcome};

pub(crate) struct ClassicMember {
    client: Client,
    coordinator: Arc<Coordinator>,
    options: Arc<GroupOptions>,
    link: Link,
    member_id: String,
    /// -1 while it is no member.
    generation: i32,
    owned: Vec<TopicPartition>,
    /// What was owned when it was last given, for assignors that want to know.
    remembered: (Vec<TopicPartition>, i32),
    topics: Topics,
    /// The leader's: the topics of the group and what it assigned by.
    assigned_by: Option<(Vec<Arc<str>>, PartitionCounts)>,
    failures: u32,
}

impl ClassicMember {
    pub(crate) fn new(
        client: Client,
        coordinator: Arc<Coordinator>,
        options: Arc<GroupOptions>,
        link: Link,
        create_topics: bool,
    ) -> Self {
        Self {
            topics: Topics::new(client.clone(), create_topics),
            client,
            coordinator,
            options,
            link,
            member_id: String::new(),
            generation: -1,
            owned: Vec::new(),
            remembered: (Vec::new(), -1),
            assigned_by: None,
            failures: 0,
        }
    }

    /// Lives until the application closes its handle, or the coordinator refuses it for good.
    pub(crate) async fn run(mut self) {
        let closed = Link::closed(self.link.closing.clone());
        let failed = tokio::select! {
            () = closed => None,
            error = self.live() => Some(error),
        };
        match failed {
            None => self.leave("the consumer is being closed").await,
            Some(error) => {
                self.leave("the consumer cannot go on").await;
                self.forget_membership();
                let _taken = self.link.tell(Change::Fail(error)).await;
            }
        }
    }

    /// Only ends with an error that no other try would mend.
    async fn live(&mut self) -> Error {
        loop {
            let rejoin_at_once = match self.rebalance().await {
                Ok(rejoin) => rejoin,
                Err(error) => match self.failed(error).await {
                    Ok(()) => true,
                    Err(error) => return error,
                },
            };
            if !rejoin_at_once && let Err(error) = self.stay().await {
                return error;
            }
        }
    }

    /// One round: give up, join, assign, take on. True when another round must follow at once.
    async fn rebalance(&mut self) -> Result<bool> {
        if !self.options.cooperative() && !self.owned.is_empty() {
            let owned = std::mem::take(&mut self.owned);
            let change = if self.generation < 0 { Change::Lose } else { Change::Revoke };
            self.tell(change(owned)).await;
        } else if self.generation < 0 && !self.owned.is_empty() {
            let owned = std::mem::take(&mut self.owned);
            self.tell(Change::Lose(owned)).await;
        }
        let subscription = self.link.subscription.borrow_and_update().clone();
        self.topics.resolve(&subscription).await?;
        self.give_up_unwanted().await;
        let joined = self.join().await?;
        let target = self.sync(joined).await?;
        self.failures = 0;
        let (revoked, added) = difference(&self.owned, &target);
        let again = self.options.cooperative() && !revoked.is_empty();
        if !revoked.is_empty() {
            self.owned.retain(|tp| !revoked.contains(tp));
            self.tell(Change::Revoke(revoked)).await;
        }
        self.owned = target;
        self.remembered = (self.owned.clone(), self.generation);
        self.tell(Change::Assign(added)).await;
        Ok(again)
    }

    /// Partitions of topics that are no longer subscribed are given up before anybody else can ask for them.
    async fn give_up_unwanted(&mut self) {
        let wanted = self.topics.names();
        let (kept, unwanted): (Vec<_>, Vec<_>) =
            self.owned.drain(..).partition(|tp| wanted.contains(&tp.topic));
        self.owned = kept;
        if !unwanted.is_empty() {
            self.tell(Change::Revoke(unwanted)).await;
        }
    }

    /// Heartbeats until the group rebalances, the topics change or the application is stuck.
    async fn stay(&mut self) -> Result<()> {
        let limit = Duration::from_millis(self.options.max_poll_interval_ms.into());
        let mut next = Instant::now() + self.interval();
        loop {
            let overdue = self.link.polls.overdue_at(limit);
            let look = self.topics.look_at();
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                () = tokio::time::sleep_until(next) => {
                    next = Instant::now() + self.interval();
                    let Err(error) = self.heartbeat().await else { continue };
                    let later = outcome(&error) == Outcome::Later;
                    self.failed(error).await?;
                    if !later {
                        return Ok(());
                    }
                    next = Instant::now();
                }
                () = tokio::time::sleep_until(look) => {
                    if self.topics_changed().await? {
                        return Ok(());
                    }
                }
                changed = self.link.subscription.changed() => {
                    if changed.is_ok() {
                        return Ok(());
                    }
                    // The handle is gone: `closing` ends this task.
                    std::future::pending::<()>().await;
                }
                () = tokio::time::sleep_until(overdue.unwrap_or(far)), if overdue.is_some() => {
                    if self.link.polls.overdue_at(limit).is_some_and(|at| at <= Instant::now()) {
                        self.leave_stuck().await;
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn topics_changed(&mut self) -> Result<bool> {
        let before = self.topics.names().to_vec();
        let subscription = self.link.subscription.borrow().clone();
        match self.topics.resolve(&subscription).await {
            Ok(()) => {}
            Err(error) if error.retriable() => return Ok(false),
            Err(error) => return Err(error),
        }
        if before != self.topics.names() {
            return Ok(true);
        }
        let Some((names, assigned_by)) = &self.assigned_by else { return Ok(false) };
        match self.topics.counts_for(names).await {
            Ok(counts) => Ok(*assigned_by != counts),
            Err(error) if error.retriable() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.options.heartbeat_interval_ms.into())
    }

    async fn heartbeat(&mut self) -> Result<()> {
        let request = HeartbeatRequest {
            group_id: (&**self.coordinator.group()).into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
            ..Default::default()
        };
        let timeout_ms = self.coordinator.request_timeout_ms();
        let patience_ms = timeout_ms.min(self.options.session_timeout_ms.into());
        let reply = self.coordinator.call(&request, patience_ms).await?;
        let response: HeartbeatResponse = reply.decode()?;
        Error::check(response.error_code, None)
    }

    /// What follows from an error. `Err` when nothing can follow.
    async fn failed(&mut self, error: Error) -> Result<()> {
        self.coordinator.lost(&error);
        match outcome(&error) {
            Outcome::Again => {}
            Outcome::Later => {
                self.failures = self.failures.saturating_add(1);
                tracing::debug!(group = %self.coordinator.group(), %error, "trying again");
                self.coordinator.pause(self.failures).await;
            }
            Outcome::Anew => {
                tracing::info!(group = %self.coordinator.group(), %error, "joining the group anew");
                self.forget_membership();
            }
            Outcome::Never => return Err(error),
        }
        Ok(())
    }

    fn forget_membership(&mut self) {
        self.member_id.clear();
        self.generation = -1;
        self.link.is("", -1);
    }

    /// Puts a change before the application, and sends heartbeats until it has taken it.
    async fn tell(&mut self, change: Change) {
        let limit = Duration::from_millis(self.options.max_poll_interval_ms.into());
        let mut taken = self.link.tell(change).await;
        loop {
            tokio::select! {
                _ = &mut taken => return,
                () = tokio::time::sleep(self.interval()) => {}
            }
            if self.generation < 0 {
                continue;
            }
            let stuck = self.link.polls.overdue_at(limit).is_some_and(|at| at <= Instant::now());
            if stuck {
                self.leave_stuck().await;
            } else if let Err(error) = self.heartbeat().await {
                self.coordinator.lost(&error);
                if outcome(&error) == Outcome::Anew {
                    self.forget_membership();
                }
            }
        }
    }

    async fn leave_stuck(&mut self) {
        tracing::warn!(
            group = %self.coordinator.group(),
            "the application did not poll for {} ms (max.poll.interval.ms): leaving the group",
            self.options.max_poll_interval_ms
        );
        self.leave("consumer poll timeout has expired.").await;
        self.forget_membership();
    }

    /// A static member stays one: it may only be restarting.
    async fn leave(&mut self, reason: &str) {
        if self.member_id.is_empty() || self.options.instance_id.is_some() {
            return;
        }
        let mut request = LeaveGroupRequest {
            group_id: (&**self.coordinator.group()).into(),
            ..Default::default()
        };
        // Not behind a JoinGroup that waits: the client's other connections are free.
        let connection = match self.coordinator.spare_connection(&self.client).await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "left without saying so");
                return;
            }
        };
        match connection.version_for::<LeaveGroupRequest<'_>>() {
            Ok(version) if version >= 3 => {
                request.members = vec![MemberIdentity {
                    member_id: self.member_id.as_str().into(),
                    reason: Some(reason.into()),
                    ..Default::default()
                }];
            }
            _ => request.member_id = self.member_id.as_str().into(),
        }
        if let Err(error) = connection.call(&request).await {
            tracing::debug!(%error, "{} was not answered", LeaveGroupRequest::NAME);
        }
    }
}
