//! EndTxn: a client commits or aborts. Two generations of clients, two sets of rules (`TransactionCoordinator`).

use base::time::Now;
use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;
use protocol::ErrorCode;

use super::init_producer_id::next_id;
use super::{Refusal, TransactionShard, decided};
use crate::errors;
use crate::record::TransactionRecord;
use crate::request::{EndTxn, Reply};
use crate::state::State;
use crate::transaction::{EPOCH_EXHAUSTED, Transaction};
use crate::view::{View, bumps_epochs};

/// Clients of the first generation go on as they are.
const NO_PRODUCER: Producer = Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE };

/// What a rule says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// The transaction is decided.
    Decide,
    /// It was, and the client did not hear of it.
    Repeated,
    Refuse(ErrorCode),
}

/// How the epoch of a request relates to the present one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Epoch {
    Present,
    /// Of the last transaction, which raised it.
    Last,
    Other,
}

impl TransactionShard {
    pub(super) fn end_txn(
        &self,
        now: Now,
        ask: &EndTxn,
        view: &View,
    ) -> (Vec<TransactionRecord>, Reply) {
        match self.next_for_end(now, ask) {
            Ok((next, reply)) => {
                let records = decided(&ask.transactional_id, next, now, view);
                (records, Reply::EndTxn(Ok(reply)))
            }
            Err(Refusal::NeedsProducerId) => (Vec::new(), Reply::NeedsProducerId),
            Err(Refusal::Error(error)) => {
                (Vec::new(), Reply::EndTxn(Err(errors::for_end_txn(ask.version, error))))
            }
        }
    }

    fn next_for_end(&self, now: Now, ask: &EndTxn) -> Result<(Transaction, Producer), Refusal> {
        if ask.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest.into());
        }
        let transaction =
            self.get(&ask.transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let client_version = errors::version_of_end_txn(ask.version);
        let bumps = bumps_epochs(client_version);
        let rule = if bumps { second(transaction, ask) } else { first(transaction, ask) };
        let told = |producer| if bumps { producer } else { NO_PRODUCER };
        match rule {
            Rule::Refuse(error) => Err(error.into()),
            // Written once more, as it is: see `add_partitions`.
            Rule::Repeated => Ok((transaction.clone(), told(transaction.producer))),
            Rule::Decide => {
                let next_id = next_id(transaction, client_version, ask.fresh)?;
                let next = transaction.decided(ask.commit, client_version, next_id, now.wall.0)?;
                let producer = told(next.producer_after());
                Ok((next, producer))
            }
        }
    }
}

/// Clients whose epoch stays the same from transaction to transaction: a repeated request looks like a new one.
fn first(transaction: &Transaction, ask: &EndTxn) -> Rule {
    if transaction.producer.id != ask.producer.id {
        return Rule::Refuse(ErrorCode::InvalidProducerIdMapping);
    }
    if transaction.producer.epoch != ask.producer.epoch {
        return Rule::Refuse(ErrorCode::ProducerFenced);
    }
    match (transaction.state, ask.commit) {
        (State::PrepareCommit | State::PrepareAbort, _) => {
            Rule::Refuse(ErrorCode::ConcurrentTransactions)
        }
        (State::Ongoing, _) => Rule::Decide,
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Rule::Repeated,
        (State::CompleteCommit | State::CompleteAbort | State::Empty, _) => {
            Rule::Refuse(ErrorCode::InvalidTxnState)
        }
        (State::Dead | State::PrepareEpochFence, _) => Rule::Refuse(ErrorCode::UnknownServerError),
    }
}

/// Clients whose epoch grows with every transaction (KIP-890).
fn second(transaction: &Transaction, ask: &EndTxn) -> Rule {
    // First: the producer may have an id already that it gets for good with the last marker.
    if transaction.state.decided().is_some() {
        return Rule::Refuse(ErrorCode::ConcurrentTransactions);
    }
    let Some(epoch) = epoch(transaction, ask.producer) else {
        return Rule::Refuse(ErrorCode::InvalidProducerIdMapping);
    };
    match (transaction.state, epoch, ask.commit) {
        (_, Epoch::Other, _) => Rule::Refuse(ErrorCode::ProducerFenced),
        (State::Ongoing | State::Empty, Epoch::Last, _) => Rule::Refuse(ErrorCode::ProducerFenced),
        (State::Ongoing, Epoch::Present, _) => Rule::Decide,
        // The client does not know whether anything of its transaction came here.
        (State::Empty | State::CompleteCommit | State::CompleteAbort, Epoch::Present, false) => {
            Rule::Decide
        }
        (State::CompleteCommit, Epoch::Last, true) | (State::CompleteAbort, Epoch::Last, false) => {
            Rule::Repeated
        }
        (State::Empty | State::CompleteCommit | State::CompleteAbort, _, _) => {
            Rule::Refuse(ErrorCode::InvalidTxnState)
        }
        (State::Dead | State::PrepareEpochFence, Epoch::Last, _) => {
            Rule::Refuse(ErrorCode::ProducerFenced)
        }
        (State::Dead | State::PrepareEpochFence, Epoch::Present, _)
        | (State::PrepareCommit | State::PrepareAbort, _, _) => {
            Rule::Refuse(ErrorCode::UnknownServerError)
        }
    }
}

/// `None` for another producer id.
///
/// Kafka takes the last epoch for that of a repeated request whoever ended the transaction. When a client of the first generation
/// did, which leaves the epoch as it is, the last epoch is that of a producer before it: Kafka hands it the present one, and two
/// producers write to one transaction. Here it is shut out.
fn epoch(transaction: &Transaction, asked: Producer) -> Option<Epoch> {
    let present = transaction.producer;
    let raised = bumps_epochs(transaction.client_version);
    // Its last transaction used up the epochs of the producer id.
    let rotated = asked.id == transaction.previous_id
        && asked.epoch == EPOCH_EXHAUSTED
        && present.epoch == ProducerEpoch(0);
    if rotated && raised {
        return Some(Epoch::Last);
    }
    if present.id != asked.id {
        return None;
    }
    let ahead = i32::from(present.epoch.get()) - i32::from(asked.epoch.get());
    Some(match ahead {
        0 => Epoch::Present,
        1 if raised => Epoch::Last,
        _ => Epoch::Other,
    })
}
