//! Between the quorum's requests and answers on the wire and those of consensus.

mod answers;
mod describe;
mod heard;
mod incoming;
mod outgoing;

use std::sync::Arc;

use base::machine::ReplyId;
use kraft::{Endpoint, Event, FetchOutcome, FetchSnapshotAnswer, Reply, SnapshotId};
use protocol::messages::add_raft_voter_request::AddRaftVoterRequest;
use protocol::messages::add_raft_voter_response::AddRaftVoterResponse;
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::begin_quorum_epoch_response::BeginQuorumEpochResponse;
use protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use protocol::messages::describe_quorum_response::DescribeQuorumResponse;
use protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use protocol::messages::end_quorum_epoch_response::EndQuorumEpochResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;
use protocol::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use protocol::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::update_raft_voter_response::UpdateRaftVoterResponse;
use protocol::messages::vote_request::VoteRequest;
use protocol::messages::vote_response::VoteResponse;

pub use heard::Heard;
pub(super) use outgoing::{Expected, ask};

/// Name of the metadata log's only topic; its only partition is 0.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// A request about the quorum.
#[derive(Debug)]
pub enum QuorumRequest {
    Vote(VoteRequest<'static>),
    BeginQuorumEpoch(BeginQuorumEpochRequest<'static>),
    EndQuorumEpoch(EndQuorumEpochRequest<'static>),
    Fetch(FetchRequest<'static>),
    FetchSnapshot(FetchSnapshotRequest<'static>),
    DescribeQuorum(DescribeQuorumRequest<'static>),
    AddRaftVoter(AddRaftVoterRequest<'static>),
    RemoveRaftVoter(RemoveRaftVoterRequest<'static>),
    UpdateRaftVoter(UpdateRaftVoterRequest<'static>),
}

#[derive(Debug)]
pub enum QuorumResponse {
    Vote(VoteResponse<'static>),
    BeginQuorumEpoch(BeginQuorumEpochResponse<'static>),
    EndQuorumEpoch(EndQuorumEpochResponse<'static>),
    Fetch(FetchResponse<'static>),
    FetchSnapshot(FetchSnapshotResponse<'static>),
    DescribeQuorum(DescribeQuorumResponse<'static>),
    AddRaftVoter(AddRaftVoterResponse<'static>),
    RemoveRaftVoter(RemoveRaftVoterResponse<'static>),
    UpdateRaftVoter(UpdateRaftVoterResponse<'static>),
}

/// How a request came in: what its answer may and must say follows from it.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The request's version.
    pub version: i16,
    /// Name of the listener.
    pub listener: Arc<str>,
}

/// What reading the log adds to an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Nothing,
    Records { offset: base::Offset, max_bytes: i32 },
    Snapshot { id: SnapshotId, position: u64, len: u64 },
}

impl QuorumRequest {
    /// The event for consensus, or the answer at once when the request is not about the metadata partition.
    /// `snapshot_size` looks up the size of a snapshot's file.
    pub(super) fn into_event(
        self,
        reply: ReplyId,
        asker: &Asker,
        snapshot_size: impl FnOnce(SnapshotId) -> Option<u64>,
    ) -> Result<Event, QuorumResponse> {
        Ok(match self {
            Self::Vote(request) => Event::Vote { reply, request: incoming::vote(request)? },
            Self::BeginQuorumEpoch(request) => {
                Event::BeginQuorumEpoch { reply, request: incoming::begin_epoch(request)? }
            }
            Self::EndQuorumEpoch(request) => {
                Event::EndQuorumEpoch { reply, request: incoming::end_epoch(request)? }
            }
            Self::Fetch(request) => Event::Fetch { reply, request: incoming::fetch(request)? },
            Self::FetchSnapshot(request) => {
                let request = incoming::fetch_snapshot(request, snapshot_size)?;
                Event::FetchSnapshot { reply, request }
            }
            Self::DescribeQuorum(request) if describe::is_of_metadata(&request) => {
                Event::DescribeQuorum { reply }
            }
            Self::DescribeQuorum(request) => {
                let response = describe::unknown_partitions(request, asker.version);
                return Err(QuorumResponse::DescribeQuorum(response));
            }
            Self::AddRaftVoter(request) => {
                Event::AddVoter { reply, request: incoming::add_voter(request) }
            }
            Self::RemoveRaftVoter(request) => {
                Event::RemoveVoter { reply, request: incoming::remove_voter(request) }
            }
            Self::UpdateRaftVoter(request) => {
                Event::UpdateVoter { reply, request: incoming::update_voter(request) }
            }
        })
    }
}

/// What the driver must read to answer.
pub(super) fn wanted(reply: &Reply) -> Wanted {
    match reply {
        Reply::Fetch(answer) => match answer.outcome {
            FetchOutcome::Read { offset, max_bytes } => Wanted::Records { offset, max_bytes },
            FetchOutcome::Nothing | FetchOutcome::Redirect(_) => Wanted::Nothing,
        },
        Reply::FetchSnapshot(FetchSnapshotAnswer {
            id, slice: Some((position, len, _)), ..
        }) => Wanted::Snapshot { id: *id, position: *position, len: *len },
        _ => Wanted::Nothing,
    }
}

/// The response with `bytes`, which the driver has read. `None`: the answer is to this node itself.
pub(super) fn response(
    reply: Reply,
    bytes: Vec<u8>,
    asker: &Asker,
    endpoints: &[(base::NodeId, Vec<Endpoint>)],
) -> Option<QuorumResponse> {
    Some(match reply {
        Reply::Vote(body) => QuorumResponse::Vote(answers::vote(&body, asker)),
        Reply::BeginQuorumEpoch(body) => {
            QuorumResponse::BeginQuorumEpoch(answers::begin_epoch(&body, asker))
        }
        Reply::EndQuorumEpoch(body) => {
            QuorumResponse::EndQuorumEpoch(answers::end_epoch(&body, asker))
        }
        Reply::Fetch(body) => QuorumResponse::Fetch(answers::fetch(&body, bytes, asker)),
        Reply::FetchSnapshot(body) => {
            QuorumResponse::FetchSnapshot(answers::fetch_snapshot(&body, bytes, asker))
        }
        Reply::DescribeQuorum(body) => {
            QuorumResponse::DescribeQuorum(describe::response(body, asker.version, endpoints))
        }
        Reply::AddVoter(body) => QuorumResponse::AddRaftVoter(answers::add_voter(body)),
        Reply::RemoveVoter(body) => QuorumResponse::RemoveRaftVoter(answers::remove_voter(body)),
        Reply::UpdateVoter(body) => {
            QuorumResponse::UpdateRaftVoter(answers::update_voter(&body, asker))
        }
        Reply::UpgradeKRaftVersion(_) => return None,
    })
}
