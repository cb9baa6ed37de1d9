//! Between the quorum's requests and answers on the wire and those of consensus.

use std::borrow::Cow;

use base::machine::ReplyId;
use base::{DirectoryId, NodeId, Offset, Uuid};
use kraft::{
    Endpoint, EpochRequest, Event, FetchOutcome, FetchPosition, LeaderAnswer, RaftError,
    ReplicaKey, ReplicaProgress, SnapshotId,
};
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::{self, BeginQuorumEpochResponse};
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::{self, DescribeQuorumResponse};
use protocol::messages::end_quorum_epoch_request::{self, EndQuorumEpochRequest};
use protocol::messages::end_quorum_epoch_response::{self, EndQuorumEpochResponse};
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::{self, FetchResponse};
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::{self, FetchSnapshotResponse};
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::{self, VoteResponse};
use protocol::{ErrorCode, Records};

/// Name of the metadata log's only topic; its only partition is 0.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// A request about the quorum, in the version it came in.
#[derive(Debug)]
pub enum QuorumRequest {
    Vote(VoteRequest<'static>),
    BeginQuorumEpoch(BeginQuorumEpochRequest<'static>),
    EndQuorumEpoch(EndQuorumEpochRequest<'static>),
    Fetch(FetchRequest<'static>),
    FetchSnapshot(FetchSnapshotRequest<'static>),
    DescribeQuorum(DescribeQuorumRequest<'static>, i16),
}

#[derive(Debug)]
pub enum QuorumResponse {
    Vote(VoteResponse<'static>),
    BeginQuorumEpoch(BeginQuorumEpochResponse<'static>),
    EndQuorumEpoch(EndQuorumEpochResponse<'static>),
    Fetch(FetchResponse<'static>),
    FetchSnapshot(FetchSnapshotResponse<'static>),
    DescribeQuorum(DescribeQuorumResponse<'static>),
}

/// What must be remembered of a request until its answer.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Vote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
    DescribeQuorum { version: i16 },
}

impl QuorumRequest {
    /// The event for consensus, or the answer at once when the request is not about the metadata partition.
    /// `snapshot_size` looks up the size of a snapshot's file.
    pub(super) fn into_event(
        self,
        reply: ReplyId,
        snapshot_size: impl FnOnce(SnapshotId) -> Option<u64>,
    ) -> Result<(Event, Asked), QuorumResponse> {
        match self {
            Self::Vote(request) => {
                vote(request).map(|request| (Event::Vote { reply, request }, Asked::Vote))
            }
            Self::BeginQuorumEpoch(request) => begin_epoch(request).map(|request| {
                (Event::BeginQuorumEpoch { reply, request }, Asked::BeginQuorumEpoch)
            }),
            Self::EndQuorumEpoch(request) => end_epoch(request)
                .map(|request| (Event::EndQuorumEpoch { reply, request }, Asked::EndQuorumEpoch)),
            Self::Fetch(request) => {
                fetch(request).map(|request| (Event::Fetch { reply, request }, Asked::Fetch))
            }
            Self::FetchSnapshot(request) => fetch_snapshot(request, snapshot_size)
                .map(|request| (Event::FetchSnapshot { reply, request }, Asked::FetchSnapshot)),
            Self::DescribeQuorum(request, version) => {
                let ours = matches!(&request.topics[..], [topic]
                    if topic.topic_name == METADATA_TOPIC && topic.partitions.len() == 1
                        && topic.partitions[0].partition_index == 0);
                if ours {
                    Ok((Event::DescribeQuorum { reply }, Asked::DescribeQuorum { version }))
                } else {
                    Err(QuorumResponse::DescribeQuorum(unknown_partitions(request, version)))
                }
            }
        }
    }
}

fn cluster_id(id: Option<Cow<'static, str>>) -> Option<String> {
    id.map(Cow::into_owned)
}

fn asked_voter(id: i32, directory: DirectoryId) -> Option<(NodeId, DirectoryId)> {
    (id >= 0).then_some((NodeId(id), directory))
}

fn only<T>(mut list: Vec<T>) -> Option<T> {
    if list.len() == 1 { list.pop() } else { None }
}

fn vote(request: VoteRequest<'static>) -> Result<kraft::VoteRequest, QuorumResponse> {
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

fn begin_epoch(request: BeginQuorumEpochRequest<'static>) -> Result<EpochRequest, QuorumResponse> {
    let topic = only(request.topics).filter(|topic| topic.topic_name == METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition_index == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        let response = BeginQuorumEpochResponse { error_code, ..Default::default() };
        return Err(QuorumResponse::BeginQuorumEpoch(response));
    };
    let endpoints = request.leader_endpoints.into_iter().map(|endpoint| Endpoint {
        name: endpoint.name.into_owned(),
        host: endpoint.host.into_owned(),
        port: endpoint.port,
    });
    Ok(EpochRequest {
        cluster_id: cluster_id(request.cluster_id),
        voter: asked_voter(request.voter_id, partition.voter_directory_id),
        leader: NodeId(partition.leader_id),
        epoch: partition.leader_epoch,
        endpoints: endpoints.collect(),
        successors: Vec::new(),
    })
}

fn end_epoch(request: EndQuorumEpochRequest<'static>) -> Result<EpochRequest, QuorumResponse> {
    let topic = only(request.topics).filter(|topic| topic.topic_name == METADATA_TOPIC);
    let partition = topic.and_then(|topic| only(topic.partitions));
    let Some(partition) = partition.filter(|partition| partition.partition_index == 0) else {
        let error_code = ErrorCode::InvalidRequest.code();
        let response = EndQuorumEpochResponse { error_code, ..Default::default() };
        return Err(QuorumResponse::EndQuorumEpoch(response));
    };
    let endpoints = request.leader_endpoints.into_iter().map(|endpoint| Endpoint {
        name: endpoint.name.into_owned(),
        host: endpoint.host.into_owned(),
        port: endpoint.port,
    });
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
        endpoints: endpoints.collect(),
        successors,
    })
}

fn fetch(request: FetchRequest<'static>) -> Result<kraft::FetchRequest, QuorumResponse> {
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

fn fetch_snapshot(
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

/// Codes of the whole response and of its partition: only a wrong cluster id concerns the whole.
fn codes(answer: &LeaderAnswer) -> (i16, i16) {
    match answer.error {
        None => (0, 0),
        Some(RaftError::InconsistentClusterId) => (ErrorCode::InconsistentClusterId.code(), 0),
        Some(error) => (0, ErrorCode::from(error).code()),
    }
}

fn leader_id(answer: &LeaderAnswer) -> i32 {
    answer.leader.unwrap_or(NodeId::NONE).get()
}

pub(super) fn vote_response(answer: &kraft::VoteAnswer) -> VoteResponse<'static> {
    let (error_code, partition_error) = codes(&answer.leader);
    if error_code != 0 {
        return VoteResponse { error_code, ..Default::default() };
    }
    let partition = vote_response::PartitionData {
        error_code: partition_error,
        leader_id: leader_id(&answer.leader),
        leader_epoch: answer.leader.epoch,
        vote_granted: answer.granted,
        ..Default::default()
    };
    let topic = vote_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    VoteResponse { topics: vec![topic], ..Default::default() }
}

pub(super) fn begin_response(answer: &LeaderAnswer) -> BeginQuorumEpochResponse<'static> {
    let (error_code, partition_error) = codes(answer);
    if error_code != 0 {
        return BeginQuorumEpochResponse { error_code, ..Default::default() };
    }
    let partition = begin_quorum_epoch_response::PartitionData {
        error_code: partition_error,
        leader_id: leader_id(answer),
        leader_epoch: answer.epoch,
        ..Default::default()
    };
    let topic = begin_quorum_epoch_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    BeginQuorumEpochResponse { topics: vec![topic], ..Default::default() }
}

pub(super) fn end_response(answer: &LeaderAnswer) -> EndQuorumEpochResponse<'static> {
    let (error_code, partition_error) = codes(answer);
    if error_code != 0 {
        return EndQuorumEpochResponse { error_code, ..Default::default() };
    }
    let partition = end_quorum_epoch_response::PartitionData {
        error_code: partition_error,
        leader_id: leader_id(answer),
        leader_epoch: answer.epoch,
        ..Default::default()
    };
    let topic = end_quorum_epoch_response::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    EndQuorumEpochResponse { topics: vec![topic], ..Default::default() }
}

/// `records`: what the driver read for [`FetchOutcome::Read`].
pub(super) fn fetch_response(
    answer: &kraft::FetchAnswer,
    records: Vec<u8>,
) -> FetchResponse<'static> {
    let (error_code, partition_error) = codes(&answer.leader);
    if error_code != 0 {
        return FetchResponse { error_code, ..Default::default() };
    }
    let mut partition = fetch_response::PartitionData {
        error_code: partition_error,
        high_watermark: answer.high_watermark.get(),
        log_start_offset: answer.log_start.get(),
        current_leader: fetch_response::LeaderIdAndEpoch {
            leader_id: leader_id(&answer.leader),
            leader_epoch: answer.leader.epoch,
            ..Default::default()
        },
        records: Some(Records::from(records)),
        ..Default::default()
    };
    match answer.outcome {
        FetchOutcome::Redirect(FetchPosition::Diverging { epoch, end }) => {
            partition.diverging_epoch.epoch = epoch;
            partition.diverging_epoch.end_offset = end.get();
        }
        FetchOutcome::Redirect(FetchPosition::Snapshot(id)) => {
            partition.snapshot_id.epoch = id.epoch;
            partition.snapshot_id.end_offset = id.offset.get();
        }
        FetchOutcome::Redirect(FetchPosition::Valid)
        | FetchOutcome::Read { .. }
        | FetchOutcome::Nothing => {}
    }
    let topic = fetch_response::FetchableTopicResponse {
        topic: METADATA_TOPIC.into(),
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![partition],
        ..Default::default()
    };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

pub(super) fn snapshot_response(
    answer: &kraft::FetchSnapshotAnswer,
    bytes: Vec<u8>,
) -> FetchSnapshotResponse<'static> {
    let (error_code, partition_error) = codes(&answer.leader);
    if error_code != 0 {
        return FetchSnapshotResponse { error_code, ..Default::default() };
    }
    let mut partition = fetch_snapshot_response::PartitionSnapshot {
        error_code: partition_error,
        current_leader: fetch_snapshot_response::LeaderIdAndEpoch {
            leader_id: leader_id(&answer.leader),
            leader_epoch: answer.leader.epoch,
            ..Default::default()
        },
        unaligned_records: Some(Records::from(bytes)),
        ..Default::default()
    };
    if let Some((position, _, size)) = answer.slice {
        partition.snapshot_id.epoch = answer.id.epoch;
        partition.snapshot_id.end_offset = answer.id.offset.get();
        partition.position = i64::try_from(position).unwrap_or(i64::MAX);
        partition.size = i64::try_from(size).unwrap_or(i64::MAX);
    }
    let topic = fetch_snapshot_response::TopicSnapshot {
        name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchSnapshotResponse { topics: vec![topic], ..Default::default() }
}

fn unknown_partitions(
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
                ..describe_error(error, version)
            })
            .collect(),
        ..Default::default()
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}

fn describe_error(
    error: ErrorCode,
    version: i16,
) -> describe_quorum_response::PartitionData<'static> {
    describe_quorum_response::PartitionData {
        error_code: error.code(),
        error_message: (version >= 2).then(|| error.message().into()),
        ..Default::default()
    }
}

pub(super) fn describe_response(
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
        Err(error) => describe_error(error.into(), version),
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
