//! Consumer groups (KIP-848): the coordinator assigns, members reconcile (ConsumerGroupHeartbeat).
//!
//! Must not know: brokers, who may see which topic.

/// The broker's configuration of consumer groups; a group's own settings go before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub members_max: i32,
}
