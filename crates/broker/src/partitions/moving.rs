//! Moving: the log is copied to another directory step by step, and gives way to the copy.
//!
//! What to do next decides [`Mover`]. A step reads and writes without the partition's locks: whoever produces and fetches waits
//! for neither disk. Only the last few records are copied under them, so that a busy log can be overtaken.

use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, Offset, WallMs};
use replication::{Ask, FollowerEffect, FollowerEvent, Mover, Next, Position, Refusal};
use storage::dirs::{DirError, LogEntry, LogManager, Promoted};
use storage::log::{FileSlice, Log, LogError};
use tracing::{info, warn};

use super::follow::{View, append};
use super::locked::Locked;
use super::partition::Partition;
use super::read::diverging;

/// What may be copied while producers wait.
const REST_BYTES_MAX: usize = 1 << 20;
/// The log is our own: its epochs are not measured against a leader's.
const ANY_EPOCH: LeaderEpoch = LeaderEpoch(i32::MAX);

/// A copy that is being made.
pub struct Moving {
    /// Unlike that of any other move of the node.
    number: u64,
    mover: Mover,
    copy: LogEntry,
}

/// What a step has come to.
#[derive(Debug)]
pub enum Moved {
    /// So many bytes.
    Copied(usize),
    /// Nothing is to be done before this time.
    Wait { until: MonoMs },
    /// The controller is to be told where the replica will be.
    Tell,
    /// The controller has not answered yet; there is nothing to copy.
    Told,
    /// The copy may take the log's place.
    Ready,
    /// The copy's disk failed.
    Failed(String),
    /// Nothing moves any more.
    Gone,
}

