//! One segment: its log file and indexes. No locks, no clock; the files come with every call.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use base::WallMs;

use super::config::LogConfig;
use super::error::Result;
use super::files::LogFiles;
use super::head::BatchHead;
use super::index::{OffsetIndex, TimeIndex, TimestampOffset};
use super::scan::{Heads, Placed};
use super::txn_index::TxnIndex;
use crate::pool::FileKind;

/// Batches at the end of the active segment that reads find without touching the disk.
const TAIL_BATCHES: usize = 32;

/// Lengths of a segment's files as the directory listing tells them; `None` where a file is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct FileLengths {
    pub log: Option<u64>,
    pub offset_index: Option<u64>,
    pub time_index: Option<u64>,
    pub txn_index: Option<u64>,
    pub modified: WallMs,
}

/// A recently appended batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TailBatch {
    pub base_offset: i64,
    pub last_offset: i64,
    pub position: u64,
    pub size: u64,
}

/// Where a batch was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub position: u64,
    pub size: u64,
    pub base_offset: i64,
    pub last_offset: i64,
    /// Among those that were appended last.
    pub in_tail: bool,
}

/// What decides whether a segment takes one more append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RollCheck {
    pub bytes: u64,
    pub max_timestamp: i64,
    pub last_offset: i64,
    pub now: WallMs,
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub base_offset: i64,
    /// Bytes of whole batches in the log file.
    pub size: u64,
    created: WallMs,
    modified: WallMs,
    jitter_ms: i64,
    offset_index: OffsetIndex,
    time_index: TimeIndex,
    pub txn_index: TxnIndex,
    /// Largest timestamp of the first batch: what a roll by time is counted from.
    first_timestamp: OnceLock<Option<i64>>,
    /// Largest timestamp of all, with the last offset of its batch.
    max_timestamp: OnceLock<TimestampOffset>,
    bytes_since_entry: u64,
    tail: VecDeque<TailBatch>,
    /// An index led nowhere: reads go without it until it is rebuilt.
    suspect: AtomicBool,
}

impl Segment {
    /// Creates the empty files of a new segment.
    pub fn create(
        files: &LogFiles,
        config: &LogConfig,
        base_offset: i64,
        now: WallMs,
    ) -> Result<Self> {
        let log = files.create_empty(base_offset, FileKind::Log)?;
        if config.preallocate {
            log.preallocate(config.segment_bytes.into())
                .or_else(|source| {
                    // What there was of space is given back.
                    log.set_len(0)?;
                    Err(source)
                })
                .map_err(|source| files.error("preallocate", base_offset, FileKind::Log, source))?;
        }
        files.create_empty(base_offset, FileKind::OffsetIndex)?;
        files.create_empty(base_offset, FileKind::TimeIndex)?;
        let lengths = FileLengths { modified: now, ..FileLengths::default() };
        Ok(Self::open(config, base_offset, lengths, now))
    }

    /// Describes the files that are there; nothing is read.
    pub fn open(config: &LogConfig, base_offset: i64, lengths: FileLengths, now: WallMs) -> Self {
        Self {
            base_offset,
            size: lengths.log.unwrap_or(0),
            created: now,
            modified: lengths.modified,
            jitter_ms: config.jitter_ms(base_offset as u64 ^ now.0 as u64),
            offset_index: OffsetIndex::new(base_offset, lengths.offset_index.unwrap_or(0)),
            time_index: TimeIndex::new(base_offset, lengths.time_index.unwrap_or(0)),
            txn_index: TxnIndex::new(base_offset, lengths.txn_index),
            first_timestamp: OnceLock::new(),
            max_timestamp: OnceLock::new(),
            bytes_since_entry: 0,
            tail: VecDeque::new(),
            suspect: AtomicBool::new(false),
        }
    }

    /// Nothing was ever written into it.
    pub fn is_untouched(&self) -> bool {
        self.size == 0
            && self.offset_index.count() == 0
            && self.time_index.count() == 0
            && self.txn_index.is_empty()
    }

    /// Last modification of its log file.
    pub fn modified(&self) -> WallMs {
        self.modified
    }

    /// Takes over that the files' time was set.
    pub fn set_modified(&mut self, modified: WallMs) {
        self.modified = modified;
    }

    /// Bytes of the offset index and of the time index.
    pub fn index_bytes(&self) -> (u64, u64) {
        (u64::from(self.offset_index.count()) * 8, u64::from(self.time_index.count()) * 12)
    }

    // Rolling.

