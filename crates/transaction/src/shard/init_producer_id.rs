//! InitProducerId: a producer takes over a transactional id, or recovers.

use std::borrow::Cow;
use std::sync::Arc;

use base::time::Now;
use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;
use protocol::ErrorCode;

use super::{Refusal, TransactionShard, decided, written};
use crate::errors;
use crate::record::TransactionRecord;
use crate::request::{InitProducerId, Reply};
use crate::state::State;
use crate::transaction::{TIMEOUT_NEVER_MS, Transaction, is_exhausted};
use crate::view::View;

impl InitProducerId {
    /// What Kafka refuses before it looks for the coordinator of the id.
    ///
    /// # Errors
    /// With what the client is told.
    pub fn check(&self, view: &View) -> Result<(), ErrorCode> {
        let request = &self.request;
        let (id, epoch) = (request.producer_id, request.producer_epoch);
        if (id == ProducerId::NONE.get()) != (epoch == ProducerEpoch::NONE.get()) {
            return Err(ErrorCode::InvalidRequest);
        }
        if self.transactional_id().is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        // KIP-939, of which Kafka 4.4 has the first half.
        if request.enable2_pc && !view.config.two_phase_commit {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        if request.keep_prepared_txn {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let timeout_ms = request.transaction_timeout_ms;
        let in_range = timeout_ms > 0 && timeout_ms <= view.config.timeout_max_ms;
        if !request.enable2_pc && !in_range {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        Ok(())
    }

    fn transactional_id(&self) -> &str {
        self.request.transactional_id.as_deref().unwrap_or_default()
    }

    fn timeout_ms(&self) -> i32 {
        if self.request.enable2_pc { TIMEOUT_NEVER_MS } else { self.request.transaction_timeout_ms }
    }

    /// Of a producer that recovers.
    fn expected(&self) -> Option<Producer> {
        let id = ProducerId(self.request.producer_id);
        let epoch = ProducerEpoch(self.request.producer_epoch);
        (id != ProducerId::NONE).then_some(Producer { id, epoch })
    }
}

/// What follows.
enum Step {
    Initialized(Transaction),
    /// The transaction of the producer before comes first; the client asks again.
    Fenced(Transaction),
}

impl TransactionShard {
    pub(super) fn init_producer_id(
        &self,
        now: Now,
        ask: &InitProducerId,
        view: &View,
    ) -> (Vec<TransactionRecord>, Reply) {
        let id: Arc<str> = Arc::from(ask.transactional_id());
        let told = |error| errors::for_init_producer_id(ask.version, error);
        match self.next_for_init(now, ask, view) {
            Ok(Step::Initialized(next)) => {
                let reply = Reply::InitProducerId(Ok(next.producer));
                (vec![written(&id, next, view)], reply)
            }
            Ok(Step::Fenced(next)) => {
                let reply = Reply::InitProducerId(Err(ErrorCode::ConcurrentTransactions));
                (decided(&id, next, now, view), reply)
            }
            Err(Refusal::NeedsProducerId) => (Vec::new(), Reply::NeedsProducerId),
            Err(Refusal::Error(error)) => (Vec::new(), Reply::InitProducerId(Err(told(error)))),
        }
    }

    fn next_for_init(&self, now: Now, ask: &InitProducerId, view: &View) -> Result<Step, Refusal> {
        ask.check(view)?;
        let (timeout_ms, now_ms) = (ask.timeout_ms(), now.wall.0);
        let expected = ask.expected();
        let transaction = match self.get(ask.transactional_id()) {
            Some(known) => Cow::Borrowed(known),
            None => {
                let fresh = ask.fresh.ok_or(Refusal::NeedsProducerId)?;
                Cow::Owned(Transaction::new(fresh, timeout_ms, now_ms))
            }
        };
        if transaction.state.decided().is_some() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        if !expected.is_none_or(|expected| may_recover(&transaction, expected)) {
            return Err(ErrorCode::ProducerFenced.into());
        }
        match transaction.state {
            State::Ongoing => {
                let next_id = next_id(&transaction, view.transaction_version, ask.fresh)?;
                let next = transaction.fenced(view.transaction_version, next_id, now_ms)?;
                Ok(Step::Fenced(next))
            }
            state if state.is_at_rest() => {
                let epoch = transaction.producer.epoch;
                let is_newest = expected.is_none_or(|expected| expected.epoch == epoch);
                let next = if is_exhausted(epoch) && is_newest {
                    let fresh = ask.fresh.ok_or(Refusal::NeedsProducerId)?;
                    transaction.with_next_id(fresh, expected.is_some(), timeout_ms, now_ms)
                } else {
                    let expected = expected.map(|expected| expected.epoch);
                    transaction.with_next_epoch(expected, timeout_ms, now_ms)?
                };
                Ok(Step::Initialized(next))
            }
            _ => Err(ErrorCode::UnknownServerError.into()),
        }
    }
}

/// The producer id that a decision needs for what comes after it.
pub(super) fn next_id(
    transaction: &Transaction,
    client_version: i16,
    fresh: Option<ProducerId>,
) -> Result<Option<ProducerId>, Refusal> {
    if !transaction.needs_next_id(client_version) {
        return Ok(None);
    }
    fresh.map(Some).ok_or(Refusal::NeedsProducerId)
}

/// A producer that recovers (KIP-360) has the present id, of which the epoch is looked at later, or the one before, whose epochs
/// are used up: the answer that told it the new one was lost.
fn may_recover(transaction: &Transaction, expected: Producer) -> bool {
    transaction.producer.epoch == ProducerEpoch::NONE
        || expected.id == transaction.producer.id
        || (expected.id == transaction.previous_id && is_exhausted(expected.epoch))
}
