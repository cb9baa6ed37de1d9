//! What happens from time to time, and at the end: checkpoints, flushes, retention, removals, the clean stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{BrokerEpoch, Offset, TopicIdPartition, TopicPartition, WallMs};

use super::checkpoint::{HIGH_WATERMARKS, LOG_STARTS, Offsets, RECOVERY_POINTS, write_offsets};
use super::clean_shutdown;
use super::error::{DirError, Result};
use super::manager::{Dir, LogEntry, LogManager, SYNCED_ONE_BY_ONE, SharedLog};
use super::removals::Removal;
use crate::disk::Disk;
use crate::log::{Log, LogError, LogWork, store_epochs};

/// What a pass of retention has removed.
#[derive(Debug, Default)]
pub struct Deleted {
    pub segments: usize,
    /// The logs that lost some.
    pub logs: Vec<TopicIdPartition>,
}

impl Deleted {
    pub(super) fn add(&mut self, entry: &LogEntry, segments: usize) {
        self.segments += segments;
        if let Some(id) = entry.topic_id.filter(|_| segments > 0) {
            self.logs.push(TopicIdPartition::new(id, entry.log.read().name().partition));
        }
    }
}

impl LogManager {
    /// Takes directories offline that are not there any more: nothing may be made in what has taken their place.
    pub fn look_at_dirs(&self) {
        for (index, dir) in self.dirs.iter().enumerate() {
            if dir.is_online() {
                self.check_in_place(index, dir);
            }
        }
    }

    pub(super) fn check_in_place(&self, index: usize, dir: &Dir) {
        let gone = dir.lock.lock().as_ref().is_some_and(|lock| !lock.is_in_place());
        if gone {
            self.fail_dir(
                index,
                "it is not the directory any more that was locked at the start".into(),
            );
        }
    }

    /// Does what a log has left for later ([`Log::has_work`]): syncs rolled segments, queues removals. Never holds the
    /// log's lock while the disk works.
    pub fn run_work(&self, entry: &LogEntry, now: WallMs) {
        let work = entry.log.write().take_work();
        for work in work {
            match work {
                LogWork::Remove(work) => {
                    self.remove_later(Removal::files(work, now));
                }
                LogWork::Flush(work) => {
                    let done = work.run();
                    let result = entry.log.write().complete_flush(done, now);
                    self.check_disk(entry, result);
                }
            }
        }
    }

    /// Does what the logs of a directory have left for later.
    pub fn run_work_of(&self, index: usize, now: WallMs) {
        for entry in self.entries_of(index) {
            if entry.log.read().has_work() {
                self.run_work(&entry, now);
            }
        }
    }

    /// The logs in a directory (by its place in [`LogManager::dirs`]) whose `flush.ms` have passed. They may be flushed side by
    /// side, so that the file system can join them.
    pub fn flush_due(&self, dir: usize, now: WallMs) -> Vec<LogEntry> {
        let mut due = self.entries();
        due.retain(|entry| entry.dir == dir && entry.log.read().is_flush_due(now));
        due
    }

    /// Makes everything in a log durable, without its lock while the disk works.
    pub fn flush(&self, entry: &LogEntry, now: WallMs) {
        let prepared = store_epochs(&entry.log).and_then(|()| {
            let mut log = entry.log.write();
            let end = log.end_offset();
            log.prepare_flush(end)
        });
        let result = match prepared {
            Ok(None) => Ok(()),
            Ok(Some(work)) => {
                let done = work.run();
                entry.log.write().complete_flush(done, now)
            }
            Err(fault) => Err(fault),
        };
        self.check_disk(entry, result);
    }

    /// One pass of retention over all logs that are not compacted, as `log.retention.check.interval.ms` asks for; the
    /// others are their cleaner's. Gives how many segments went.
    pub fn delete_old_segments(&self, now: WallMs) -> usize {
        (0..self.dirs.len()).map(|dir| self.delete_old_segments_of(dir, now).segments).sum()
    }

    /// The same in one directory.
    pub fn delete_old_segments_of(&self, index: usize, now: WallMs) -> Deleted {
        let mut deleted = Deleted::default();
        for entry in self.entries_of(index) {
            let result = {
                let mut log = entry.log.write();
                if log.config().compact || log.is_being_cleaned() {
                    continue;
                }
                log.delete_old_segments(now)
            };
            deleted.add(&entry, result.as_ref().copied().unwrap_or(0));
            self.check_disk(&entry, result.map(drop));
            self.run_work(&entry, now);
        }
        deleted
    }

