//! Answers of other nodes, checked: nothing that is not about the metadata partition gets to consensus.

use std::sync::atomic::Ordering;

use base::{NodeId, Offset, Uuid};
use kraft::{
    Answer, DataId, Endpoint, Fetched, FetchedOutcome, FetchedRecords, FetchedSnapshot,
    LeaderAnswer, RaftError, SendFailure, SnapshotId, VersionRange, VoteAnswer,
};
use protocol::ErrorCode;
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;
use protocol::messages::vote_response::VoteResponse;

use super::METADATA_TOPIC;
use super::incoming::only;
use super::outgoing::Expected;
use crate::quorum::fetched;

/// Fetch names the topic by its id from this version on.
const FETCH_WITH_TOPIC_ID: i16 = 13;
const KRAFT_VERSION: &str = "kraft.version";

/// An answer with the bytes that it brought.
#[derive(Debug)]
pub struct Heard {
    pub answer: Answer,
    /// What the answer's [`DataId`] stands for.
    pub data: Vec<u8>,
}

impl From<Answer> for Heard {
    fn from(answer: Answer) -> Self {
        Self { answer, data: Vec::new() }
    }
}

fn error(code: i16) -> Option<RaftError> {
    RaftError::from_code(ErrorCode::from_code(code))
}

/// An error of the whole answer, which says nothing of leaders and epochs.
fn failed(code: i16) -> Option<LeaderAnswer> {
    let error = error(code)?;
    Some(LeaderAnswer { error: Some(error), leader: None, epoch: 0, endpoints: Vec::new() })
}

fn leader(code: i16, id: i32, epoch: i32, endpoint: Option<Endpoint>) -> LeaderAnswer {
    let leader = (id >= 0).then_some(NodeId(id));
    LeaderAnswer { error: error(code), leader, epoch, endpoints: endpoint.into_iter().collect() }
}

/// The leader's row in the field NodeEndpoints.
macro_rules! endpoint_of {
    ($response:expr, $leader:expr, $listener:expr) => {
        $response
            .node_endpoints
            .iter()
            .find(|node| node.node_id == $leader && $leader >= 0)
            .and_then(|node| {
                Some(Endpoint {
                    name: $listener.to_owned(),
                    host: node.host.to_string(),
                    port: u16::try_from(i64::from(node.port)).ok()?,
                })
            })
    };
}

/// The answer's only partition when it is that of the metadata log.
macro_rules! metadata_partition {
    ($topics:expr, $name:ident) => {
        only($topics)
            .filter(|topic| topic.$name == METADATA_TOPIC)
            .and_then(|topic| only(topic.partitions))
            .filter(|partition| partition.partition_index == 0)
            .ok_or(SendFailure::Unreadable)?
    };
}

pub(super) fn vote(response: VoteResponse<'_>, listener: &str) -> Result<Heard, SendFailure> {
    if let Some(leader) = failed(response.error_code) {
        return Ok(Answer::Vote(VoteAnswer { leader, granted: false }).into());
    }
    let partition = metadata_partition!(response.topics, topic_name);
    let endpoint = endpoint_of!(response, partition.leader_id, listener);
    let (code, id, epoch) = (partition.error_code, partition.leader_id, partition.leader_epoch);
    let leader = leader(code, id, epoch, endpoint);
    Ok(Answer::Vote(VoteAnswer { leader, granted: partition.vote_granted }).into())
}

pub(super) fn begin_epoch(
    response: BeginQuorumEpochResponse<'_>,
    listener: &str,
) -> Result<Heard, SendFailure> {
    if let Some(leader) = failed(response.error_code) {
        return Ok(Answer::BeginQuorumEpoch(leader).into());
    }
    let partition = metadata_partition!(response.topics, topic_name);
    let endpoint = endpoint_of!(response, partition.leader_id, listener);
    let (code, id, epoch) = (partition.error_code, partition.leader_id, partition.leader_epoch);
    Ok(Answer::BeginQuorumEpoch(leader(code, id, epoch, endpoint)).into())
}

pub(super) fn end_epoch(
    response: EndQuorumEpochResponse<'_>,
    listener: &str,
) -> Result<Heard, SendFailure> {
    if let Some(leader) = failed(response.error_code) {
        return Ok(Answer::EndQuorumEpoch(leader).into());
    }
    let partition = metadata_partition!(response.topics, topic_name);
    let endpoint = endpoint_of!(response, partition.leader_id, listener);
    let (code, id, epoch) = (partition.error_code, partition.leader_id, partition.leader_epoch);
    Ok(Answer::EndQuorumEpoch(leader(code, id, epoch, endpoint)).into())
}

