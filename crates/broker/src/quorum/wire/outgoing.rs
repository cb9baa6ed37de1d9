//! Requests of consensus to other nodes, in the version that the other side speaks.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base::Uuid;
use kraft::{DataId, Endpoint, EpochRequest, ReplicaKey, Request, SendFailure};
use protocol::messages::add_raft_voter_request::{self, AddRaftVoterRequest};
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::begin_quorum_epoch_request::{self, BeginQuorumEpochRequest};
use protocol::messages::end_quorum_epoch_request::{self, EndQuorumEpochRequest};
use protocol::messages::fetch_request::{self, FetchRequest};
use protocol::messages::fetch_snapshot_request::{self, FetchSnapshotRequest};
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::update_raft_voter_request::{self, UpdateRaftVoterRequest};
use protocol::messages::vote_request::{self, VoteRequest};

use super::METADATA_TOPIC;
use super::heard::{self, Heard};
use crate::peers::{Address, Channel, PeerError, Peers};

/// First version of Fetch that has the replica's id in its own structure.
const FETCH_WITH_REPLICA_STATE: i16 = 15;

/// What the asker has to say about the answer.
pub(in crate::quorum) struct Expected<'a> {
    /// The name under which the leader's endpoint is noted.
    pub(in crate::quorum) listener: &'a str,
    /// The name of what the answer brings.
    pub(in crate::quorum) data: DataId,
    /// The leader's records are no good, and this was said: it is asked for them many times in a second.
    pub(in crate::quorum) refused: &'a AtomicBool,
}

/// Sends a request and checks the answer.
pub(in crate::quorum) async fn ask(
    peers: &Peers,
    to: &Address,
    within: Duration,
    request: Request,
    expected: Expected<'_>,
) -> Result<Heard, SendFailure> {
    let Expected { listener, data, .. } = expected;
    macro_rules! exchange {
        ($build:expr) => {
            peers
                .send(to, Channel::Quorum, within, |version| Ok($build(version)))
                .await
                .map_err(|error| failure(to, &error))?
        };
    }
    macro_rules! decoded {
        ($answered:expr) => {
            $answered.decode().map_err(|error| failure(to, &error))?
        };
    }
    match request {
        Request::Vote(request) => {
            let answered = exchange!(|_| vote(request));
            heard::vote(decoded!(answered), listener)
        }
        Request::BeginQuorumEpoch(request) => {
            let answered = exchange!(|_| begin_epoch(request));
            heard::begin_epoch(decoded!(answered), listener)
        }
        Request::EndQuorumEpoch(request) => {
            let answered = exchange!(|_| end_epoch(request));
            heard::end_epoch(decoded!(answered), listener)
        }
        Request::Fetch(request) => {
            let answered = exchange!(|version| fetch(request, version));
            heard::fetch(decoded!(answered), answered.version, &expected)
        }
        Request::FetchSnapshot(request) => {
            let answered = exchange!(|_| fetch_snapshot(request));
            heard::fetch_snapshot(decoded!(answered), listener, data)
        }
        Request::AddVoter(request) => {
            let answered = exchange!(|_| add_voter(request));
            Ok(heard::add_voter(decoded!(answered)))
        }
        Request::RemoveVoter(request) => {
            let answered = exchange!(|_| remove_voter(request));
            Ok(heard::remove_voter(decoded!(answered)))
        }
        Request::UpdateVoter(request) => {
            let answered = exchange!(|_| update_voter(request));
            Ok(heard::update_voter(&decoded!(answered), listener))
        }
        Request::ApiVersions => {
            let answered = exchange!(|_| api_versions());
            Ok(heard::api_versions(&decoded!(answered)))
        }
    }
}

fn failure(to: &Address, error: &PeerError) -> SendFailure {
    tracing::debug!(%to, %error, "a request of the quorum was not answered");
    match error {
        PeerError::TimedOut { .. } => SendFailure::TimedOut,
        PeerError::Unreadable { .. } => SendFailure::Unreadable,
        PeerError::UnsupportedVersion { .. }
        | PeerError::Unwritable { .. }
        | PeerError::Unsayable(_) => SendFailure::UnsupportedVersion,
        PeerError::Unreachable { .. } | PeerError::Lost { .. } | PeerError::Handshake { .. } => {
            SendFailure::Unreachable
        }
    }
}

fn directory(key: &ReplicaKey) -> Uuid {
    key.directory_id.unwrap_or_default()
}

fn owned(id: Option<String>) -> Option<Cow<'static, str>> {
    id.map(Cow::Owned)
}

/// Endpoints as the structures of a message.
macro_rules! listed {
    ($endpoints:expr, $structure:ty) => {{
        let listed = $endpoints.into_iter().map(|endpoint: Endpoint| {
            let mut row = <$structure>::default();
            row.name = endpoint.name.into();
            row.host = endpoint.host.into();
            row.port = endpoint.port;
            row
        });
        listed.collect()
    }};
}

fn vote(request: kraft::VoteRequest) -> VoteRequest<'static> {
    let (voter_id, voter_directory_id) = match request.voter {
        Some((id, directory)) => (id.get(), directory),
        None => (-1, Uuid::ZERO),
    };
    let partition = vote_request::PartitionData {
        replica_epoch: request.epoch,
        replica_id: request.candidate.id.get(),
        replica_directory_id: directory(&request.candidate),
        voter_directory_id,
        last_offset_epoch: request.last_epoch,
        last_offset: request.last_offset.get(),
        pre_vote: request.pre_vote,
        ..Default::default()
    };
    let topic = vote_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    VoteRequest {
        cluster_id: owned(request.cluster_id),
        voter_id,
        topics: vec![topic],
        ..Default::default()
    }
}

