//! AddPartitionsToTxn that only verifies: whether a producer's transaction holds partitions (KIP-890).

use base::TopicPartition;
use protocol::ErrorCode;

use super::TransactionShard;
use crate::request::Verify;
use crate::transaction::Partitions;

impl TransactionShard {
    pub(super) fn verify(&self, ask: Verify) -> Vec<(TopicPartition, ErrorCode)> {
        let known = self.verified(&ask);
        let error = |partition: &TopicPartition| match known {
            Err(error) => error,
            Ok(partitions) if partitions.contains(partition) => ErrorCode::None,
            Ok(_) => ErrorCode::TransactionAbortable,
        };
        let asked = ask.partitions.into_iter();
        asked.map(|partition| (partition.clone(), error(&partition))).collect()
    }

    fn verified(&self, ask: &Verify) -> Result<&Partitions, ErrorCode> {
        if ask.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction =
            self.get(&ask.transactional_id).ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if transaction.producer.id != ask.producer.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if transaction.producer.epoch != ask.producer.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if transaction.state.decided().is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(&transaction.partitions)
    }
}
