//! Removing old segments, and DeleteRecords.

use base::{Offset, WallMs};

use super::Log;
use super::error::{LogError, Result};
use super::segment::Segment;

impl Log {
    /// Moves the log start forward, for DeleteRecords or because a leader's has moved. The bytes go with the next
    /// retention pass. Tells whether it moved.
    pub fn delete_records(&mut self, new_start: Offset) -> Result<bool> {
        if new_start.0 > self.high_watermark {
            return Err(LogError::StartBeyondHighWatermark {
                log: self.name.to_string(),
                requested: new_start,
                high_watermark: self.high_watermark(),
            });
        }
        self.change(|log| Ok(log.advance_start(new_start.0)))
    }

    fn advance_start(&mut self, new_start: i64) -> bool {
        if new_start <= self.start_offset {
            return false;
        }
        self.start_offset = new_start;
        self.epochs.truncate_from_start(Offset(new_start));
        self.producers.on_log_start(new_start);
        true
    }

    /// Removes the segments that the cleanup policy does not keep: those before the log start always, with `delete`
    /// also by size and by time. Never one that reaches the high watermark. Gives how many went; their files go with
    /// [`Log::take_work`]. Indexes that reads have found to be wrong are rebuilt on the way.
    pub fn delete_old_segments(&mut self, now: WallMs) -> Result<usize> {
        self.change_if_space(|log| {
            log.repair_indexes()?;
            let mut deleted = log.delete_before_start(now)?;
            if log.config.delete {
                deleted += log.delete_by_size(now)?;
                deleted += log.delete_by_time(now)?;
            }
            Ok(deleted)
        })
    }

    fn delete_before_start(&mut self, now: WallMs) -> Result<usize> {
        let start = self.start_offset;
        let count =
            self.deletable(|_, next| Ok(next.is_some_and(|next| next.base_offset <= start)))?;
        self.delete_first(count, now)
    }

    fn delete_by_size(&mut self, now: WallMs) -> Result<usize> {
        let Ok(retention) = u64::try_from(self.config.retention_bytes) else { return Ok(0) };
        let Some(mut excess) = self.size().checked_sub(retention) else { return Ok(0) };
        let count = self.deletable(|segment, _| {
            let delete = excess >= segment.size;
            excess = if delete { excess - segment.size } else { excess };
            Ok(delete)
        })?;
        self.delete_first(count, now)
    }

    fn delete_by_time(&mut self, now: WallMs) -> Result<usize> {
        let retention = self.config.retention_ms;
        if retention < 0 {
            return Ok(0);
        }
        let files = &self.files;
        let count = self.deletable(|segment, _| {
            let largest = segment.largest_timestamp(files)?;
            if largest > now.0 {
                tracing::debug!(log = %self.name, segment = segment.base_offset, "timestamps in the future keep it");
            }
            Ok(now.0.saturating_sub(largest) > retention)
        })?;
        self.delete_first(count, now)
    }

    /// How many segments from the oldest on satisfy `goes`, below the high watermark; an empty last one never goes.
    fn deletable(
        &self,
        mut goes: impl FnMut(&Segment, Option<&Segment>) -> Result<bool>,
    ) -> Result<usize> {
        let mut count = 0;
        for (slot, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(slot + 1);
            let end = next.map_or(self.end_offset, |next| next.base_offset);
            let empty_last = next.is_none() && segment.size == 0;
            if empty_last || self.high_watermark < end || !goes(segment, next)? {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    fn delete_first(&mut self, mut count: usize, now: WallMs) -> Result<usize> {
        if count == 0 {
            return Ok(0);
        }
        self.settle_swap()?;
        if count == self.segments.len() {
            // There is always an active segment. Where it finds no space the others make some.
            match self.roll_to(self.end_offset, now) {
                Err(error) if error.is_full() && count > 1 => count -= 1,
                rolled => rolled?,
            }
        }
        let rest = self.segments.split_off(count);
        let gone = std::mem::replace(&mut self.segments, rest);
        if let Some(first) = self.segments.first() {
            self.advance_start(first.base_offset);
        }
        tracing::info!(log = %self.name, segments = count, start = self.start_offset, "old segments removed");
        self.remove_segments(gone)?;
        Ok(count)
    }

    /// Removes every whole segment below `offset`, whatever the policy: the metadata log does so once a snapshot holds
    /// them. Moves the log start to `offset`.
    pub fn delete_prefix(&mut self, offset: Offset, now: WallMs) -> Result<usize> {
        self.delete_records(offset)?;
        self.change(|log| log.delete_before_start(now))
    }
}
