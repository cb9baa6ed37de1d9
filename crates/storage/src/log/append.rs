//! Appending: offsets and epoch in place, producers checked, one write.

use base::{LeaderEpoch, Offset, WallMs};
use records::{AnyBatch, AppendOrigin, Batches, Prepared, Tail};

use super::appender::Appender;
use super::error::{LogError, Result};
use super::head::BatchHead;
use super::producers::{Prepared as ProducerChanges, ProducerBatch};
use super::segment::RollCheck;
use super::{AbortedTxn, Log};
use crate::space::Claim;

/// What an append has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendInfo {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// Largest timestamp; −1: none.
    pub max_timestamp: i64,
    /// Time of the append where that is the records' time; for a duplicate the time of its batch, as Kafka answers.
    pub log_append_time: Option<WallMs>,
    pub log_start_offset: Offset,
    /// Bytes written; 0 for a duplicate.
    pub bytes: usize,
    /// The batch was appended before; the offsets are those of that append.
    pub duplicate: bool,
    /// `flush.messages` or more records are not durable: whoever appended is answered after a flush. It is left to the caller, so
    /// that one flush serves many ([`Log::prepare_flush`]).
    pub flush_due: bool,
}

/// What one walk over the batches of an append tells.
#[derive(Clone, Copy)]
struct Summary {
    first: BatchHead,
    last_offset: i64,
    max_timestamp: i64,
}

impl Log {
    /// Appends a validated batch as its leader: sets offsets from the log's end on and the leader epoch in place,
    /// checks the producer's sequences and epoch, writes. A batch that was appended before is not appended again, its
    /// old offsets are the answer.
    pub fn append_as_leader(
        &mut self,
        batch: &mut Prepared,
        leader_epoch: LeaderEpoch,
        appender: impl Into<Appender>,
        now: WallMs,
    ) -> Result<AppendInfo> {
        self.append_prepared(batch, leader_epoch, appender.into(), now)
    }

    /// Appends a transaction marker as the leader, checked by the rules of a `transaction.version`.
    pub fn append_marker(
        &mut self,
        batch: &mut Prepared,
        leader_epoch: LeaderEpoch,
        transaction_version: i16,
        now: WallMs,
    ) -> Result<AppendInfo> {
        self.append_prepared(batch, leader_epoch, Appender::of_marker(transaction_version), now)
    }

    fn append_prepared(
        &mut self,
        batch: &mut Prepared,
        leader_epoch: LeaderEpoch,
        appender: Appender,
        now: WallMs,
    ) -> Result<AppendInfo> {
        self.check_online()?;
        batch.assign_offsets(self.end_offset(), leader_epoch);
        let mut info = self.append_with_offsets(batch.bytes(), appender, now)?;
        if !info.duplicate {
            info.log_append_time = batch.append_time();
        }
        Ok(info)
    }

    /// Appends batches that carry their offsets and epoch, written by the leader of the metadata log. They must follow
    /// the log's end.
    pub fn append_as_raft_leader(
        &mut self,
        bytes: &[u8],
        leader_epoch: LeaderEpoch,
        now: WallMs,
    ) -> Result<AppendInfo> {
        let bytes = self.check_given(bytes, |batch| {
            let epoch = batch.partition_leader_epoch();
            if epoch == leader_epoch {
                return Ok(true);
            }
            Err(format!(
                "Append from Raft leader did not set the batch epoch correctly, expected \
                 {leader_epoch} but the batch has {epoch}"
            ))
        })?;
        self.append_with_offsets(bytes, AppendOrigin::RaftLeader.into(), now)
    }

    /// Appends what a leader's log holds at this log's end, cut at the first batch of an epoch beyond `leader_epoch`
    /// and at an incomplete tail.
    pub fn append_as_follower(
        &mut self,
        bytes: &[u8],
        leader_epoch: LeaderEpoch,
        now: WallMs,
    ) -> Result<AppendInfo> {
        let bytes =
            self.check_given(bytes, |batch| Ok(batch.partition_leader_epoch() <= leader_epoch))?;
        let end = self.end_offset;
        let appended = self.append_with_offsets(bytes, AppendOrigin::Replication.into(), now)?;
        self.note_gaps(bytes, end);
        Ok(appended)
    }

    /// Its leader's cleaner has left offsets out: a recovery must know that they may be missing.
    fn note_gaps(&mut self, bytes: &[u8], end: i64) {
        let mut next = end;
        for batch in Batches::new(bytes).flatten() {
            if batch.v2().is_some_and(|header| header.base_offset.0 > next) {
                return self.cleaning.has_gaps(self.start_offset);
            }
            next = batch.last_offset().0.saturating_add(1);
        }
    }

