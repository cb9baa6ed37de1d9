//! A partition that transactions write to, as far as they are concerned: its log, the state of producers, what it waits for from the
//! coordinator. A model of Kafka's rules (`ProducerAppendInfo`, `UnifiedLog`, KIP-890); its log is never lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{LeaderEpoch, ProducerEpoch, ProducerId};
use coordinator::Producer;
use protocol::ErrorCode;

use super::Tamper;

/// So many batches of a producer are remembered, to know those that come twice.
const BATCHES_KEPT: usize = 5;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    Data { producer: Producer, value: u64 },
    Marker { producer: Producer, commit: bool },
}

/// A write as a client sends it.
#[derive(Clone, Debug)]
pub struct Write {
    pub client: usize,
    pub call: u64,
    pub transactional_id: Arc<str>,
    pub producer: Producer,
    pub sequence: i32,
    pub value: u64,
    /// Of the second generation: writing adds the partition to the transaction.
    pub adds: bool,
}

/// A marker as a coordinator sends it.
#[derive(Clone, Debug)]
pub struct Marker {
    pub producer: Producer,
    pub commit: bool,
    pub transaction_version: i16,
    pub coordinator_epoch: LeaderEpoch,
}

#[derive(Clone, Debug)]
struct State {
    epoch: ProducerEpoch,
    /// Newest last.
    batches: Vec<(ProducerEpoch, i32)>,
    open: Option<usize>,
    coordinator_epoch: LeaderEpoch,
}

impl Default for State {
    fn default() -> Self {
        let (epoch, coordinator_epoch) = (ProducerEpoch::NONE, LeaderEpoch::NONE);
        Self { epoch, batches: Vec::new(), open: None, coordinator_epoch }
    }
}

/// A verification that has begun, and for which producer's epoch.
#[derive(Clone, Debug)]
struct Guard {
    number: u64,
    epoch: ProducerEpoch,
    adds: bool,
}

/// What comes of a write.
#[derive(Debug)]
pub enum Step {
    Answer(Result<(), ErrorCode>),
    /// The coordinator is asked first, under this number.
    Ask(u64),
}

#[derive(Default)]
pub struct Partition {
    pub log: Vec<Entry>,
    producers: BTreeMap<ProducerId, State>,
    guards: BTreeMap<ProducerId, Guard>,
    waiting: BTreeMap<u64, (Write, u64)>,
    next: u64,
    /// Broken on purpose.
    trusts_writes: bool,
    trusts_markers: bool,
    trusts_coordinators: bool,
}

impl Partition {
    pub fn new(tamper: Option<Tamper>) -> Self {
        let trusts_writes = tamper == Some(Tamper::SkipVerification);
        let trusts_markers = tamper == Some(Tamper::TrustMarkers);
        let trusts_coordinators = tamper == Some(Tamper::TrustOldCoordinators);
        Self { trusts_writes, trusts_markers, trusts_coordinators, ..Self::default() }
    }

    /// What is only in memory is gone.
    pub fn restart(&mut self) {
        self.guards.clear();
        self.waiting.clear();
    }

    pub fn has_open(&self, id: ProducerId) -> bool {
        self.producers.get(&id).is_some_and(|state| state.open.is_some())
    }

    /// Where the first open transaction begins, or the end.
    pub fn last_stable(&self) -> usize {
        self.producers.values().filter_map(|state| state.open).min().unwrap_or(self.log.len())
    }

    /// `known` is the epoch of the coordinator that would be asked.
    pub fn write(&mut self, write: Write, known: LeaderEpoch) -> Step {
        let state = self.producers.entry(write.producer.id).or_default();
        if state.batches.contains(&(write.producer.epoch, write.sequence)) {
            return Step::Answer(Ok(()));
        }
        if write.producer.epoch < state.epoch {
            return Step::Answer(Err(ErrorCode::InvalidProducerEpoch));
        }
        let is_open = state.open.is_some() && state.epoch == write.producer.epoch;
        if is_open || self.trusts_writes {
            return Step::Answer(self.append(&write));
        }
        if known < state.coordinator_epoch && !self.trusts_coordinators {
            return Step::Answer(Err(ErrorCode::NotEnoughReplicas));
        }
        self.next += 1;
        let number = self.next;
        let (epoch, adds) = (write.producer.epoch, write.adds);
        let fresh = Guard { number, epoch, adds };
        let guard = self.guards.entry(write.producer.id).or_insert(fresh);
        guard.epoch = guard.epoch.max(epoch);
        self.waiting.insert(number, (write, guard.number));
        Step::Ask(number)
    }

