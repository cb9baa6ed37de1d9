//! The sparse indexes of a segment: files of fixed entries, read by position, never mapped.
//!
//! New entries gather in memory and are written in blocks; a crash loses them, and recovery, which always covers the
//! active segment, rebuilds them from the log.

use std::sync::OnceLock;

use super::error::Result;
use super::files::LogFiles;
use crate::pool::FileKind;

/// Bytes of entries kept in memory before they are written.
const PENDING_MAX: usize = 4096;
/// Entries read at once at the end of a binary search.
const SEARCH_BLOCK: u32 = 256;

/// Entries of `N` bytes, ordered by what they are searched for.
#[derive(Debug)]
pub(crate) struct Entries<const N: usize> {
    kind: FileKind,
    base_offset: i64,
    written: u32,
    pending: Vec<u8>,
    /// Bytes in the file; more than the entries take while the index is being rebuilt.
    file_len: u64,
    /// The last entry, once somebody has asked.
    last: OnceLock<Option<[u8; N]>>,
}

impl<const N: usize> Entries<N> {
    fn new(kind: FileKind, base_offset: i64, file_len: u64) -> Self {
        let written = u32::try_from(file_len / N as u64).unwrap_or(u32::MAX);
        Self { kind, base_offset, written, pending: Vec::new(), file_len, last: OnceLock::new() }
    }

    fn count(&self) -> u32 {
        self.written + (self.pending.len() / N) as u32
    }

    fn get(&self, files: &LogFiles, n: u32) -> Result<[u8; N]> {
        let mut entry = [0; N];
        match n.checked_sub(self.written) {
            Some(pending) => {
                let at = pending as usize * N;
                if let Some(bytes) = self.pending.get(at..at + N) {
                    entry.copy_from_slice(bytes);
                }
            }
            None => {
                let position = u64::from(n) * N as u64;
                files.read_exact(self.base_offset, self.kind, &mut entry, position)?;
            }
        }
        Ok(entry)
    }

    fn last(&self, files: &LogFiles) -> Result<Option<[u8; N]>> {
        if let Some(known) = self.last.get() {
            return Ok(*known);
        }
        let last = match self.count().checked_sub(1) {
            Some(slot) => Some(self.get(files, slot)?),
            None => None,
        };
        Ok(*self.last.get_or_init(|| last))
    }

    fn push(&mut self, files: &LogFiles, entry: [u8; N]) -> Result<()> {
        self.pending.extend_from_slice(&entry);
        self.last = OnceLock::from(Some(entry));
        if self.pending.len() >= PENDING_MAX { self.try_write(files) } else { Ok(()) }
    }

    /// On a full disk the entries stay in memory: an index can wait, its log cannot be told to forget a record.
    fn try_write(&mut self, files: &LogFiles) -> Result<()> {
        match self.write(files) {
            Err(error) if error.is_full() => Ok(()),
            written => written,
        }
    }

    fn has_unwritten(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what is still in memory.
    fn write(&mut self, files: &LogFiles) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let position = u64::from(self.written) * N as u64;
        // Also when only a part of it is written.
        self.file_len = self.file_len.max(position + self.pending.len() as u64);
        files.write(self.base_offset, self.kind, &self.pending, position)?;
        self.written += (self.pending.len() / N) as u32;
        self.pending = Vec::new();
        Ok(())
    }

    /// Forgets the entries; the file is written over, and cut by [`Self::finish`] where it was longer. Cutting it to
    /// nothing first would make file systems write it out when it is closed.
    fn restart(&mut self) {
        self.written = 0;
        self.pending = Vec::new();
        self.last = OnceLock::new();
    }

    /// Writes what is still in memory and cuts the file behind it.
    fn finish(&mut self, files: &LogFiles) -> Result<()> {
        self.write(files)?;
        self.cut(files)
    }

    /// The same as far as there is space.
    fn settle(&mut self, files: &LogFiles) -> Result<()> {
        self.try_write(files)?;
        self.cut(files)
    }

    fn cut(&mut self, files: &LogFiles) -> Result<()> {
        let len = u64::from(self.written) * N as u64;
        if self.file_len > len {
            files.set_len(self.base_offset, self.kind, len)?;
            self.file_len = len;
        }
        Ok(())
    }

