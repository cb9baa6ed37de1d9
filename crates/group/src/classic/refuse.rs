//! Answers to requests that reach no group of theirs.

use protocol::ErrorCode;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_response::LeaveGroupResponse;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::{Config, Reply, Request, leave};

/// What is wrong with a request whatever the group is.
pub(crate) fn refusal(config: &Config, request: &Request) -> Option<ErrorCode> {
    let Request::JoinGroup { request, .. } = request else { return None };
    let allowed = config.session_timeout_ms_min..=config.session_timeout_ms_max;
    (!allowed.contains(&request.session_timeout_ms)).then_some(ErrorCode::InvalidSessionTimeout)
}

/// A group comes into being with the first who joins it without an id.
pub(crate) fn makes_group(request: &Request) -> bool {
    matches!(request, Request::JoinGroup { request, .. } if request.member_id.is_empty())
}

/// The error as the answer of that request.
pub(crate) fn refuse(request: &Request, error: ErrorCode) -> Reply {
    let error_code = error.code();
    match request {
        Request::JoinGroup { request, .. } => Reply::JoinGroup(JoinGroupResponse {
            error_code,
            member_id: request.member_id.to_string().into(),
            protocol_name: None,
            ..Default::default()
        }),
        Request::SyncGroup { .. } => {
            Reply::SyncGroup(SyncGroupResponse { error_code, ..Default::default() })
        }
        Request::Heartbeat { .. } => {
            Reply::Heartbeat(HeartbeatResponse { error_code, ..Default::default() })
        }
        Request::LeaveGroup { request, .. } => {
            let members = request.members.iter().map(|member| leave::row(member, error));
            Reply::LeaveGroup(LeaveGroupResponse {
                members: members.collect(),
                ..Default::default()
            })
        }
    }
}

/// The group is of a kind that has no classic members.
pub(crate) fn refuse_elsewhere(request: &Request) -> Reply {
    match request {
        Request::JoinGroup { .. } => Reply::JoinGroup(JoinGroupResponse {
            error_code: ErrorCode::InconsistentGroupProtocol.code(),
            protocol_name: None,
            ..Default::default()
        }),
        _ => refuse(request, ErrorCode::UnknownMemberId),
    }
}
