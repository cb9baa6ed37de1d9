//! Reading: where the bytes of a fetch lie. The bytes themselves are sent without the log.

use std::fmt;
use std::io;
use std::sync::Arc;

use base::Offset;

use super::error::{LogError, Result};
use super::segment::{Found, Segment};
use super::{AbortedTxn, Log};
use crate::disk::DiskFile;
use crate::pool::FileKind;

/// A range of a segment's file; stays readable when the segment is removed.
#[derive(Clone)]
pub struct FileSlice {
    pub file: Arc<dyn DiskFile>,
    pub position: u64,
    pub len: u32,
    /// It begins with one of the last batches that were appended: nobody has to look whether it is still in memory.
    pub fresh: bool,
}

/// Between two bytes that are looked at to find out whether a range is in memory, or to bring it there: no more than the kernel
/// reads at once.
const PROBE_EVERY: u64 = 64 * 1024;

impl FileSlice {
    /// Reads the range into memory; shorter when the log was cut meanwhile.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len as usize];
        let read = self.file.read_at(&mut bytes, self.position)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The same without waiting for the disk; `None` when it would have to.
    pub fn read_cached(&self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; self.len as usize];
        let read = self.file.read_cached_at(&mut bytes, self.position)?;
        Ok(read.map(|read| {
            bytes.truncate(read);
            bytes
        }))
    }

    /// A part of it, from `position` of the file on.
    #[must_use]
    pub fn part(&self, position: u64, len: usize) -> Self {
        let left = self.end().saturating_sub(position);
        let len =
            u32::try_from(len).unwrap_or(u32::MAX).min(u32::try_from(left).unwrap_or(u32::MAX));
        Self { file: Arc::clone(&self.file), position, len, fresh: self.fresh }
    }

    /// Whether it can be sent without waiting for the disk, by a few looks. What cannot be told is told to the reader who reads it.
    pub fn is_cached(&self) -> bool {
        self.fresh
            || self.probes().all(|at| !matches!(self.file.read_cached_at(&mut [0], at), Ok(None)))
    }

    /// Brings it into memory, and lets the system begin with the next `ahead` bytes. Blocks.
    pub fn load(&self, ahead: u64) {
        self.file.will_need(self.position, u64::from(self.len).saturating_add(ahead));
        for at in self.probes() {
            // Whoever reads it meets the error again.
            if self.file.read_at(&mut [0], at).is_err() {
                return;
            }
        }
    }

    fn end(&self) -> u64 {
        self.position.saturating_add(self.len.into())
    }

    fn probes(&self) -> impl Iterator<Item = u64> {
        let last = (self.len > 0).then(|| self.end().saturating_sub(1));
        (self.position..self.end()).step_by(PROBE_EVERY as usize).chain(last)
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSlice({}..+{})", self.position, self.len)
    }
}

/// An offset and where its batch lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetPosition {
    pub offset: Offset,
    pub segment_base_offset: Offset,
    pub position: u64,
}

/// The answer to a fetch.
#[derive(Clone, Debug)]
pub struct FetchData {
    /// The asked offset and where it was found.
    pub start: OffsetPosition,
    /// Whole batches from the one that holds the offset on, the last one possibly cut; `None` when there is nothing.
    pub records: Option<FileSlice>,
    /// The first batch is larger than the allowed bytes and was cut.
    pub first_batch_incomplete: bool,
    /// For read-committed consumers: the aborted transactions that overlap the range.
    pub aborted: Option<Vec<AbortedTxn>>,
}

