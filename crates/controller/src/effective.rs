//! What a configuration amounts to: the topic's own, else this node's dynamic one, the cluster's, the static one.

use metadata::{ConfigResource, ConfigResourceType, Topic};

use crate::handle::Controller;

pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(crate) const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

/// The dynamic default of all brokers.
pub(crate) fn cluster_resource() -> ConfigResource {
    ConfigResource::new(ConfigResourceType::Broker, "")
}

/// Dynamic settings that are kept for a topic key with the same name on the broker.
fn dynamic<'a>(controller: &'a Controller, topic: &str, key: &str) -> Option<&'a str> {
    let configs = &controller.image().configs;
    let node = ConfigResource::new(
        ConfigResourceType::Broker,
        controller.settings.node.node_id.to_string(),
    );
    let layers = [ConfigResource::topic(topic), node, cluster_resource()];
    layers.iter().find_map(|resource| configs.value(resource, key))
}

/// The effective `min.insync.replicas` of a topic, never more than it has replicas.
pub(crate) fn min_insync_replicas(controller: &Controller, topic: &Topic) -> usize {
    let text = dynamic(controller, &topic.name, MIN_INSYNC_REPLICAS);
    let value = text.and_then(|text| text.trim().parse().ok());
    let value: i32 = value.unwrap_or(controller.settings.node.topics.min_insync_replicas);
    let replicas = topic.partitions().next().map_or(0, |(_, partition)| partition.replicas.len());
    usize::try_from(value).unwrap_or(0).min(replicas)
}

/// Whether a topic may be led by a replica that lost records.
pub(crate) fn unclean_leader_election(controller: &Controller, topic: &str) -> bool {
    match dynamic(controller, topic, UNCLEAN_LEADER_ELECTION) {
        Some(text) => text.trim().eq_ignore_ascii_case("true"),
        None => controller.settings.node.topics.unclean_leader_election_enable,
    }
}
