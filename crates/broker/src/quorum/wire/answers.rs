//! Answers of consensus as responses to other nodes.

use std::borrow::Cow;

use base::{NodeId, Uuid};
use kraft::{Endpoint, FetchOutcome, FetchPosition, LeaderAnswer, RaftError, Refusal};
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::begin_quorum_epoch_response::{self, BeginQuorumEpochResponse};
use protocol::messages::end_quorum_epoch_response::{self, EndQuorumEpochResponse};
use protocol::messages::fetch_response::{self, FetchResponse};
use protocol::messages::fetch_snapshot_response::{self, FetchSnapshotResponse};
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use protocol::messages::update_raft_voter_response::{self, UpdateRaftVoterResponse};
use protocol::messages::vote_response::{self, VoteResponse};
use protocol::{ErrorCode, Records};

use super::{Asker, METADATA_TOPIC};

/// First version of Fetch whose answers of the quorum name the leader's endpoint.
const FETCH_WITH_ENDPOINTS: i16 = 17;

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

/// The leader's endpoint on the listener where the request came in, from the version on that has a place for it.
fn leader_endpoint<'a>(
    answer: &'a LeaderAnswer,
    asker: &Asker,
    since: i16,
) -> Option<(i32, &'a Endpoint)> {
    let leader = answer.leader.filter(|_| asker.version >= since)?;
    let of_listener = |endpoint: &&Endpoint| endpoint.name.eq_ignore_ascii_case(&asker.listener);
    Some((leader.get(), answer.endpoints.iter().find(of_listener)?))
}

/// The field NodeEndpoints of a response.
macro_rules! node_endpoints {
    ($answer:expr, $asker:expr, $since:expr, $message:ident) => {
        leader_endpoint($answer, $asker, $since)
            .map(|(node_id, endpoint)| $message::NodeEndpoint {
                node_id,
                host: endpoint.host.clone().into(),
                port: endpoint.port.into(),
                ..Default::default()
            })
            .into_iter()
            .collect()
    };
}

pub(super) fn vote(answer: &kraft::VoteAnswer, asker: &Asker) -> VoteResponse<'static> {
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
    VoteResponse {
        topics: vec![topic],
        node_endpoints: node_endpoints!(&answer.leader, asker, 1, vote_response),
        ..Default::default()
    }
}

pub(super) fn begin_epoch(
    answer: &LeaderAnswer,
    asker: &Asker,
) -> BeginQuorumEpochResponse<'static> {
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
    BeginQuorumEpochResponse {
        topics: vec![topic],
        node_endpoints: node_endpoints!(answer, asker, 1, begin_quorum_epoch_response),
        ..Default::default()
    }
}

pub(super) fn end_epoch(answer: &LeaderAnswer, asker: &Asker) -> EndQuorumEpochResponse<'static> {
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
    EndQuorumEpochResponse {
        topics: vec![topic],
        node_endpoints: node_endpoints!(answer, asker, 1, end_quorum_epoch_response),
        ..Default::default()
    }
}

/// `records`: what the driver read for [`FetchOutcome::Read`].
pub(super) fn fetch(
    answer: &kraft::FetchAnswer,
    records: Vec<u8>,
    asker: &Asker,
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
    FetchResponse {
        responses: vec![topic],
        node_endpoints: node_endpoints!(
            &answer.leader,
            asker,
            FETCH_WITH_ENDPOINTS,
            fetch_response
        ),
        ..Default::default()
    }
}

pub(super) fn fetch_snapshot(
    answer: &kraft::FetchSnapshotAnswer,
    bytes: Vec<u8>,
    asker: &Asker,
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
    FetchSnapshotResponse {
        topics: vec![topic],
        node_endpoints: node_endpoints!(&answer.leader, asker, 1, fetch_snapshot_response),
        ..Default::default()
    }
}

fn refusal(result: Result<(), Refusal>) -> (i16, Option<Cow<'static, str>>) {
    match result {
        Ok(()) => (0, None),
        Err(refusal) => {
            let code = ErrorCode::from(refusal.error);
            let message = refusal.message.unwrap_or_else(|| code.message().to_owned());
            (code.code(), Some(message.into()))
        }
    }
}

pub(super) fn add_voter(result: Result<(), Refusal>) -> AddRaftVoterResponse<'static> {
    let (error_code, error_message) = refusal(result);
    AddRaftVoterResponse { error_code, error_message, ..Default::default() }
}

pub(super) fn remove_voter(result: Result<(), Refusal>) -> RemoveRaftVoterResponse<'static> {
    let (error_code, error_message) = refusal(result);
    RemoveRaftVoterResponse { error_code, error_message, ..Default::default() }
}

pub(super) fn update_voter(
    answer: &LeaderAnswer,
    asker: &Asker,
) -> UpdateRaftVoterResponse<'static> {
    let error_code = answer.error.map_or(0, |error| ErrorCode::from(error).code());
    let mut current_leader = update_raft_voter_response::CurrentLeader {
        leader_id: leader_id(answer),
        leader_epoch: answer.epoch,
        ..Default::default()
    };
    if let Some((_, endpoint)) = leader_endpoint(answer, asker, 0) {
        current_leader.host = endpoint.host.clone().into();
        current_leader.port = endpoint.port.into();
    }
    UpdateRaftVoterResponse { error_code, current_leader, ..Default::default() }
}