    /// Keeps the first `count` entries, in memory and in the file.
    fn truncate(&mut self, files: &LogFiles, count: u32) -> Result<()> {
        self.last = OnceLock::new();
        if let Some(pending) = count.checked_sub(self.written) {
            self.pending.truncate(pending as usize * N);
        } else {
            self.pending = Vec::new();
            self.written = count;
        }
        self.settle(files)
    }

    /// How many entries at the front satisfy `before`, which holds up to some entry and for none after it.
    fn partition_point(&self, files: &LogFiles, before: impl Fn(&[u8; N]) -> bool) -> Result<u32> {
        let in_memory = self.pending.as_chunks::<N>().0;
        if in_memory.first().is_some_and(&before) {
            return Ok(self.written + in_memory.partition_point(before) as u32);
        }
        let (mut low, mut high) = (0, self.written);
        while high - low > SEARCH_BLOCK {
            let middle = low + (high - low) / 2;
            if before(&self.get(files, middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == high {
            return Ok(low);
        }
        let mut block = vec![0; (high - low) as usize * N];
        files.read_exact(self.base_offset, self.kind, &mut block, u64::from(low) * N as u64)?;
        Ok(low + block.as_chunks::<N>().0.partition_point(before) as u32)
    }
}

/// Where a batch lies: `offset` is its last offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OffsetPosition {
    pub offset: i64,
    pub position: u64,
}

/// Offsets to positions: entries of 4 bytes relative offset and 4 bytes position.
#[derive(Debug)]
pub(crate) struct OffsetIndex {
    entries: Entries<8>,
}

impl OffsetIndex {
    pub fn new(base_offset: i64, file_len: u64) -> Self {
        Self { entries: Entries::new(FileKind::OffsetIndex, base_offset, file_len) }
    }

    pub fn count(&self) -> u32 {
        self.entries.count()
    }

    fn decode(&self, entry: &[u8; 8]) -> OffsetPosition {
        let [a, b, c, d, e, f, g, h] = *entry;
        OffsetPosition {
            offset: self
                .entries
                .base_offset
                .saturating_add(i32::from_be_bytes([a, b, c, d]).into()),
            position: u64::from(u32::from_be_bytes([e, f, g, h])),
        }
    }

    fn zero(&self) -> OffsetPosition {
        OffsetPosition { offset: self.entries.base_offset, position: 0 }
    }

    /// The last entry, or the segment's start.
    pub fn last(&self, files: &LogFiles) -> Result<OffsetPosition> {
        let last = self.entries.last(files)?;
        Ok(last.map_or_else(|| self.zero(), |entry| self.decode(&entry)))
    }

    /// The entry with the largest offset up to `target`, or the segment's start.
    pub fn lookup(&self, files: &LogFiles, target: i64) -> Result<OffsetPosition> {
        let point =
            self.entries.partition_point(files, |entry| self.decode(entry).offset <= target)?;
        match point.checked_sub(1) {
            Some(slot) => Ok(self.decode(&self.entries.get(files, slot)?)),
            None => Ok(self.zero()),
        }
    }

    /// The first entry at or after a position: an offset that lies outside a read that ends there.
    pub fn upper_bound(&self, files: &LogFiles, position: u64) -> Result<Option<OffsetPosition>> {
        let point =
            self.entries.partition_point(files, |entry| self.decode(entry).position < position)?;
        if point >= self.count() {
            return Ok(None);
        }
        Ok(Some(self.decode(&self.entries.get(files, point)?)))
    }

    /// `relative` and `position` fit: the segment was checked for overflow before the append.
    pub fn push(&mut self, files: &LogFiles, relative: i32, position: u32) -> Result<()> {
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&relative.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(files, entry)
    }

    /// Writes what is still in memory; the file ends with the last entry.
    pub fn finish(&mut self, files: &LogFiles) -> Result<()> {
        self.entries.finish(files)
    }

    /// The same as far as there is space.
    pub fn settle(&mut self, files: &LogFiles) -> Result<()> {
        self.entries.settle(files)
    }

    /// Entries are in memory alone.
    pub fn has_unwritten(&self) -> bool {
        self.entries.has_unwritten()
    }

    /// Drops the entries at and after `offset`.
    pub fn truncate_to(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        let keep =
            self.entries.partition_point(files, |entry| self.decode(entry).offset < offset)?;
        self.entries.truncate(files, keep)
    }

    /// Forgets the entries, to be built anew and then finished.
    pub fn restart(&mut self) {
        self.entries.restart();
    }

    /// False when the end of the file cannot be what an index of a log of `log_size` bytes ends with.
    pub fn is_plausible(&self, files: &LogFiles, log_size: u64) -> Result<bool> {
        let count = self.count();
        let Some(slot) = count.checked_sub(1) else { return Ok(true) };
        let last = self.decode(&self.entries.get(files, slot)?);
        if last.offset < self.entries.base_offset || last.position >= log_size {
            return Ok(false);
        }
        let Some(slot) = count.checked_sub(2) else { return Ok(true) };
        let previous = self.decode(&self.entries.get(files, slot)?);
        Ok(previous.offset < last.offset && previous.position < last.position)
    }
}

/// The largest timestamp up to an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimestampOffset {
    /// −1: none.
    pub timestamp: i64,
    pub offset: i64,
}

/// Times to offsets: entries of 8 bytes timestamp and 4 bytes relative offset, both rising.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    entries: Entries<12>,
}

