//! One hosted partition: its log, its leader state, and the requests that wait at it.
//!
//! Two locks, always taken in this order: the state's, then the log's, which the log manager shares for upkeep. Nothing awaits
//! while it holds them. What is to be sent leaves as file ranges.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base::{LeaderEpoch, MonoMs, Offset, TopicIdPartition};
use parking_lot::{Mutex, MutexGuard, RwLockWriteGuard};
use protocol::ErrorCode;
use replication::{Effect, Event, Leader, LeaderConfig, Waiting};
use storage::dirs::SharedLog;
use storage::log::{Log, LogError};
use tokio::sync::oneshot;

use super::settings::PartitionSettings;
use crate::fetch::waiter::{FetchWaiter, Waiters};

pub struct Partition {
    id: TopicIdPartition,
    topic: Arc<str>,
    settings: ArcSwap<PartitionSettings>,
    state: Mutex<State>,
    log: SharedLog,
}

pub(super) struct State {
    /// `None` while this node does not lead the partition, or its log failed.
    pub leader: Option<Leader>,
    /// Producers that wait for the high watermark.
    pub producers: Waiting<oneshot::Sender<()>>,
    pub consumers: Waiters,
    pub deleted: bool,
}

/// Both locks of a partition.
pub(super) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    pub log: RwLockWriteGuard<'a, Log>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// Why a partition does not serve; at the edge one of Kafka's codes.
#[derive(Debug, thiserror::Error)]
pub enum PartitionFailure {
    #[error("this node does not lead the partition")]
    NotLeader,
    #[error("the partition was deleted")]
    Deleted,
    #[error("the log is offline: {0}")]
    Offline(String),
    #[error("the request's leader epoch is older than ours, {ours}")]
    FencedLeaderEpoch { ours: LeaderEpoch },
    #[error("the request's leader epoch is newer than ours, {ours}")]
    UnknownLeaderEpoch { ours: LeaderEpoch },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl PartitionFailure {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::Deleted => ErrorCode::UnknownTopicOrPartition,
            Self::Offline(_) => ErrorCode::KafkaStorageError,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::Log(error) => log_error_code(error),
        }
    }
}

/// Kafka's code for a failed operation of a log.
pub fn log_error_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::Io { .. } | LogError::Offline { .. } => ErrorCode::KafkaStorageError,
        LogError::OffsetOutOfRange { .. } | LogError::StartBeyondHighWatermark { .. } => {
            ErrorCode::OffsetOutOfRange
        }
        LogError::Corrupt { .. } | LogError::InvalidBatch { .. } => ErrorCode::CorruptMessage,
        LogError::BatchLargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        LogError::OutOfOrderSequence(_) => ErrorCode::OutOfOrderSequenceNumber,
        LogError::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
        LogError::InvalidTxnState(_) => ErrorCode::InvalidTxnState,
        LogError::TransactionCoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
        _ => ErrorCode::UnknownServerError,
    }
}

impl Partition {
    pub fn new(
        id: TopicIdPartition,
        topic: Arc<str>,
        log: SharedLog,
        settings: Arc<PartitionSettings>,
    ) -> Self {
        let state = State {
            leader: None,
            producers: Waiting::default(),
            consumers: Waiters::default(),
            deleted: false,
        };
        Self { id, topic, settings: ArcSwap::new(settings), state: Mutex::new(state), log }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let state = self.state.lock();
        Locked { state, log: self.log.write() }
    }

    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    pub fn log_start_offset(&self) -> Offset {
        self.log.read().start_offset()
    }

    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub fn settings(&self) -> Arc<PartitionSettings> {
        self.settings.load_full()
    }

    /// Takes over changed settings of the topic, without a restart.
    pub fn set_settings(&self, settings: Arc<PartitionSettings>, now: MonoMs) {
        let mut state = self.lock();
        state.log.set_config(Arc::clone(&settings.log));
        let min = settings.min_insync_replicas;
        self.settings.store(settings);
        state.step(now, Event::MinInsyncReplicas { min });
    }