impl FetchData {
    pub fn len(&self) -> usize {
        self.records.as_ref().map_or(0, |slice| slice.len as usize)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Log {
    /// Finds up to `max_bytes` from the batch that holds `offset` on, not beyond `upper` (high watermark, last stable
    /// offset or log end) and not beyond one segment. `min_one_batch` gives the first batch whole however large it is.
    /// `read_committed` adds the aborted transactions.
    ///
    /// An offset outside the log is an error; at or beyond `upper` there is nothing.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: u32,
        upper: Offset,
        min_one_batch: bool,
        read_committed: bool,
    ) -> Result<FetchData> {
        self.check_online()?;
        let first = self.floor_segment(offset.0);
        let (Some(first), true) =
            (first, offset.0 >= self.start_offset && offset.0 <= self.end_offset)
        else {
            return Err(LogError::OffsetOutOfRange {
                log: self.name.to_string(),
                requested: offset,
                start: self.start_offset(),
                end: self.end_offset(),
            });
        };
        let upper = upper.0.min(self.end_offset);
        if offset.0 >= upper {
            return self.nothing_at(offset, read_committed);
        }
        let end = self.end_of(upper)?;
        for (slot, segment) in self.segments.iter().enumerate().skip(first) {
            if segment.base_offset > end.segment_base_offset.0 {
                break;
            }
            let limit = if segment.base_offset == end.segment_base_offset.0 {
                end.position
            } else {
                segment.size
            };
            let Some(found) = segment.find(&self.files, offset.0)? else { continue };
            let wanted = u64::from(max_bytes);
            let wanted = if min_one_batch { wanted.max(found.size) } else { wanted };
            let len = wanted.min(limit.saturating_sub(found.position));
            let start = OffsetPosition {
                offset,
                segment_base_offset: Offset(segment.base_offset),
                position: found.position,
            };
            let aborted = match read_committed {
                true => Some(self.aborted_in(slot, offset.0, found.position + len)?),
                false => None,
            };
            return Ok(FetchData {
                start,
                records: self.slice(segment, &found, len)?,
                first_batch_incomplete: wanted < found.size,
                aborted,
            });
        }
        self.nothing_at(offset, read_committed)
    }

    /// As [`Log::read`], without waiting for the disk.
    ///
    /// # Errors
    /// Also [`LogError::NotCached`]: what must be in memory before it is tried again.
    pub fn read_cached(
        &mut self,
        offset: Offset,
        max_bytes: u32,
        upper: Offset,
        min_one_batch: bool,
        read_committed: bool,
    ) -> Result<FetchData> {
        let _cached_only = self.files.cached_only();
        self.read(offset, max_bytes, upper, min_one_batch, read_committed)
    }

    fn slice(&self, segment: &Segment, found: &Found, len: u64) -> Result<Option<FileSlice>> {
        let len = u32::try_from(len).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        if len == 0 {
            return Ok(None);
        }
        let file = self.files.open(segment.base_offset, FileKind::Log)?;
        Ok(Some(FileSlice { file, position: found.position, len, fresh: found.in_tail }))
    }

    fn nothing_at(&self, offset: Offset, read_committed: bool) -> Result<FetchData> {
        Ok(FetchData {
            start: self.position_of(offset)?,
            records: None,
            first_batch_incomplete: false,
            aborted: read_committed.then(Vec::new),
        })
    }

    /// Where the batch with this offset lies, or the end of the log.
    pub fn position_of(&self, offset: Offset) -> Result<OffsetPosition> {
        self.end_of(offset.0).map(|found| OffsetPosition { offset, ..found })
    }

    /// The place that a read up to `offset` must not pass.
    fn end_of(&self, offset: i64) -> Result<OffsetPosition> {
        let log_end = OffsetPosition {
            offset: Offset(offset),
            segment_base_offset: Offset(self.active().base_offset),
            position: self.active().size,
        };
        if offset >= self.end_offset {
            return Ok(log_end);
        }
        let first = self.floor_segment(offset).unwrap_or(0);
        for segment in self.segments.iter().skip(first) {
            if let Some(found) = segment.find(&self.files, offset)? {
                return Ok(OffsetPosition {
                    offset: Offset(offset),
                    segment_base_offset: Offset(segment.base_offset),
                    position: found.position,
                });
            }
        }
        Ok(log_end)
    }

    /// Bytes between two places of the log, as a waiting fetch counts them: whole segments in between included.
    pub fn bytes_between(&self, from: OffsetPosition, to: OffsetPosition) -> u64 {
        if from.segment_base_offset == to.segment_base_offset {
            return to.position.saturating_sub(from.position);
        }
        let within = |segment: &&Segment| {
            segment.base_offset >= from.segment_base_offset.0
                && segment.base_offset < to.segment_base_offset.0
        };
        let bytes: u64 = self.segments.iter().filter(within).map(|segment| segment.size).sum();
        bytes.saturating_sub(from.position).saturating_add(to.position)
    }

    fn aborted_in(&self, slot: usize, offset: i64, end_position: u64) -> Result<Vec<AbortedTxn>> {
        let Some(segment) = self.segments.get(slot) else { return Ok(Vec::new()) };
        if self.segments.iter().skip(slot).all(|segment| segment.txn_index.is_empty()) {
            return Ok(Vec::new());
        }
        let until = match segment.upper_bound_offset(&self.files, end_position)? {
            Some(offset) => offset,
            None => self.segments.get(slot + 1).map_or(self.end_offset, |next| next.base_offset),
        };
        self.aborted_from(slot, offset, until)
    }

    fn aborted_from(&self, slot: usize, from: i64, until: i64) -> Result<Vec<AbortedTxn>> {
        let mut found = Vec::new();
        for segment in self.segments.iter().skip(slot) {
            if segment.txn_index.collect(&self.files, from, until, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// The aborted transactions that overlap `from..until`.
    pub fn aborted_transactions(&self, from: Offset, until: Offset) -> Result<Vec<AbortedTxn>> {
        self.aborted_from(self.floor_segment(from.0).unwrap_or(0), from.0, until.0)
    }
}