    pub fn should_roll(
        &self,
        files: &LogFiles,
        config: &LogConfig,
        roll: &RollCheck,
    ) -> Result<bool> {
        if self.size + roll.bytes > u64::from(config.segment_bytes) {
            return Ok(true);
        }
        if self.size > 0 {
            let waited = self.waited_ms(files, roll.now, roll.max_timestamp)?;
            if waited > config.max_segment_ms().saturating_sub(self.jitter_ms) {
                return Ok(true);
            }
        }
        Ok(self.offset_index.count() >= config.max_offset_entries()
            || self.time_index.count() >= config.max_time_entries().saturating_sub(1)
            || self.relative(roll.last_offset).is_none())
    }

    /// How long the segment has been filling: by the records' times when they have any, else by the wall clock.
    fn waited_ms(&self, files: &LogFiles, now: WallMs, timestamp: i64) -> Result<i64> {
        Ok(match self.first_timestamp(files)?.filter(|first| *first >= 0) {
            Some(first) => timestamp.saturating_sub(first),
            None => now.0.saturating_sub(self.created.0),
        })
    }

    /// The largest timestamp of the first batch, `None` while the segment is empty.
    pub fn first_timestamp(&self, files: &LogFiles) -> Result<Option<i64>> {
        if let Some(known) = self.first_timestamp.get() {
            return Ok(*known);
        }
        if self.size == 0 {
            return Ok(None);
        }
        let first = Heads::new(files, self.base_offset, 0, self.size).next()?;
        let first = first.ok().flatten().map(|placed| placed.head.max_timestamp);
        Ok(*self.first_timestamp.get_or_init(|| first))
    }

    /// An offset as the indexes store it; `None` when it does not fit.
    pub fn relative(&self, offset: i64) -> Option<i32> {
        i32::try_from(offset.checked_sub(self.base_offset)?).ok().filter(|relative| *relative >= 0)
    }

    // Appending.

    /// Writes whole batches at the end, then their index entries. `heads` are those of `bytes`. On a full disk nothing of
    /// them stays.
    pub fn append(
        &mut self,
        files: &LogFiles,
        config: &LogConfig,
        bytes: &[u8],
        heads: impl Iterator<Item = BatchHead>,
        now: WallMs,
    ) -> Result<()> {
        let written = files.write(self.base_offset, FileKind::Log, bytes, self.size);
        if let Err(error) = &written
            && error.is_full()
            && !config.preallocate
        {
            files.set_len(self.base_offset, FileKind::Log, self.size)?;
        }
        written?;
        self.modified = now;
        for head in heads {
            let position = self.size;
            self.note(files, config, &Placed { position, head })?;
            self.size += head.size;
            self.remember(position, &head);
        }
        Ok(())
    }

