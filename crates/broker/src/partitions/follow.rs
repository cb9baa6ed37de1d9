//! Following: the log takes what the leader has, is cut where the leader's parts from it, and learns what is committed.

use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, NodeId, Offset, WallMs};
use replication::{Ask, Follower, FollowerEffect, FollowerEvent, FollowerLog, Position, Refusal};
use storage::log::{Log, LogError};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::locked::Locked;
use super::partition::{Partition, Written};

/// What the leader answered for one partition.
#[derive(Clone, Copy, Debug)]
pub enum FetchedPart<'a> {
    Records { bytes: &'a [u8], high_watermark: Offset, log_start: Offset },
    Diverging { epoch: LeaderEpoch, end: Offset },
    Refused(Refusal),
}

/// What a follower is to do next.
#[derive(Debug)]
pub enum Turn {
    /// Ask the leader, in this epoch.
    Ask(LeaderEpoch, Ask),
    /// Look again when this completes: what the leader would be told of is not durable yet.
    Flush(oneshot::Receiver<Written>),
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followed {
    /// So many bytes were appended; `behind`: the leader has more that is committed; `flush`: what was appended must be durable before
    /// the leader is told that it is here.
    Appended { bytes: usize, behind: bool, flush: bool },
    /// The answer is to a question of another time.
    Outdated,
}

pub(super) struct View<'a>(pub &'a Log);

impl FollowerLog for View<'_> {
    fn start(&self) -> Offset {
        self.0.start_offset()
    }

    fn end(&self) -> Offset {
        self.0.end_offset()
    }

    fn high_watermark(&self) -> Offset {
        self.0.high_watermark()
    }

    fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.0.latest_epoch()
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.0.end_offset_for_epoch(epoch)
    }
}

impl Partition {
    /// What to ask `leader` next; `None` when this replica does not follow it.
    pub async fn ask(self: &Arc<Self>, leader: NodeId, now: MonoMs) -> Option<Turn> {
        self.briefly(|state| self.ask_locked(state, leader, now)).await
    }

    pub(super) fn ask_locked(
        self: &Arc<Self>,
        state: &mut Locked<'_>,
        leader: NodeId,
        now: MonoMs,
    ) -> Option<Turn> {
        let follower = state.follower.as_ref().filter(|f| f.leader() == leader)?;
        let (epoch, ask) = (follower.leader_epoch(), follower.ask(now, &View(&state.log)));
        if let Ask::Fetch(_) = ask
            && let Some(flush) = self.until_durable_locked(state)
        {
            return Some(Turn::Flush(flush));
        }
        Some(Turn::Ask(epoch, ask))
    }

    /// Takes the leader's answer to a fetch `at` this place.
    pub fn fetched(&self, at: Position, part: FetchedPart<'_>, now: Now) -> Followed {
        let mut state = self.lock();
        let view = View(&state.log);
        let good = |f: &Follower| f.is_fetching() && f.position(&view).is_answered_by(&at);
        if !state.follower.as_ref().is_some_and(good) {
            return Followed::Outdated;
        }
        let mut flush = false;
        let (event, appended) = match part {
            FetchedPart::Records { bytes, high_watermark, log_start } => {
                match state.cut(|log| append(log, bytes, at.leader_epoch, now.wall)) {
                    Ok(appended) => {
                        flush = appended > 0 && state.log.owes_flush();
                        (FollowerEvent::Appended { high_watermark, log_start }, appended)
                    }
                    Err(error) => (state.append_failed(&error), 0),
                }
            }
            FetchedPart::Diverging { epoch, end } => (FollowerEvent::Diverging { epoch, end }, 0),
            FetchedPart::Refused(refusal) => (FollowerEvent::Refused(refusal), 0),
        };
        state.follower_step(event, now);
        let behind = match part {
            FetchedPart::Records { high_watermark, .. } => high_watermark > state.log.end_offset(),
            _ => true,
        };
        if self.is_throttled() {
            self.neighbours().follower_throttle.record(appended as u64, now.mono);
        }
        Followed::Appended { bytes: appended, behind, flush }
    }

