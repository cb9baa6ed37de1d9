//! Which log is cleaned next, and what comes of it. The cleaning itself is the caller's, without any lock.
//!
//! How far a log was cleaned, that it is being cleaned, and that it cannot be, is kept in the log itself: what cuts or
//! deletes the log takes that along. A log that was cut, moved or deleted while it was being cleaned voids the result.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use base::{Offset, TopicPartition, WallMs};

use super::checkpoint::{CLEANER_OFFSETS, write_offsets};
use super::manager::{LogEntry, LogManager};
use super::upkeep::Deleted;
use crate::log::{Dirt, Log, LogError, Reset};

/// So long a log is waited for that somebody is at work with.
const PATIENCE: Duration = Duration::from_millis(5);

/// A log that is to be cleaned; nobody else cleans it or deletes from it until [`LogManager::cleaned`].
pub struct Grabbed {
    pub partition: TopicPartition,
    pub entry: LogEntry,
    pub dirt: Dirt,
}

/// How the cleaning of one log ended.
#[derive(Debug)]
pub enum CleanResult {
    /// Everything below this offset is clean, unless the log was cut meanwhile.
    Upto(Offset),
    /// The log was cut or deleted meanwhile, or the node stops.
    Void,
    Failed(LogError),
    /// A mistake of ours; what the panic said.
    Panicked(String),
}

impl CleanResult {
    /// Runs a pass. A panic ends it as other faults do: its log is let go, and other logs are cleaned.
    pub fn of(pass: impl FnOnce() -> Self) -> Self {
        caught(pass).unwrap_or_else(Self::Panicked)
    }
}

