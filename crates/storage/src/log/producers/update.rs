//! One producer's part of an append: validates its batches one after another and gathers what changes.

use base::TopicPartition;
use records::batch::{BatchHeader, NO_SEQUENCE};
use records::{AppendOrigin, EndTxnMarker};

use super::entry::{NO_EPOCH, ProducerBatch, ProducerEntry};
use super::verification::Verification;
use crate::log::appender::Appender;
use crate::log::error::{LogError, Result};

/// A transaction that a marker has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletedTxn {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Offset of the marker.
    pub last_offset: i64,
    pub aborted: bool,
}

/// The changes of one producer in one append.
#[derive(Debug)]
pub(crate) struct ProducerUpdate {
    pub producer_id: i64,
    origin: AppendOrigin,
    /// By whose rules markers of a coordinator are checked.
    transaction_version: i16,
    /// While the coordinator was asked for this producer.
    verification: Option<Verification>,
    /// State before the append.
    current: ProducerEntry,
    /// State after it, with the new batches only.
    pub updated: ProducerEntry,
    /// First offsets of the transactions that begin here.
    pub started: Vec<i64>,
    /// The guard is used, or of no use any more.
    pub ends_verification: bool,
}

impl ProducerUpdate {
    pub fn new(
        producer_id: i64,
        current: ProducerEntry,
        appender: &Appender,
        verification: Option<Verification>,
    ) -> Self {
        Self {
            producer_id,
            origin: appender.origin,
            transaction_version: appender.transaction_version,
            verification,
            updated: current.without_batches(),
            current,
            started: Vec::new(),
            ends_verification: false,
        }
    }

    /// A batch of records.
    pub fn append_data(&mut self, name: &TopicPartition, header: &BatchHeader) -> Result<()> {
        let first_offset = header.base_offset.0;
        let epoch = header.producer_epoch.0;
        self.check_epoch(name, epoch, first_offset, -1)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(name, epoch, header.base_sequence, first_offset)?;
        }
        self.updated.add_batch(
            epoch,
            ProducerBatch {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset().0,
                offset_delta: header.last_offset_delta.max(0),
                timestamp: header.max_timestamp,
            },
        );
        self.ends_verification |= header.attributes.is_transactional();
        match (self.updated.txn_first_offset, header.attributes.is_transactional()) {
            (Some(_), false) => Err(LogError::InvalidTxnState(format!(
                "Expected transactional write from producer {} at offset {first_offset} in \
                 partition {}",
                self.producer_id, name
            ))),
            (None, true) => {
                self.updated.txn_first_offset = Some(first_offset);
                self.started.push(first_offset);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A transaction's end. A marker without records before it completes nothing.
    pub fn append_marker(
        &mut self,
        name: &TopicPartition,
        header: &BatchHeader,
        marker: &EndTxnMarker,
        timestamp: i64,
    ) -> Result<Option<CompletedTxn>> {
        let offset = header.base_offset.0;
        self.check_epoch(name, header.producer_epoch.0, offset, self.transaction_version)?;
        self.check_coordinator_epoch(name, marker, offset)?;
        let epoch = header.producer_epoch.0;
        self.ends_verification |= !self.verification.is_some_and(|v| v.outlives_marker(epoch));
        let completed = self.updated.txn_first_offset.map(|first_offset| CompletedTxn {
            producer_id: self.producer_id,
            first_offset,
            last_offset: offset,
            aborted: !marker.commit,
        });
        self.updated.set_epoch(epoch);
        self.updated.coordinator_epoch = marker.coordinator_epoch;
        self.updated.last_timestamp = timestamp;
        self.updated.txn_first_offset = None;
        Ok(completed)
    }

    /// From transaction version 2 on a marker must carry a newer epoch than the records before it (KIP-1228); the same epoch
    /// passes when no transaction is open, which is a marker sent twice, and when there is no newer one.
    fn check_epoch(
        &self,
        name: &TopicPartition,
        epoch: i16,
        offset: i64,
        version: i16,
    ) -> Result<()> {
        let current = self.updated.epoch;
        let strict = version >= 2;
        let stale = if strict { epoch <= current } else { epoch < current };
        let last = self.updated.txn_first_offset.is_none() || epoch == i16::MAX;
        let repeated = strict && epoch == current && last;
        if !stale || repeated || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        let comparison = if strict { "<=" } else { "<" };
        Err(LogError::InvalidProducerEpoch(format!(
            "Epoch of producer {} at offset {offset} in {} is {epoch}, which is {comparison} the \
             last seen epoch {current} (TV{version})",
            self.producer_id, name
        )))
    }

    fn check_sequence(
        &self,
        name: &TopicPartition,
        epoch: i16,
        first: i32,
        offset: i64,
    ) -> Result<()> {
        self.check_first_sequence(name, first, offset)?;
        if epoch != self.updated.epoch {
            if first != 0 && self.updated.epoch != NO_EPOCH {
                return Err(LogError::OutOfOrderSequence(format!(
                    "Invalid sequence number for new epoch of producer {} at offset {offset} in \
                     partition {}: {epoch} (request epoch), {first} (seq. number), {} (current \
                     producer epoch)",
                    self.producer_id, name, self.updated.epoch
                )));
            }
            return Ok(());
        }
        let last = if !self.updated.is_empty() {
            self.updated.last_sequence()
        } else if epoch == self.current.epoch {
            self.current.last_sequence()
        } else {
            NO_SEQUENCE
        };
        // A producer whose records have all been deleted may go on with any sequence.
        if self.current.epoch == NO_EPOCH || in_sequence(last, first) {
            return Ok(());
        }
        Err(LogError::OutOfOrderSequence(format!(
            "Out of order sequence number for producer {} at offset {offset} in partition {}: \
             {first} (incoming seq. number), {last} (current end sequence number)",
            self.producer_id, name
        )))
    }

    /// What is known while the coordinator is asked: where the sequences of the transaction begin.
    fn check_first_sequence(&self, name: &TopicPartition, first: i32, offset: i64) -> Result<()> {
        let Some(verification) = &self.verification else { return Ok(()) };
        if verification.bumps_epoch && first != 0 && self.current.is_empty() {
            return Err(LogError::OutOfOrderSequence(format!(
                "Invalid sequence number for producer {} at offset {offset} in partition {name}: {first} (incoming seq. \
                 number). Expected sequence 0 for transactions v2 idempotent producer with no existing state.",
                self.producer_id
            )));
        }
        let earliest = verification.lowest_sequence;
        if first <= earliest {
            return Ok(());
        }
        Err(LogError::OutOfOrderSequence(format!(
            "Out of order sequence number for producer {} at offset {offset} in partition {name}: {first} (incoming seq. \
             number), {earliest} (earliest seen sequence)",
            self.producer_id
        )))
    }

    fn check_coordinator_epoch(
        &self,
        name: &TopicPartition,
        marker: &EndTxnMarker,
        offset: i64,
    ) -> Result<()> {
        let known = self.updated.coordinator_epoch;
        if known <= marker.coordinator_epoch || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        Err(LogError::TransactionCoordinatorFenced(format!(
            "Invalid coordinator epoch for producerId {} at offset {offset} in partition {}: {} \
             (zombie), {known} (current)",
            self.producer_id, name, marker.coordinator_epoch
        )))
    }
}

fn in_sequence(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}