    /// Takes a batch into account: largest timestamp and index entries. The batch is at the end of the log.
    fn note(&mut self, files: &LogFiles, config: &LogConfig, placed: &Placed) -> Result<()> {
        let head = &placed.head;
        if placed.position == 0 {
            self.first_timestamp = OnceLock::from(Some(head.max_timestamp));
        }
        let mut max = self.max_timestamp(files)?;
        if head.max_timestamp > max.timestamp {
            max = TimestampOffset { timestamp: head.max_timestamp, offset: head.last_offset };
            self.max_timestamp = OnceLock::from(max);
        }
        if self.bytes_since_entry > u64::from(config.index_interval_bytes) {
            let position = u32::try_from(placed.position).ok().filter(|p| *p <= i32::MAX as u32);
            if let (Some(relative), Some(position)) = (self.relative(head.last_offset), position) {
                self.offset_index.push(files, relative, position)?;
            }
            self.time_index.push_if_later(files, max.timestamp, max.offset)?;
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += head.size;
        Ok(())
    }

    fn remember(&mut self, position: u64, head: &BatchHead) {
        if self.tail.len() == TAIL_BATCHES {
            self.tail.pop_front();
        }
        self.tail.push_back(TailBatch {
            base_offset: head.base_offset,
            last_offset: head.last_offset,
            position,
            size: head.size,
        });
    }

    // Looking up.

    /// The last batches that were appended.
    pub fn tail(&self) -> impl Iterator<Item = &TailBatch> {
        self.tail.iter()
    }

    /// The first batch whose last offset is `offset` or more.
    pub fn find(&self, files: &LogFiles, offset: i64) -> Result<Option<Found>> {
        if let Some(found) = self.find_in_tail(offset) {
            return Ok(found);
        }
        let start = self.start_for(files, offset)?;
        let mut heads = Heads::new(files, self.base_offset, start, self.size);
        loop {
            match heads.next()? {
                Ok(None) => return Ok(None),
                Ok(Some(Placed { position, head })) if head.last_offset >= offset => {
                    return Ok(Some(Found {
                        position,
                        size: head.size,
                        base_offset: head.base_offset,
                        last_offset: head.last_offset,
                        in_tail: false,
                    }));
                }
                Ok(Some(_)) => {}
                Err(broken) => {
                    return Err(broken.into_error(files, self.base_offset, heads.position()));
                }
            }
        }
    }

    /// `Some` when the kept batches at the end answer the question.
    fn find_in_tail(&self, offset: i64) -> Option<Option<Found>> {
        let first = self.tail.front()?;
        if offset <= first.last_offset && first.position > 0 && offset < first.base_offset {
            return None;
        }
        let slot = self.tail.partition_point(|batch| batch.last_offset < offset);
        Some(self.tail.get(slot).map(|batch| Found {
            position: batch.position,
            size: batch.size,
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            in_tail: true,
        }))
    }

    /// Where to begin looking for an offset: by the index, when a batch that can be the meant one lies there.
    fn start_for(&self, files: &LogFiles, offset: i64) -> Result<u64> {
        if self.suspect.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let entry = self.offset_index.lookup(files, offset)?;
        if entry.position == 0 {
            return Ok(0);
        }
        if self.leads_to_batch(files, entry.position, entry.offset)? {
            return Ok(entry.position);
        }
        self.distrust_indexes();
        Ok(0)
    }

    fn leads_to_batch(&self, files: &LogFiles, position: u64, offset: i64) -> Result<bool> {
        if position >= self.size {
            return Ok(false);
        }
        let there = Heads::new(files, self.base_offset, position, self.size).next()?;
        Ok(matches!(there, Ok(Some(placed)) if placed.head.base_offset <= offset
            && placed.head.base_offset >= self.base_offset))
    }

    fn distrust_indexes(&self) {
        if !self.suspect.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                segment = self.base_offset,
                "an index does not fit its log, reading without it"
            );
        }
    }

    /// An index of this segment was found to be wrong since it was opened.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// The largest timestamp. When it is not known yet, the time index has it, unless that does not fit the log: data
    /// must not be deleted for a damaged index.
    pub fn max_timestamp(&self, files: &LogFiles) -> Result<TimestampOffset> {
        if let Some(known) = self.max_timestamp.get() {
            return Ok(*known);
        }
        let mut max = self.time_index.last(files)?;
        if !self.has_timestamp(files, &max)? {
            self.distrust_indexes();
            max = self.scan_max_timestamp(files, 0, self.no_timestamp())?;
        }
        Ok(*self.max_timestamp.get_or_init(|| max))
    }

    fn no_timestamp(&self) -> TimestampOffset {
        TimestampOffset { timestamp: -1, offset: self.base_offset }
    }

    /// The batch that a time index ends with has this largest timestamp; without an entry, the first batch has none.
    fn has_timestamp(&self, files: &LogFiles, max: &TimestampOffset) -> Result<bool> {
        if self.size == 0 {
            return Ok(true);
        }
        if max.timestamp < 0 {
            return Ok(self.first_timestamp(files)?.is_none_or(|first| first < 0));
        }
        let start = self.start_for(files, max.offset)?;
        let mut heads = Heads::new(files, self.base_offset, start, self.size);
        while let Ok(Some(placed)) = heads.next()? {
            if placed.head.last_offset >= max.offset {
                return Ok(placed.head.max_timestamp == max.timestamp);
            }
        }
        Ok(false)
    }

    /// The largest timestamp, or the last modification where the records have none: what retention counts from.
    pub fn largest_timestamp(&self, files: &LogFiles) -> Result<i64> {
        let max = self.max_timestamp(files)?.timestamp;
        Ok(if max >= 0 { max } else { self.modified.0 })
    }

    /// A position from which on to look for the first record of `timestamp` or later, at `from` or later.
    pub fn position_for_time(&self, files: &LogFiles, timestamp: i64, from: i64) -> Result<u64> {
        if self.suspect.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let entry = self.time_index.lookup(files, timestamp)?;
        self.start_for(files, entry.offset.max(from))
    }

    /// First index entry at or after a position.
    pub fn upper_bound_offset(&self, files: &LogFiles, position: u64) -> Result<Option<i64>> {
        Ok(self.offset_index.upper_bound(files, position)?.map(|entry| entry.offset))
    }

    /// A position near which the batch with the largest timestamp ends.
    pub fn position_before(&self, files: &LogFiles, offset: i64) -> Result<u64> {
        self.start_for(files, offset)
    }

    /// The offset after the last batch; reads the end of the segment.
    pub fn next_offset(&self, files: &LogFiles) -> Result<Result<i64, (super::scan::Broken, u64)>> {
        let last = self.offset_index.last(files)?;
        let start = self.start_for(files, last.offset)?;
        let mut next = self.base_offset;
        let mut heads = Heads::new(files, self.base_offset, start, self.size);
        loop {
            match heads.next()? {
                Ok(Some(placed)) => next = placed.head.next_offset(),
                Ok(None) => return Ok(Ok(next)),
                Err(broken) => return Ok(Err((broken, heads.position()))),
            }
        }
    }

    /// The ends of the index files fit the log.
    pub fn indexes_plausible(&self, files: &LogFiles) -> Result<bool> {
        Ok(self.offset_index.is_plausible(files, self.size)?
            && self.time_index.is_plausible(files)?)
    }

    // Changing what is there.

    /// Forgets the indexes; [`Self::index`] builds them again.
    pub fn restart_indexes(&mut self) {
        self.offset_index.restart();
        self.time_index.restart();
        self.first_timestamp = OnceLock::new();
        self.max_timestamp = OnceLock::from(self.no_timestamp());
        self.bytes_since_entry = 0;
        self.tail.clear();
    }

    /// Takes the batch that follows into the indexes, at recovery. The interval is counted as Kafka's recovery counts
    /// it: from the last indexed batch on.
    pub fn index(&mut self, files: &LogFiles, config: &LogConfig, placed: &Placed) -> Result<()> {
        self.note(files, config, placed)
    }

    /// Cuts the log file after `size` bytes, all whole batches, and ends the indexes as at a roll.
    pub fn finish_recovery(&mut self, files: &LogFiles, size: u64) -> Result<()> {
        if size < self.size {
            files.set_len(self.base_offset, FileKind::Log, size)?;
            self.size = size;
        }
        let max = self.max_timestamp(files)?;
        self.time_index.push_if_later(files, max.timestamp, max.offset)?;
        self.settle(files)?;
        self.suspect = AtomicBool::new(false);
        Ok(())
    }

    /// Drops the batches that hold `offset` or later ones. Gives the bytes that went.
    pub fn truncate_to(&mut self, files: &LogFiles, offset: i64, now: WallMs) -> Result<u64> {
        let found = self.find(files, offset)?;
        self.offset_index.truncate_to(files, offset)?;
        self.time_index.truncate_to(files, offset)?;
        self.txn_index.truncate_to(files, offset)?;
        let before = self.size;
        if let Some(found) = found {
            files.set_len(self.base_offset, FileKind::Log, found.position)?;
            self.size = found.position;
        }
        self.modified = now;
        if self.size == 0 {
            self.created = now;
            self.first_timestamp = OnceLock::new();
        }
        self.bytes_since_entry = 0;
        self.tail.retain(|batch| batch.position < found.map_or(u64::MAX, |found| found.position));
        let max = self.time_index.last(files)?;
        let start = self.start_for(files, max.offset)?;
        self.max_timestamp = OnceLock::from(self.scan_max_timestamp(files, start, max)?);
        Ok(before - self.size)
    }

    /// The largest timestamp by what is known and the batches from a position on.
    fn scan_max_timestamp(
        &self,
        files: &LogFiles,
        start: u64,
        mut max: TimestampOffset,
    ) -> Result<TimestampOffset> {
        let mut heads = Heads::new(files, self.base_offset, start, self.size);
        while let Ok(Some(placed)) = heads.next()? {
            if placed.head.max_timestamp > max.timestamp {
                max = TimestampOffset {
                    timestamp: placed.head.max_timestamp,
                    offset: placed.head.last_offset,
                };
            }
        }
        Ok(max)
    }

    /// Ends the indexes: no more appends come.
    pub fn finish(&mut self, files: &LogFiles, config: &LogConfig) -> Result<()> {
        let max = self.max_timestamp(files)?;
        self.time_index.push_if_later(files, max.timestamp, max.offset)?;
        self.finish_indexes(files)?;
        if config.preallocate {
            files.set_len(self.base_offset, FileKind::Log, self.size)?;
        }
        self.tail = VecDeque::new();
        Ok(())
    }

    fn finish_indexes(&mut self, files: &LogFiles) -> Result<()> {
        self.offset_index.finish(files)?;
        self.time_index.finish(files)?;
        self.txn_index.finish(files)
    }

    /// Writes what is still in memory of the indexes as far as there is space.
    pub fn settle(&mut self, files: &LogFiles) -> Result<()> {
        self.offset_index.settle(files)?;
        self.time_index.settle(files)?;
        self.txn_index.settle(files)
    }

    /// Index entries are in memory alone: until they are written, recovery must not begin behind this segment.
    pub fn has_unwritten(&self) -> bool {
        self.offset_index.has_unwritten()
            || self.time_index.has_unwritten()
            || self.txn_index.has_unwritten()
    }
}