fn begin_epoch(request: EpochRequest) -> BeginQuorumEpochRequest<'static> {
    let (voter_id, voter_directory_id) = match request.voter {
        Some((id, directory)) => (id.get(), directory),
        None => (-1, Uuid::ZERO),
    };
    let partition = begin_quorum_epoch_request::PartitionData {
        voter_directory_id,
        leader_id: request.leader.get(),
        leader_epoch: request.epoch,
        ..Default::default()
    };
    let topic = begin_quorum_epoch_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    BeginQuorumEpochRequest {
        cluster_id: owned(request.cluster_id),
        voter_id,
        topics: vec![topic],
        leader_endpoints: listed!(
            request.endpoints,
            begin_quorum_epoch_request::LeaderEndpoint<'static>
        ),
        ..Default::default()
    }
}

fn end_epoch(request: EpochRequest) -> EndQuorumEpochRequest<'static> {
    let candidate = |key: &ReplicaKey| end_quorum_epoch_request::ReplicaInfo {
        candidate_id: key.id.get(),
        candidate_directory_id: directory(key),
        ..Default::default()
    };
    let partition = end_quorum_epoch_request::PartitionData {
        leader_id: request.leader.get(),
        leader_epoch: request.epoch,
        preferred_successors: request.successors.iter().map(|key| key.id.get()).collect(),
        preferred_candidates: request.successors.iter().map(candidate).collect(),
        ..Default::default()
    };
    let topic = end_quorum_epoch_request::TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    EndQuorumEpochRequest {
        cluster_id: owned(request.cluster_id),
        topics: vec![topic],
        leader_endpoints: listed!(
            request.endpoints,
            end_quorum_epoch_request::LeaderEndpoint<'static>
        ),
        ..Default::default()
    }
}

fn fetch(request: kraft::FetchRequest, version: i16) -> FetchRequest<'static> {
    let partition = fetch_request::FetchPartition {
        current_leader_epoch: request.leader_epoch,
        fetch_offset: request.offset.get(),
        last_fetched_epoch: request.last_fetched_epoch,
        replica_directory_id: directory(&request.replica),
        high_watermark: request.high_watermark.get(),
        ..Default::default()
    };
    let topic = fetch_request::FetchTopic {
        topic: METADATA_TOPIC.into(),
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![partition],
        ..Default::default()
    };
    let mut wire = FetchRequest {
        cluster_id: owned(request.cluster_id),
        max_wait_ms: request.max_wait_ms,
        max_bytes: request.max_bytes,
        topics: vec![topic],
        ..Default::default()
    };
    if version < FETCH_WITH_REPLICA_STATE {
        wire.replica_id = request.replica.id.get();
    } else {
        wire.replica_state.replica_id = request.replica.id.get();
    }
    wire
}

fn fetch_snapshot(request: kraft::FetchSnapshotRequest) -> FetchSnapshotRequest<'static> {
    let partition = fetch_snapshot_request::PartitionSnapshot {
        current_leader_epoch: request.leader_epoch,
        snapshot_id: fetch_snapshot_request::SnapshotId {
            end_offset: request.id.offset.get(),
            epoch: request.id.epoch,
            ..Default::default()
        },
        position: request.position,
        replica_directory_id: directory(&request.replica),
        ..Default::default()
    };
    let topic = fetch_snapshot_request::TopicSnapshot {
        name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchSnapshotRequest {
        cluster_id: owned(request.cluster_id),
        replica_id: request.replica.id.get(),
        max_bytes: request.max_bytes,
        topics: vec![topic],
        ..Default::default()
    }
}

fn add_voter(request: kraft::AddVoterRequest) -> AddRaftVoterRequest<'static> {
    AddRaftVoterRequest {
        cluster_id: owned(request.cluster_id),
        timeout_ms: request.timeout_ms,
        voter_id: request.voter.id.get(),
        voter_directory_id: directory(&request.voter),
        listeners: listed!(request.endpoints, add_raft_voter_request::Listener<'static>),
        ack_when_committed: request.ack_when_committed,
        ..Default::default()
    }
}

fn remove_voter(request: kraft::RemoveVoterRequest) -> RemoveRaftVoterRequest<'static> {
    RemoveRaftVoterRequest {
        cluster_id: owned(request.cluster_id),
        voter_id: request.voter.id.get(),
        voter_directory_id: directory(&request.voter),
        ..Default::default()
    }
}

fn update_voter(request: kraft::UpdateVoterRequest) -> UpdateRaftVoterRequest<'static> {
    UpdateRaftVoterRequest {
        cluster_id: owned(request.cluster_id),
        current_leader_epoch: request.leader_epoch,
        voter_id: request.voter.key.id.get(),
        voter_directory_id: directory(&request.voter.key),
        listeners: listed!(request.voter.endpoints, update_raft_voter_request::Listener<'static>),
        k_raft_version_feature: update_raft_voter_request::KRaftVersionFeature {
            min_supported_version: request.voter.kraft_versions.min,
            max_supported_version: request.voter.kraft_versions.max,
            ..Default::default()
        },
        ..Default::default()
    }
}

fn api_versions() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: "monedula".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    }
}
