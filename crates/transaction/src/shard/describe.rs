//! DescribeTransactions and ListTransactions.

use protocol::ErrorCode;
use protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use protocol::messages::list_transactions_response::TransactionState as Listed;

use super::TransactionShard;
use crate::filters::Filters;
use crate::state::State;
use crate::transaction::{Partitions, Transaction};

impl TransactionShard {
    pub(super) fn describe(&self, transactional_id: &str) -> TransactionState<'static> {
        let id = transactional_id.to_owned().into();
        match self.described(transactional_id) {
            Err(error) => TransactionState {
                transactional_id: id,
                error_code: error.code(),
                ..Default::default()
            },
            Ok(transaction) => TransactionState {
                transactional_id: id,
                transaction_state: transaction.state.name().into(),
                transaction_timeout_ms: transaction.timeout_ms,
                transaction_start_time_ms: transaction.start_ms,
                producer_id: transaction.producer.id.get(),
                producer_epoch: transaction.producer.epoch.get(),
                topics: by_topic(&transaction.partitions),
                ..Default::default()
            },
        }
    }

    fn described(&self, transactional_id: &str) -> Result<&Transaction, ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let known = self.get(transactional_id).filter(|one| one.state != State::Dead);
        known.ok_or(ErrorCode::TransactionalIdNotFound)
    }

    /// By transactional id.
    pub(super) fn list(&self, filters: &Filters) -> Vec<Listed<'static>> {
        let listed = self.transactions().filter(|(id, one)| filters.let_through(id, one));
        let listed = listed.map(|(id, transaction)| Listed {
            transactional_id: id.to_string().into(),
            producer_id: transaction.producer.id.get(),
            transaction_state: transaction.state.name().into(),
            ..Default::default()
        });
        listed.collect()
    }
}

fn by_topic(partitions: &Partitions) -> Vec<TopicData<'static>> {
    let mut topics: Vec<TopicData<'static>> = Vec::new();
    for one in partitions {
        match topics.last_mut().filter(|last| *last.topic == *one.topic) {
            Some(last) => last.partitions.push(one.partition.get()),
            None => topics.push(TopicData {
                topic: one.topic.to_string().into(),
                partitions: vec![one.partition.get()],
                ..Default::default()
            }),
        }
    }
    topics
}