impl TimeIndex {
    pub fn new(base_offset: i64, file_len: u64) -> Self {
        Self { entries: Entries::new(FileKind::TimeIndex, base_offset, file_len) }
    }

    pub fn count(&self) -> u32 {
        self.entries.count()
    }

    fn decode(&self, entry: &[u8; 12]) -> TimestampOffset {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        TimestampOffset {
            timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: self
                .entries
                .base_offset
                .saturating_add(i32::from_be_bytes([i, j, k, l]).into()),
        }
    }

    fn none(&self) -> TimestampOffset {
        TimestampOffset { timestamp: -1, offset: self.entries.base_offset }
    }

    /// The last entry, or no time at the segment's start.
    pub fn last(&self, files: &LogFiles) -> Result<TimestampOffset> {
        let last = self.entries.last(files)?;
        Ok(last.map_or_else(|| self.none(), |entry| self.decode(&entry)))
    }

    /// The entry with the largest timestamp up to `target`, or no time at the segment's start.
    pub fn lookup(&self, files: &LogFiles, target: i64) -> Result<TimestampOffset> {
        let point =
            self.entries.partition_point(files, |entry| self.decode(entry).timestamp <= target)?;
        match point.checked_sub(1) {
            Some(slot) => Ok(self.decode(&self.entries.get(files, slot)?)),
            None => Ok(self.none()),
        }
    }

    /// Appends an entry when its time is beyond the last one's.
    pub fn push_if_later(&mut self, files: &LogFiles, timestamp: i64, offset: i64) -> Result<()> {
        let last = self.last(files)?;
        let relative = i32::try_from(offset.saturating_sub(self.entries.base_offset));
        let (true, Ok(relative)) = (timestamp > last.timestamp, relative) else { return Ok(()) };
        let mut entry = [0; 12];
        entry[..8].copy_from_slice(&timestamp.to_be_bytes());
        entry[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(files, entry)
    }

    /// Writes what is still in memory; the file ends with the last entry.
    pub fn finish(&mut self, files: &LogFiles) -> Result<()> {
        self.entries.finish(files)
    }

    /// The same as far as there is space.
    pub fn settle(&mut self, files: &LogFiles) -> Result<()> {
        self.entries.settle(files)
    }

    /// Entries are in memory alone.
    pub fn has_unwritten(&self) -> bool {
        self.entries.has_unwritten()
    }

    /// Drops the entries at and after `offset`.
    pub fn truncate_to(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        let keep =
            self.entries.partition_point(files, |entry| self.decode(entry).offset < offset)?;
        self.entries.truncate(files, keep)
    }

    /// Forgets the entries, to be built anew and then finished.
    pub fn restart(&mut self) {
        self.entries.restart();
    }

    /// False when the end of the file cannot be what a time index ends with.
    pub fn is_plausible(&self, files: &LogFiles) -> Result<bool> {
        let count = self.count();
        let Some(slot) = count.checked_sub(1) else { return Ok(true) };
        let last = self.decode(&self.entries.get(files, slot)?);
        if last.offset < self.entries.base_offset {
            return Ok(false);
        }
        let Some(slot) = count.checked_sub(2) else { return Ok(true) };
        let previous = self.decode(&self.entries.get(files, slot)?);
        Ok(previous.timestamp < last.timestamp && previous.offset <= last.offset)
    }
}
