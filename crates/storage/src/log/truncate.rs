//! Cutting the log: at its end, as a follower or the metadata log does, or altogether.

use base::{Offset, WallMs};

use super::error::{LogError, Result};
use super::recovery::rebuild_producers;
use super::segment::Segment;
use super::{Log, LogWork, RemoveWork, names};

impl Log {
    /// Removes the records at `offset` and after it; a batch that holds `offset` goes as a whole. Tells whether
    /// anything was there to remove.
    pub fn truncate_to(&mut self, offset: Offset, now: WallMs) -> Result<bool> {
        let offset = offset.0;
        if offset < 0 {
            return Err(LogError::InvalidAppend {
                log: self.name.to_string(),
                reason: format!("cannot truncate to the negative offset {offset}"),
            });
        }
        self.change(|log| {
            if offset >= log.end_offset {
                // An epoch that began here without a record contradicts the new leader's.
                if log.epochs.truncate_from_end(log.end_offset()) {
                    log.store_epochs()?;
                }
                return Ok(false);
            }
            if log.segments.first().is_some_and(|first| first.base_offset > offset) {
                log.start_over(offset, offset, now)?;
                return Ok(true);
            }
            log.settle_swap()?;
            log.rewrites += 1;
            let keep = log.segments.partition_point(|segment| segment.base_offset <= offset);
            let mut gone = log.segments.split_off(keep);
            if !gone.is_empty() {
                // The last one first: whenever it ends, what is left is a log without a hole.
                gone.reverse();
                log.remove_segments(gone)?;
                // Or else a crash could bring them back behind a segment that is cut.
                log.files.sync_dir()?;
            }
            let segment = log.segments.last_mut().expect("the segment of the offset is kept");
            segment.truncate_to(&log.files, offset, now)?;
            log.end_offset = offset;
            log.cut_unsynced = true;
            log.cleaning.cut(log.active().base_offset);
            log.epochs.truncate_from_end(Offset(offset));
            log.store_epochs()?;
            log.start_offset = log.start_offset.min(offset);
            log.recovery_point = log.recovery_point.min(offset);
            log.synced_end = log.synced_end.min(offset);
            let first = log.first_offset();
            rebuild_producers(
                &mut log.producers,
                &log.files,
                &log.segments,
                first,
                offset,
                false,
                now,
            )?;
            log.high_watermark = log.high_watermark.min(offset);
            // What was rebuilt may be decided already: nothing need ever move the watermark again.
            log.producers.on_high_watermark(log.high_watermark);
            Ok(true)
        })
    }

    /// Removes everything and goes on at `offset`; the log then starts at `start`, by default there too.
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        start: Option<Offset>,
        now: WallMs,
    ) -> Result<()> {
        self.change(|log| log.start_over(offset.0, start.unwrap_or(offset).0, now))
    }

    fn start_over(&mut self, offset: i64, start: i64, now: WallMs) -> Result<()> {
        self.settle_swap()?;
        self.rewrites += 1;
        let mut gone = std::mem::take(&mut self.segments);
        gone.reverse();
        self.remove_segments(gone)?;
        self.cut_unsynced = true;
        self.add_segment(offset, now)?;
        self.end_offset = offset;
        self.cleaning.cut(offset);
        self.epochs.clear();
        self.store_epochs()?;
        // A flush finds nothing to sync here, and a crash after it must not bring back what was removed.
        self.files.sync_dir()?;
        self.producers.reset(&self.files, offset)?;
        self.start_offset = start;
        self.recovery_point = self.recovery_point.min(offset);
        self.synced_end = self.synced_end.min(offset);
        self.high_watermark = offset;
        Ok(())
    }

    /// Durable at once: records that are gone must not come back with an epoch. On a full disk the next flush does it;
    /// until then recovery reads everything from here on and puts the epochs right.
    pub(super) fn store_epochs(&mut self) -> Result<()> {
        if !self.epochs.needs_store(self.end_offset()) {
            return Ok(());
        }
        match self.epochs.store(self.files.disk().as_ref(), self.files.dir(), true) {
            Err(error) if error.is_full() => Ok(()),
            stored => stored,
        }
    }

    /// Renames the files of segments so that they count no more, and leaves their removal to later. Slices that were
    /// handed out hold their file open and stay readable.
    pub(super) fn remove_segments(&mut self, gone: Vec<Segment>) -> Result<()> {
        self.retire(gone, None)
    }

    /// The same for segments that one at `base_offset` takes the place of: the producers' state there stays known.
    pub(super) fn replace_segments(&mut self, gone: Vec<Segment>, base_offset: i64) -> Result<()> {
        self.retire(gone, Some(base_offset))
    }

    fn retire(&mut self, gone: Vec<Segment>, replaced_by: Option<i64>) -> Result<()> {
        let mut paths = Vec::new();
        for segment in &gone {
            for kind in names::KINDS {
                let name = names::segment_file(segment.base_offset, kind);
                self.mark_deleted(&name, &mut paths)?;
            }
            self.files.forget_segment(segment.base_offset);
            if replaced_by != Some(segment.base_offset)
                && self.producers.forget_snapshot(segment.base_offset)
            {
                self.mark_deleted(&names::snapshot_file(segment.base_offset), &mut paths)?;
            }
        }
        if !paths.is_empty() {
            let delay_ms = self.config.file_delete_delay_ms;
            let disk = std::sync::Arc::clone(self.files.disk());
            self.work.push(LogWork::Remove(RemoveWork::new(disk, paths, delay_ms)));
        }
        Ok(())
    }

    fn mark_deleted(&self, name: &str, paths: &mut Vec<std::path::PathBuf>) -> Result<()> {
        let from = self.path(name);
        let to = self.path(&format!("{name}{}", names::DELETED_SUFFIX));
        match self.files.disk().rename(&from, &to) {
            Ok(()) => paths.push(to),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // A longer name may need a block more for the directory.
            Err(error) if crate::disk::is_full(&error) => {
                let removed = self.files.disk().remove_file(&from);
                removed.map_err(LogError::io("remove", &from))?;
            }
            Err(error) => return Err(LogError::io("rename", &from)(error)),
        }
        Ok(())
    }
}
