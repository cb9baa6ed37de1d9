//! The producers that a walk over a log gives, and the snapshots that must agree with them.

use std::collections::BTreeSet;

use base::{TopicPartition, WallMs};
use records::{AnyBatch, AppendOrigin};

use super::txns::{Aborted, Marker};
use crate::log::ProducerConfig;
use crate::log::producers::{Prepared, ProducerEntry, ProducerState};

/// So many producers are followed; a log with more is not compared.
const PRODUCERS_MAX: usize = 1_000_000;

/// The producers' state along the log.
pub(super) struct Replay {
    state: ProducerState,
    /// Everything that led to the state was seen, or a snapshot stood for it.
    complete: bool,
    /// There is more than fits.
    given_up: bool,
    log_start: i64,
    compacted: bool,
}

impl Replay {
    pub fn new(name: &TopicPartition, log_start: i64, compacted: bool) -> Self {
        let config = ProducerConfig { id_expiration_ms: i64::MAX, ..ProducerConfig::default() };
        let state = ProducerState::new(name.clone(), config, BTreeSet::new());
        Self { state, complete: false, given_up: false, log_start, compacted }
    }

    /// Begins at an offset with the producers of a snapshot; an empty list at the very start of a log.
    pub fn begin(&mut self, producers: Vec<(i64, ProducerEntry)>) {
        for (producer_id, entry) in producers {
            self.state.load_entry(producer_id, entry, WallMs(0));
        }
        self.complete = true;
    }

    /// A cleaner has taken batches away.
    pub fn is_compacted(&mut self) {
        self.compacted = true;
    }

    /// Part of the log could not be read.
    pub fn lost_track(&mut self) {
        self.complete = false;
    }

    /// Takes in a batch with a right checksum. Tells of an abort marker in it, or what does not follow from before.
    pub fn batch(&mut self, batch: &AnyBatch<'_>) -> Result<Option<Marker>, String> {
        let Some(header) = batch.v2().filter(|header| header.has_producer_id()) else {
            return Ok(None);
        };
        if self.given_up {
            return Ok(None);
        }
        let mut prepared = Prepared::default();
        let result = self.state.prepare(batch, &AppendOrigin::Replication.into(), &mut prepared);
        if let Err(fault) = result {
            let told = self.complete && !self.compacted;
            self.lost_track();
            return if told { Err(fault.to_string()) } else { Ok(None) };
        }
        for update in &prepared.updates {
            self.state.apply(update);
        }
        let is_abort = header.attributes.is_control() && is_abort(batch);
        let mut marker = is_abort.then_some(Marker {
            producer_id: header.producer_id.0,
            offset: header.base_offset.0,
            ends: None,
        });
        for completed in &prepared.completed {
            let ends = Aborted {
                producer_id: completed.producer_id,
                first_offset: completed.first_offset,
                last_offset: completed.last_offset,
                last_stable_offset: self.state.last_stable_offset(completed),
            };
            self.state.complete(completed);
            // What lies before the log's start was decided when it was still there.
            let known =
                self.complete && !self.compacted && completed.first_offset >= self.log_start;
            if let Some(marker) = marker.as_mut().filter(|_| completed.aborted && known) {
                marker.ends = Some(ends);
            }
        }
        self.state.on_high_watermark(i64::MAX);
        if self.state.entries().len() > PRODUCERS_MAX {
            self.given_up = true;
            self.complete = false;
        }
        Ok(marker)
    }

    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// What a snapshot of this place says otherwise than the log. Producers that have been silent for long are in the log only.
    pub fn compare(&self, snapshot: &[(i64, ProducerEntry)]) -> Vec<String> {
        if self.given_up {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        let mut known = BTreeSet::new();
        for (producer_id, theirs) in snapshot {
            if !known.insert(*producer_id) {
                wrong.push(format!("producer {producer_id} is in it twice"));
            }
            match self.state.entry(*producer_id) {
                Some(ours) => wrong.extend(self.differs(*producer_id, ours, theirs)),
                None if self.complete
                    && !self.compacted
                    && theirs.last_offset() >= self.log_start =>
                {
                    wrong.push(format!("producer {producer_id} is not in the log"));
                }
                None => {}
            }
        }
        for (producer_id, ours) in self.state.entries().filter(|_| self.complete) {
            let open = ours.txn_first_offset.filter(|first| *first >= self.log_start);
            if let Some(first) = open.filter(|_| !known.contains(&producer_id)) {
                wrong.push(format!(
                    "producer {producer_id} is missing, whose transaction is open since offset {first}"
                ));
            }
        }
        wrong
    }

    fn differs(
        &self,
        producer_id: i64,
        ours: &ProducerEntry,
        theirs: &ProducerEntry,
    ) -> Option<String> {
        if !self.complete && ours.is_empty() {
            return None;
        }
        // A cleaner may have taken the last records of a producer, and what lies before the start need not be known.
        let may_lack = self.compacted || !self.complete || ours.last_offset() < self.log_start;
        if may_lack && ours.last_offset() < theirs.last_offset() {
            return None;
        }
        let shape =
            |entry: &ProducerEntry| (entry.epoch, entry.last_sequence(), entry.last_offset());
        let coordinator = |entry: &ProducerEntry| entry.coordinator_epoch;
        let open = |entry: &ProducerEntry| {
            entry.txn_first_offset.filter(|first| self.complete && *first >= self.log_start)
        };
        let same = shape(ours) == shape(theirs)
            && (self.compacted || !self.complete || coordinator(ours) == coordinator(theirs))
            && (self.compacted || open(ours) == open(theirs));
        let text = |entry: &ProducerEntry| {
            format!(
                "epoch {}, sequence {} at offset {}, coordinator epoch {}, open transaction {:?}",
                entry.epoch,
                entry.last_sequence(),
                entry.last_offset(),
                entry.coordinator_epoch,
                entry.txn_first_offset
            )
        };
        (!same).then(|| {
            format!("producer {producer_id} has {}; by the log {}", text(theirs), text(ours))
        })
    }
}

/// The first record of a control batch is an abort marker.
fn is_abort(batch: &AnyBatch<'_>) -> bool {
    let mut buffer = Vec::new();
    let Ok(mut records) = batch.records(&mut buffer, 1 << 16) else { return false };
    let Some(Ok(record)) = records.next() else { return false };
    record.key.and_then(records::ControlType::from_key) == Some(records::ControlType::Abort)
}