    /// Leads in the epoch that the metadata says; the epoch begins at the log's end.
    pub fn lead(&self, mut config: LeaderConfig, now: MonoMs) -> Result<(), PartitionFailure> {
        let mut state = self.lock();
        let current = state.leader.as_ref().map(Leader::epoch);
        if current == Some(config.leader_epoch) {
            state.step(now, Event::IsrCommitted { isr: config.isr });
            return Ok(());
        }
        state.log.assign_leader_epoch(config.leader_epoch)?;
        config.epoch_start = state.log.end_offset();
        config.min_insync_replicas = self.settings.load().min_insync_replicas;
        let (end, known) = (state.log.end_offset(), state.log.high_watermark());
        state.leader = Some(Leader::new(config, end, known, now));
        state.step(now, Event::Appended { log_end: end });
        state.consumers.complete_all();
        Ok(())
    }

    /// Serves no longer: the replica moved, the log failed, or (`deleted`) the topic is gone. Whoever waits is told.
    pub fn resign(&self, deleted: bool) {
        let mut state = self.state.lock();
        state.leader = None;
        state.deleted |= deleted;
        state.producers.drain();
        state.consumers.complete_all();
    }

    /// Runs `f` on the log, for maintenance and for answers that need no leader.
    pub fn with_log<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.log.write())
    }

    pub fn is_leader(&self) -> bool {
        self.state.lock().leader.is_some()
    }

    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.state.lock().leader.as_ref().map(Leader::epoch)
    }

    pub fn high_watermark(&self) -> Offset {
        self.log.write().high_watermark()
    }

    /// The log, for an answer that only the leader may give; `epoch` is the one the client believes in, or negative.
    pub fn as_leader<T>(
        &self,
        epoch: LeaderEpoch,
        f: impl FnOnce(&mut Log) -> Result<T, LogError>,
    ) -> Result<T, PartitionFailure> {
        let mut state = self.lock();
        state.check_leader(epoch)?;
        let result = f(&mut state.log);
        if let Err(error) = &result
            && error.is_disk_failure()
        {
            state.stop_serving();
        }
        Ok(result?)
    }

    /// Completes the waiting fetches: the log's start has moved.
    pub fn with_consumers_told(&self) {
        self.state.lock().consumers.complete_all();
    }

    pub fn remove_consumer(&self, waiter: &Arc<FetchWaiter>) {
        self.state.lock().consumers.remove(waiter);
    }

    /// Gives up producers whose time is over; they are answered REQUEST_TIMED_OUT by the closing of their channel.
    pub fn expire_producers_waiting(&self, now: MonoMs) {
        let mut state = self.state.lock();
        if !state.producers.is_empty() {
            state.producers.expire(now);
        }
    }
}

impl Locked<'_> {
    /// The leader's epoch, if the client's view of it is ours.
    pub fn check_leader(&self, epoch: LeaderEpoch) -> Result<LeaderEpoch, PartitionFailure> {
        if self.deleted {
            return Err(PartitionFailure::Deleted);
        }
        let Some(leader) = self.leader.as_ref() else {
            return Err(match self.log.failure() {
                Some(cause) => PartitionFailure::Offline(cause.to_owned()),
                None => PartitionFailure::NotLeader,
            });
        };
        let ours = leader.epoch();
        match epoch {
            _ if !epoch.is_some() || epoch == ours => Ok(ours),
            _ if epoch < ours => Err(PartitionFailure::FencedLeaderEpoch { ours }),
            _ => Err(PartitionFailure::UnknownLeaderEpoch { ours }),
        }
    }

    /// Runs the leader's machine and what it asks for: waiting producers are released, the log learns the watermark.
    pub fn step(&mut self, now: MonoMs, event: Event) {
        let Some(leader) = &mut self.leader else { return };
        let mut effects = Vec::new();
        leader.step(now, event, &mut effects);
        for Effect::HighWatermarkAdvanced { to, .. } in effects {
            self.log.set_high_watermark(to);
            if !self.producers.is_empty() {
                for waiting in self.producers.release(to) {
                    // A producer that went away meanwhile does not matter.
                    let _gone = waiting.send(());
                }
            }
        }
    }

    /// The disk failed: whoever waits learns it by asking again.
    pub fn stop_serving(&mut self) {
        self.leader = None;
        self.producers.drain();
        self.consumers.complete_all();
    }
}
