//! Requests of other nodes as events for consensus.

use std::borrow::Cow;

use base::{DirectoryId, NodeId, Offset, Uuid};
use kraft::{Endpoint, EpochRequest, ReplicaKey, SnapshotId, VersionRange, Voter};
use protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use protocol::messages::end_quorum_epoch_request::{self, EndQuorumEpochRequest};
use protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::{self, FetchSnapshotResponse};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;
use protocol::{ErrorCode, Records};

use super::{METADATA_TOPIC, QuorumResponse};

/// A list of structures with name, host and port.
macro_rules! endpoints {
    ($list:expr) => {
        $list
            .into_iter()
            .map(|endpoint| Endpoint {
                name: endpoint.name.into_owned(),
                host: endpoint.host.into_owned(),
                port: endpoint.port,
            })
            .collect()
    };
}

fn cluster_id(id: Option<Cow<'static, str>>) -> Option<String> {
    id.map(Cow::into_owned)
}

fn asked_voter(id: i32, directory: DirectoryId) -> Option<(NodeId, DirectoryId)> {
    (id >= 0).then_some((NodeId(id), directory))
}

pub(super) fn only<T>(mut list: Vec<T>) -> Option<T> {
    if list.len() == 1 { list.pop() } else { None }
}

pub(super) fn vote(request: VoteRequest<'static>) -> Result<kraft::VoteRequest, QuorumResponse> {
    let topic = only(request.topics).filter(|topic| topic.topic_name == METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition_index == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        return Err(QuorumResponse::Vote(VoteResponse { error_code, ..Default::default() }));
    };
    Ok(kraft::VoteRequest {
        cluster_id: cluster_id(request.cluster_id),
        voter: asked_voter(request.voter_id, partition.voter_directory_id),
        candidate: ReplicaKey::new(NodeId(partition.replica_id), partition.replica_directory_id),
        epoch: partition.replica_epoch,
        last_epoch: partition.last_offset_epoch,
        last_offset: Offset(partition.last_offset),
        pre_vote: partition.pre_vote,
    })
}

pub(super) fn begin_epoch(
    request: BeginQuorumEpochRequest<'static>,
) -> Result<EpochRequest, QuorumResponse> {
    let topic = only(request.topics).filter(|topic| topic.topic_name == METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition_index == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        let response = BeginQuorumEpochResponse { error_code, ..Default::default() };
        return Err(QuorumResponse::BeginQuorumEpoch(response));
    };
    Ok(EpochRequest {
        cluster_id: cluster_id(request.cluster_id),
        voter: asked_voter(request.voter_id, partition.voter_directory_id),
        leader: NodeId(partition.leader_id),
        epoch: partition.leader_epoch,
        endpoints: endpoints!(request.leader_endpoints),
        successors: Vec::new(),
    })
}

pub(super) fn end_epoch(
    request: EndQuorumEpochRequest<'static>,
) -> Result<EpochRequest, QuorumResponse> {
    let topic = only(request.topics).filter(|topic| topic.topic_name == METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition_index == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        let response = EndQuorumEpochResponse { error_code, ..Default::default() };
        return Err(QuorumResponse::EndQuorumEpoch(response));
    };
    let successors = if partition.preferred_candidates.is_empty() {
        let key = |id: &i32| ReplicaKey { id: NodeId(*id), directory_id: None };
        partition.preferred_successors.iter().map(key).collect()
    } else {
        let candidates = partition.preferred_candidates.iter();
        let key = |candidate: &end_quorum_epoch_request::ReplicaInfo| {
            ReplicaKey::new(NodeId(candidate.candidate_id), candidate.candidate_directory_id)
        };
        candidates.map(key).collect()
    };
    Ok(EpochRequest {
        cluster_id: cluster_id(request.cluster_id),
        voter: None,
        leader: NodeId(partition.leader_id),
        epoch: partition.leader_epoch,
        endpoints: endpoints!(request.leader_endpoints),
        successors,
    })
}

