//! Classic groups: members agree on a protocol, one of them assigns (JoinGroup, SyncGroup, Heartbeat, LeaveGroup).
//!
//! Must not know: what is in a subscription beyond topics, other kinds of groups.

use std::sync::Arc;

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
}

/// The classic group of the log, as far as offsets depend on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classic {
    /// Empty for a group that never had members.
    pub protocol_type: Arc<str>,
    pub members: usize,
    /// When the group came into its state, in milliseconds; unknown in old records.
    pub state_since_ms: Option<i64>,
}
