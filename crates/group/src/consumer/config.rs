//! The configuration of consumer groups: the broker's, and a group's own before it.

use std::sync::Arc;

use crate::assignor::Assignor;
use crate::view::View;

/// `group.consumer.migration.policy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MigrationPolicy {
    /// A classic group may become a consumer group while it has members.
    pub upgrade: bool,
    /// The other way round.
    pub downgrade: bool,
}

impl MigrationPolicy {
    /// By Kafka's names, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let (upgrade, downgrade) = match name.to_ascii_lowercase().as_str() {
            "disabled" => (false, false),
            "upgrade" => (true, false),
            "downgrade" => (false, true),
            "bidirectional" => (true, true),
            _ => return None,
        };
        Some(Self { upgrade, downgrade })
    }
}

/// The broker's configuration of consumer groups; a group's own settings go before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    pub session_timeout_limits_ms: (i32, i32),
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    pub heartbeat_interval_limits_ms: (i32, i32),
    /// `group.consumer.assignment.interval.ms`.
    pub assignment_interval_ms: i32,
    pub assignment_interval_limits_ms: (i32, i32),
    /// `group.consumer.max.size`.
    pub members_max: i32,
    /// `group.consumer.assignors`, the default first.
    pub assignors: Arc<[Assignor]>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: i32,
}

impl Config {
    /// Of members that name none.
    pub fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

pub(super) fn session_timeout_ms(view: &View, group: &str) -> i32 {
    let config = &view.consumer;
    let own = setting(view, group, "consumer.session.timeout.ms", config.session_timeout_limits_ms);
    own.unwrap_or(config.session_timeout_ms)
}

pub(super) fn heartbeat_interval_ms(view: &View, group: &str) -> i32 {
    let config = &view.consumer;
    let limits = config.heartbeat_interval_limits_ms;
    let own = setting(view, group, "consumer.heartbeat.interval.ms", limits);
    own.unwrap_or(config.heartbeat_interval_ms)
}

pub(super) fn assignment_interval_ms(view: &View, group: &str) -> i32 {
    let config = &view.consumer;
    let limits = config.assignment_interval_limits_ms;
    let own = setting(view, group, "consumer.assignment.interval.ms", limits);
    own.unwrap_or(config.assignment_interval_ms)
}

/// A group's own setting, within what the broker allows by now.
fn setting(view: &View, group: &str, key: &str, (min, max): (i32, i32)) -> Option<i32> {
    let value: i32 = view.metadata.group_setting(group, key)?.trim().parse().ok()?;
    Some(value.min(max).max(min))
}
