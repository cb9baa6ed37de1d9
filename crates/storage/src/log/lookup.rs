//! Finding offsets by time, and the special answers of ListOffsets.

use base::{LeaderEpoch, Offset};
use records::{AnyBatch, RecordsError};

use super::Log;
use super::error::{LogError, Result};
use super::scan::Heads;
use super::segment::Segment;
use crate::pool::FileKind;

/// A record's time, offset and leader epoch, as ListOffsets answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    /// −1 where no time belongs to the answer.
    pub timestamp: i64,
    pub offset: Offset,
    /// [`LeaderEpoch::NONE`] when unknown.
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The log's start (−2), and without tiering also the local start (−4).
    pub fn earliest(&self) -> TimestampOffset {
        let earliest = self.epochs.earliest();
        let epoch = earliest.filter(|entry| entry.start_offset.0 <= self.start_offset);
        TimestampOffset {
            timestamp: -1,
            offset: self.start_offset(),
            leader_epoch: epoch.map_or(LeaderEpoch::NONE, |entry| entry.epoch),
        }
    }

    /// The end of what the asker may see (−1): high watermark or last stable offset, given as `upper`.
    pub fn latest(&self, upper: Offset) -> TimestampOffset {
        let leader_epoch = self.latest_epoch().unwrap_or(LeaderEpoch::NONE);
        TimestampOffset { timestamp: -1, offset: upper, leader_epoch }
    }

    /// The answer to what only tiered logs have (−5 latest tiered, −6 earliest pending upload).
    pub fn latest_tiered(&self) -> TimestampOffset {
        TimestampOffset { timestamp: -1, offset: Offset::NONE, leader_epoch: LeaderEpoch::NONE }
    }

    /// The first record with a time of `timestamp` or later, at or after the log start.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>> {
        self.check_online()?;
        for segment in &self.segments {
            if segment.largest_timestamp(&self.files)? < timestamp {
                continue;
            }
            let from = self.start_offset;
            let position = segment.position_for_time(&self.files, timestamp, from)?;
            return self.find_record(
                segment,
                position,
                |time, last| time >= timestamp && last >= from,
                |time, offset| time >= timestamp && offset >= from,
            );
        }
        Ok(None)
    }

    /// The first record with the largest time of all (−3), in the first segment that has it.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampOffset>> {
        self.check_online()?;
        let mut best: Option<(&Segment, super::index::TimestampOffset)> = None;
        for segment in &self.segments {
            let max = segment.max_timestamp(&self.files)?;
            if best.is_none_or(|(_, known)| max.timestamp > known.timestamp) {
                best = Some((segment, max));
            }
        }
        let Some((segment, max)) = best else { return Ok(None) };
        let position = segment.position_before(&self.files, max.offset)?;
        self.find_record(
            segment,
            position,
            |time, _| time == max.timestamp,
            |time, _| time == max.timestamp,
        )
    }

    /// The first record that `record` accepts by time and offset, in a batch that `batch` accepts by its largest time
    /// and last offset.
    fn find_record(
        &self,
        segment: &Segment,
        position: u64,
        batch: impl Fn(i64, i64) -> bool,
        record: impl Fn(i64, i64) -> bool,
    ) -> Result<Option<TimestampOffset>> {
        let mut heads = Heads::new(&self.files, segment.base_offset, position, segment.size);
        loop {
            let placed = match heads.next()? {
                Ok(Some(placed)) => placed,
                Ok(None) => return Ok(None),
                Err(broken) => {
                    let position = heads.position();
                    return Err(broken.into_error(&self.files, segment.base_offset, position));
                }
            };
            if !batch(placed.head.max_timestamp, placed.head.last_offset) {
                continue;
            }
            let mut bytes = vec![0; placed.head.size as usize];
            let base_offset = segment.base_offset;
            self.files.read_exact(base_offset, FileKind::Log, &mut bytes, placed.position)?;
            let max_bytes = self.config.max_decompressed_message_bytes as usize;
            let found =
                first_record(&bytes, max_bytes, &record).map_err(|fault| LogError::Corrupt {
                    path: self.files.path(base_offset, FileKind::Log),
                    position: placed.position,
                    reason: fault.to_string(),
                })?;
            if let Some((timestamp, offset)) = found {
                return Ok(Some(TimestampOffset {
                    timestamp,
                    offset: Offset(offset),
                    leader_epoch: placed.head.leader_epoch,
                }));
            }
        }
    }
}

/// Time and offset of the first record in a batch that `accept` takes.
fn first_record(
    bytes: &[u8],
    max_bytes: usize,
    accept: impl Fn(i64, i64) -> bool,
) -> Result<Option<(i64, i64)>, RecordsError> {
    let Some(batch) = AnyBatch::parse(bytes)? else { return Ok(None) };
    let mut buffer = Vec::new();
    for record in batch.records(&mut buffer, max_bytes)? {
        let record = record?;
        if accept(record.timestamp, record.offset.0) {
            return Ok(Some((record.timestamp, record.offset.0)));
        }
    }
    Ok(None)
}
