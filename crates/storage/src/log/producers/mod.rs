//! The producers of one log: sequences against duplicates and gaps, open transactions, and their snapshots on disk.

mod entry;
mod marker;
mod persist;
mod snapshot;
mod update;
mod verification;

use std::collections::{BTreeMap, BTreeSet};

use base::{Offset, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use records::AnyBatch;
use records::batch::BatchHeader;

use entry::NO_COORDINATOR_EPOCH;
pub use entry::{BATCHES_KEPT, ProducerBatch, ProducerEntry};
pub use snapshot::{decode as decode_snapshot, encode as encode_snapshot};
pub use update::CompletedTxn;
pub(crate) use update::ProducerUpdate;
pub use verification::{Unverified, VerificationGuard, Verify};

use self::verification::Verifications;
use super::appender::Appender;
use super::config::ProducerConfig;
use super::error::{LogError, Result};

/// How much longer than the largest transaction timeout a transaction may stay open before it counts as hanging.
const LATE_TRANSACTION_BUFFER_MS: i64 = 5 * 60_000;

/// A transaction that is open, or decided but not yet below the high watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Txn {
    producer_id: i64,
    /// Offset of the marker.
    last_offset: Option<i64>,
}

/// An active producer as DescribeProducers shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1: none.
    pub last_sequence: i32,
    pub last_timestamp: i64,
    /// −1: none.
    pub coordinator_epoch: i32,
    pub txn_start_offset: Option<Offset>,
}

/// The state of all producers up to [`ProducerState::end_offset`].
#[derive(Debug)]
pub(crate) struct ProducerState {
    name: TopicPartition,
    config: ProducerConfig,
    /// Sorted: nothing is moved about when there is one more.
    producers: BTreeMap<i64, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<i64, Txn>,
    /// Decided transactions whose marker is not below the high watermark, by their first offset.
    unreplicated: BTreeMap<i64, Txn>,
    verifications: Verifications,
    /// Offsets of the snapshot files.
    snapshots: BTreeSet<i64>,
    /// Those that were written and not made durable since.
    unsynced: BTreeSet<i64>,
    end_offset: i64,
    last_snapshot: i64,
}

/// What one append does to the producers, validated and not yet applied.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub updates: Vec<ProducerUpdate>,
    pub completed: Vec<CompletedTxn>,
}

impl ProducerState {
    pub fn new(name: TopicPartition, config: ProducerConfig, snapshots: BTreeSet<i64>) -> Self {
        Self {
            name,
            config,
            producers: BTreeMap::new(),
            ongoing: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            verifications: Verifications::default(),
            snapshots,
            unsynced: BTreeSet::new(),
            end_offset: 0,
            last_snapshot: 0,
        }
    }

    pub fn set_config(&mut self, config: ProducerConfig) {
        self.config = config;
    }

    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    pub fn set_end_offset(&mut self, offset: i64) {
        self.end_offset = offset;
    }

    pub fn is_empty(&self) -> bool {
        self.producers.is_empty() && self.unreplicated.is_empty()
    }

    pub fn entry(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    pub fn entries(&self) -> impl ExactSizeIterator<Item = (i64, &ProducerEntry)> {
        self.producers.iter().map(|(producer_id, entry)| (*producer_id, entry))
    }

    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> + '_ {
        self.producers.iter().map(|(producer_id, entry)| ActiveProducer {
            producer_id: ProducerId(*producer_id),
            producer_epoch: ProducerEpoch(entry.epoch),
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            txn_start_offset: entry.txn_first_offset.map(Offset),
        })
    }