    /// Whether this replica's traffic is limited.
    pub fn is_throttled(&self) -> bool {
        let neighbours = self.neighbours();
        neighbours.follower_throttle.is_limited()
            && self.settings().follower_throttled.contains(self.id().partition, neighbours.own)
    }

    /// Takes any other answer, in the epoch in which it was asked for.
    pub fn follower_told(&self, epoch: LeaderEpoch, event: FollowerEvent, now: Now) {
        let mut state = self.lock();
        if state.follower.as_ref().map(Follower::leader_epoch) == Some(epoch) {
            state.follower_step(event, now);
        }
    }
}

/// Takes what a log holds that is followed.
pub(super) fn append(
    log: &mut Log,
    bytes: &[u8],
    epoch: LeaderEpoch,
    now: WallMs,
) -> Result<usize, LogError> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let appended = match log.append_as_follower(bytes, epoch, now) {
        // A log that begins within the leader's batch, because records before were deleted: it takes the batch whole.
        Err(LogError::UnexpectedOffset { first, last, end, start, .. })
            if end == start && first < end && last >= end =>
        {
            log.truncate_fully_and_start_at(first, None, now)?;
            log.append_as_follower(bytes, epoch, now)?
        }
        other => other?,
    };
    if appended.bytes == 0 {
        return Err(LogError::InvalidAppend {
            log: log.name().to_string(),
            reason: "the leader sent no whole batch of its epoch".into(),
        });
    }
    Ok(appended.bytes)
}

impl Locked<'_> {
    /// Does what may cut the log. Where its recovery point falls, it is written down again before the log grows over the old one.
    fn cut<T>(
        &mut self,
        change: impl FnOnce(&mut Log) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let before = self.log.recovery_point();
        let changed = change(&mut self.log);
        if self.log.recovery_point() < before {
            let dir = self.log.dir();
            let lane = self.neighbours.lanes.of_log(dir);
            self.neighbours.truncations.add(&lane, dir.parent().unwrap_or(dir));
        }
        changed
    }

    fn append_failed(&mut self, error: &LogError) -> FollowerEvent {
        let log = self.log.name();
        if error.is_disk_failure() {
            warn!(partition = %log, "replication ends: {error}");
            self.neighbours.failed.add(self.id, error);
            return FollowerEvent::Failed;
        }
        if error.is_full() {
            // Said once for the directory. The replica falls behind and comes back when there is space.
            debug!(partition = %log, "replication waits: {error}");
            return FollowerEvent::Damaged;
        }
        warn!(partition = %log, "the leader's records cannot be used, they are fetched again: {error}");
        FollowerEvent::Damaged
    }

    fn follower_step(&mut self, event: FollowerEvent, now: Now) {
        let Some(mut follower) = self.follower.take() else { return };
        let mut effects = Vec::new();
        follower.step(now.mono, &View(&self.log), event, &mut effects);
        self.follower = Some(follower);
        if let Err(error) = self.execute(effects, now.wall) {
            warn!(partition = %self.log.name(), "replication ends: {error}");
            self.stop_serving(&error);
        }
    }

    pub(super) fn execute(
        &mut self,
        effects: Vec<FollowerEffect>,
        now: WallMs,
    ) -> Result<(), LogError> {
        for effect in effects {
            match effect {
                FollowerEffect::Truncate { end } => {
                    let (name, before) = (self.log.name().clone(), self.log.end_offset());
                    let committed = self.log.high_watermark();
                    if end < committed {
                        warn!(partition = %name, %end, %before, %committed, "truncating below what was committed");
                    } else if end < before {
                        info!(partition = %name, %end, %before, "truncating to the leader's log");
                    }
                    self.cut(|log| log.truncate_to(end, now))?;
                    self.readers.wake_consumers();
                }
                FollowerEffect::StartOver { start } => {
                    let name = self.log.name().clone();
                    warn!(partition = %name, %start, "the leader's log begins later: starting over");
                    self.cut(|log| log.truncate_fully_and_start_at(start, None, now))?;
                    self.readers.wake_consumers();
                }
                FollowerEffect::HighWatermark(offset) => {
                    self.log.set_high_watermark(offset);
                    self.readers.wake_consumers();
                }
                FollowerEffect::LogStart(offset) => {
                    self.log.delete_records(offset)?;
                }
            }
        }
        Ok(())
    }
}
