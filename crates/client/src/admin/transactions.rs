//! Transactions as an administrator sees them: what coordinators and partitions know of producers, and ending what hangs.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{NodeId, ProducerEpoch, ProducerId, TopicPartition};
use protocol::ErrorCode;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::describe_producers_response::DescribeProducersResponse;
use protocol::messages::describe_transactions_request::DescribeTransactionsRequest;
use protocol::messages::describe_transactions_response::DescribeTransactionsResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::list_transactions_response::ListTransactionsResponse;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;

use super::offsets::{by_leader, pause, topic_names};
use super::{Admin, PerItem};
use crate::cluster::{Target, Topics};
use crate::error::{Error, Result};
use crate::group::coordinator::{self, CoordinatorKind};
use crate::transport::Connection;

/// The last version of InitProducerId that asks for nothing that is unstable in Kafka.
const INIT_CAP: i16 = 5;

/// A producer as a partition knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: i32,
    pub last_sequence: i32,
    /// Of its last batch, milliseconds since 1970.
    pub last_timestamp: i64,
    /// Of the last end of a transaction; None before the first.
    pub coordinator_epoch: Option<i32>,
    pub transaction_start: Option<i64>,
}

/// A transactional id as its coordinator knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionDescription {
    pub coordinator: NodeId,
    pub state: String,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub timeout_ms: i32,
    /// Milliseconds since 1970.
    pub start_ms: Option<i64>,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionListing {
    pub id: String,
    pub producer_id: ProducerId,
    pub state: String,
}

/// Which transactions are listed. All by default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransactionFilter {
    pub producer_ids: Vec<i64>,
    /// Only those that have run for longer than this.
    pub longer_than_ms: Option<i64>,
    /// A regular expression (RE2) for transactional ids.
    pub id_pattern: Option<String>,
}

/// A transaction of one partition that is to be aborted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbortSpec {
    pub partition: TopicPartition,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
}

impl std::fmt::Display for AbortSpec {
    /// As Kafka writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "AbortTransactionSpec(topicPartition={}, producerId={}, producerEpoch={}, coordinatorEpoch={})",
            self.partition, self.producer_id.0, self.producer_epoch.0, self.coordinator_epoch
        )
    }
}

