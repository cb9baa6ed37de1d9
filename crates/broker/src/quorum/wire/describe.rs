//! DescribeQuorum (55): how far every replica is.

use base::NodeId;
use kraft::{Endpoint, RaftError, ReplicaProgress};
use protocol::ErrorCode;
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::{self, DescribeQuorumResponse};

use super::METADATA_TOPIC;

pub(super) fn is_of_metadata(request: &DescribeQuorumRequest<'_>) -> bool {
    let [topic] = &request.topics[..] else { return false };
    topic.topic_name == METADATA_TOPIC
        && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
}

pub(super) fn unknown_partitions(
    request: DescribeQuorumRequest<'static>,
    version: i16,
) -> DescribeQuorumResponse<'static> {
    let error = ErrorCode::UnknownTopicOrPartition;
    let topics = request.topics.into_iter().map(|topic| describe_quorum_response::TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| describe_quorum_response::PartitionData {
                partition_index: partition.partition_index,
                ..failed(error, version)
            })
            .collect(),
        ..Default::default()
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}

fn failed(error: ErrorCode, version: i16) -> describe_quorum_response::PartitionData<'static> {
    describe_quorum_response::PartitionData {
        error_code: error.code(),
        error_message: (version >= 2).then(|| error.message().into()),
        ..Default::default()
    }
}

pub(super) fn response(
    answer: Result<kraft::Describe, RaftError>,
    version: i16,
    endpoints: &[(NodeId, Vec<Endpoint>)],
) -> DescribeQuorumResponse<'static> {
    let replica = |replica: ReplicaProgress| describe_quorum_response::ReplicaState {
        replica_id: replica.key.id.get(),
        replica_directory_id: replica.key.directory_id.unwrap_or_default(),
        log_end_offset: replica.log_end.get(),
        last_fetch_timestamp: replica.last_fetch_ms,
        last_caught_up_timestamp: replica.last_caught_up_ms,
        ..Default::default()
    };
    let is_leader = answer.is_ok();
    let partition = match answer {
        Ok(answer) => describe_quorum_response::PartitionData {
            leader_id: answer.leader.get(),
            leader_epoch: answer.epoch,
            high_watermark: answer.high_watermark.get(),
            current_voters: answer.voters.into_iter().map(replica).collect(),
            observers: answer.observers.into_iter().map(replica).collect(),
            ..Default::default()
        },
        Err(error) => failed(error.into(), version),
    };
    let topic = describe_quorum_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let nodes = if version >= 2 && is_leader { endpoints } else { &[] };
    let nodes = nodes.iter().map(|(id, endpoints)| describe_quorum_response::Node {
        node_id: id.get(),
        listeners: endpoints
            .iter()
            .map(|endpoint| describe_quorum_response::Listener {
                name: endpoint.name.clone().into(),
                host: endpoint.host.clone().into(),
                port: endpoint.port,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    DescribeQuorumResponse { topics: vec![topic], nodes: nodes.collect(), ..Default::default() }
}
