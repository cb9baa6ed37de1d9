//! The last batches of a log as they are at one moment: what readers find of it without the log.

use std::fmt;
use std::sync::Arc;

use base::Offset;

use super::Log;
use super::error::Result;
use super::read::{FetchData, FileSlice, OffsetPosition};
use super::segment::TailBatch;
use crate::disk::DiskFile;
use crate::pool::FileKind;

/// Of the active segment alone; what lies before has to be asked of the log.
#[derive(Clone)]
pub struct LogTail {
    file: Arc<dyn DiskFile>,
    segment_base_offset: i64,
    batches: Vec<TailBatch>,
    /// Bytes of the segment.
    size: u64,
    end_offset: i64,
    /// Transactions were aborted here: which of them a reader must know, the log tells.
    has_aborted: bool,
}

impl fmt::Debug for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogTail({} batches, end {})", self.batches.len(), self.end_offset)
    }
}

impl Log {
    /// Its last batches. May have to open the file.
    pub fn tail(&self) -> Result<LogTail> {
        let active = self.active();
        Ok(LogTail {
            file: self.files.open(active.base_offset, FileKind::Log)?,
            segment_base_offset: active.base_offset,
            batches: active.tail().copied().collect(),
            size: active.size,
            end_offset: self.end_offset,
            has_aborted: !active.txn_index.is_empty(),
        })
    }
}

impl LogTail {
    /// As [`Log::read`] for an offset that lies in the log; `None` when that has to be asked.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: u32,
        upper: Offset,
        min_one_batch: bool,
        read_committed: bool,
    ) -> Option<FetchData> {
        let upper = upper.0.min(self.end_offset);
        let start = self.place_of(offset.0)?;
        let aborted = read_committed.then(Vec::new);
        let nothing = |start| FetchData {
            start,
            records: None,
            first_batch_incomplete: false,
            aborted: aborted.clone(),
        };
        if offset.0 >= upper {
            return Some(nothing(start));
        }
        if read_committed && self.has_aborted {
            return None;
        }
        let limit = self.place_of(upper)?.position;
        let Some(first) = self.batch_of(offset.0) else { return Some(nothing(start)) };
        let wanted = u64::from(max_bytes);
        let wanted = if min_one_batch { wanted.max(first.size) } else { wanted };
        let len = wanted.min(limit.saturating_sub(first.position)).min(i32::MAX as u64);
        let len = u32::try_from(len).ok()?;
        let file = Arc::clone(&self.file);
        let slice = FileSlice { file, position: first.position, len, fresh: true };
        Some(FetchData {
            start,
            records: (len > 0).then_some(slice),
            first_batch_incomplete: wanted < first.size,
            aborted,
        })
    }

    /// Where the batch with this offset lies, or the end; `None` before the first one that is kept.
    fn place_of(&self, offset: i64) -> Option<OffsetPosition> {
        let known = match self.batches.first() {
            Some(first) => offset >= first.base_offset,
            None => offset >= self.end_offset,
        };
        let position = self.batch_of(offset).map_or(self.size, |batch| batch.position);
        let segment_base_offset = Offset(self.segment_base_offset);
        known.then_some(OffsetPosition { offset: Offset(offset), segment_base_offset, position })
    }

    /// The first batch whose last offset is `offset` or more.
    fn batch_of(&self, offset: i64) -> Option<&TailBatch> {
        self.batches.get(self.batches.partition_point(|batch| batch.last_offset < offset))
    }
}
