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
        // Older versions have no place for it, and it has no value that may be left out.
        replica_directory_id: replica.key.directory_id.filter(|_| version >= 2).unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use base::Offset;
    use protocol::{Decode as _, Reader};

    use super::*;

    #[test]
    fn an_observer_with_a_directory_is_told_in_every_version() {
        let directory = base::Uuid(7_u128.to_be_bytes());
        let observer = ReplicaProgress {
            key: kraft::ReplicaKey { id: NodeId::new(1), directory_id: Some(directory) },
            log_end: Offset::new(9),
            last_fetch_ms: 5,
            last_caught_up_ms: 4,
        };
        for version in 0..=2 {
            let described = kraft::Describe {
                leader: NodeId::new(2),
                epoch: 1,
                high_watermark: Offset::new(9),
                voters: Vec::new(),
                observers: vec![observer],
            };
            let response = response(Ok(described), version, &[]);
            let bytes = protocol::encode_to_vec(&response, version).expect("it can be written");
            let read = DescribeQuorumResponse::decode(&mut Reader::new(&bytes), version);
            let read = read.expect("it can be read");
            let told = &read.topics[0].partitions[0].observers[0];
            assert_eq!((told.replica_id, told.log_end_offset), (1, 9));
            let fetched = if version == 0 { (-1, -1) } else { (5, 4) };
            assert_eq!((told.last_fetch_timestamp, told.last_caught_up_timestamp), fetched);
            let expected = if version < 2 { base::Uuid::default() } else { directory };
            assert_eq!(told.replica_directory_id, expected);
        }
    }
}
