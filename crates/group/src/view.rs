//! What a shard knows besides its log: configuration, and a narrow view of the cluster's metadata.

use std::sync::Arc;

use base::Uuid;

use crate::{classic, consumer};

/// What holds while one event is handled. O(1) to clone.
#[derive(Clone)]
pub struct View {
    pub offsets: OffsetsConfig,
    pub classic: classic::Config,
    pub consumer: consumer::Config,
    pub metadata: Arc<dyn Metadata>,
}

/// The broker's configuration of committed offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetsConfig {
    /// `offset.metadata.max.bytes`, in characters as Java counts them.
    pub metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub retention_ms: u64,
    /// `offsets.retention.check.interval.ms`.
    pub check_interval_ms: u64,
}

/// A topic of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub id: Uuid,
    pub name: Arc<str>,
    /// Their number; indexes are dense.
    pub partitions: i32,
}

/// The committed metadata of the cluster, as groups see it.
pub trait Metadata: Send + Sync {
    /// Grows with every change.
    fn version(&self) -> i64;
    fn topic(&self, name: &str) -> Option<Topic>;
    fn topic_by_id(&self, id: Uuid) -> Option<Topic>;
    /// Racks of the brokers that hold a partition's replicas; brokers without a rack add nothing.
    fn racks(&self, topic: Uuid, partition: i32) -> Vec<Arc<str>>;
    /// All names, ascending.
    fn topic_names(&self) -> Vec<Arc<str>>;
    /// A group's own dynamic setting (`group` resources), by key.
    fn group_setting(&self, group: &str, key: &str) -> Option<String>;
}