    /// The coordinator has answered.
    pub fn verified(
        &mut self,
        number: u64,
        answer: Result<(), ErrorCode>,
    ) -> Option<(Write, Result<(), ErrorCode>)> {
        let (write, guard) = self.waiting.remove(&number)?;
        let known = self.guards.get(&write.producer.id).map(|guard| guard.number);
        let state = self.producers.entry(write.producer.id).or_default();
        let done = match answer {
            Err(error) => Err(error),
            Ok(()) if state.batches.contains(&(write.producer.epoch, write.sequence)) => Ok(()),
            Ok(()) if write.producer.epoch < state.epoch => Err(ErrorCode::InvalidProducerEpoch),
            // A transaction that was opened meanwhile needs no guard.
            Ok(()) if state.open.is_some() && state.epoch == write.producer.epoch => {
                self.append(&write)
            }
            Ok(()) if known != Some(guard) => Err(ErrorCode::InvalidTxnState),
            Ok(()) => self.append(&write),
        };
        Some((write, done))
    }

    fn append(&mut self, write: &Write) -> Result<(), ErrorCode> {
        let at = self.log.len();
        let state = self.producers.entry(write.producer.id).or_default();
        let expected = match state.batches.last() {
            _ if state.epoch == ProducerEpoch::NONE => write.sequence,
            Some((epoch, last)) if *epoch == write.producer.epoch => last + 1,
            _ => 0,
        };
        // In the second generation every transaction begins with the first number.
        let begins_wrongly = write.adds && state.open.is_none() && write.sequence != 0;
        if write.sequence != expected || begins_wrongly {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        state.epoch = write.producer.epoch;
        state.batches.push((write.producer.epoch, write.sequence));
        if state.batches.len() > BATCHES_KEPT {
            state.batches.remove(0);
        }
        state.open = state.open.or(Some(at));
        self.guards.remove(&write.producer.id);
        self.log.push(Entry::Data { producer: write.producer, value: write.value });
        Ok(())
    }

    pub fn mark(&mut self, marker: &Marker) -> Result<(), ErrorCode> {
        let id = marker.producer.id;
        let state = self.producers.entry(id).or_default();
        let (epoch, current) = (marker.producer.epoch, state.epoch);
        let strict = marker.transaction_version >= 2;
        let stale = if strict { epoch <= current } else { epoch < current };
        let repeated = strict && epoch == current && state.open.is_none();
        if !self.trusts_markers {
            if stale && !repeated {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            if marker.coordinator_epoch < state.coordinator_epoch {
                return Err(ErrorCode::TransactionCoordinatorFenced);
            }
        }
        state.epoch = epoch.max(current);
        state.coordinator_epoch = marker.coordinator_epoch.max(state.coordinator_epoch);
        state.open = None;
        // The next transaction of the second generation may have begun to be verified.
        let is_next = self.guards.get(&id).is_some_and(|one| one.adds && one.epoch == epoch);
        if !is_next {
            self.guards.remove(&id);
        }
        self.log.push(Entry::Marker { producer: marker.producer, commit: marker.commit });
        Ok(())
    }

    /// What a reader of committed data sees.
    pub fn visible(&self) -> Vec<u64> {
        let until = self.last_stable();
        // From the end on: by producer, how its transaction ends.
        let mut ends: BTreeMap<ProducerId, bool> = BTreeMap::new();
        let mut values = Vec::new();
        for (at, entry) in self.log.iter().enumerate().rev() {
            match entry {
                Entry::Marker { producer, commit } => {
                    ends.insert(producer.id, *commit);
                }
                Entry::Data { producer, value } => {
                    if at < until && ends.get(&producer.id) == Some(&true) {
                        values.push(*value);
                    }
                }
            }
        }
        values.reverse();
        values
    }
}
