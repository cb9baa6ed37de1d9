//! The log's part in its cleaning: what it tells a pass, and how cleaned segments take the place of others.
//!
//! A crash at any point leaves either the old segments or all that replaces them: first the finished files are renamed
//! to end in `.swap`, then the old ones to end in `.deleted`, then the new ones get their names, and before each step the
//! last is made durable. A start goes on from there (`log/tidying.rs`). Only the renaming takes the log's lock: who appends
//! does not wait for the disk. Until the new files have their own names they are read under those they have.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::filter::{LastRecord, Rules};
use super::group::Extent;
use super::job::{CleanedGroup, Prepared, Source};
use super::{CleanError, CleanJob, CleanRequest};
use crate::log::error::{LogError, Result};
use crate::log::files::LogFiles;
use crate::log::segment::Segment;
use crate::log::{Log, names};
use crate::pool::FileKind;

impl Log {
    /// What a pass over this log needs; `None` when nothing can be cleaned.
    pub(super) fn prepare_clean(&self, request: &CleanRequest) -> Result<Option<CleanJob>> {
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
}

/// Lets a cleaned group take the place of the segments that it was made of.
pub(super) fn swap_in(
    log: &RwLock<Log>,
    files: &LogFiles,
    mut group: CleanedGroup,
) -> std::result::Result<(), CleanError> {
    let replaced = std::mem::take(&mut group.logs);
    if !log.write().announce_swap(&group)? {
        return Err(CleanError::Changed);
    }
    sync_names(log, files)?;
    if !log.write().install_swap(group)? {
        return Err(CleanError::Changed);
    }
    sync_names(log, files)?;
    log.write().change(Log::finish_swap)?;
    // What comes next is written into memory that is at hand.
    replaced.iter().for_each(|old| old.give_back());
    Ok(())
}

/// Makes the names of the log's files durable, without its lock.
pub(super) fn sync_names(
    log: &RwLock<Log>,
    files: &LogFiles,
) -> std::result::Result<(), CleanError> {
    if let Err(fault) = files.sync_dir() {
        log.write().change(|_| Err::<(), _>(fault))?;
    }
    Ok(())
}

/// A cleaned segment on its way into the log.
pub(in crate::log) struct PendingSwap {
    base_offset: i64,
    has_txns: bool,
    /// It stands in the list of segments; only its files have not their own names yet.
    installed: bool,
}

impl PendingSwap {
    /// The log last: without it the rest is nothing.
    fn kinds(&self) -> impl DoubleEndedIterator<Item = FileKind> + use<> {
        let has_txns = self.has_txns;
        let kinds = [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex, FileKind::Log];
        kinds.into_iter().filter(move |kind| has_txns || *kind != FileKind::TxnIndex)
    }
}

impl Log {
    /// Lets a start that comes after a crash put the group in its place. False, and nothing changes, when one of the
    /// segments that it replaces is not there any more.
    fn announce_swap(&mut self, group: &CleanedGroup) -> Result<bool> {
        self.check_online()?;
        if self.slot_of(group).is_none() {
            return Ok(false);
        }
        let pending = PendingSwap {
            base_offset: group.output.base_offset(),
            has_txns: group.output.has_txns(),
            installed: false,
        };
        // A failure leaves it half done: then only a start can tell which half.
        self.change(|log| {
            for kind in pending.kinds() {
                log.rename(pending.base_offset, kind, names::CLEANED_SUFFIX, names::SWAP_SUFFIX)?;
            }
            log.swap = Some(pending);
            Ok(true)
        })
    }

    /// From now on the group is what is read. False, and nothing changes, when the log was cut after
    /// [`Log::announce_swap`].
    fn install_swap(&mut self, group: CleanedGroup) -> Result<bool> {
        self.check_online()?;
        let Some(slot) = self.slot_of(&group).filter(|_| self.swap.is_some()) else {
            self.change(Self::settle_swap)?;
            return Ok(false);
        };
        let base_offset = group.output.base_offset();
        let count = group.replaced.len();
        let Some(segment) = group.output.take() else { return Ok(false) };
        self.change(|log| {
            let replaced: Vec<Segment> = log.segments.splice(slot..slot + count, None).collect();
            log.replace_segments(replaced, base_offset)?;
            let bytes = segment.size;
            log.segments.insert(slot, segment);
            log.files.set_swapped(Some(base_offset));
            if let Some(pending) = &mut log.swap {
                pending.installed = true;
            }
            tracing::debug!(log = %log.name, base_offset, segments = count, bytes, "segments cleaned");
            Ok(true)
        })
    }

    /// Gives the files of an installed segment their own names, once the old ones are gone for good.
    fn finish_swap(&mut self) -> Result<()> {
        let Some(pending) = self.swap.take() else { return Ok(()) };
        // The log first: as long as it has not its name, what has is taken for old.
        for kind in pending.kinds().rev() {
            self.rename(pending.base_offset, kind, names::SWAP_SUFFIX, "")?;
        }
        self.files.set_swapped(None);
        Ok(())
    }

    /// Before the log is cut, or segments are removed: what is under way is finished where it has begun, else taken back.
    pub(in crate::log) fn settle_swap(&mut self) -> Result<()> {
        let Some(pending) = &self.swap else { return Ok(()) };
        if pending.installed {
            self.files.sync_dir()?;
            return self.finish_swap();
        }
        // One that has its old name suffices for a start to leave out the others.
        for kind in pending.kinds() {
            self.rename(pending.base_offset, kind, names::SWAP_SUFFIX, names::CLEANED_SUFFIX)?;
        }
        self.swap = None;
        self.files.sync_dir()
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
