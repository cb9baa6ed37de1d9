//! Consumer in a group, in both of Kafka's protocols: partitions come and go, offsets are committed, heartbeats run in
//! a task of their own while the application works.
//!
//! Start reading at [`GroupConsumer::next`], then `classic` and `consumer` (the task of each protocol).

pub mod assignor;
pub mod blob;
mod classic;
mod commit;
mod consumer;
pub(crate) mod coordinator;
mod events;
mod member;
pub(crate) mod offsets;
mod options;
mod reconcile;
mod topics;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use commit::fenced;
pub use member::{Identity, Subscription};
pub use offsets::{CommittedOffset, Offsets};
pub use options::{GroupOptions, GroupProtocol};

use crate::cluster::Client;
use crate::consumer::{Consumer, ConsumerOptions, ConsumerRecord, OffsetReset};
use crate::error::{Error, Result};
use crate::producer::GroupMetadata;
use classic::ClassicMember;
use commit::{Background, Committer};
use consumer::ConsumerMember;
use coordinator::Coordinator;
use member::{Link, Notice, Polls};

/// How long [`GroupConsumer::close`] waits for its last commit and its farewell.
const CLOSE_MS: u64 = 30_000;

/// What [`GroupConsumer::next`] has to tell.
#[derive(Clone, Debug)]
pub enum Event {
    /// Records of one partition, in order.
    Records(Vec<ConsumerRecord>),
    /// These partitions came; those that the member has already are not repeated.
    Assigned(Vec<TopicPartition>),
    /// These partitions go with the next call: until then offsets of theirs can be committed.
    Revoked(Vec<TopicPartition>),
    /// These partitions are somebody else's already.
    Lost(Vec<TopicPartition>),
}

/// A member of a group. Must live inside a tokio runtime; on one with a single thread heartbeats are only sent while the
/// application awaits something.
pub struct GroupConsumer {
    client: Client,
    consumer: Consumer,
    committer: Committer,
    background: Background,
    options: Arc<GroupOptions>,
    reset: OffsetReset,
    assigned: BTreeSet<TopicPartition>,
    /// Assigned partitions whose offsets must be asked for, and the request under way.
    unpositioned: BTreeSet<TopicPartition>,
    positioning: Option<(Vec<TopicPartition>, JoinHandle<Result<Offsets>>)>,
    notices: mpsc::Receiver<Notice>,
    /// A change that is being taken.
    current: Option<Notice>,
    /// A change that the application takes with its next call, and the positions that go with it.
    revoking: Option<(oneshot::Sender<()>, Offsets)>,
    identity: watch::Receiver<Identity>,
    /// When the application last called, of a member.
    last_identity: Identity,
    subscription: watch::Sender<Subscription>,
    closing: watch::Sender<bool>,
    polls: Arc<Polls>,
    task: JoinHandle<()>,
    next_commit: Instant,
    failed: Option<Error>,
}

impl GroupConsumer {
    /// Joins the group at once.
    pub fn new(
        client: Client,
        options: GroupOptions,
        consumer_options: ConsumerOptions,
        subscription: Subscription,
    ) -> Result<Self> {
        options.check()?;
        if options.protocol == GroupProtocol::Classic
            && matches!(subscription, Subscription::Regex(_))
        {
            return Err(Error::InvalidOption {
                key: "group.protocol",
                value: String::from("classic"),
                expected: String::from(
                    "a regular expression for the coordinator needs group.protocol=consumer",
                ),
            });
        }
        let options = Arc::new(options);
        let coordinator = Arc::new(Coordinator::new(&client, options.group_id.as_str().into())?);
        // One change at a time: the task waits until it was taken.
        let (notices, incoming) = mpsc::channel(1);
        let (identity_in, identity) = watch::channel(Identity::none());
        let (subscription, subscribed) = watch::channel(subscription);
        let (closing, closes) = watch::channel(false);
        let polls = Arc::new(Polls::new());
        let link = Link {
            notices,
            identity: identity_in,
            subscription: subscribed,
            closing: closes,
            polls: Arc::clone(&polls),
        };
        let create = consumer_options.allow_auto_create_topics;
        let (other, place) = (client.clone(), Arc::clone(&coordinator));
        let task = match options.protocol {
            GroupProtocol::Classic => {
                let member = ClassicMember::new(other, place, Arc::clone(&options), link, create);
                tokio::spawn(member.run())
            }
            GroupProtocol::Consumer => {
                let member = ConsumerMember::new(other, place, Arc::clone(&options), link, create);
                tokio::spawn(member.run())
            }
        };
        let commit_ms = u64::from(options.auto_commit_interval_ms);
        Ok(Self {
            committer: Committer::new(
                client.clone(),
                coordinator,
                Arc::clone(&options),
                identity.clone(),
            ),
            reset: consumer_options.offset_reset,
            consumer: Consumer::new(client.clone(), consumer_options),
            client,
            background: Background::default(),
            options,
            assigned: BTreeSet::new(),
            unpositioned: BTreeSet::new(),
            positioning: None,
            notices: incoming,
            current: None,
            revoking: None,
            identity,
            last_identity: Identity::none(),
            subscription,
            closing,
            polls,
            task,
            next_commit: Instant::now() + Duration::from_millis(commit_ms),
            failed: None,
        })
    }

