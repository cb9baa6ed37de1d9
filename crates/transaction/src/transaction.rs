//! A transactional id's producer and its transaction, and the steps from one state to the next.
//!
//! Steps follow `TransactionMetadata`. None checks who may take it: the shard does.

use base::{ProducerEpoch, ProducerId, TopicPartition};
use coordinator::Producer;
use protocol::ErrorCode;
use rpds::RedBlackTreeSetSync;

use crate::state::State;
use crate::view::bumps_epochs;

/// Sorted; cloning costs nothing.
pub type Partitions = RedBlackTreeSetSync<TopicPartition>;

/// No transaction is started by a producer in the last epoch: it is left for shutting the producer out.
pub(crate) const EPOCH_EXHAUSTED: ProducerEpoch = ProducerEpoch(i16::MAX - 1);
const EPOCH_LAST: ProducerEpoch = ProducerEpoch(i16::MAX);

/// Transactions with this timeout never time out: an outside coordinator decides them (KIP-939).
pub(crate) const TIMEOUT_NEVER_MS: i32 = i32::MAX;

/// The time of no transaction.
const NO_START_MS: i64 = -1;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub state: State,
    pub producer: Producer,
    /// The producer id before the last step.
    pub previous_id: ProducerId,
    /// The producer id after the markers, when the epochs of the present one are used up.
    pub next_id: ProducerId,
    /// The epoch before the last step, for requests that are repeated. No record holds it.
    pub last_epoch: ProducerEpoch,
    /// The generation of transactions that the client speaks: 0 or 2.
    pub client_version: i16,
    pub timeout_ms: i32,
    /// Of a decided transaction, those that wait for their marker.
    pub partitions: Partitions,
    pub start_ms: i64,
    pub update_ms: i64,
}

/// Whether the client's next producer id replaces this one.
pub(crate) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= EPOCH_EXHAUSTED
}

/// The epoch after this one; there is none after the last.
fn bumped(epoch: ProducerEpoch) -> Option<ProducerEpoch> {
    epoch.get().checked_add(1).map(ProducerEpoch)
}

