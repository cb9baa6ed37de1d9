//! Classic groups: members agree on a protocol, one of them assigns (JoinGroup, SyncGroup, Heartbeat, LeaveGroup).
//!
//! Must not know: what is in a subscription beyond topics, other kinds of groups.

mod describe;
mod expire;
mod group;
mod heartbeat;
mod join;
mod leave;
mod member;
mod offsets;
mod rebalance;
mod refuse;
mod replace;
mod subscription;
mod sync;
mod turn;

use std::sync::Arc;

use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::LeaveGroupRequest;
use protocol::messages::leave_group_response::LeaveGroupResponse;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

pub use group::{Classic, State};
pub use member::{Member, Protocol};
pub(crate) use refuse::{makes_group, refusal, refuse, refuse_elsewhere};
pub(crate) use turn::Turn;

use crate::caller::Caller;

/// The broker's configuration of classic groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub members_max: i32,
    /// `max.message.bytes` of the topic that holds the groups: a group larger than that cannot be written.
    pub record_bytes_max: usize,
}

/// What members may tell their leaders for all of their protocols together, as a multiple of what can be written for one.
const METADATA_FACTOR_MAX: usize = 16;

/// What members ask. The group id is not empty.
#[derive(Clone, Debug)]
pub enum Request {
    /// Waits until the others have joined, too.
    JoinGroup {
        caller: Caller,
        request: JoinGroupRequest<'static>,
    },
    /// Waits for the leader's assignment.
    SyncGroup {
        caller: Caller,
        request: SyncGroupRequest<'static>,
    },
    Heartbeat {
        caller: Caller,
        request: HeartbeatRequest<'static>,
    },
    /// With `members` also for versions that name only one.
    LeaveGroup {
        caller: Caller,
        request: LeaveGroupRequest<'static>,
    },
}

impl Request {
    pub fn group_id(&self) -> &str {
        match self {
            Self::JoinGroup { request, .. } => &request.group_id,
            Self::SyncGroup { request, .. } => &request.group_id,
            Self::Heartbeat { request, .. } => &request.group_id,
            Self::LeaveGroup { request, .. } => &request.group_id,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// Without protocol name for some errors; versions that cannot say so have an empty one.
    JoinGroup(JoinGroupResponse<'static>),
    SyncGroup(SyncGroupResponse<'static>),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse<'static>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A member, or one that was given an id and has not joined with it, was not heard of.
    Session { group: Arc<str>, member: Arc<str> },
    /// The time to join is over.
    Join { group: Arc<str> },
    /// The time to send SyncGroup is over.
    Sync { group: Arc<str> },
}

impl Timer {
    pub fn group(&self) -> &Arc<str> {
        match self {
            Self::Session { group, .. } | Self::Join { group } | Self::Sync { group } => group,
        }
    }
}
