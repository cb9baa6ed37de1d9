//! Views without a broker, for tests and simulations.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use crate::assignor::Assignor;
use crate::view::{Metadata, OffsetsConfig, Topic, View};
use crate::{classic, consumer};

/// A made-up cluster. Every partition has a replica on each rack that is named for it.
#[derive(Clone, Default)]
pub struct Cluster {
    pub version: i64,
    pub topics: BTreeMap<Arc<str>, Topic>,
    /// By topic and partition.
    pub racks: BTreeMap<(Uuid, i32), Vec<Arc<str>>>,
    /// By group and key.
    pub group_settings: BTreeMap<(String, String), String>,
}

impl Cluster {
    /// Adds a topic, or changes its number of partitions. Its id comes from `seed`.
    pub fn put_topic(&mut self, name: &str, seed: u8, partitions: i32) -> Uuid {
        let id = Uuid::from_random([seed; 16]).unwrap_or(Uuid::ZERO);
        let name: Arc<str> = Arc::from(name);
        self.topics.insert(Arc::clone(&name), Topic { id, name, partitions });
        self.version += 1;
        id
    }
}

impl Metadata for Cluster {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.get(name).cloned()
    }

    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        self.topics.values().find(|topic| topic.id == id).cloned()
    }

    fn racks(&self, topic: Uuid, partition: i32) -> Vec<Arc<str>> {
        self.racks.get(&(topic, partition)).cloned().unwrap_or_default()
    }

    fn topic_names(&self) -> Vec<Arc<str>> {
        self.topics.keys().cloned().collect()
    }

    fn group_setting(&self, group: &str, key: &str) -> Option<String> {
        self.group_settings.get(&(group.to_owned(), key.to_owned())).cloned()
    }
}

/// Kafka's default configuration over a cluster.
pub fn view(cluster: Cluster) -> View {
    View {
        offsets: OffsetsConfig {
            metadata_max: 4_096,
            retention_ms: 7 * 24 * 3_600_000,
            check_interval_ms: 600_000,
        },
        classic: classic::Config {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: i32::MAX,
            record_bytes_max: 1_048_588,
        },
        consumer: consumer::Config {
            session_timeout_ms: 45_000,
            session_timeout_limits_ms: (45_000, 60_000),
            heartbeat_interval_ms: 5_000,
            heartbeat_interval_limits_ms: (5_000, 15_000),
            assignment_interval_ms: 1_000,
            assignment_interval_limits_ms: (0, 15_000),
            members_max: i32::MAX,
            assignors: Arc::new(Assignor::ALL),
            migration: consumer::MigrationPolicy { upgrade: true, downgrade: true },
            regex_refresh_interval_ms: 600_000,
        },
        metadata: Arc::new(cluster),
    }
}
