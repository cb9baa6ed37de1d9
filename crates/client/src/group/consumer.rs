//! A member of a consumer group (KIP-848): tells in heartbeats what it wants and has, and follows the coordinator's
//! assignment by giving up first and taking on afterwards.
//!
//! One task per membership.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{TopicId, TopicPartition, Uuid};
use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::coordinator::Coordinator;
use super::member::{Change, Link, Subscription};
use super::options::GroupOptions;
use super::reconcile::{Step, Target};
use super::topics::Topics;
use crate::cluster::{Client, Topics as Asked};
use crate::error::{Error, Result};

const LEAVES: i32 = -1;
/// A static member that comes back.
const LEAVES_FOR_NOW: i32 = -2;
/// Until the coordinator tells its own.
const FIRST_INTERVAL_MS: u64 = 1_000;

pub(crate) struct ConsumerMember {
    client: Client,
    coordinator: Arc<Coordinator>,
    options: Arc<GroupOptions>,
    link: Link,
    member_id: String,
    epoch: i32,
    interval: Duration,
    next: Instant,
    /// Everything must be told: a new membership, or an answer that did not come.
    tell_all: bool,
    /// What the coordinator was last told; None: it has to be told.
    told: Option<Vec<TopicPartition>>,
    told_topics: Option<Vec<Arc<str>>>,
    owned: Vec<TopicPartition>,
    target: Target,
    /// A change that the application has not taken yet, and what is owned afterwards.
    pending: Option<(oneshot::Receiver<()>, Vec<TopicPartition>)>,
    topics: Topics,
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Later,
    Anew,
    Never,
}

fn outcome(error: &Error) -> Outcome {
    match error.code() {
        Some(ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch) => Outcome::Anew,
        Some(code) if code.retriable() => Outcome::Later,
        None if error.retriable() || matches!(error, Error::Expired { .. }) => Outcome::Later,
        _ => Outcome::Never,
    }
}

