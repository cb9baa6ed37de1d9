//! The log's part in its cleaning: what it tells a pass, and how cleaned segments take the place of others.
//!
//! A crash at any point leaves either the old segments or all that replaces them: first the finished files are renamed
//! to end in `.swap`, then the old ones to end in `.deleted`, then the new ones get their names, and before each step the
//! last is made durable. A start goes on from there (`log/load.rs`).

use std::collections::HashMap;
use std::sync::Arc;

use base::WallMs;

use super::filter::{LastRecord, Rules};
use super::group::Extent;
use super::job::{Prepared, Source};
use super::{CleanJob, CleanRequest, CleanedGroup};
use crate::log::error::{LogError, Result};
use crate::log::files::LogFiles;
use crate::log::segment::Segment;
use crate::log::{Log, LogWork, names};
use crate::pool::FileKind;

impl Log {
    /// What a pass over this log needs; `None` when nothing can be cleaned.
    pub fn prepare_clean(&self, request: &CleanRequest) -> Result<Option<CleanJob>> {
        self.check_online()?;
        // Segments are cleaned whole, and nothing of an open transaction is touched.
        let bound = request.first_uncleanable.min(self.last_stable_offset());
        let Some(slot) = self.floor_segment(bound.0) else { return Ok(None) };
        let Some(bound) = self.segments.get(slot).map(|s| s.base_offset) else { return Ok(None) };
        let request = CleanRequest { first_uncleanable: base::Offset(bound), ..*request };
        let next_bases = self.segments.iter().skip(1).map(|next| next.base_offset);
        let sealed = self.segments.iter().zip(next_bases);
        let sources: Vec<Source> = sealed
            .take_while(|(segment, _)| segment.base_offset < bound)
            .map(|(segment, next)| Source {
                extent: extent(segment, next),
                modified: segment.modified(),
            })
            .collect();
        if sources.is_empty() || request.first_dirty.0 >= bound {
            return Ok(None);
        }
        let dir = self.files.dir().to_path_buf();
        let indexes = self.segments.iter().map(|s| (s.base_offset, s.txn_index.clone()));
        let given = Prepared {
            name: self.name.to_string(),
            files: LogFiles::new(Arc::clone(self.files.pool()), dir),
            config: Arc::clone(&self.config),
            sources,
            txn_indexes: indexes.collect(),
            rewrites: self.rewrites,
        };
        let rules = Rules {
            now: request.now,
            delete_retention_ms: request.delete_retention_ms,
            high_watermark: self.high_watermark,
            last_records: self.last_records(),
            max_decompressed_bytes: self.config.max_decompressed_message_bytes as usize,
        };
        Ok(Some(CleanJob::new(request, given, rules)))
    }

    fn last_records(&self) -> HashMap<i64, LastRecord> {
        let entries = self.producers.entries();
        let last = entries.map(|(producer_id, entry)| {
            let data_offset = Some(entry.last_offset()).filter(|offset| *offset >= 0);
            (producer_id, LastRecord { data_offset, epoch: entry.epoch })
        });
        last.collect()
    }

    /// Nothing was cut since the pass began.
    pub(super) fn is_current(&self, job: &CleanJob) -> bool {
        self.rewrites == job.rewrites()
    }

    /// Lets a cleaned group take the place of the segments that it was made of. False, and nothing changes, when one of
    /// them is not there any more.
    pub fn swap_cleaned(&mut self, group: CleanedGroup, now: WallMs) -> Result<bool> {
        self.check_online()?;
        let Some(slot) = self.slot_of(&group) else { return Ok(false) };
        // A failure leaves it half done: then only a start can tell which half.
        self.change(|log| log.swap(slot, group, now))?;
        Ok(true)
    }

    /// Where the group's segments lie, if all are as they were.
    fn slot_of(&self, group: &CleanedGroup) -> Option<usize> {
        let first = group.replaced.first()?;
        let slot =
            self.segments.binary_search_by_key(&first.base_offset, |s| s.base_offset).ok()?;
        // The active segment is never cleaned.
        let sealed = self.segments.get(slot..self.segments.len().saturating_sub(1))?;
        let there = sealed.get(..group.replaced.len())?;
        let same = there.iter().zip(&group.replaced).all(|(segment, old)| {
            (segment.base_offset, segment.size) == (old.base_offset, old.bytes)
        });
        (same && group.rewrites == self.rewrites).then_some(slot)
    }

    fn swap(&mut self, slot: usize, group: CleanedGroup, now: WallMs) -> Result<()> {
        let base_offset = group.output.base_offset();
        let count = group.replaced.len();
        let Some(segment) = group.output.take() else { return Ok(()) };
        // The log last: without it the rest is nothing.
        let has_txns = !segment.txn_index.is_empty();
        let kinds = [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex, FileKind::Log];
        let kinds = || kinds.into_iter().filter(|kind| has_txns || *kind != FileKind::TxnIndex);
        for kind in kinds() {
            self.rename(base_offset, kind, names::CLEANED_SUFFIX, names::SWAP_SUFFIX)?;
        }
        self.files.sync_dir()?;
        let replaced: Vec<Segment> = self.segments.splice(slot..slot + count, None).collect();
        self.replace_segments(replaced, base_offset)?;
        self.files.sync_dir()?;
        // The log first: as long as it has not its name, what has is taken for old.
        for kind in names::KINDS.into_iter().filter(|kind| kinds().any(|k| k == *kind)) {
            self.rename(base_offset, kind, names::SWAP_SUFFIX, "")?;
        }
        let bytes = segment.size;
        self.segments.insert(slot, segment);
        self.work.push(LogWork::Flush(self.flush_of_dir()));
        tracing::debug!(log = %self.name, base_offset, segments = count, bytes, now = now.0, "segments cleaned");
        Ok(())
    }

    fn rename(&self, base_offset: i64, kind: FileKind, from: &str, to: &str) -> Result<()> {
        let name = names::segment_file(base_offset, kind);
        let (from, to) = (self.path(&format!("{name}{from}")), self.path(&format!("{name}{to}")));
        self.files.disk().rename(&from, &to).map_err(LogError::io("rename", &from))
    }
}

fn extent(segment: &Segment, end_offset: i64) -> Extent {
    let (offset_index_bytes, time_index_bytes) = segment.index_bytes();
    Extent {
        base_offset: segment.base_offset,
        end_offset,
        bytes: segment.size,
        offset_index_bytes,
        time_index_bytes,
    }
}
