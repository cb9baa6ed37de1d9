//! Opening a log: what the files in its directory amount to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base::{Offset, TopicPartition, WallMs};
use records::AnyBatch;

use super::cleanable::CleaningState;
use super::config::{LogConfig, ProducerConfig};
use super::epochs::EpochCache;
use super::error::{LogError, Result};
use super::files::LogFiles;
use super::listing::list;
use super::producers::ProducerState;
use super::recovery::{OnFault, Recovered, Recovery, rebuild_producers};
use super::scan::{Broken, Whole};
use super::segment::{FileLengths, Segment};
use super::tidying::tidy_up;
use super::{Log, names, recovery};
use crate::pool::{FileKind, FilePool};
use crate::space::DirSpace;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub config: Arc<LogConfig>,
    pub producers: ProducerConfig,
    /// From the checkpoint; 0 for a new log.
    pub start_offset: Offset,
    /// From the checkpoint; 0 when unknown.
    pub recovery_point: Offset,
    /// There was no such checkpoint: of what is not in the log nobody can tell that it was never durable.
    pub checkpoint_lost: bool,
    /// The log directory was shut down cleanly: nothing is recovered.
    pub clean: bool,
    /// What the directory's volume has left for this log.
    pub space: Option<Arc<DirSpace>>,
    /// Up to where the cleaner had come, from the checkpoint.
    pub cleaned_upto: Option<Offset>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            producers: ProducerConfig::default(),
            start_offset: Offset::ZERO,
            recovery_point: Offset::ZERO,
            checkpoint_lost: false,
            clean: false,
            space: None,
            cleaned_upto: None,
        }
    }
}

impl Log {
    /// Opens the log in `dir`, or begins a new one there. After an unclean stop the segments from the recovery point on
    /// are read and checked, and the log is cut at the first fault.
    pub fn open(
        pool: &Arc<FilePool>,
        dir: PathBuf,
        name: TopicPartition,
        options: OpenOptions,
        now: WallMs,
    ) -> Result<Self> {
        let disk = pool.disk();
        let new_dir = disk.stat(&dir).map_err(LogError::io("look at", &dir))?.is_none();
        if new_dir {
            disk.create_dir(&dir).map_err(LogError::io("create", &dir))?;
        }
        // Before its first flush nobody has made the directory's name durable: not a process that was killed, nor one that had nothing
        // to flush.
        let recovery_point = options.recovery_point.0.max(0);
        let new_dir = new_dir || recovery_point == 0;
        let files = LogFiles::new(Arc::clone(pool), dir);
        tidy_up(&files)?;
        let listed = list(&files)?;
        let start = options.start_offset.0.max(0);
        // A snapshot from before the first segment says nothing of the records between. One from before the log's start does,
        // as long as they are there.
        let first = listed.first().unwrap_or(start);
        let epochs = EpochCache::load(files.disk().as_ref(), files.dir())?;
        let producers = ProducerState::new(name.clone(), options.producers, listed.snapshots);
        let mut log = Self {
            name,
            files,
            config: options.config,
            segments: Vec::new(),
            producers,
            epochs,
            start_offset: start,
            end_offset: 0,
            high_watermark: 0,
            recovery_point,
            synced_end: 0,
            last_flush: now,
            rewrites: 0,
            swap: None,
            new_dir,
            cut_unsynced: false,
            space: options.space,
            work: Vec::new(),
            cleaning: CleaningState::new(options.cleaned_upto),
            failure: None,
        };
        log.load_segments(listed.segments, start, first, options.clean, now)?;
        if !options.clean {
            log.recover(first, options.checkpoint_lost, now)?;
        }
        log.find_end(start, options.clean, now)?;
        log.load_producers(options.clean, now)?;
        log.high_watermark = log.start_offset;
        Ok(log)
    }

    /// Takes over the segments; rebuilds the indexes of those whose files are missing or cannot be right.
    fn load_segments(
        &mut self,
        listed: BTreeMap<i64, FileLengths>,
        start: i64,
        first: i64,
        clean: bool,
        now: WallMs,
    ) -> Result<()> {
        let last = listed.keys().next_back().copied();
        for (base_offset, lengths) in listed {
            if lengths.log.is_none() {
                tracing::warn!(log = %self.name, base_offset, "index files without a log, removing them");
                for kind in names::KINDS {
                    let path = self.files.path(base_offset, kind);
                    self.files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
                }
                continue;
            }
            let missing = [
                (FileKind::OffsetIndex, lengths.offset_index),
                (FileKind::TimeIndex, lengths.time_index),
            ];
            // Every segment has them, also one that nothing was written into before a crash.
            for (kind, _) in missing.into_iter().filter(|(_, len)| len.is_none()) {
                self.files.create_empty(base_offset, kind)?;
            }
            let mut segment = Segment::open(&self.config, base_offset, lengths, now);
            let is_last = Some(base_offset) == last;
            // What will be recovered anyway need not be looked at.
            let skip = !clean && (is_last || self.recovery_point <= base_offset);
            if !skip {
                if self.txn_index_is_corrupt(&segment, &lengths)? {
                    tracing::warn!(log = %self.name, base_offset, "the transaction index is corrupt, rebuilding it");
                    self.recover_segment(&mut segment, OnFault::Keep, first, now)?;
                } else if let Some(reason) = self.index_fault(&segment, &lengths, is_last)? {
                    tracing::warn!(log = %self.name, base_offset, reason, "rebuilding the indexes");
                    self.rebuild_indexes(&mut segment)?;
                }
            }
            self.segments.push(segment);
        }
        if self.segments.is_empty() {
            self.add_segment(start, now)?;
            self.end_offset = start;
        }
        Ok(())
    }