impl Admin {
    /// The producers that partitions remember, as their leaders know them, or one broker.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
        broker: Option<NodeId>,
    ) -> Result<PerItem<TopicPartition, Vec<ActiveProducer>>> {
        let client = &self.client;
        let mut waiting: BTreeMap<TopicPartition, ()> =
            partitions.iter().map(|tp| (tp.clone(), ())).collect();
        let mut done = Vec::with_capacity(partitions.len());
        let deadline = client.deadline();
        let mut last = None;
        while !waiting.is_empty() {
            let names = topic_names(waiting.keys());
            let (mut groups, missing) = by_leader(client, &names, &waiting).await?;
            if let Some(broker) = broker {
                let all = waiting.keys().map(|tp| (tp.clone(), ())).collect();
                groups = [(broker, all)].into();
            } else {
                last = missing.into_iter().map(|(_, error)| error).next_back().or(last);
            }
            for (node, part) in groups {
                let request = producers_request(&part);
                let reply = match client.call(Target::Node(node), &request).await {
                    Ok(reply) => reply,
                    Err(error) if error.retriable() => {
                        last = Some(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for (tp, result) in producers_answered(&reply.decode()?, broker) {
                    match result {
                        Err(error) if error.retriable() && !told_by(broker, &error) => {
                            last = Some(error);
                        }
                        result => {
                            if waiting.remove(&tp).is_some() {
                                done.push((tp, result));
                            }
                        }
                    }
                }
            }
            let what = "describeProducers";
            pause(client, what, deadline, &mut waiting, &mut done, last.as_ref()).await;
        }
        Ok(done)
    }

    async fn coordinator_of(&self, id: &str) -> Result<(NodeId, Connection)> {
        let kind = CoordinatorKind::Transaction;
        let (node, address) = coordinator::find(&self.client, kind, id).await?;
        Ok((node, self.client.connection_at(node, &address).await?))
    }

    pub async fn describe_transaction(&self, id: &str) -> Result<TransactionDescription> {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![id.into()],
            ..Default::default()
        };
        let request = &request;
        let attempt = || async move {
            let (node, connection) = self.coordinator_of(id).await?;
            let reply = connection.call(request).await?;
            let response: DescribeTransactionsResponse<'_> = reply.decode()?;
            let found = response.transaction_states.iter().find(|s| s.transactional_id == id);
            let found = found.ok_or_else(|| Error::Incomplete {
                what: format!("the transactional id {id}"),
                address: reply.address().to_owned(),
            })?;
            check(found.error_code, |code| {
                format!(
                    "DescribeTransactions request for transactionalId `{id}` failed {}",
                    match code {
                        ErrorCode::TransactionalIdAuthorizationFailed =>
                            "due to authorization failure",
                        ErrorCode::TransactionalIdNotFound => "because the ID could not be found",
                        _ => "due to unexpected error",
                    }
                )
            })?;
            let partitions = found.topics.iter().flat_map(|topic| {
                let name: Arc<str> = topic.topic.as_ref().into();
                let partition = move |index: &i32| TopicPartition::new(Arc::clone(&name), *index);
                topic.partitions.iter().map(partition)
            });
            Ok(TransactionDescription {
                coordinator: node,
                state: found.transaction_state.to_string(),
                producer_id: ProducerId(found.producer_id),
                producer_epoch: ProducerEpoch(found.producer_epoch),
                timeout_ms: found.transaction_timeout_ms,
                start_ms: Some(found.transaction_start_time_ms).filter(|ms| *ms >= 0),
                partitions: partitions.collect(),
            })
        };
        self.client.retry("describeTransactions", self.client.deadline(), attempt).await
    }

    /// The transactional ids that each broker coordinates.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<(NodeId, Vec<TransactionListing>)>> {
        let metadata = self.client.refresh(Topics::None, false).await?;
        let request = ListTransactionsRequest {
            producer_id_filters: filter.producer_ids.clone(),
            duration_filter: filter.longer_than_ms.unwrap_or(-1),
            transactional_id_pattern: filter
                .id_pattern
                .as_deref()
                .filter(|pattern| !pattern.is_empty())
                .map(Into::into),
            ..Default::default()
        };
        let mut listed = Vec::with_capacity(metadata.nodes.len());
        for node in metadata.nodes.keys().copied() {
            let found = self.ask("listTransactions", Target::Node(node), &request, |reply| {
                let response: ListTransactionsResponse<'_> = reply.decode()?;
                check(response.error_code, |code| {
                    let node = node.get();
                    match code {
                        ErrorCode::CoordinatorNotAvailable => format!(
                            "ListTransactions request sent to broker {node} failed because the coordinator is shutting down"
                        ),
                        _ => format!(
                            "ListTransactions request sent to broker {node} failed with an unexpected exception"
                        ),
                    }
                })?;
                let states = response.transaction_states.iter();
                Ok(states
                    .map(|state| TransactionListing {
                        id: state.transactional_id.to_string(),
                        producer_id: ProducerId(state.producer_id),
                        state: state.transaction_state.to_string(),
                    })
                    .collect())
            });
            listed.push((node, found.await?));
        }
        Ok(listed)
    }

    /// Writes the end of a transaction that has none into one partition.
    pub async fn abort_transaction(&self, spec: &AbortSpec) -> Result<()> {
        let tp = &spec.partition;
        let topic = WritableTxnMarkerTopic {
            name: (&*tp.topic).into(),
            partition_indexes: vec![tp.partition.get()],
            ..Default::default()
        };
        let marker = WritableTxnMarker {
            producer_id: spec.producer_id.0,
            producer_epoch: spec.producer_epoch.0,
            transaction_result: false,
            topics: vec![topic],
            coordinator_epoch: spec.coordinator_epoch,
            ..Default::default()
        };
        let request = &WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() };
        let attempt = || async move {
            let wanted = [(tp.clone(), ())].into();
            let (groups, missing) =
                by_leader(&self.client, &topic_names([tp].into_iter()), &wanted).await?;
            if let Some((_, error)) = missing.into_iter().next() {
                return Err(error);
            }
            let Some(leader) = groups.keys().next() else { return Err(Error::Closed) };
            let reply = self.client.call(Target::Node(*leader), request).await?;
            let response: WriteTxnMarkersResponse<'_> = reply.decode()?;
            let markers = response.markers.iter().filter(|m| m.producer_id == spec.producer_id.0);
            let partitions = markers
                .flat_map(|marker| &marker.topics)
                .filter(|topic| topic.name == *tp.topic)
                .flat_map(|topic| &topic.partitions);
            let code = partitions
                .filter(|p| p.partition_index == tp.partition.get())
                .map(|p| p.error_code)
                .next();
            let code = code.ok_or_else(|| Error::Incomplete {
                what: format!("the marker for {tp}"),
                address: reply.address().to_owned(),
            })?;
            check(code, |code| marker_refused(spec, code))
        };
        self.client.retry("abortTransaction", self.client.deadline(), attempt).await
    }

    /// Makes sure that no producer that has this transactional id now can write, and aborts what it has open.
    pub async fn fence_producer(&self, id: &str) -> Result<(ProducerId, ProducerEpoch)> {
        let timeout_ms = self.client.options().request_timeout_ms;
        let request = InitProducerIdRequest {
            transactional_id: Some(id.into()),
            transaction_timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            ..Default::default()
        };
        let request = &request;
        let attempt = || async move {
            let (_, connection) = self.coordinator_of(id).await?;
            let reply =
                connection.call_within(request, INIT_CAP, connection.request_timeout_ms()).await?;
            let response: InitProducerIdResponse = reply.decode()?;
            check(response.error_code, |code| {
                format!(
                    "InitProducerId request for transactionalId `{id}` failed {}",
                    match code {
                        ErrorCode::ClusterAuthorizationFailed =>
                            "due to cluster authorization failure",
                        ErrorCode::TransactionalIdAuthorizationFailed => {
                            "due to transactional ID authorization failure"
                        }
                        _ => "due to unexpected error",
                    }
                )
            })?;
            Ok((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))
        };
        self.client.retry("fenceProducer", self.client.deadline(), attempt).await
    }
}