    /// Wants other topics from now on; the group rebalances.
    pub fn subscribe(&mut self, subscription: Subscription) {
        self.subscription.send_replace(subscription);
    }

    /// Who this member is; epoch -1 while it is none.
    pub fn identity(&self) -> Identity {
        self.identity.borrow().clone()
    }

    /// As whom a transactional producer commits this member's offsets. Who is no member any more asks as the one it was:
    /// the coordinator refuses that, while it would store offsets of nobody.
    pub fn group_metadata(&self) -> GroupMetadata {
        let now = self.identity();
        let identity = if now.epoch < 0 { self.last_identity.clone() } else { now };
        GroupMetadata {
            group_id: self.options.group_id.as_str().into(),
            member_id: identity.member_id,
            generation: identity.epoch,
            instance_id: self.options.instance_id.as_deref().map(Into::into),
        }
    }

    /// The partitions that are this member's.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.iter()
    }

    /// The offset of the next record of a partition; None while it is not known.
    pub fn position(&self, tp: &TopicPartition) -> Option<i64> {
        self.consumer.position(tp)
    }

    /// Goes on with this offset in an assigned partition.
    pub fn seek(&mut self, tp: &TopicPartition, offset: i64) {
        if !self.assigned.contains(tp) {
            return;
        }
        self.unpositioned.remove(tp);
        if self.consumer.is_assigned(tp) {
            self.consumer.seek(tp, offset);
        } else {
            self.consumer.add([(tp.clone(), crate::consumer::Start::Offset(offset))]);
        }
    }

    /// The positions behind all records that were handed out, of the partitions that are being revoked, too.
    pub fn positions(&self) -> Offsets {
        let at = |tp: &TopicPartition| {
            let committed = CommittedOffset {
                offset: self.consumer.position(tp)?,
                leader_epoch: self.consumer.leader_epoch(tp),
                metadata: String::new(),
            };
            Some((tp.clone(), committed))
        };
        let mut positions: Offsets = self.assigned.iter().filter_map(at).collect();
        if let Some((_, revoked)) = &self.revoking {
            positions.extend(revoked.iter().map(|(tp, offset)| (tp.clone(), offset.clone())));
        }
        positions
    }

    /// Commits, and waits for it. An error for which [`fenced`] is true says that the partitions are not this member's
    /// any more.
    pub async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        self.background.settle().await;
        self.committer.commit(offsets).await
    }

    /// Commits [`Self::positions`], and waits for it.
    pub async fn commit_positions(&mut self) -> Result<()> {
        let positions = self.positions();
        self.commit(&positions).await
    }

    /// Commits without waiting. A failure is logged; the next commit makes up for it.
    pub fn commit_in_background(&mut self, offsets: Offsets) {
        self.background.put(&self.committer, offsets);
    }

    /// What the group has committed for these partitions.
    pub async fn committed(&self, partitions: &[TopicPartition]) -> Result<Offsets> {
        self.committer.committed(partitions).await
    }

    /// The next records; changes of the assignment happen on the way. Empty when nothing comes within `wait`.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            let left =
                deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
            match self.next(left).await? {
                Some(Event::Records(records)) => return Ok(records),
                Some(_) => {}
                None => return Ok(Vec::new()),
            }
        }
    }

    /// Commits what auto-commit would, leaves the group (a static member stays one) and ends.
    pub async fn close(mut self) -> Result<()> {
        let wait = Duration::from_millis(CLOSE_MS.min(self.client.options().api_timeout_ms));
        let member = self.identity.borrow().epoch >= 0;
        let committed = if self.options.auto_commit && self.failed.is_none() && member {
            tokio::time::timeout(wait, self.commit_positions()).await.unwrap_or(Err(Error::Closed))
        } else {
            if tokio::time::timeout(wait, self.background.settle()).await.is_err() {
                tracing::debug!("closed before the last commit was answered");
            }
            Ok(())
        };
        self.closing.send_replace(true);
        if let Some((taken, _)) = self.revoking.take() {
            let _gone = taken.send(());
        }
        if tokio::time::timeout(wait, &mut self.task).await.is_err() {
            self.task.abort();
        }
        committed
    }
}