impl Transaction {
    /// Of an id that is not known yet.
    pub(crate) fn new(id: ProducerId, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            state: State::Empty,
            producer: Producer { id, epoch: ProducerEpoch::NONE },
            previous_id: ProducerId::NONE,
            next_id: ProducerId::NONE,
            last_epoch: ProducerEpoch::NONE,
            client_version: 0,
            timeout_ms,
            partitions: Partitions::new_sync(),
            start_ms: NO_START_MS,
            update_ms: now_ms,
        }
    }

    fn step(&self, state: State, now_ms: i64) -> Self {
        Self { state, previous_id: self.producer.id, update_ms: now_ms, ..self.clone() }
    }

    fn initialized(&self, producer: Producer, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer,
            timeout_ms,
            partitions: Partitions::new_sync(),
            start_ms: NO_START_MS,
            ..self.step(State::Empty, now_ms)
        }
    }

    /// InitProducerId in the next epoch. `expected` is the epoch that a producer has which recovers by itself (KIP-360).
    pub(crate) fn with_next_epoch(
        &self,
        expected: Option<ProducerEpoch>,
        timeout_ms: i32,
        now_ms: i64,
    ) -> Result<Self, ErrorCode> {
        let (id, epoch) = (self.producer.id, self.producer.epoch);
        // A producer in an older epoch of a used-up id: Kafka fails on it.
        if is_exhausted(epoch) {
            return Err(ErrorCode::UnknownServerError);
        }
        let next = bumped(epoch).ok_or(ErrorCode::UnknownServerError)?;
        let (epoch, last_epoch) = match expected {
            None => (next, ProducerEpoch::NONE),
            Some(expected) if epoch == ProducerEpoch::NONE || expected == epoch => (next, epoch),
            // The answer to the last request was lost. Nobody else can have been initialized: that would have reset it.
            Some(expected) if expected == self.last_epoch => (epoch, self.last_epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let producer = Producer { id, epoch };
        Ok(Self { last_epoch, ..self.initialized(producer, timeout_ms, now_ms) })
    }

    /// InitProducerId with a new producer id, since the epochs of the old one are used up.
    pub(crate) fn with_next_id(
        &self,
        id: ProducerId,
        recovers: bool,
        timeout_ms: i32,
        now_ms: i64,
    ) -> Self {
        let last_epoch = if recovers { self.producer.epoch } else { ProducerEpoch::NONE };
        let producer = Producer { id, epoch: ProducerEpoch(0) };
        Self { last_epoch, ..self.initialized(producer, timeout_ms, now_ms) }
    }

    /// AddPartitionsToTxn and AddOffsetsToTxn.
    pub(crate) fn with_partitions(
        &self,
        added: &[TopicPartition],
        client_version: i16,
        now_ms: i64,
    ) -> Self {
        let mut partitions = self.partitions.clone();
        for partition in added {
            partitions.insert_mut(partition.clone());
        }
        let start_ms = if self.state.is_at_rest() { now_ms } else { self.start_ms };
        Self { partitions, start_ms, client_version, ..self.step(State::Ongoing, now_ms) }
    }

    /// The decision, by a client or the coordinator itself. In the second generation the markers have the next epoch, which shuts
    /// out everything that is still on its way; `next_id` is a new producer id if [`Self::needs_next_id`].
    ///
    /// # Errors
    /// When the epochs are used up beyond repair.
    pub(crate) fn decided(
        &self,
        commit: bool,
        client_version: i16,
        next_id: Option<ProducerId>,
        now_ms: i64,
    ) -> Result<Self, ErrorCode> {
        let state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        let mut next = self.step(state, now_ms);
        if bumps_epochs(client_version) {
            let epoch = self.producer.epoch;
            next.producer.epoch = match bumped(epoch) {
                Some(epoch) => epoch,
                // An abort may recover an id whose epochs are used up.
                None if !commit => EPOCH_LAST,
                None => return Err(ErrorCode::UnknownServerError),
            };
            next.last_epoch = epoch;
        }
        if self.state.is_at_rest() {
            // An abort of nothing: a client of the second generation may not know what became of its transaction.
            next.start_ms = now_ms;
        }
        next.next_id = next_id.unwrap_or(ProducerId::NONE);
        next.client_version = client_version;
        Ok(next)
    }

    /// The decision needs a new producer id for what comes after it.
    pub(crate) fn needs_next_id(&self, client_version: i16) -> bool {
        bumps_epochs(client_version) && is_exhausted(self.producer.epoch)
    }

    /// The abort with which the coordinator shuts out the present producer.
    pub(crate) fn fenced(
        &self,
        transaction_version: i16,
        next_id: Option<ProducerId>,
        now_ms: i64,
    ) -> Result<Self, ErrorCode> {
        if bumps_epochs(transaction_version) {
            return self.decided(false, transaction_version, next_id, now_ms);
        }
        let mut next = self.decided(false, 0, None, now_ms)?;
        next.producer.epoch = bumped(self.producer.epoch).unwrap_or(EPOCH_LAST);
        next.last_epoch = ProducerEpoch::NONE;
        Ok(next)
    }

    /// All markers are written; `None` when nothing was decided.
    pub(crate) fn completed(&self, now_ms: i64) -> Option<Self> {
        let commit = self.state.decided()?;
        let state = if commit { State::CompleteCommit } else { State::CompleteAbort };
        let producer = self.producer_after();
        let partitions = Partitions::new_sync();
        Some(Self { producer, next_id: ProducerId::NONE, partitions, ..self.step(state, now_ms) })
    }

    /// With which the client goes on after a decision.
    pub(crate) fn producer_after(&self) -> Producer {
        if bumps_epochs(self.client_version) && self.next_id != ProducerId::NONE {
            Producer { id: self.next_id, epoch: ProducerEpoch(0) }
        } else {
            self.producer
        }
    }

    /// It takes too long, when it has been known for so long.
    pub(crate) fn is_timed_out_after(&self, ms: u64) -> bool {
        self.state == State::Ongoing
            && self.timeout_ms != TIMEOUT_NEVER_MS
            && u64::try_from(self.timeout_ms).is_ok_and(|timeout_ms| ms > timeout_ms)
    }

    /// It takes too long.
    pub(crate) fn is_timed_out(&self, now_ms: i64) -> bool {
        self.state == State::Ongoing
            && self.timeout_ms != TIMEOUT_NEVER_MS
            && self.start_ms.saturating_add(i64::from(self.timeout_ms)) < now_ms
    }

    /// It was out of use for so long that it is forgotten.
    pub(crate) fn is_expired(&self, now_ms: i64, expiration_ms: i32) -> bool {
        self.state.is_at_rest() && self.update_ms <= now_ms.saturating_sub(i64::from(expiration_ms))
    }
}