/// `Ok` for code 0, else an error with this text.
fn check(code: i16, text: impl Fn(ErrorCode) -> String) -> Result<()> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(()),
        code => Err(Error::api(code, Some(&text(code)))),
    }
}

/// A broker that was named knows best that it has no such replica.
fn told_by(broker: Option<NodeId>, error: &Error) -> bool {
    broker.is_some() && error.code() == Some(ErrorCode::NotLeaderOrFollower)
}

fn producers_request<'a>(part: &[(TopicPartition, ())]) -> DescribeProducersRequest<'a> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (tp, ()) in part {
        topics.entry(&tp.topic).or_default().push(tp.partition.get());
    }
    let topic = |(name, partition_indexes): (&str, Vec<i32>)| TopicRequest {
        name: name.to_owned().into(),
        partition_indexes,
        ..Default::default()
    };
    DescribeProducersRequest {
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn producers_answered(
    response: &DescribeProducersResponse<'_>,
    broker: Option<NodeId>,
) -> PerItem<TopicPartition, Vec<ActiveProducer>> {
    let mut answers = Vec::new();
    for topic in &response.topics {
        let name: Arc<str> = topic.name.as_ref().into();
        for p in &topic.partitions {
            let tp = TopicPartition::new(Arc::clone(&name), p.partition_index);
            let checked = check(p.error_code, |code| producers_refused(&tp, code, broker));
            let producers = p.active_producers.iter().map(|producer| ActiveProducer {
                id: ProducerId(producer.producer_id),
                epoch: producer.producer_epoch,
                last_sequence: producer.last_sequence,
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: Some(producer.coordinator_epoch).filter(|epoch| *epoch >= 0),
                transaction_start: Some(producer.current_txn_start_offset).filter(|at| *at >= 0),
            });
            answers.push((tp, checked.map(|()| producers.collect())));
        }
    }
    answers
}

fn producers_refused(tp: &TopicPartition, code: ErrorCode, broker: Option<NodeId>) -> String {
    let begin = format!("Failed to describe active producers for partition {tp}");
    match (code, broker) {
        (ErrorCode::NotLeaderOrFollower, Some(broker)) => format!("{begin} on brokerId {broker}"),
        (ErrorCode::TopicAuthorizationFailed, _) => {
            format!("{begin} due to authorization failure on topic `{}`", tp.topic)
        }
        _ => format!("{begin} due to unexpected error"),
    }
}

fn marker_refused(spec: &AbortSpec, code: ErrorCode) -> String {
    let begin = format!("WriteTxnMarkers request with {spec} failed");
    match code {
        ErrorCode::ClusterAuthorizationFailed => {
            format!("{begin} due to cluster authorization error")
        }
        ErrorCode::InvalidProducerEpoch => format!("{begin} due an invalid producer epoch"),
        ErrorCode::TransactionCoordinatorFenced => format!(
            "{begin} since the provided coordinator epoch {} has been fenced by the active coordinator",
            spec.coordinator_epoch
        ),
        code => format!("{begin} due to unexpected error: {}", code.message()),
    }
}
