//! One hosted partition: its log, its part in replication, and the requests that wait at it.
//!
//! Two locks, always taken in this order: the state's, then the log's, which the log manager shares for upkeep. Nothing awaits
//! while it holds them. What is to be sent leaves as file ranges. A log that moves to another directory gives way to its copy under
//! both locks: whoever holds them has the log that serves.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{LeaderEpoch, MonoMs, Offset, TopicIdPartition};
use parking_lot::{Mutex, RwLock};
use protocol::ErrorCode;
use replication::{Event, Follower, Leader, Waiting};
use storage::dirs::SharedLog;
use storage::log::{Log, LogError};
use tokio::sync::{Semaphore, oneshot};

use super::failure::PartitionFailure;
use super::glimpse::Glimpses;
use super::lane::{Lane, Use};
use super::locked::Locked;
use super::moving::Moving;
use super::neighbours::Neighbours;
use super::settings::PartitionSettings;
use crate::fetch::waiter::{FetchWaiter, Readers};

pub struct Partition {
    id: TopicIdPartition,
    topic: Arc<str>,
    pub(super) settings: ArcSwap<PartitionSettings>,
    pub(super) state: Mutex<State>,
    pub(super) readers: Arc<Readers>,
    log: ArcSwap<RwLock<Log>>,
    /// To the log's disk.
    lane: ArcSwap<Lane>,
    /// Where the disk is slow, who wants the locks waits here first: who reads not behind all who write.
    write_turn: Semaphore,
    read_turn: Semaphore,
    pub(super) glimpses: Glimpses,
    /// Its copy in another directory; locked before anything else.
    pub(super) moving: Mutex<Option<Moving>>,
    neighbours: Arc<Neighbours>,
}

/// What came of waiting for acks=all. Who hears nothing (the channel closes) waited at a leader that is none any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    Committed,
    /// On all in-sync replicas, but these have become too few.
    TooFewReplicas,
    TimedOut,
}

impl Written {
    pub fn error(self) -> ErrorCode {
        match self {
            Self::Committed => ErrorCode::None,
            Self::TooFewReplicas => ErrorCode::NotEnoughReplicasAfterAppend,
            Self::TimedOut => ErrorCode::RequestTimedOut,
        }
    }
}

pub struct State {
    /// `None` while this node does not lead the partition, or its log failed.
    pub leader: Option<Leader>,
    /// While another node leads.
    pub follower: Option<Follower>,
    /// As the metadata says, whoever leads.
    pub leader_epoch: LeaderEpoch,
    /// Producers that wait for the high watermark.
    pub producers: Waiting<oneshot::Sender<Written>>,
    /// Producers that wait for no replica but for the disk.
    pub flushes: Waiting<oneshot::Sender<Written>>,
    /// A flush is under way or about to be.
    pub flushing: bool,
    /// Those who removed records and wait for the low watermark.
    pub deletions: Waiting<oneshot::Sender<Offset>>,
    pub readers: Arc<Readers>,
    /// Where the copy of the log in another directory starts, while it moves.
    pub copy_start: Option<Offset>,
    pub deleted: bool,
}

impl State {
    fn new() -> Self {
        Self {
            leader: None,
            follower: None,
            leader_epoch: LeaderEpoch::NONE,
            producers: Waiting::default(),
            flushes: Waiting::default(),
            flushing: false,
            deletions: Waiting::default(),
            readers: Arc::default(),
            copy_start: None,
            deleted: false,
        }
    }

    /// Serves no longer. Whoever waits is told.
    pub fn resign(&mut self) {
        self.leader = None;
        self.follower = None;
        self.turn_all_away();
    }

    /// Whoever waits is to look again, or elsewhere.
    pub fn turn_all_away(&mut self) {
        self.producers.drain();
        self.flushes.drain();
        self.deletions.drain();
        self.readers.wake();
    }
}

impl Partition {
    pub fn new(
        id: TopicIdPartition,
        topic: Arc<str>,
        log: SharedLog,
        settings: Arc<PartitionSettings>,
        neighbours: Arc<Neighbours>,
    ) -> Self {
        let state = State::new();
        let lane = neighbours.lanes.of_log(log.read().dir());
        Self {
            id,
            topic,
            settings: ArcSwap::new(settings),
            readers: Arc::clone(&state.readers),
            state: Mutex::new(state),
            log: ArcSwap::new(log),
            lane: ArcSwap::new(lane),
            write_turn: Semaphore::new(1),
            read_turn: Semaphore::new(1),
            glimpses: Glimpses::default(),
            moving: Mutex::new(None),
            neighbours,
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let state = self.state.lock();
        let log = self.log.load_full().write_arc();
        Locked { id: self.id, neighbours: &self.neighbours, state, log }
    }

    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        self.lock_within(Duration::ZERO)
    }