impl ConsumerMember {
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
            member_id: new_member_id(),
            epoch: 0,
            interval: Duration::from_millis(FIRST_INTERVAL_MS),
            next: Instant::now(),
            tell_all: true,
            told: None,
            told_topics: None,
            owned: Vec::new(),
            target: Target::default(),
            pending: None,
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
        self.leave().await;
        if let Some(error) = failed {
            let _taken = self.link.tell(Change::Fail(error)).await;
        }
    }

    async fn live(&mut self) -> Error {
        loop {
            let result = self.step().await;
            if let Err(error) = result {
                self.coordinator.lost(&error);
                match outcome(&error) {
                    Outcome::Later => {
                        self.failures = self.failures.saturating_add(1);
                        self.tell_all = true;
                        tracing::debug!(group = %self.coordinator.group(), %error, "trying again");
                        self.coordinator.pause(self.failures).await;
                        self.next = Instant::now();
                    }
                    Outcome::Anew => {
                        tracing::info!(group = %self.coordinator.group(), %error, "joining the group anew");
                        self.lose_all().await;
                    }
                    Outcome::Never => return error,
                }
            }
        }
    }

    /// Waits for what comes first, and does it.
    async fn step(&mut self) -> Result<()> {
        let limit = Duration::from_millis(self.options.max_poll_interval_ms.into());
        let overdue = self.link.polls.overdue_at(limit).filter(|_| self.epoch > 0);
        let far = Instant::now() + Duration::from_secs(3600);
        let look = if self.told_topics.is_some() { self.topics.look_at() } else { Instant::now() };
        tokio::select! {
            () = taken(&mut self.pending) => {
                if let Some((_, owned)) = self.pending.take() {
                    self.owned = owned;
                    self.next = Instant::now();
                }
            }
            () = tokio::time::sleep_until(look) => self.look().await?,
            () = tokio::time::sleep_until(self.next), if self.told_topics.is_some() => {
                self.next = Instant::now() + self.interval;
                self.heartbeat().await?;
            }
            changed = self.link.subscription.changed() => {
                if changed.is_err() {
                    // The handle is gone: `closing` ends this task.
                    std::future::pending::<()>().await;
                }
                self.look().await?;
            }
            () = tokio::time::sleep_until(overdue.unwrap_or(far)), if overdue.is_some() => {
                if self.link.polls.overdue_at(limit).is_some_and(|at| at <= Instant::now()) {
                    tracing::warn!(
                        group = %self.coordinator.group(),
                        "the application did not poll for {} ms (max.poll.interval.ms): leaving the group",
                        self.options.max_poll_interval_ms
                    );
                    self.leave().await;
                    self.lose_all().await;
                }
            }
        }
        self.reconcile().await
    }

    /// Looks the subscription up, and tells it when it changed.
    async fn look(&mut self) -> Result<()> {
        let subscription = self.link.subscription.borrow_and_update().clone();
        self.topics.resolve(&subscription).await?;
        if self.told_topics.as_deref() != Some(self.topics.names()) {
            self.told_topics = Some(self.topics.names().to_vec());
            self.tell_all = true;
            self.next = Instant::now();
        }
        if self.target.has_unknown() {
            self.name_target().await?;
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<()> {
        let all = self.tell_all;
        let owned = if self.epoch == 0 { Vec::new() } else { self.owned.clone() };
        let tell_owned = all || self.told.as_ref() != Some(&owned);
        let subscription = self.link.subscription.borrow().clone();
        let (names, regex) = match &subscription {
            Subscription::Regex(regex) => (None, Some(&**regex)),
            _ => (Some(self.topics.names()), None),
        };
        let metadata = self.client.metadata();
        let listed = if tell_owned { Some(self.target.by_id(&owned, &metadata)) } else { None };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: (&**self.coordinator.group()).into(),
            member_id: self.member_id.as_str().into(),
            member_epoch: self.epoch,
            instance_id: self.options.instance_id.as_deref().map(Into::into),
            rack_id: Some(self.options.rack.as_str())
                .filter(|rack| all && !rack.is_empty())
                .map(Into::into),
            rebalance_timeout_ms: if all {
                i32::try_from(self.options.max_poll_interval_ms).unwrap_or(i32::MAX)
            } else {
                -1
            },
            subscribed_topic_names: names
                .filter(|_| all)
                .map(|names| names.iter().map(|name| name.to_string().into()).collect()),
            subscribed_topic_regex: regex.filter(|_| all).map(Into::into),
            server_assignor: self
                .options
                .remote_assignor
                .as_deref()
                .filter(|_| all)
                .map(Into::into),
            topic_partitions: listed.map(|topics| {
                let topic = |(topic_id, partitions): (TopicId, Vec<i32>)| TopicPartitions {
                    topic_id,
                    partitions,
                    ..Default::default()
                };
                topics.into_iter().map(topic).collect()
            }),
            ..Default::default()
        };
        let timeout_ms = self.coordinator.request_timeout_ms();
        let reply = self.coordinator.call(&request, timeout_ms).await?;
        let response: ConsumerGroupHeartbeatResponse<'_> = reply.decode()?;
        Error::check(response.error_code, response.error_message.as_deref())?;
        self.failures = 0;
        self.tell_all = false;
        self.told = Some(owned);
        if let Some(member_id) = response.member_id.as_deref().filter(|id| !id.is_empty()) {
            self.member_id = member_id.to_owned();
        }
        self.epoch = response.member_epoch;
        self.link.is(&self.member_id, self.epoch);
        let interval_ms = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0).max(1);
        self.interval = Duration::from_millis(interval_ms);
        self.next = Instant::now() + self.interval;
        if let Some(assignment) = &response.assignment {
            let topics = assignment.topic_partitions.iter();
            self.target.set(topics.map(|topic| (topic.topic_id, topic.partitions.clone())));
        }
        if self.target.has_unknown() {
            self.name_target().await?;
        }
        Ok(())
    }

    /// Finds the names of the topics in the target, which comes with their ids.
    async fn name_target(&mut self) -> Result<()> {
        self.target.name(&self.client.metadata());
        let unknown = self.target.unknown();
        if !unknown.is_empty() {
            match self.client.refresh_once(&Asked::Ids(unknown), false).await {
                Ok(metadata) => self.target.name(&metadata),
                // A topic that is gone already: the coordinator will notice, too.
                Err(error) if error.retriable() || error.code().is_some() => {
                    tracing::debug!(%error, "the names of assigned topics are not known yet");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts the next change before the application, unless one is pending.
    async fn reconcile(&mut self) -> Result<()> {
        if self.pending.is_some() || self.epoch <= 0 {
            return Ok(());
        }
        let (change, owned) = match self.target.step(&self.owned) {
            Step::Nothing => return Ok(()),
            Step::GiveUp(revoked, left) => (Change::Revoke(revoked), left),
            Step::TakeOn(added, all) => (Change::Assign(added), all),
        };
        self.pending = Some((self.link.tell(change).await, owned));
        Ok(())
    }

    /// The coordinator gave the partitions to others: the application must know before the member joins again.
    async fn lose_all(&mut self) {
        self.link.is(&self.member_id, -1);
        self.epoch = 0;
        self.tell_all = true;
        self.told = None;
        self.target = Target::default();
        if let Some((pending, _)) = self.pending.take() {
            // The application takes one change after the other.
            let _taken = pending.await;
        }
        let lost = std::mem::take(&mut self.owned);
        let taken = self.link.tell(Change::Lose(lost)).await;
        let _taken = taken.await;
        self.next = Instant::now();
    }

    async fn leave(&mut self) {
        if self.epoch <= 0 {
            return;
        }
        let request = ConsumerGroupHeartbeatRequest {
            group_id: (&**self.coordinator.group()).into(),
            member_id: self.member_id.as_str().into(),
            member_epoch: if self.options.instance_id.is_some() { LEAVES_FOR_NOW } else { LEAVES },
            instance_id: self.options.instance_id.as_deref().map(Into::into),
            ..Default::default()
        };
        if let Err(error) =
            self.coordinator.call(&request, self.coordinator.request_timeout_ms()).await
        {
            tracing::debug!(%error, "left without saying so");
        }
        self.epoch = 0;
        self.link.is(&self.member_id, -1);
    }
}

/// Waits until the application has taken the pending change; for ever without one.
async fn taken(pending: &mut Option<(oneshot::Receiver<()>, Vec<TopicPartition>)>) {
    match pending {
        // An error: the handle is gone, and the change with it.
        Some((taken, _)) => drop(taken.await),
        None => std::future::pending().await,
    }
}

/// A member names itself, so that a repeated first heartbeat does not make two of it.
fn new_member_id() -> String {
    let mut bytes = [0u8; 16];
    for _ in 0..16 {
        if getrandom::fill(&mut bytes).is_ok()
            && let Some(id) = Uuid::from_random(bytes)
        {
            return id.to_string();
        }
    }
    // Without randomness the coordinator is left to tell two members apart: it refuses the second.
    Uuid(bytes).to_string()
}

/// Partitions by the ids of their topics.
pub(crate) type ById = BTreeMap<TopicId, Vec<i32>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_outcome() {
        let of = |code| outcome(&Error::api(code, None));
        assert_eq!(of(ErrorCode::FencedMemberEpoch), Outcome::Anew);
        assert_eq!(of(ErrorCode::UnknownMemberId), Outcome::Anew);
        assert_eq!(of(ErrorCode::NotCoordinator), Outcome::Later);
        assert_eq!(of(ErrorCode::CoordinatorLoadInProgress), Outcome::Later);
        assert_eq!(of(ErrorCode::UnreleasedInstanceId), Outcome::Never);
        assert_eq!(of(ErrorCode::UnsupportedAssignor), Outcome::Never);
        assert_eq!(of(ErrorCode::InvalidRegularExpression), Outcome::Never);
    }

    #[test]
    fn members_name_themselves_differently() {
        assert_ne!(new_member_id(), new_member_id());
        assert_eq!(new_member_id().len(), 22);
    }
}
