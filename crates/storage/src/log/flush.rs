//! Making the log durable.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use base::{Offset, WallMs};

use super::error::{LogError, Result};
use super::work::{FlushDone, FlushWork, LogWork, Reached, sync_all};
use super::{Log, names};
use crate::disk::{DiskFile, OpenMode};
use crate::pool::FileKind;

impl Log {
    /// There is something in [`Log::take_work`].
    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// What is to be done without the lock. Work that is never done costs disk space and a longer recovery, no data.
    pub fn take_work(&mut self) -> Vec<LogWork> {
        std::mem::take(&mut self.work)
    }

    /// Records after the recovery point.
    pub fn unflushed_records(&self) -> i64 {
        self.end_offset.saturating_sub(self.recovery_point)
    }

    /// `flush.messages` or more records are not durable.
    pub fn is_flush_due_by_count(&self) -> bool {
        self.unflushed_records() >= self.config.flush_messages
    }

    /// `flush.messages` or more records are not on the disk. Unlike the other this is answered by a flush for which a full disk has no
    /// room to note how far recovery need not go.
    pub fn owes_flush(&self) -> bool {
        self.end_offset.saturating_sub(self.synced_end) >= self.config.flush_messages
    }

    /// Closing it would have to write and sync something.
    pub fn has_unsynced(&self) -> bool {
        self.unflushed_records() > 0
            || self.epochs.needs_store(self.end_offset())
            || self.producers.has_unsynced_snapshot()
            || self.cut_unsynced
    }

    /// `flush.ms` have passed since the last flush and there is something to flush.
    pub fn is_flush_due(&self, now: WallMs) -> bool {
        self.unflushed_records() > 0
            && now.0.saturating_sub(self.last_flush.0) >= self.config.flush_ms
    }

    /// Makes everything up to the log's end durable.
    pub fn flush(&mut self, now: WallMs) -> Result<()> {
        self.change_if_space(|log| log.flush_now(log.end_offset, now))
    }

    /// What has to be synced so that everything below `upto` is durable; `None` when it is. For those who do not want
    /// to hold the lock meanwhile: run it, then [`Log::complete_flush`].
    pub fn prepare_flush(&mut self, upto: Offset) -> Result<Option<FlushWork>> {
        self.change_if_space(|log| log.flush_to(upto.0.min(log.end_offset)))
    }

    /// Takes note of a flush that ran without the lock.
    pub fn complete_flush(&mut self, done: FlushDone, now: WallMs) -> Result<()> {
        let rewrites = done.reached.rewrites;
        self.change(|log| match done.result {
            Ok(()) => {
                log.new_dir &= !done.reached.with_parent;
                if rewrites == log.rewrites {
                    log.flushed(done.reached, now);
                }
                Ok(())
            }
            // Its directory has another name by now: nothing is known, and nothing failed.
            Err(LogError::Io { source, .. })
                if source.kind() == ErrorKind::NotFound && rewrites != log.rewrites =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        })
    }

    pub(super) fn flush_now(&mut self, upto: i64, now: WallMs) -> Result<()> {
        if let Some(work) = self.flush_to(upto)? {
            work.sync()?;
            self.new_dir &= !work.reached.with_parent;
            self.flushed(work.reached, now);
        }
        Ok(())
    }

    fn flushed(&mut self, reached: Reached, now: WallMs) {
        self.recovery_point = self.recovery_point.max(reached.recovery_point);
        self.synced_end = self.synced_end.max(reached.synced_end);
        self.last_flush = now;
        self.producers.synced_snapshots(reached.snapshots_upto);
    }

    /// Recovery rebuilds indexes, epochs and producers of everything from the segment of the recovery point on. So the
    /// active segment's log suffices; of the others all files count, and the epochs before the recovery point moves.
    /// On a full disk the log's files are synced all the same, but recovery begins where it did.
    pub(super) fn flush_to(&mut self, upto: i64) -> Result<Option<FlushWork>> {
        if upto <= self.recovery_point {
            return Ok(None);
        }
        let recovery_point = self.settle_to(upto)?;
        let first = self.floor_segment(self.recovery_point).unwrap_or(0);
        let last = self.segments.len().saturating_sub(1);
        let mut files = Vec::new();
        let mut new_files = false;
        for (slot, segment) in self.segments.iter().enumerate().skip(first) {
            if segment.base_offset >= upto {
                break;
            }
            new_files |= segment.base_offset >= self.recovery_point;
            self.add_files(
                segment.base_offset,
                slot == last,
                segment.txn_index.has_file(),
                &mut files,
            )?;
        }
        let snapshots_upto = self.add_snapshots(upto, &mut files)?;
        let new_names = new_files || snapshots_upto.is_some();
        let dir = self.files.dir();
        // Not before it is done: another flush may be done earlier than this one.
        let parent = dir.parent().filter(|_| self.new_dir);
        let dirs = new_names.then_some(dir).into_iter().chain(parent);
        Ok(Some(FlushWork {
            files,
            dirs: dirs.map(|dir| dir.to_path_buf()).collect(),
            disk: Arc::clone(self.files.disk()),
            reached: Reached {
                recovery_point,
                synced_end: upto,
                rewrites: self.rewrites,
                with_parent: parent.is_some(),
                snapshots_upto,
            },
        }))
    }

