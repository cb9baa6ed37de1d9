//! What group coordinators see of the node: its configuration, and committed metadata.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{PartitionIndex, Uuid};
use config::BrokerConfig;
use group::assignor::Assignor;
use group::consumer::MigrationPolicy;
use group::{Metadata, OffsetsConfig, Topic, View, classic, consumer};
use metadata::{ConfigResource, ConfigResourceType, Image};

use super::OFFSETS_TOPIC;

pub(super) fn of(config: &BrokerConfig, image: &Arc<Image>) -> View {
    View {
        offsets: OffsetsConfig {
            metadata_max: usize::try_from(config.offsets.metadata_max_bytes).unwrap_or(0),
            retention_ms: u64::try_from(config.offsets.retention_minutes).unwrap_or(0) * 60_000,
            check_interval_ms: u64::try_from(config.offsets.retention_check_interval_ms)
                .unwrap_or(1),
        },
        classic: classic::Config {
            session_timeout_ms_min: config.group.min_session_timeout_ms,
            session_timeout_ms_max: config.group.max_session_timeout_ms,
            initial_rebalance_delay_ms: config.group.initial_rebalance_delay_ms,
            members_max: config.group.max_size,
            record_bytes_max: record_bytes_max(config, image),
        },
        consumer: consumer_groups(config),
        metadata: Arc::new(Committed { image: Arc::clone(image) }),
    }
}

/// What the topic of the groups takes as one batch.
fn record_bytes_max(config: &BrokerConfig, image: &Image) -> usize {
    let topic = ConfigResource::new(ConfigResourceType::Topic, OFFSETS_TOPIC);
    let own = image.configs.value(&topic, "max.message.bytes").and_then(|own| own.parse().ok());
    usize::try_from(own.unwrap_or(config.log.message_max_bytes)).unwrap_or(0)
}

/// What the configuration says of consumer groups.
pub fn consumer_groups(config: &BrokerConfig) -> consumer::Config {
    let named = config.consumer_assignors().filter_map(Assignor::from_name);
    let config = &config.consumer_group;
    consumer::Config {
        session_timeout_ms: config.session_timeout_ms,
        session_timeout_limits_ms: (config.min_session_timeout_ms, config.max_session_timeout_ms),
        heartbeat_interval_ms: config.heartbeat_interval_ms,
        heartbeat_interval_limits_ms: (
            config.min_heartbeat_interval_ms,
            config.max_heartbeat_interval_ms,
        ),
        assignment_interval_ms: config.assignment_interval_ms,
        assignment_interval_limits_ms: (
            config.min_assignment_interval_ms,
            config.max_assignment_interval_ms,
        ),
        members_max: config.max_size,
        assignors: named.collect(),
        migration: MigrationPolicy::from_name(&config.migration_policy)
            .unwrap_or(MigrationPolicy { upgrade: true, downgrade: true }),
        regex_refresh_interval_ms: config.regex_refresh_interval_ms,
    }
}

/// The committed image.
struct Committed {
    image: Arc<Image>,
}

impl Metadata for Committed {
    fn version(&self) -> i64 {
        self.image.provenance.offset.get()
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.image.topics.by_name(name).map(seen)
    }

    fn topic_by_id(&self, id: Uuid) -> Option<Topic> {
        self.image.topics.by_id(id).map(seen)
    }

    fn racks(&self, topic: Uuid, partition: i32) -> Vec<Arc<str>> {
        let Some(partition) = self.image.topics.partition(topic, PartitionIndex(partition)) else {
            return Vec::new();
        };
        let brokers = partition.replicas.iter().filter_map(|id| self.image.cluster.broker(*id));
        let racks: BTreeSet<Arc<str>> = brokers.filter_map(|broker| broker.rack.clone()).collect();
        racks.into_iter().collect()
    }

    fn topic_names(&self) -> Vec<Arc<str>> {
        self.image.topics.iter().map(|topic| Arc::clone(&topic.name)).collect()
    }

    fn group_setting(&self, group: &str, key: &str) -> Option<String> {
        let resource = ConfigResource::new(ConfigResourceType::Group, group);
        self.image.configs.value(&resource, key).map(str::to_owned)
    }
}

fn seen(topic: &metadata::Topic) -> Topic {
    let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    Topic { id: topic.id, name: Arc::clone(&topic.name), partitions }
}