    /// Checks batches that come with offsets: checksums, order, place. Gives those up to the first that `take` leaves.
    fn check_given<'a>(
        &self,
        bytes: &'a [u8],
        take: impl Fn(&AnyBatch<'_>) -> Result<bool, String>,
    ) -> Result<&'a [u8]> {
        let log = || self.name.to_string();
        let invalid = |source| LogError::InvalidBatch { log: log(), source };
        let mut taken = 0;
        let mut last: Option<i64> = None;
        for batch in Batches::new(bytes) {
            let batch = batch.map_err(invalid)?;
            if !take(&batch).map_err(|reason| LogError::InvalidAppend { log: log(), reason })? {
                break;
            }
            batch.check_crc().map_err(invalid)?;
            let head = BatchHead::of(&batch);
            let first_or_last = if head.v2.is_some() { head.base_offset } else { head.last_offset };
            if last.is_none() && first_or_last < self.end_offset {
                return Err(LogError::UnexpectedOffset {
                    log: log(),
                    first: Offset(first_or_last),
                    last: head.last(),
                    end: self.end_offset(),
                    start: self.start_offset(),
                });
            }
            if let Some(last) = last.filter(|last| head.last_offset <= *last) {
                let last = Offset(last);
                return Err(LogError::OffsetsOutOfOrder { log: log(), last, next: head.last() });
            }
            if head.last_offset == i64::MAX {
                let reason = "no offset comes after its last one".to_owned();
                return Err(LogError::InvalidAppend { log: log(), reason });
            }
            last = Some(head.last_offset);
            taken += batch.size();
        }
        Ok(bytes.get(..taken).unwrap_or_default())
    }

    /// Appends whole batches with their final offsets.
    fn append_with_offsets(
        &mut self,
        bytes: &[u8],
        appender: Appender,
        now: WallMs,
    ) -> Result<AppendInfo> {
        let origin = appender.origin;
        self.change_if_space(|log| {
            let Some(summary) = log.summarize(bytes)? else {
                return Ok(AppendInfo {
                    first_offset: Offset::NONE,
                    last_offset: Offset::NONE,
                    max_timestamp: -1,
                    log_append_time: None,
                    log_start_offset: log.start_offset(),
                    bytes: 0,
                    duplicate: false,
                    flush_due: false,
                });
            };
            if origin != AppendOrigin::Replication
                && bytes.len() > log.config.segment_bytes as usize
            {
                return Err(LogError::BatchLargerThanSegment {
                    log: log.name.to_string(),
                    size: bytes.len(),
                    max: log.config.segment_bytes,
                });
            }
            if let Some(duplicate) = log.find_duplicate(bytes, origin) {
                return Ok(AppendInfo {
                    first_offset: Offset(duplicate.first_offset()),
                    last_offset: Offset(duplicate.last_offset),
                    max_timestamp: duplicate.timestamp,
                    log_append_time: Some(WallMs(duplicate.timestamp)),
                    log_start_offset: log.start_offset(),
                    bytes: 0,
                    duplicate: true,
                    flush_due: log.is_flush_due_by_count(),
                });
            }
            log.check_space(origin)?;
            let prepared = log.prepare_producers(bytes, appender)?;
            log.roll_if_needed(bytes.len(), &summary, now)?;
            log.note_epochs(bytes)?;
            log.write(bytes, &summary, &prepared, now)
        })
    }

    /// First batch, last offset and largest timestamp; `None` when there is nothing.
    fn summarize(&self, bytes: &[u8]) -> Result<Option<Summary>> {
        let invalid = |source| LogError::InvalidBatch { log: self.name.to_string(), source };
        let mut batches = Batches::new(bytes);
        let mut summary: Option<Summary> = None;
        for batch in &mut batches {
            let batch = batch.map_err(invalid)?;
            let head = BatchHead::of(&batch);
            if head.last_offset < head.base_offset {
                return Err(LogError::InvalidAppend {
                    log: self.name.to_string(),
                    reason: format!("a batch ends at {} before it begins", head.last_offset),
                });
            }
            let summary = summary.get_or_insert(Summary {
                first: head,
                last_offset: head.last_offset,
                max_timestamp: head.max_timestamp,
            });
            summary.last_offset = head.last_offset;
            summary.max_timestamp = summary.max_timestamp.max(head.max_timestamp);
        }
        if batches.tail() != Tail::Clean {
            return Err(LogError::InvalidAppend {
                log: self.name.to_string(),
                reason: "the last batch is not whole".into(),
            });
        }
        Ok(summary)
    }

    /// Whether the directory's volume has space for this append.
    fn check_space(&self, origin: AppendOrigin) -> Result<()> {
        // A transaction ends also where nothing else is written any more.
        let internal = self.config.internal || origin == AppendOrigin::Coordinator;
        let claim = if internal { Claim::Internal } else { Claim::Records };
        match &self.space {
            Some(space) if !space.allows(claim) => {
                Err(LogError::NoSpace { log: self.name.to_string() })
            }
            _ => Ok(()),
        }
    }

    fn find_duplicate(&self, bytes: &[u8], origin: AppendOrigin) -> Option<ProducerBatch> {
        if origin != AppendOrigin::Client {
            return None;
        }
        Batches::new(bytes).flatten().find_map(|batch| {
            let header = batch.v2().filter(|header| header.has_producer_id())?;
            let entry = self.producers.entry(header.producer_id.0)?;
            let (first, last) = (header.base_sequence, header.last_sequence());
            entry.find_duplicate(header.producer_epoch.0, first, last)
        })
    }

    fn prepare_producers(&self, bytes: &[u8], appender: Appender) -> Result<ProducerChanges> {
        let mut prepared = ProducerChanges::default();
        for batch in Batches::new(bytes).flatten() {
            self.producers.prepare(&batch, &appender, &mut prepared)?;
        }
        Ok(prepared)
    }

    fn roll_if_needed(&mut self, bytes: usize, summary: &Summary, now: WallMs) -> Result<()> {
        let check = RollCheck {
            bytes: bytes as u64,
            max_timestamp: summary.max_timestamp,
            last_offset: summary.last_offset,
            now,
        };
        if !self.active().should_roll(&self.files, &self.config, &check)? {
            return Ok(());
        }
        // At the log's end even where a cleaner left out what follows (Kafka names the segment after the batch): between two
        // segments nothing is missing then but what a crash took. A segment reaches i32::MAX offsets far.
        let reach = summary.last_offset.saturating_sub(i32::MAX.into());
        self.roll_to(self.end_offset.max(reach), now)
    }

    /// Every batch names the epoch of its leader; batches from before epochs make them unusable.
    fn note_epochs(&mut self, bytes: &[u8]) -> Result<()> {
        for batch in Batches::new(bytes).flatten() {
            match batch.v2() {
                Some(header) if header.partition_leader_epoch.is_some() => {
                    self.epochs.assign(header.partition_leader_epoch, header.base_offset)?;
                }
                Some(_) => {}
                None => {
                    if self.epochs.clear() {
                        tracing::warn!(log = %self.name, "epochs forgotten after an append in an old format");
                    }
                }
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        bytes: &[u8],
        summary: &Summary,
        prepared: &ProducerChanges,
        now: WallMs,
    ) -> Result<AppendInfo> {
        let heads = Batches::new(bytes).flatten().map(|batch| BatchHead::of(&batch));
        let segment = self.segments.last_mut().expect("a log has an active segment");
        segment.append(&self.files, &self.config, bytes, heads, now)?;
        if let Some(space) = &self.space {
            space.wrote(bytes.len() as u64);
        }
        self.end_offset = summary.last_offset.saturating_add(1);
        for update in &prepared.updates {
            self.producers.apply(update);
        }
        for completed in &prepared.completed {
            if completed.aborted {
                let txn = AbortedTxn {
                    producer_id: base::ProducerId(completed.producer_id),
                    first_offset: completed.first_offset,
                    last_offset: completed.last_offset,
                    last_stable_offset: self.producers.last_stable_offset(completed),
                };
                self.segments
                    .last_mut()
                    .expect("a log has an active segment")
                    .txn_index
                    .push(&self.files, &txn)?;
            }
            self.producers.complete(completed);
        }
        self.producers.set_end_offset(self.end_offset);
        Ok(AppendInfo {
            first_offset: Offset(summary.first.base_offset),
            last_offset: Offset(summary.last_offset),
            max_timestamp: summary.max_timestamp,
            log_append_time: None,
            log_start_offset: self.start_offset(),
            bytes: bytes.len(),
            duplicate: false,
            flush_due: self.is_flush_due_by_count(),
        })
    }
}