    /// Writes what recovery would have to rebuild otherwise; gives up to where that went.
    fn settle_to(&mut self, upto: i64) -> Result<i64> {
        if self.epochs.needs_store(self.end_offset()) {
            match self.epochs.store(self.files.disk().as_ref(), self.files.dir(), true) {
                Err(error) if error.is_full() => return Ok(self.recovery_point),
                stored => stored?,
            }
        }
        let first = self.floor_segment(self.recovery_point).unwrap_or(0);
        let rolled = self.segments.len().saturating_sub(1);
        for segment in self.segments.iter_mut().take(rolled).skip(first) {
            if segment.base_offset >= upto {
                break;
            }
            if segment.has_unwritten() {
                segment.settle(&self.files)?;
                if segment.has_unwritten() {
                    return Ok(segment.base_offset);
                }
            }
        }
        Ok(upto)
    }

    fn nothing_reached(&self) -> Reached {
        Reached {
            recovery_point: self.recovery_point,
            synced_end: self.synced_end,
            rewrites: self.rewrites,
            with_parent: false,
            snapshots_upto: None,
        }
    }

    pub(super) fn add_files(
        &self,
        base_offset: i64,
        active: bool,
        has_txn_index: bool,
        files: &mut Vec<(PathBuf, Arc<dyn DiskFile>)>,
    ) -> Result<()> {
        for kind in names::KINDS {
            let needed = match kind {
                FileKind::Log => true,
                FileKind::OffsetIndex | FileKind::TimeIndex => !active,
                FileKind::TxnIndex => has_txn_index,
            };
            if needed {
                files.push((
                    self.files.path(base_offset, kind),
                    self.files.open(base_offset, kind)?,
                ));
            }
        }
        Ok(())
    }

    /// Snapshots that are not durable yet; gives the offset of the last.
    fn add_snapshots(
        &self,
        upto: i64,
        files: &mut Vec<(PathBuf, Arc<dyn DiskFile>)>,
    ) -> Result<Option<i64>> {
        let mut last = None;
        for offset in self.producers.unsynced_snapshots(upto) {
            let path = self.path(&names::snapshot_file(offset));
            match self.files.disk().open(&path, OpenMode::Existing) {
                Ok(file) => {
                    files.push((path, file));
                    last = Some(offset);
                }
                // Somebody tidied up: the log rebuilds what was in it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("open", &path)(error)),
            }
        }
        Ok(last)
    }

    /// Without recovery, the next start takes the producers from the newest snapshot: it must be there, even when no
    /// record was left to flush.
    fn sync_snapshots(&mut self) -> Result<()> {
        let mut files = Vec::new();
        let last = self.add_snapshots(self.end_offset, &mut files)?;
        if last.is_some() {
            sync_all(&files)?;
            self.files.sync_dir()?;
        }
        self.producers.synced_snapshots(last);
        Ok(())
    }

    /// What was cut off must not come back at a start that recovers nothing.
    fn sync_cut(&mut self) -> Result<()> {
        if !self.cut_unsynced {
            return Ok(());
        }
        let (base_offset, mut files) = (self.active().base_offset, Vec::new());
        self.add_files(base_offset, false, self.active().txn_index.has_file(), &mut files)?;
        sync_all(&files)?;
        self.files.sync_dir()?;
        self.cut_unsynced = false;
        Ok(())
    }

    /// The clean end: indexes complete, a snapshot of the producers at the log's end, everything durable. The log
    /// cannot be used afterwards. Recovery is not needed if the recovery point is kept.
    pub fn close(&mut self, now: WallMs) -> Result<()> {
        self.finish_files(now, true)
    }

    /// The same without making anything durable: for those who close many logs and then call
    /// [`Disk::sync_file_system`] once. Only when that has succeeded was the end clean; the recovery point says so
    /// already.
    pub fn close_unsynced(&mut self, now: WallMs) -> Result<()> {
        self.finish_files(now, false)
    }

    fn finish_files(&mut self, now: WallMs, sync: bool) -> Result<()> {
        self.change(|log| {
            log.settle_swap()?;
            log.producers.write_snapshot(&log.files)?;
            let config = Arc::clone(&log.config);
            let unflushed = log.end_offset > log.recovery_point;
            log.active_mut_parts(|files, segment| segment.finish(files, &config))?;
            if log.epochs.needs_store(log.end_offset()) {
                log.epochs.store(log.files.disk().as_ref(), log.files.dir(), sync)?;
            }
            let end = log.end_offset;
            if log.settle_to(end)? < end {
                return Err(LogError::NoSpace { log: log.name.to_string() });
            }
            if sync {
                log.flush_now(end, now)?;
                log.sync_snapshots()?;
                log.sync_cut()?;
            } else {
                let all = log.nothing_reached();
                log.flushed(Reached { recovery_point: end, synced_end: end, ..all }, now);
            }
            if sync && unflushed {
                log.sync_active_indexes()?;
            }
            log.files.forget_all();
            Ok(())
        })?;
        self.fail("it was closed".into());
        Ok(())
    }

    fn active_mut_parts<T>(
        &mut self,
        run: impl FnOnce(&super::LogFiles, &mut super::Segment) -> T,
    ) -> T {
        run(&self.files, self.segments.last_mut().expect("a log has an active segment"))
    }

    fn sync_active_indexes(&self) -> Result<()> {
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            let base_offset = self.active().base_offset;
            self.files
                .open(base_offset, kind)?
                .sync_data()
                .map_err(|source| self.files.error("sync", base_offset, kind, source))?;
        }
        Ok(())
    }
}
