//! AddPartitionsToTxn and AddOffsetsToTxn: a transaction begins, or grows.
//!
//! What is in it already is written once more, as it is: a coordinator that was replaced and does not know it would say so of a
//! transaction that is over, and the next one's records would be lost in it. An answer that waits for the log is true.

use base::time::Now;
use protocol::ErrorCode;

use super::{TransactionShard, written};
use crate::errors;
use crate::record::TransactionRecord;
use crate::request::{AddPartitions, Reply};
use crate::state::State;
use crate::transaction::Transaction;
use crate::view::View;

impl TransactionShard {
    pub(super) fn add_partitions(
        &self,
        now: Now,
        ask: &AddPartitions,
        view: &View,
    ) -> (Vec<TransactionRecord>, Reply) {
        match self.next_for_add(now, ask) {
            Ok(next) => {
                let record = written(&ask.transactional_id, next, view);
                (vec![record], Reply::AddPartitions(ErrorCode::None))
            }
            Err(error) => (Vec::new(), Reply::AddPartitions(errors::for_add(ask.added, error))),
        }
    }

    fn next_for_add(&self, now: Now, ask: &AddPartitions) -> Result<Transaction, ErrorCode> {
        if ask.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction =
            self.get(&ask.transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        // First: the producer may have an id already that it gets for good with the last marker.
        if transaction.state.decided().is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        if transaction.producer.id != ask.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != ask.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if !State::Ongoing.may_follow(transaction.state) {
            return Err(ErrorCode::UnknownServerError);
        }
        let has_all = ask.partitions.iter().all(|one| transaction.partitions.contains(one));
        if transaction.state == State::Ongoing && has_all {
            return Ok(transaction.clone());
        }
        let client_version = errors::version_of_add(ask.added);
        Ok(transaction.with_partitions(&ask.partitions, client_version, now.wall.0))
    }
}