/// Batches are checked here, not on the quorum's thread.
pub(super) fn fetch(
    response: FetchResponse<'_>,
    version: i16,
    expected: &Expected<'_>,
) -> Result<Heard, SendFailure> {
    let Expected { listener, data, refused } = *expected;
    let nothing = FetchedOutcome::Records(FetchedRecords { data, batches: Vec::new() });
    let unknown = (Offset::NONE, Offset::NONE);
    if let Some(leader) = failed(response.error_code) {
        let (high_watermark, log_start) = unknown;
        let fetched = Fetched { leader, high_watermark, log_start, outcome: nothing };
        return Ok(Answer::Fetch(fetched).into());
    }
    let topic = only(response.responses).filter(|topic| {
        if version < FETCH_WITH_TOPIC_ID {
            topic.topic == METADATA_TOPIC
        } else {
            topic.topic_id == Uuid::METADATA_TOPIC
        }
    });
    let partition = topic
        .and_then(|topic| only(topic.partitions))
        .filter(|partition| partition.partition_index == 0)
        .ok_or(SendFailure::Unreadable)?;
    let current = &partition.current_leader;
    let endpoint = endpoint_of!(response, current.leader_id, listener);
    let leader = leader(partition.error_code, current.leader_id, current.leader_epoch, endpoint);
    let (diverging, snapshot) = (&partition.diverging_epoch, &partition.snapshot_id);
    let mut bytes = Vec::new();
    let outcome = if leader.error.is_some() {
        nothing
    } else if diverging.epoch >= 0 {
        if diverging.end_offset < 0 {
            return Err(SendFailure::Unreadable);
        }
        FetchedOutcome::Diverging { epoch: diverging.epoch, end: Offset(diverging.end_offset) }
    } else if snapshot.epoch >= 0 || snapshot.end_offset >= 0 {
        if snapshot.epoch < 0 || snapshot.end_offset < 0 {
            return Err(SendFailure::Unreadable);
        }
        let (epoch, offset) = (snapshot.epoch, Offset(snapshot.end_offset));
        FetchedOutcome::Snapshot(SnapshotId { epoch, offset })
    } else {
        bytes = partition
            .records
            .and_then(|records| records.bytes().map(<[u8]>::to_vec))
            .unwrap_or_default();
        let checked = fetched::check(&bytes);
        if !refused.swap(checked.is_err(), Ordering::Relaxed)
            && let Err(error) = &checked
        {
            tracing::warn!(%error, "records of the metadata quorum's leader are refused and fetched again");
        }
        let batches = checked.map_err(|_| SendFailure::Unreadable)?;
        FetchedOutcome::Records(FetchedRecords { data, batches })
    };
    let answer = Answer::Fetch(Fetched {
        leader,
        high_watermark: Offset(partition.high_watermark.max(-1)),
        log_start: Offset(partition.log_start_offset.max(-1)),
        outcome,
    });
    Ok(Heard { answer, data: bytes })
}

pub(super) fn fetch_snapshot(
    response: FetchSnapshotResponse<'_>,
    listener: &str,
    data: DataId,
) -> Result<Heard, SendFailure> {
    let nothing = |leader| {
        let id = SnapshotId::BOOTSTRAP;
        Answer::FetchSnapshot(FetchedSnapshot { leader, id, size: 0, position: 0, data, len: 0 })
    };
    if let Some(leader) = failed(response.error_code) {
        return Ok(nothing(leader).into());
    }
    let partition = only(response.topics)
        .filter(|topic| topic.name == METADATA_TOPIC)
        .and_then(|topic| only(topic.partitions))
        .filter(|partition| partition.index == 0)
        .ok_or(SendFailure::Unreadable)?;
    let current = &partition.current_leader;
    let endpoint = endpoint_of!(response, current.leader_id, listener);
    let leader = leader(partition.error_code, current.leader_id, current.leader_epoch, endpoint);
    if leader.error.is_some() {
        return Ok(nothing(leader).into());
    }
    let natural = |number: i64| u64::try_from(number).map_err(|_| SendFailure::Unreadable);
    let (size, position) = (natural(partition.size)?, natural(partition.position)?);
    let id = &partition.snapshot_id;
    if id.epoch < 0 || id.end_offset < 0 {
        return Err(SendFailure::Unreadable);
    }
    let id = SnapshotId { epoch: id.epoch, offset: Offset(id.end_offset) };
    let bytes = partition
        .unaligned_records
        .and_then(|records| records.bytes().map(<[u8]>::to_vec))
        .unwrap_or_default();
    let len = bytes.len() as u64;
    let answer = Answer::FetchSnapshot(FetchedSnapshot { leader, id, size, position, data, len });
    Ok(Heard { answer, data: bytes })
}

pub(super) fn add_voter(response: AddRaftVoterResponse<'_>) -> Heard {
    Answer::AddVoter(error(response.error_code)).into()
}

pub(super) fn remove_voter(response: RemoveRaftVoterResponse<'_>) -> Heard {
    Answer::RemoveVoter(error(response.error_code)).into()
}

pub(super) fn update_voter(response: &UpdateRaftVoterResponse<'_>, listener: &str) -> Heard {
    let current = &response.current_leader;
    let endpoint = u16::try_from(current.port).ok().filter(|port| *port > 0).map(|port| Endpoint {
        name: listener.to_owned(),
        host: current.host.to_string(),
        port,
    });
    let (id, epoch) = (current.leader_id, current.leader_epoch);
    Answer::UpdateVoter(leader(response.error_code, id, epoch, endpoint)).into()
}

pub(super) fn api_versions(response: &ApiVersionsResponse<'_>) -> Heard {
    let answer = match error(response.error_code) {
        Some(error) => Err(error),
        None => {
            let mut features = response.supported_features.iter();
            let feature = features.find(|feature| feature.name == KRAFT_VERSION);
            Ok(feature.map(|f| VersionRange { min: f.min_version, max: f.max_version }))
        }
    };
    Answer::ApiVersions(answer).into()
}