    /// The first offset that is undecided, or decided by a marker that is not below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let ongoing = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        ongoing.into_iter().chain(unreplicated).min().copied()
    }

    /// The last timestamp of the oldest open transaction is longer ago than any transaction may last.
    pub fn has_late_transaction(&self, now: WallMs) -> bool {
        let oldest = self.ongoing.values().next();
        let entry = oldest.and_then(|txn| self.producers.get(&txn.producer_id));
        let limit =
            self.config.max_transaction_timeout_ms.saturating_add(LATE_TRANSACTION_BUFFER_MS);
        entry.is_some_and(|entry| {
            entry.last_timestamp > 0 && now.0.saturating_sub(entry.last_timestamp) > limit
        })
    }

    /// See [`super::Log::begin_verification`].
    pub fn begin_verification(
        &mut self,
        verify: &Verify,
        now: WallMs,
    ) -> Result<Option<Unverified>> {
        self.check_newest(verify.producer_id, verify.epoch)?;
        if self.is_ongoing(verify.producer_id, verify.epoch) {
            return Ok(None);
        }
        let known = self.producers.get(&verify.producer_id);
        let coordinator_epoch = known.map_or(NO_COORDINATOR_EPOCH, |entry| entry.coordinator_epoch);
        Ok(Some(Unverified { guard: self.verifications.begin(verify, now), coordinator_epoch }))
    }

    fn check_newest(&self, producer_id: i64, epoch: i16) -> Result<()> {
        match self.producers.get(&producer_id) {
            Some(entry) if epoch < entry.epoch => Err(LogError::InvalidProducerEpoch(format!(
                "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {}",
                entry.epoch
            ))),
            _ => Ok(()),
        }
    }

    /// Those who wait for their coordinator's word at another log with the same records wait here.
    pub fn take_verifications(&mut self, other: &mut Self) {
        self.verifications = std::mem::take(&mut other.verifications);
    }

    /// A transaction of this epoch has records here and no marker.
    fn is_ongoing(&self, producer_id: i64, epoch: i16) -> bool {
        let entry = self.producers.get(&producer_id);
        entry.is_some_and(|entry| entry.epoch == epoch && entry.txn_first_offset.is_some())
    }

    /// The first record of a transaction needs the guard of before its coordinator was asked.
    fn check_verified(&self, header: &BatchHeader, appender: &Appender) -> Result<()> {
        let (producer_id, epoch) = (header.producer_id.0, header.producer_epoch.0);
        if !appender.must_verify()
            || !header.attributes.is_transactional()
            || self.is_ongoing(producer_id, epoch)
        {
            return Ok(());
        }
        self.check_newest(producer_id, epoch)?;
        if header.attributes.is_control() || !self.config.verify_transactions {
            return Ok(());
        }
        let ours = self.verifications.get(producer_id).map(|waiting| waiting.guard);
        if ours.is_some() && ours == appender.guard {
            return Ok(());
        }
        Err(LogError::InvalidTxnState("Record was not part of an ongoing transaction".to_owned()))
    }

    /// Validates one batch with a producer id on top of what `prepared` holds already.
    pub fn prepare(
        &self,
        batch: &AnyBatch<'_>,
        appender: &Appender,
        prepared: &mut Prepared,
    ) -> Result<()> {
        let Some(header) = batch.v2().filter(|header| header.has_producer_id()) else {
            return Ok(());
        };
        self.check_verified(header, appender)?;
        let producer_id = header.producer_id.0;
        let known = prepared.updates.iter().position(|u| u.producer_id == producer_id);
        let slot = known.unwrap_or_else(|| {
            let current = self.producers.get(&producer_id).cloned().unwrap_or_default();
            let verification = self.verifications.get(producer_id).copied();
            prepared.updates.push(ProducerUpdate::new(
                producer_id,
                current,
                appender,
                verification,
            ));
            prepared.updates.len() - 1
        });
        let Some(update) = prepared.updates.get_mut(slot) else { return Ok(()) };
        if !header.attributes.is_control() {
            return update.append_data(&self.name, header);
        }
        let marker = marker::read(header, batch.bytes())
            .map_err(|source| LogError::InvalidBatch { log: self.name.to_string(), source })?;
        if let Some((marker, timestamp)) = marker {
            let completed = update.append_marker(&self.name, header, &marker, timestamp)?;
            prepared.completed.extend(completed);
        }
        Ok(())
    }

    /// Applies a validated update of one producer.
    pub fn apply(&mut self, update: &ProducerUpdate) {
        let producer_id = update.producer_id;
        match self.producers.get_mut(&producer_id) {
            Some(entry) => entry.merge(&update.updated),
            None => {
                self.producers.insert(producer_id, update.updated.clone());
            }
        }
        for first_offset in &update.started {
            self.ongoing.insert(*first_offset, Txn { producer_id, last_offset: None });
        }
        if update.ends_verification {
            self.verifications.end(producer_id);
        }
    }

    /// The first undecided offset once `completed` is over: what its index entry carries.
    pub fn last_stable_offset(&self, completed: &CompletedTxn) -> i64 {
        let next = self.ongoing.iter().find(|(_, txn)| txn.producer_id != completed.producer_id);
        next.map_or(completed.last_offset.saturating_add(1), |(first_offset, _)| *first_offset)
    }

    /// Marks a transaction as decided; it stays unstable until the high watermark passes its marker.
    pub fn complete(&mut self, completed: &CompletedTxn) {
        if let Some(mut txn) = self.ongoing.remove(&completed.first_offset) {
            txn.last_offset = Some(completed.last_offset);
            self.unreplicated.insert(completed.first_offset, txn);
        }
    }

    /// Everything below the high watermark is stable once it is decided.
    pub fn on_high_watermark(&mut self, high_watermark: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated
                .retain(|_, txn| txn.last_offset.is_none_or(|last| last >= high_watermark));
        }
    }

    pub fn on_log_start(&mut self, log_start: i64) {
        self.on_high_watermark(log_start);
        self.end_offset = self.end_offset.max(log_start);
        self.last_snapshot = self.latest_snapshot().unwrap_or(log_start);
    }

    /// Forgets producers that have been silent for too long and have no open transaction.
    pub fn expire(&mut self, now: WallMs) {
        let limit = self.config.id_expiration_ms;
        self.producers.retain(|_, entry| !is_expired(entry, now, limit));
        self.verifications.expire(now, limit);
    }
}

fn is_expired(entry: &ProducerEntry, now: WallMs, limit_ms: i64) -> bool {
    entry.txn_first_offset.is_none() && now.0.saturating_sub(entry.last_timestamp) >= limit_ms
}