pub(super) fn fetch(request: FetchRequest<'static>) -> Result<kraft::FetchRequest, QuorumResponse> {
    // Before version 15 the replica's id stood at the top, before 13 the topic had a name instead of an id.
    let replica = request.replica_id.max(request.replica_state.replica_id);
    let topic = only(request.topics)
        .filter(|topic| topic.topic == METADATA_TOPIC || topic.topic_id == Uuid::METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        return Err(QuorumResponse::Fetch(FetchResponse { error_code, ..Default::default() }));
    };
    Ok(kraft::FetchRequest {
        cluster_id: cluster_id(request.cluster_id),
        replica: ReplicaKey::new(NodeId(replica), partition.replica_directory_id),
        leader_epoch: partition.current_leader_epoch,
        offset: Offset(partition.fetch_offset),
        last_fetched_epoch: partition.last_fetched_epoch,
        high_watermark: Offset(partition.high_watermark),
        max_bytes: request.max_bytes,
        max_wait_ms: request.max_wait_ms,
    })
}

pub(super) fn fetch_snapshot(
    request: FetchSnapshotRequest<'static>,
    snapshot_size: impl FnOnce(SnapshotId) -> Option<u64>,
) -> Result<kraft::FetchSnapshotRequest, QuorumResponse> {
    let invalid = |error_code: ErrorCode| {
        let error_code = error_code.code();
        QuorumResponse::FetchSnapshot(FetchSnapshotResponse { error_code, ..Default::default() })
    };
    let topic = only(request.topics).ok_or_else(|| invalid(ErrorCode::InvalidRequest))?;
    let name = topic.name;
    let partition = only(topic.partitions).ok_or_else(|| invalid(ErrorCode::InvalidRequest))?;
    if name != METADATA_TOPIC || partition.partition != 0 {
        let partition = fetch_snapshot_response::PartitionSnapshot {
            index: partition.partition,
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            unaligned_records: Some(Records::from(Vec::new())),
            ..Default::default()
        };
        let topic = fetch_snapshot_response::TopicSnapshot {
            name,
            partitions: vec![partition],
            ..Default::default()
        };
        let response = FetchSnapshotResponse { topics: vec![topic], ..Default::default() };
        return Err(QuorumResponse::FetchSnapshot(response));
    }
    let id = SnapshotId {
        epoch: partition.snapshot_id.epoch,
        offset: Offset(partition.snapshot_id.end_offset),
    };
    Ok(kraft::FetchSnapshotRequest {
        cluster_id: cluster_id(request.cluster_id),
        replica: ReplicaKey::new(NodeId(request.replica_id), partition.replica_directory_id),
        leader_epoch: partition.current_leader_epoch,
        id,
        position: partition.position,
        size: snapshot_size(id),
        max_bytes: request.max_bytes,
    })
}

pub(super) fn add_voter(request: AddRaftVoterRequest<'static>) -> kraft::AddVoterRequest {
    kraft::AddVoterRequest {
        cluster_id: cluster_id(request.cluster_id),
        timeout_ms: request.timeout_ms,
        voter: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
        endpoints: endpoints!(request.listeners),
        ack_when_committed: request.ack_when_committed,
    }
}

pub(super) fn remove_voter(request: RemoveRaftVoterRequest<'static>) -> kraft::RemoveVoterRequest {
    kraft::RemoveVoterRequest {
        cluster_id: cluster_id(request.cluster_id),
        voter: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
    }
}

pub(super) fn update_voter(request: UpdateRaftVoterRequest<'static>) -> kraft::UpdateVoterRequest {
    kraft::UpdateVoterRequest {
        cluster_id: cluster_id(request.cluster_id),
        leader_epoch: request.current_leader_epoch,
        voter: Voter {
            key: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
            endpoints: endpoints!(request.listeners),
            kraft_versions: VersionRange {
                min: request.k_raft_version_feature.min_supported_version,
                max: request.k_raft_version_feature.max_supported_version,
            },
        },
    }
}
