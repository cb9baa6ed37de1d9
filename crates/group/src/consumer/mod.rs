//! Consumer groups (KIP-848): the coordinator assigns, members reconcile (ConsumerGroupHeartbeat).
//!
//! Must not know: brokers, who may see which topic.

mod classic_member;
mod config;
mod convert;
mod counts;
mod describe;
mod expire;
mod heartbeat;
mod join;
mod leave;
mod member;
mod memory;
mod offsets;
mod reconcile;
mod refusal;
mod regex;
mod replay;
mod state;
mod subscribe;
mod target;
mod validate;
mod work;

use std::sync::Arc;

use protocol::messages::consumer_group_describe_response::DescribedGroup;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use crate::caller::Caller;

pub use config::{Config, MigrationPolicy};
pub use counts::{TopicCount, Topics};
pub(crate) use describe::{describe, undescribed};
pub(crate) use heartbeat::is_leave;
pub use heartbeat::refused;
pub use member::{
    ClassicMember, ClassicProtocol, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member, MemberState, Owned,
    Subscription,
};
pub(crate) use memory::Memory;
pub use offsets::CommitCheck;
pub use refusal::Refusal;
pub use state::{Consumer, Resolved};
pub use validate::validate;
pub(crate) use work::Work;

/// What changes consumer groups.
#[derive(Clone, Debug)]
pub enum Request {
    /// Valid as far as [`validate`] can tell.
    Heartbeat { caller: Caller, request: ConsumerGroupHeartbeatRequest<'static> },
    /// Topics came, went or changed with this version of the metadata.
    MetadataChanged { version: i64, topics: Arc<[Arc<str>]>, new: bool },
}

#[derive(Clone, Debug)]
pub enum Query {
    Describe { groups: Vec<String> },
}

#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    Heartbeat(ConsumerGroupHeartbeatResponse<'static>),
    Described(Vec<DescribedGroup<'static>>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A member was not heard of.
    Session { group: Arc<str>, member: Arc<str> },
    /// A member did not give up partitions.
    Rebalance { group: Arc<str>, member: Arc<str> },
    /// A classic member did not join again.
    Join { group: Arc<str>, member: Arc<str> },
    /// A classic member did not come for its assignment.
    Sync { group: Arc<str>, member: Arc<str> },
    /// The patterns of a group are to be resolved.
    Regex { group: Arc<str> },
}

impl Timer {
    pub fn group(&self) -> &Arc<str> {
        match self {
            Self::Session { group, .. }
            | Self::Rebalance { group, .. }
            | Self::Join { group, .. }
            | Self::Sync { group, .. }
            | Self::Regex { group } => group,
        }
    }
}