impl Moved {
    fn failed(error: &LogError) -> Self {
        match error {
            // Whatever made it so was told.
            LogError::Offline { .. } => Self::Gone,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// What the log has for its copy.
enum Found {
    Records { slice: Option<FileSlice>, high_watermark: Offset, log_start: Offset, end: Offset },
    Event(FollowerEvent),
    Gone,
}

impl Partition {
    /// Begins to copy, or goes on with what the copy has.
    ///
    /// # Errors
    /// When the copy cannot be cut to what is known to be good.
    pub fn begin_move(
        &self,
        number: u64,
        copy: LogEntry,
        backoff_ms: u64,
        now: Now,
    ) -> Result<(), LogError> {
        let mut moving = self.moving.lock();
        let mut effects = Vec::new();
        let own = self.neighbours().own;
        let mover = Mover::new(own, backoff_ms, &View(&copy.log.read()), &mut effects);
        let start = {
            let mut log = copy.log.write();
            execute(&mut log, effects, now.wall)?;
            log.start_offset()
        };
        self.lock().copy_start = Some(start);
        *moving = Some(Moving { number, mover, copy });
        Ok(())
    }

    /// Ends the move without result. Tells whether the controller may believe in it.
    pub fn end_move(&self) -> bool {
        let ended = self.moving.lock().take();
        let mut state = self.lock();
        state.copy_start = None;
        state.release_deletions();
        ended.is_some_and(|moving| moving.mover.is_announced())
    }

    /// The copy that is being made in this move.
    pub fn copy(&self, number: u64) -> Option<LogEntry> {
        let moving = self.moving.lock();
        moving.as_ref().filter(|moving| moving.number == number).map(|moving| moving.copy.clone())
    }

    pub fn is_moving(&self) -> bool {
        self.moving.lock().is_some()
    }

    /// The controller has taken the copy's directory, or was not asked after all.
    pub fn move_told(&self, number: u64, taken: bool) {
        if let Some(moving) = self.moving.lock().as_mut().filter(|moving| moving.number == number) {
            moving.mover.told(taken);
        }
    }

    /// Copies at most so many bytes, or one batch. Blocks on both disks.
    pub fn move_on(&self, number: u64, bytes_max: u32, now: Now) -> Moved {
        let mut moving = self.moving.lock();
        let this = moving.as_mut().filter(|moving| moving.number == number);
        let Some(Moving { mover, copy, .. }) = this else { return Moved::Gone };
        let ask = {
            let log = copy.log.read();
            if log.failure().is_some() {
                // Deleted, or told by whoever saw its disk fail.
                return Moved::Gone;
            }
            mover.ask(now.mono, &View(&log))
        };
        let found = match ask {
            Ask::Wait { until } => return Moved::Wait { until },
            Ask::Nothing => return Moved::Failed("the copy cannot go on".into()),
            Ask::Fetch(at) => self.find(at, bytes_max),
            Ask::LogEnd => {
                Found::Event(FollowerEvent::LogEnd { end: self.lock().log.end_offset() })
            }
            Ask::LogStart => {
                Found::Event(FollowerEvent::LogStart { start: self.lock().log.start_offset() })
            }
        };
        let (event, bytes, end) = match found {
            Found::Gone => return Moved::Gone,
            Found::Event(event) => (event, 0, None),
            Found::Records { slice, high_watermark, log_start, end } => {
                let bytes = match slice.as_ref().map(FileSlice::read).transpose() {
                    Ok(bytes) => bytes.unwrap_or_default(),
                    Err(source) => return self.cannot_read(copy, source),
                };
                let appended = append(&mut copy.log.write(), &bytes, ANY_EPOCH, now.wall);
                match appended {
                    Ok(appended) => {
                        let event = FollowerEvent::Appended { high_watermark, log_start };
                        (event, appended, Some(end))
                    }
                    Err(error) if error.is_disk_failure() => return Moved::failed(&error),
                    Err(error) => {
                        warn!(partition = %copy.log.read().name(), "copied again: {error}");
                        (FollowerEvent::Damaged, 0, None)
                    }
                }
            }
        };
        let (before, start, copied) = {
            let mut log = copy.log.write();
            let (before, mut effects) = (log.start_offset(), Vec::new());
            mover.step(now.mono, &View(&log), event, &mut effects);
            if let Err(error) = execute(&mut log, effects, now.wall) {
                return Moved::failed(&error);
            }
            (before, log.start_offset(), log.end_offset())
        };
        if start != before {
            let mut state = self.lock();
            state.copy_start = Some(start);
            state.release_deletions();
        }
        if end.is_none_or(|end| copied < end) {
            return Moved::Copied(bytes);
        }
        let mut log = copy.log.write();
        if log.is_flush_due_by_count()
            && let Err(error) = log.flush(now.wall)
        {
            // It must not take the place of what is durable.
            return Moved::failed(&error);
        }
        drop(log);
        match mover.caught_up() {
            Next::Tell => Moved::Tell,
            Next::Wait => Moved::Told,
            Next::Swap => Moved::Ready,
        }
    }

    /// What follows this place in the log.
    fn find(&self, at: Position, bytes_max: u32) -> Found {
        let mut state = self.lock();
        if state.deleted || state.log.failure().is_some() {
            return Found::Gone;
        }
        let log = &state.log;
        let parted = match at.last_fetched_epoch {
            epoch if epoch.is_some() => diverging(log, epoch, at.offset),
            _ => Ok(None),
        };
        let found = match parted {
            Ok(None) => log.read(at.offset, bytes_max, log.end_offset(), true, false).map(|data| {
                Found::Records {
                    slice: data.records,
                    high_watermark: log.high_watermark(),
                    log_start: log.start_offset(),
                    end: log.end_offset(),
                }
            }),
            Ok(Some((epoch, end))) => Ok(Found::Event(FollowerEvent::Diverging { epoch, end })),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => found,
            Err(LogError::OffsetOutOfRange { .. }) => {
                Found::Event(FollowerEvent::Refused(Refusal::OutOfRange))
            }
            Err(error) if error.is_disk_failure() => {
                state.stop_serving(&error);
                Found::Gone
            }
            Err(error) => {
                warn!(partition = %state.log.name(), "cannot be copied now: {error}");
                Found::Event(FollowerEvent::Damaged)
            }
        }
    }

    /// The log's own disk failed.
    fn cannot_read(&self, copy: &LogEntry, source: std::io::Error) -> Moved {
        let path = copy.log.read().name().to_string().into();
        self.lock().stop_serving(&LogError::Io { action: "read for its copy", path, source });
        Moved::Gone
    }

    /// The copy takes the log's place, if it holds the same: `None` when there is more to copy or to write
    /// down first. Blocks.
    ///
    /// # Errors
    /// The copy's disk failed, and nothing has changed.
    pub fn give_way(
        &self,
        number: u64,
        logs: &LogManager,
        now: WallMs,
    ) -> Result<Option<Promoted>, DirError> {
        let mut moving = self.moving.lock();
        let this = moving.as_mut().filter(|moving| moving.number == number);
        let Some(Moving { copy, .. }) = this else { return Ok(None) };
        let changes = logs.changes();
        let mut state = self.lock();
        if state.deleted || state.log.failure().is_some() {
            return Ok(None);
        }
        let mut log = copy.log.write();
        if !copy_rest(&mut state, &mut log, now)? {
            return Ok(None);
        }
        log.set_high_watermark(state.log.high_watermark());
        if state.log.start_offset() > log.start_offset() {
            log.delete_records(state.log.start_offset())?;
        }
        if state.leader.is_some() {
            // An epoch that has no record yet.
            log.assign_leader_epoch(state.leader_epoch)?;
        }
        if log.recovery_point() < state.log.recovery_point() {
            // What was durable stays so.
            log.flush(now)?;
        }
        let name = log.name().clone();
        let promoted = logs.promote(&changes, &name, &mut state.log, &mut log)?;
        let Some(promoted) = promoted else { return Ok(None) };
        drop(log);
        self.replace_log(&state, Arc::clone(&copy.log));
        state.copy_start = None;
        state.release_deletions();
        drop(state);
        *moving = None;
        Ok(Some(promoted))
    }
}

/// Whether the copy holds what the log holds, after copying a little. An error is the copy's.
fn copy_rest(state: &mut Locked<'_>, copy: &mut Log, now: WallMs) -> Result<bool, LogError> {
    let mut left = REST_BYTES_MAX;
    loop {
        let (at, end) = (copy.end_offset(), state.log.end_offset());
        let epoch = copy.latest_epoch().unwrap_or(LeaderEpoch::NONE);
        if epoch.is_some() && !matches!(diverging(&state.log, epoch, at), Ok(None)) {
            return Ok(false);
        }
        if at == end {
            return Ok(true);
        }
        let max = u32::try_from(left).unwrap_or(u32::MAX);
        let read = state.log.read(at, max, end, true, false);
        let slice = read.ok().and_then(|data| data.records);
        let bytes = slice.and_then(|slice| slice.read().ok()).unwrap_or_default();
        if bytes.is_empty() || bytes.len() > left {
            // More than may be copied now; a log that cannot be read is found by the next step.
            return Ok(false);
        }
        left -= bytes.len();
        match append(copy, &bytes, ANY_EPOCH, now) {
            Ok(_) => {}
            Err(error) if error.is_disk_failure() => return Err(error),
            Err(_) => return Ok(false),
        }
    }
}

/// Does to the copy what its mover says.
fn execute(copy: &mut Log, effects: Vec<FollowerEffect>, now: WallMs) -> Result<(), LogError> {
    for effect in effects {
        match effect {
            FollowerEffect::Truncate { end } => {
                if copy.truncate_to(end, now)? {
                    info!(partition = %copy.name(), %end, "the copy is cut as its log was");
                }
            }
            FollowerEffect::StartOver { start } => {
                copy.truncate_fully_and_start_at(start, None, now)?;
            }
            FollowerEffect::HighWatermark(offset) => copy.set_high_watermark(offset),
            FollowerEffect::LogStart(offset) => {
                copy.delete_records(offset)?;
            }
        }
    }
    Ok(())
}