/// What was changed under a lock may be half done: the cleaner must not go on with that log.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| said(panic.as_ref()))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl LogManager {
    /// Of all compacted logs that are dirty enough the one with the largest dirty part.
    pub fn grab_filthiest(&self, now: WallMs) -> Option<Grabbed> {
        let _one_at_a_time = self.grabs.lock();
        let mut filthiest: Option<Grabbed> = None;
        for (partition, entry) in self.compacted() {
            let Some(dirt) = self.due_dirt(&entry, now) else { continue };
            if !self.has_space_to_clean(&entry) {
                continue;
            }
            if filthiest.as_ref().is_none_or(|most| most.dirt.ratio() < dirt.ratio()) {
                filthiest = Some(Grabbed { partition, entry, dirt });
            }
        }
        filthiest.filter(|found| found.entry.log.write().begin_cleaning())
    }

    /// Whether the largest segment that a pass may write finds room beside what it replaces.
    fn has_space_to_clean(&self, entry: &LogEntry) -> bool {
        let bytes = {
            let log = entry.log.read();
            log.size().min(log.config().segment_bytes.into())
        };
        self.may_compact(entry, bytes)
    }

    /// The current logs that are compacted; replicas on their way to another directory wait until they are there. Who holds a log
    /// for long may stand still, and all others with it: then it is its turn another time.
    fn compacted(&self) -> Vec<(TopicPartition, LogEntry)> {
        let mut logs = self.all();
        logs.retain(|(_, entry)| {
            entry.log.try_read_for(PATIENCE).is_some_and(|log| may_clean(&log))
        });
        logs
    }

    fn due_dirt(&self, entry: &LogEntry, now: WallMs) -> Option<Dirt> {
        let look = || {
            let log = entry.log.read();
            log.dirt(now).map(|(dirt, reset)| (dirt, reset, dirt.is_due(&log.clean_rules())))
        };
        let (dirt, reset, due) = self.unless_it_fails(entry, look)?;
        if let Some(reset) = reset {
            self.reset(entry, &dirt, reset);
        }
        due.then_some(dirt)
    }

    /// What the cleaner wants of one log, which must not keep it from the others.
    fn unless_it_fails<T>(
        &self,
        entry: &LogEntry,
        run: impl FnOnce() -> Result<T, LogError>,
    ) -> Option<T> {
        match caught(run) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(fault)) => self.cleaning_failed(entry, &fault),
            Err(panic) => self.quarantine(entry, &panicked(&panic)),
        }
        None
    }

    fn reset(&self, entry: &LogEntry, dirt: &Dirt, reset: Reset) {
        let mut log = entry.log.write();
        let (name, start) = (log.name().clone(), dirt.first_dirty);
        match reset {
            // Retention does so all the time.
            Reset::BeforeStart(_) if log.config().delete => {}
            Reset::BeforeStart(cleaned) => {
                tracing::warn!(log = %name, cleaned, start, "the log starts after what was cleaned: cleaning from its start");
            }
            Reset::BeyondEnd(cleaned) => {
                let end = log.end_offset().0;
                tracing::warn!(log = %name, cleaned, end, start, "the log ends before what was cleaned: cleaning from its start");
            }
        }
        log.set_cleaned_upto(Offset(start));
        drop(log);
        self.checkpoint_cleaned(entry.dir);
    }

    /// Takes note of how the cleaning of a log ended; what it left to do is done.
    pub fn cleaned(&self, grabbed: &Grabbed, result: CleanResult, now: WallMs) {
        let entry = &grabbed.entry;
        let upto = match &result {
            CleanResult::Upto(upto) => Some(*upto),
            CleanResult::Void | CleanResult::Failed(_) | CleanResult::Panicked(_) => None,
        };
        entry.log.write().end_cleaning(upto);
        match result {
            CleanResult::Upto(_) => self.checkpoint_cleaned(entry.dir),
            CleanResult::Void => {}
            CleanResult::Failed(fault) => self.cleaning_failed(entry, &fault),
            CleanResult::Panicked(said) => self.quarantine(entry, &panicked(&said)),
        }
        self.run_work(entry, now);
    }

    /// A failing disk takes its directory offline, a full one is waited for; with anything else the cleaner leaves the log
    /// alone from now on.
    fn cleaning_failed(&self, entry: &LogEntry, fault: &LogError) {
        if entry.log.read().failure().is_some() {
            return;
        }
        if fault.is_disk_failure() {
            self.fail_log(entry, fault);
        } else if fault.is_full() {
            let name = entry.log.read().name().clone();
            tracing::warn!(log = %name, %fault, "not cleaned: the disk is full");
        } else {
            self.quarantine(entry, &fault.to_string());
        }
    }

    fn quarantine(&self, entry: &LogEntry, fault: &str) {
        let name = {
            let mut log = entry.log.write();
            log.mark_uncleanable(fault.to_owned());
            log.name().clone()
        };
        let dir = self.dir_of(entry).map(|(dir, _)| dir.display().to_string()).unwrap_or_default();
        let uncleanable =
            self.uncleanable().iter().filter(|(other, _)| other.dir == entry.dir).count();
        tracing::error!(
            log = %name, fault, dir, uncleanable_in_dir = uncleanable,
            "the log cannot be cleaned and is left as it is until it is loaded again"
        );
    }

    /// The logs that the cleaner leaves alone, and why.
    pub fn uncleanable(&self) -> Vec<(LogEntry, String)> {
        let why = |entry: LogEntry| {
            let cause = entry.log.read().uncleanable().map(str::to_owned)?;
            Some((entry, cause))
        };
        self.all().into_iter().filter_map(|(_, entry)| why(entry)).collect()
    }

    /// Writes down how far the logs of a directory were cleaned, where that has changed.
    pub(super) fn checkpoint_cleaned(&self, index: usize) {
        let Some(dir) = self.dirs.get(index).filter(|dir| dir.is_online()) else { return };
        let mut written = dir.cleaned.lock();
        let mut offsets = self.unopened_in(index, CLEANER_OFFSETS);
        offsets.extend(self.collect(index, &Log::cleaned_upto));
        if *written == offsets {
            return;
        }
        let path = dir.path.join(CLEANER_OFFSETS);
        match write_offsets(self.pool.disk().as_ref(), &path, &offsets) {
            Ok(()) => *written = offsets,
            Err(fault) => {
                drop(written);
                self.not_written(index, dir, &fault);
            }
        }
    }

    /// One pass of retention over the compacted logs: the segments before the log start, and what `delete` beside
    /// `compact` does not keep.
    pub fn delete_old_compacted(&self, now: WallMs) -> Deleted {
        let mut deleted = Deleted::default();
        for (_, entry) in self.compacted() {
            let delete = || {
                let mut log = entry.log.write();
                if may_clean(&log) { log.delete_old_segments(now) } else { Ok(0) }
            };
            if let Some(count) = self.unless_it_fails(&entry, delete) {
                deleted.add(&entry, count);
            }
            if entry.log.read().has_work() {
                self.run_work(&entry, now);
            }
        }
        deleted
    }
}

fn panicked(said: &str) -> String {
    format!("its cleaner panicked: {said}")
}

fn may_clean(log: &Log) -> bool {
    log.config().compact
        && !log.is_being_cleaned()
        && log.uncleanable().is_none()
        && log.failure().is_none()
}
