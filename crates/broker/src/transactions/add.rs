//! Adding partitions to a transaction that this node coordinates, or looking whether they belong to it.

use std::sync::Arc;

use base::{PartitionIndex, ProducerEpoch, ProducerId, TopicPartition};
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use transaction::{AddPartitions, Added, Query, Reply, Request, Verify};

use super::grouped::grouped;
use crate::coordinators::{Owed, TransactionCoordinators};
use crate::node::Node;

/// One error for each partition, in the order of the request.
pub type Results = Vec<(TopicPartition, ErrorCode)>;

/// What is owed for one transaction of a request.
pub enum Adding {
    Done(Results),
    Asked { partitions: Vec<TopicPartition>, owed: Owed<Reply> },
}

/// Asks for one transaction of a request in this version. `may_write`: the client may write to a topic.
pub async fn add_partitions(
    node: &Node,
    version: i16,
    transaction: &AddPartitionsToTxnTransaction<'_>,
    may_write: impl Fn(&str) -> bool,
) -> Adding {
    let partitions = partitions(transaction);
    if let Some(refused) = refusal(node, &partitions, may_write) {
        return Adding::Done(refused);
    }
    let transactional_id: Arc<str> = Arc::from(&*transaction.transactional_id);
    let producer = Producer {
        id: ProducerId(transaction.producer_id),
        epoch: ProducerEpoch(transaction.producer_epoch),
    };
    let (id, asked) = (Arc::clone(&transactional_id), partitions.clone());
    let owed = if transaction.verify_only {
        let query = Query::Verify(Verify { transactional_id, producer, partitions: asked });
        node.transactions.begin_query(node, &id, query).await
    } else {
        let added = Added::Partitions { version };
        let add = AddPartitions { transactional_id, producer, partitions: asked, added };
        node.transactions.begin(node, &id, Request::AddPartitions(add)).await
    };
    match owed {
        Ok(owed) => Adding::Asked { partitions, owed },
        Err(error) => Adding::Done(all_fail(partitions, error)),
    }
}

impl Adding {
    /// What came of it.
    pub async fn done(self) -> Results {
        let (partitions, owed) = match self {
            Self::Done(results) => return results,
            Self::Asked { partitions, owed } => (partitions, owed),
        };
        match TransactionCoordinators::answer(owed).await {
            Ok(Reply::Verify(results)) => results,
            Ok(Reply::AddPartitions(error)) | Err(error) => all_fail(partitions, error),
            Ok(_) => all_fail(partitions, ErrorCode::UnknownServerError),
        }
    }
}

fn all_fail(partitions: Vec<TopicPartition>, error: ErrorCode) -> Results {
    partitions.into_iter().map(|partition| (partition, error)).collect()
}

fn partitions(transaction: &AddPartitionsToTxnTransaction<'_>) -> Vec<TopicPartition> {
    let all = transaction.topics.iter().flat_map(|topic| {
        let name: Arc<str> = Arc::from(&*topic.name);
        topic.partitions.iter().map(move |index| TopicPartition {
            topic: Arc::clone(&name),
            partition: PartitionIndex(*index),
        })
    });
    all.collect()
}

/// One partition that cannot be added keeps the others out, too.
fn refusal(
    node: &Node,
    partitions: &[TopicPartition],
    may_write: impl Fn(&str) -> bool,
) -> Option<Results> {
    let image = node.image();
    let error = |partition: &TopicPartition| {
        let topic = image.topics.by_name(&partition.topic);
        if !may_write(&partition.topic) {
            ErrorCode::TopicAuthorizationFailed
        } else if topic.and_then(|topic| topic.partition(partition.partition)).is_none() {
            ErrorCode::UnknownTopicOrPartition
        } else {
            ErrorCode::OperationNotAttempted
        }
    };
    let errors: Results = partitions.iter().map(|one| (one.clone(), error(one))).collect();
    let refused = errors.iter().any(|(_, error)| *error != ErrorCode::OperationNotAttempted);
    refused.then_some(errors)
}

/// As a response has it: one row for each topic.
pub fn rows(results: &Results) -> Vec<AddPartitionsToTxnTopicResult<'static>> {
    let rows = results.iter().map(|(partition, error)| {
        let row = AddPartitionsToTxnPartitionResult {
            partition_index: partition.partition.get(),
            partition_error_code: error.code(),
            ..Default::default()
        };
        (&*partition.topic, row)
    });
    let topics = grouped(rows).into_iter().map(|(name, results_by_partition)| {
        let name = name.to_owned().into();
        AddPartitionsToTxnTopicResult { name, results_by_partition, ..Default::default() }
    });
    topics.collect()
}

/// The answer for one transaction.
pub fn result(id: &str, results: &Results) -> AddPartitionsToTxnResult<'static> {
    AddPartitionsToTxnResult {
        transactional_id: id.to_owned().into(),
        topic_results: rows(results),
        ..Default::default()
    }
}

/// The same error for all.
pub fn all_refused(transaction: &AddPartitionsToTxnTransaction<'_>, error: ErrorCode) -> Results {
    all_fail(partitions(transaction), error)
}