    fn txn_index_is_corrupt(&self, segment: &Segment, lengths: &FileLengths) -> Result<bool> {
        let broken = lengths.txn_index.is_some_and(|len| len % 34 != 0);
        Ok(broken || !segment.txn_index.is_plausible(&self.files)?)
    }

    fn index_fault(
        &self,
        segment: &Segment,
        lengths: &FileLengths,
        is_last: bool,
    ) -> Result<Option<&'static str>> {
        let multiple = |len: Option<u64>, entry: u64| len.is_some_and(|len| len % entry == 0);
        if !multiple(lengths.offset_index, 8) {
            return Ok(Some("the offset index is missing or of a wrong length"));
        }
        if !multiple(lengths.time_index, 12) {
            return Ok(Some("the time index is missing or of a wrong length"));
        }
        // The others are checked when a read first needs them.
        if is_last && !segment.indexes_plausible(&self.files)? {
            return Ok(Some("the end of an index does not fit the log"));
        }
        Ok(None)
    }

    /// Reads all of a segment, with the producers' state at its start.
    fn recover_segment(
        &mut self,
        segment: &mut Segment,
        on_fault: OnFault,
        start: i64,
        now: WallMs,
    ) -> Result<Recovered> {
        let before: &[Segment] = &self.segments;
        let before = before
            .get(..before.partition_point(|other| other.base_offset < segment.base_offset))
            .unwrap_or_default();
        let producers = &mut self.producers;
        let base_offset = segment.base_offset;
        let next = self.segments.get(before.len()).map(|next| next.base_offset);
        let known_epochs = self.epochs.clone();
        rebuild_producers(producers, &self.files, before, start, base_offset, false, now)?;
        let mut recovery = Recovery {
            name: &self.name,
            files: &self.files,
            config: &self.config,
            epochs: &mut self.epochs,
            producers: Some(producers),
        };
        let recovered = recovery.recover(segment, on_fault, next)?;
        let doubtful = recovered.doubtful.or(recovered.lonely.filter(|_| !self.may_have_holes()));
        if let Some(position) = doubtful.filter(|_| on_fault == OnFault::Cut) {
            tracing::warn!(log = %self.name, position, "what follows contradicts this batch, cutting the log before it");
            self.epochs = known_epochs;
            segment.finish_recovery(&self.files, position)?;
            let again = self.recover_segment(segment, on_fault, start, now)?;
            return Ok(Recovered { left: again.left.max(1), ..again });
        }
        self.producers.take_snapshot(&self.files)?;
        Ok(recovered)
    }

    /// Builds the offset and time index of a segment anew; its log stays as it is.
    fn rebuild_indexes(&mut self, segment: &mut Segment) -> Result<()> {
        let mut recovery = Recovery {
            name: &self.name,
            files: &self.files,
            config: &self.config,
            epochs: &mut self.epochs,
            producers: None,
        };
        recovery.recover(segment, OnFault::Keep, None).map(|_| ())
    }

    /// Builds the indexes anew that a read has found to be wrong.
    pub(super) fn repair_indexes(&mut self) -> Result<()> {
        for slot in 0..self.segments.len() {
            if !self.segments.get(slot).is_some_and(Segment::is_suspect) {
                continue;
            }
            let Some(mut segment) = self.take_segment(slot) else { continue };
            let repaired = self.rebuild_indexes(&mut segment);
            self.segments.insert(slot, segment);
            repaired?;
        }
        Ok(())
    }

    /// Recovers the segments from the recovery point on; what follows a fault goes. So does what follows records that were
    /// lost: a later file may have reached the disk before them, and a replica that went on behind the hole would never
    /// miss them. (Kafka keeps that hole.)
    fn recover(&mut self, start: i64, checkpoint_lost: bool, now: WallMs) -> Result<()> {
        let first = self.floor_segment(self.recovery_point).unwrap_or(0);
        for slot in first..self.segments.len() {
            if self.segments.len() == 1 && self.active().is_untouched() {
                break;
            }
            let segments = self.segments.len();
            let Some(mut segment) = self.take_segment(slot) else { break };
            recovery::tell(&self.name, &segment, segments.saturating_sub(slot + 1));
            let recovered = self.recover_segment(&mut segment, OnFault::Cut, start, now);
            self.segments.insert(slot, segment);
            let recovered = recovered?;
            let next = self.segments.get(slot + 1).map(|next| next.base_offset);
            let hole = !checkpoint_lost && next.is_some_and(|next| next > recovered.end);
            if recovered.left > 0 || (hole && self.is_lost(recovered.end)?) {
                let end = recovered.end;
                tracing::warn!(log = %self.name, end, next, "what follows is of no use, cutting the log here");
                let gone = self.segments.split_off(slot + 1);
                self.remove_segments(gone)?;
                break;
            }
        }
        Ok(())
    }

    /// The records from `end` on, which are not there, were lost: they were never durable, and no cleaner has taken them. Of
    /// a log that was compacted long ago nothing may tell but the gaps within its segments.
    fn is_lost(&self, end: i64) -> Result<bool> {
        let cleaned = self.config.compact || self.cleaning.upto().is_some_and(|upto| end < upto);
        if cleaned || end < self.recovery_point {
            return Ok(false);
        }
        Ok(self.recovery_point > 0 || !self.has_gaps()?)
    }

    /// Offsets are missing between whole batches of a segment: no crash does that. What follows a batch that is torn says nothing.
    fn has_gaps(&self) -> Result<bool> {
        for segment in &self.segments {
            let mut batches = Whole::new(&self.files, segment.base_offset, 0, segment.size);
            let mut next = Offset(segment.base_offset);
            // Where it begins, and what follows; the first of an old batch is not in its head.
            let look = |batch: &AnyBatch<'_>| {
                batch.check_crc().ok()?;
                Some((batch.v2().map(|head| head.base_offset), batch.next_offset()))
            };
            while let Ok(Some(Some((first, after)))) = batches.next(look)? {
                if first.is_some_and(|first| first > next) {
                    return Ok(true);
                }
                next = after;
            }
        }
        Ok(false)
    }

    /// A cleaner takes offsets away from this log, or has done so before, here or where it was copied from.
    fn may_have_holes(&self) -> bool {
        self.config.compact || self.cleaning.upto().is_some()
    }

    fn take_segment(&mut self, slot: usize) -> Option<Segment> {
        (slot < self.segments.len()).then(|| self.segments.remove(slot))
    }

    /// Finds the log's end and start.
    fn find_end(&mut self, start: i64, clean: bool, now: WallMs) -> Result<()> {
        let mut end = self.active().next_offset(&self.files)?;
        if let Err((Broken::Incomplete, position)) = end {
            // The file is shorter than it was: a batch cut at the end is no batch.
            tracing::warn!(log = %self.name, position, "the last batch is cut, dropping its rest");
            let slot = self.segments.len() - 1;
            if let Some(mut segment) = self.take_segment(slot) {
                let first = self.segments.first().map_or(segment.base_offset, |s| s.base_offset);
                let recovered = self.recover_segment(&mut segment, OnFault::Cut, first, now);
                self.segments.push(segment);
                recovered?;
            }
            end = self.active().next_offset(&self.files)?;
        }
        let base_offset = self.active().base_offset;
        self.end_offset =
            end.map_err(|(broken, at)| broken.into_error(&self.files, base_offset, at))?;
        if self.end_offset < start {
            tracing::warn!(
                log = %self.name, end = self.end_offset, start,
                "the log ends before its start, beginning anew"
            );
            // First, or the next start would find the epoch of what is gone.
            self.epochs.clear();
            self.store_epochs()?;
            let gone = std::mem::take(&mut self.segments);
            self.remove_segments(gone)?;
            self.add_segment(start, now)?;
            self.end_offset = start;
            self.producers.reset(&self.files, start)?;
        }
        self.recovery_point =
            if clean { self.end_offset } else { self.recovery_point.min(self.end_offset) };
        self.synced_end = self.recovery_point;
        let first = self.segments.first().map_or(start, |segment| segment.base_offset);
        self.start_offset = start.max(first);
        self.epochs.truncate_from_end(Offset(self.end_offset));
        self.epochs.truncate_from_start(Offset(start));
        Ok(())
    }

    fn load_producers(&mut self, clean: bool, now: WallMs) -> Result<()> {
        let (segments, first) = (&self.segments, self.first_offset());
        let last = self.active().base_offset;
        self.producers.remove_stray_snapshots(
            &self.files,
            |offset| segments.binary_search_by_key(&offset, |s| s.base_offset).is_ok(),
            last,
        )?;
        rebuild_producers(
            &mut self.producers,
            &self.files,
            &self.segments,
            first,
            self.end_offset,
            clean,
            now,
        )
    }
}