    /// The same for one who waits a little.
    pub fn lock_within(&self, limit: Duration) -> Option<Locked<'_>> {
        let state = self.state.try_lock_for(limit)?;
        let log = self.log.load_full().try_write_arc_for(limit)?;
        Some(Locked { id: self.id, neighbours: &self.neighbours, state, log })
    }

    /// Another log serves from now on; under both locks.
    pub(super) fn replace_log(&self, _locked: &Locked<'_>, log: SharedLog) {
        self.lane.store(self.neighbours.lanes.of_log(log.read().dir()));
        self.log.store(log);
    }

    pub(super) fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// Does what takes the locks or the disk; a slow disk holds no thread of the runtime meanwhile.
    pub async fn enter<T>(&self, how: Use, operation: impl FnOnce() -> T) -> T {
        let turn = match how {
            Use::Read => &self.read_turn,
            Use::Write => &self.write_turn,
        };
        self.lane().run(how, turn, operation).await
    }

    /// The same for those who are few and are no requests of clients.
    pub fn enter_now<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.lane().run_now(operation)
    }

    /// Its directory is.
    pub(super) fn is_slow(&self) -> bool {
        self.lane.load().is_slow()
    }

    pub fn lane(&self) -> Arc<Lane> {
        self.lane.load_full()
    }

    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    pub fn log_start_offset(&self) -> Offset {
        self.log.load().read().start_offset()
    }

    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub fn settings(&self) -> Arc<PartitionSettings> {
        self.settings.load_full()
    }

    /// Looks for replicas that lag and for producers whose time is over, unless somebody is at work here: then it is to be tried again.
    pub fn try_tick(&self, now: MonoMs, lag_time_max_ms: u64) -> bool {
        {
            let Some(mut state) = self.state.try_lock() else { return false };
            let state = &mut *state;
            for waiting in [&mut state.producers, &mut state.flushes] {
                if waiting.is_empty() {
                    continue;
                }
                for late in waiting.expire(now) {
                    // It may be gone.
                    let _gone = late.send(Written::TimedOut);
                }
            }
            if !state.deletions.is_empty() {
                state.deletions.expire(now);
            }
            if !state.leader.as_ref().is_some_and(Leader::has_followers) {
                return true;
            }
        }
        let Some(mut state) = self.try_lock() else { return false };
        state.step(now, Event::LagTime { max_ms: lag_time_max_ms });
        state.step(now, Event::Tick);
        true
    }

    /// Completes when the logs of all replicas start at `offset` or later; at once (with where they start) if they do.
    pub fn removed_everywhere(
        &self,
        offset: Offset,
        deadline: MonoMs,
    ) -> Result<Result<Offset, oneshot::Receiver<Offset>>, PartitionFailure> {
        let mut state = self.lock();
        state.check_leader(LeaderEpoch::NONE)?;
        let low = state.low_watermark();
        if low >= offset {
            return Ok(Ok(low));
        }
        let (removed, waiting) = oneshot::channel();
        state.deletions.park(offset, deadline, removed);
        Ok(Err(waiting))
    }

    /// Runs `f` on the log, for maintenance and for answers that need no leader.
    pub fn with_log<T>(&self, f: impl FnOnce(&mut Log) -> T) -> T {
        f(&mut self.log.load().write())
    }

    /// The log failed.
    pub fn is_offline(&self) -> bool {
        self.log.load().read().failure().is_some()
    }

    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.state.lock().leader.as_ref().map(Leader::epoch)
    }

    pub fn high_watermark(&self) -> Offset {
        self.log.load().read().high_watermark()
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
            state.stop_serving(error);
        }
        Ok(result?)
    }

    /// The log, for an answer that any replica may give.
    pub fn as_replica<T>(
        &self,
        epoch: LeaderEpoch,
        f: impl FnOnce(&mut Log) -> Result<T, LogError>,
    ) -> Result<T, PartitionFailure> {
        let mut state = self.lock();
        state.check_replica(epoch)?;
        Ok(f(&mut state.log)?)
    }

    /// A new leader has not heard yet up to where all have what was written before its epoch.
    pub fn is_uncertain(&self) -> bool {
        let state = self.state.lock();
        let leader = state.leader.as_ref();
        leader.is_some_and(|leader| leader.epoch_start() > leader.high_watermark())
    }

    /// How far this replica is behind what is committed.
    pub fn lag(&self) -> i64 {
        let state = self.lock();
        let (end, known) = (state.log.end_offset(), state.log.high_watermark());
        if state.leader.is_some() { 0 } else { (known.get() - end.get()).max(0) }
    }

    /// Completes the waiting fetches: the log's start has moved.
    pub fn with_consumers_told(&self) {
        self.readers.wake();
    }

    pub fn remove_consumer(&self, waiter: &Arc<FetchWaiter>) {
        self.readers.remove(waiter);
    }
}