    /// Forgets the producers of a directory's logs that have been silent too long.
    pub fn expire_producers_of(&self, index: usize, now: WallMs) {
        for entry in self.entries_of(index) {
            entry.log.write().expire_producers(now);
        }
    }

    fn check_disk(&self, entry: &LogEntry, result: Result<(), LogError>) {
        match result {
            Ok(()) => {}
            // Whatever made it so was told then; or it was deleted or moved meanwhile, and no disk failed.
            Err(LogError::Offline { .. }) => {}
            Err(fault) if fault.is_disk_failure() => self.fail_log(entry, &fault),
            Err(fault) => tracing::error!(%fault, "upkeep of a log failed"),
        }
    }

    fn entries(&self) -> Vec<LogEntry> {
        let current: Vec<LogEntry> = self.logs.read().values().cloned().collect();
        current.into_iter().chain(self.futures.read().values().cloned()).collect()
    }

    fn entries_of(&self, index: usize) -> Vec<LogEntry> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.dir == index);
        entries
    }

    /// Writes down up to where logs are durable, so that recovery can begin there.
    pub fn checkpoint_recovery_points(&self) {
        (0..self.dirs.len()).for_each(|index| self.checkpoint_durable_of(index));
    }

    /// As [`Self::checkpoint_recovery_points`], in one directory.
    pub fn checkpoint_durable_of(&self, index: usize) {
        self.checkpoint_recovery_points_of(index);
        self.checkpoint_cleaned(index);
    }

    /// Writes down where logs start that were cut by DeleteRecords.
    pub fn checkpoint_log_starts(&self) {
        (0..self.dirs.len()).for_each(|index| self.checkpoint_log_starts_of(index));
    }

    /// Writes down the high watermarks.
    pub fn checkpoint_high_watermarks(&self) {
        (0..self.dirs.len()).for_each(|index| self.checkpoint_high_watermarks_of(index));
    }

    /// Recovery points and log starts of one directory, after its logs have changed.
    pub(super) fn checkpoint_dir(&self, index: usize) {
        self.checkpoint_recovery_points_of(index);
        self.checkpoint_log_starts_of(index);
        self.checkpoint_cleaned(index);
    }

    pub(super) fn checkpoint_recovery_points_of(&self, index: usize) {
        let Some(dir) = self.dirs.get(index) else { return };
        self.try_checkpoint(index, dir, RECOVERY_POINTS, &|log| Some(log.recovery_point()));
    }

    /// As [`Self::checkpoint_log_starts`], in one directory.
    pub fn checkpoint_log_starts_of(&self, index: usize) {
        let Some(dir) = self.dirs.get(index) else { return };
        // What was written once stays: a crash may bring back the segments that went since.
        let start = |log: &Log| {
            let known = dir.starts.lock().contains_key(log.name());
            cut_start(log).or_else(|| known.then(|| log.start_offset()))
        };
        self.try_checkpoint(index, dir, LOG_STARTS, &start);
    }

    /// As [`Self::checkpoint_high_watermarks`], in one directory.
    pub fn checkpoint_high_watermarks_of(&self, index: usize) {
        let Some(dir) = self.dirs.get(index) else { return };
        self.try_checkpoint(index, dir, HIGH_WATERMARKS, &|log| Some(log.high_watermark()));
    }

    fn try_checkpoint(
        &self,
        index: usize,
        dir: &Dir,
        name: &str,
        offset: &dyn Fn(&Log) -> Option<Offset>,
    ) {
        if !dir.is_online() {
            return;
        }
        match self.checkpoint(index, dir, name, offset) {
            Ok(()) => dir.unwritten.store(false, Ordering::Relaxed),
            Err(fault) => self.not_written(index, dir, &fault),
        }
    }

    /// A checkpoint could not be written. On a full disk the old one holds: what it says is true, if not the latest.
    pub(super) fn not_written(&self, index: usize, dir: &Dir, fault: &DirError) {
        if !fault.is_full() {
            self.fail_dir(index, fault.to_string());
        } else if !dir.unwritten.swap(true, Ordering::Relaxed) {
            tracing::warn!(%fault, "checkpoints are not written until there is space");
        }
    }

    fn checkpoint(
        &self,
        index: usize,
        dir: &Dir,
        name: &str,
        offset: &dyn Fn(&Log) -> Option<Offset>,
    ) -> Result<()> {
        let _checkpoints = dir.checkpoints.lock();
        let mut offsets = self.unopened_in(index, name);
        offsets.extend(self.collect(index, offset));
        write_offsets(self.pool.disk().as_ref(), &dir.path.join(name), &offsets)?;
        if name == LOG_STARTS {
            *dir.starts.lock() = offsets;
        }
        Ok(())
    }

    /// What the logs of a directory say, those that say anything.
    pub(super) fn collect(&self, index: usize, offset: &dyn Fn(&Log) -> Option<Offset>) -> Offsets {
        // A partition's log and its copy never lie in one directory.
        let logs: Vec<(TopicPartition, SharedLog)> = [&self.logs, &self.futures]
            .into_iter()
            .flat_map(|logs| {
                let logs = logs.read();
                let here = logs.iter().filter(|(_, entry)| entry.dir == index);
                here.map(|(partition, entry)| (partition.clone(), Arc::clone(&entry.log)))
                    .collect::<Vec<_>>()
            })
            .collect();
        let told = |(partition, log): (TopicPartition, SharedLog)| {
            let offset = offset(&log.read())?;
            Some((partition, offset))
        };
        logs.into_iter().filter_map(told).collect()
    }

    /// The clean stop: closes all logs, many at a time, writes the checkpoints and, where all went well, the marker that
    /// spares the next start the recovery. Lets go of the directories. None of them waits for another's disk.
    pub fn shut_down(&self, epoch: BrokerEpoch, threads_per_dir: usize, now: WallMs) {
        let entries = self.entries();
        std::thread::scope(|scope| {
            for (index, dir) in self.dirs.iter().enumerate() {
                let logs = entries.iter().filter(|entry| entry.dir == index).collect::<Vec<_>>();
                scope.spawn(move || {
                    let disk = self.pool.disk().as_ref();
                    if dir.is_online() && close_all(disk, &dir.path, &logs, threads_per_dir, now) {
                        self.mark_clean(index, dir, epoch);
                    }
                    dir.lock.lock().take();
                });
            }
        });
    }

    fn mark_clean(&self, index: usize, dir: &Dir, epoch: BrokerEpoch) {
        self.checkpoint_dir(index);
        self.try_checkpoint(index, dir, HIGH_WATERMARKS, &|log| Some(log.high_watermark()));
        let known = !self.has_unrecovered(index)
            && (dir.was_clean.load(Ordering::Relaxed) || dir.loaded.load(Ordering::Relaxed));
        if dir.is_online() && known {
            let marked = clean_shutdown::write(self.pool.disk().as_ref(), &dir.path, epoch);
            if let Err(fault) = marked {
                tracing::error!(%fault, "the clean shutdown marker could not be written");
            }
        }
    }
}

/// The start of a log that is not the start of its first segment.
fn cut_start(log: &Log) -> Option<Offset> {
    let first = log.segment_base_offsets().first().copied()?;
    (log.start_offset() > first).then(|| log.start_offset())
}

/// Tells whether all went well.
fn close_all(disk: &dyn Disk, dir: &Path, logs: &[&LogEntry], threads: usize, now: WallMs) -> bool {
    let unsynced = logs.iter().filter(|entry| entry.log.read().has_unsynced()).count();
    let at_once = unsynced > SYNCED_ONE_BY_ONE;
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let work = || {
        while let Some(entry) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut log = entry.log.write();
            let closed = if at_once { log.close_unsynced(now) } else { log.close(now) };
            if let Err(fault) = closed {
                tracing::error!(%fault, "a log could not be closed");
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, logs.len().max(1)) {
            scope.spawn(work);
        }
    });
    if at_once && let Err(fault) = disk.sync_file_system(dir) {
        tracing::error!(%fault, dir = %dir.display(), "the logs could not be made durable");
        return false;
    }
    failed.into_inner() == 0
}
