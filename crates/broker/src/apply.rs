//! Makes the node what committed metadata says: partitions on disk and led, settings in force.
//!
//! Runs on the publishers' thread, in the order of the log, before handlers see the new image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use base::{DirectoryId, Offset, TopicIdPartition, TopicPartition, Uuid};
use group::DeletedTopic;
use metadata::{ConfigResourceType, Image, LocalPartition, LocalReplicaChanges, Publisher, Update};
use replication::LeaderConfig;
use storage::dirs::NewLog;
use tracing::{error, info, warn};

use crate::configs;
use crate::coordinators;
use crate::node::{Node, listeners, logs};
use crate::partitions::Partition;
use crate::topics::is_internal;
use crate::unhosted::{self, Unhosted};

/// `file.delete.delay.ms` of a partition that was never served.
const DELETE_DELAY_MS: u64 = 60_000;

/// The broker among the quorum's publishers.
pub struct BrokerPublisher {
    node: Weak<Node>,
}

impl BrokerPublisher {
    pub fn new(node: &Arc<Node>) -> Self {
        Self { node: Arc::downgrade(node) }
    }
}

impl Publisher for BrokerPublisher {
    fn name(&self) -> &'static str {
        "broker"
    }

    fn publish(&mut self, update: &Update) {
        let Some(node) = self.node.upgrade() else { return };
        if !update.delta.features.is_empty() {
            node.features_since.store(update.after.provenance.offset.get(), Ordering::Relaxed);
        }
        if !node.static_config.roles.broker {
            return apply_broker_configs(&node, update);
        }
        if update.metadata_version_change().is_some() && !update.before.is_empty() {
            // What this broker supports is told in records of the new version.
            node.note_metadata_version_changed();
        }
        apply_broker_configs(&node, update);
        apply_partitions(&node, update);
        apply_topic_configs(&node, update);
        let gone = update.deleted_topics();
        let gone = gone.map(|topic| DeletedTopic { name: Arc::clone(&topic.name), id: topic.id });
        node.coordinators.topics_deleted(gone.collect());
        tell_of_topics(&node, update);
    }
}

/// Groups assign by what topics look like.
fn tell_of_topics(node: &Node, update: &Update) {
    let touched = update.delta.topics.keys();
    let topics = touched.filter_map(|id| {
        let topic = update.after.topics.by_id(*id).or_else(|| update.before.topics.by_id(*id));
        topic.map(|topic| Arc::clone(&topic.name))
    });
    let version = update.after.provenance.offset.get();
    let new = update.created_topics().next().is_some();
    node.coordinators.topics_changed(version, topics.collect(), new);
}

/// Dynamic settings of this broker, or of all.
fn apply_broker_configs(node: &Arc<Node>, update: &Update) {
    let own = node.config().node_id.to_string();
    let concerns = |kind, name: &str| {
        kind == ConfigResourceType::Broker && (name == configs::CLUSTER_DEFAULT || name == own)
    };
    if !update.delta.configs.iter().any(|resource| concerns(resource.kind, &resource.name)) {
        return;
    }
    let rate = |key| configs::dynamic_rate(&update.after, node.static_config.node_id, key);
    node.neighbours.leader_throttle.set_rate(rate("leader.replication.throttled.rate"));
    node.neighbours.follower_throttle.set_rate(rate("follower.replication.throttled.rate"));
    node.moves.throttle.set_rate(rate("replica.alter.log.dirs.io.max.bytes.per.second"));
    match configs::with_dynamic(&node.static_config, &update.after) {
        Ok(config) => {
            node.connections.set_limits(listeners::connections(&config));
            let producers = logs::producers(&config);
            node.logs.set_producer_config(producers);
            node.config.store(Arc::new(config));
            info!("dynamic configuration of the broker changed");
            node.replicas.resize(node);
            node.cordon();
            for partition in node.partitions.all() {
                refresh(node, &update.after, &partition);
                partition.with_log(|log| log.set_producer_config(producers));
            }
            node.note_settings_changed();
        }
        Err(error) => {
            error!("the dynamic configuration cannot be used, the old one holds: {error}")
        }
    }
}

fn apply_topic_configs(node: &Arc<Node>, update: &Update) {
    let topics: BTreeSet<&str> = update
        .delta
        .configs
        .iter()
        .filter(|resource| resource.kind == ConfigResourceType::Topic)
        .map(|resource| &*resource.name)
        .collect();
    if topics.is_empty() {
        return;
    }
    node.note_settings_changed();
    for name in topics {
        let Some(topic) = update.after.topics.by_name(name) else { continue };
        for (index, _) in topic.partitions() {
            if let Some(partition) = node.partitions.get(topic.id, index) {
                refresh(node, &update.after, &partition);
            }
        }
    }
}

fn refresh(node: &Node, image: &Image, partition: &Partition) {
    let settings = configs::partition_settings(&node.config(), image, partition.topic());
    partition.set_settings(settings, node.clock.mono());
}

fn apply_partitions(node: &Arc<Node>, update: &Update) {
    let id = node.config().node_id;
    let LocalReplicaChanges { deletes, leaders, followers, .. } = update.local_changes(id);
    let mut unhosted = node.unhosted.lock();
    for gone in &deletes {
        unhosted.settle(TopicIdPartition { topic_id: gone.topic.id, partition: gone.index });
    }
    delete(node, &deletes);
    for local in leaders.iter().chain(&followers) {
        let before = update.before.topics.partition(local.topic.id, local.index);
        let is_new = before.is_none() && !update.before.is_empty();
        take_up(node, &mut unhosted, &update.after, local, is_new);
    }
    unhosted.applied(&update.after);
}

/// Leads or follows as the metadata says.
fn take_up(
    node: &Arc<Node>,
    unhosted: &mut Unhosted,
    image: &Image,
    local: &LocalPartition<'_>,
    is_new: bool,
) {
    let Some(partition) = host(node, unhosted, image, local, is_new) else { return };
    if local.partition.leader == node.static_config.node_id {
        lead(node, &partition, local);
    } else {
        follow(node, &partition, local);
    }
}

/// Whether logs that could not be opened are to be tried again now. Does not wait for metadata that is being applied, which may
/// wait for a slow directory itself.
pub fn is_hosting_due(node: &Node) -> bool {
    let unhosted = node.unhosted.try_lock();
    unhosted.is_some_and(|unhosted| !unhosted.due(node.clock.mono()).is_empty())
}

/// Tries to open the logs again that could not be opened, where it is time. Blocks for as long as their directories, and
/// metadata that is being applied.
pub fn host_again(node: &Arc<Node>) {
    let due = node.unhosted.lock().due(node.clock.mono());
    for id in &due {
        // Each for itself: metadata that comes meanwhile does not wait for all of them.
        let mut unhosted = node.unhosted.lock();
        let Some(image) = unhosted.image() else { return };
        match unhosted::local(&image, node.static_config.node_id, *id) {
            Some(local) => take_up(node, &mut unhosted, &image, &local, false),
            None => drop(unhosted.settle(*id)),
        }
    }
    let left = node.unhosted.lock().len();
    if left > 0 && !due.is_empty() {
        warn!(replicas = left, "replicas still have no log, they are tried again");
    }
}

/// This node holds a replica that it does not lead. Where nobody leads the log is kept as it is.
fn follow(node: &Arc<Node>, partition: &Arc<Partition>, local: &LocalPartition<'_>) {
    let LocalPartition { partition: registered, index, .. } = *local;
    coordinators::resign(node, partition);
    if !registered.has_leader() {
        node.replicas.forget(partition.id());
        return partition.rest(registered.leader_epoch);
    }
    let backoff_ms = u64::try_from(node.config().replication.fetch_backoff_ms).unwrap_or(0);
    let (leader, epoch) = (registered.leader, registered.leader_epoch);
    match partition.follow(leader, epoch, backoff_ms, node.clock.now()) {
        Ok(true) => node.replicas.follow(node, partition, leader),
        Ok(false) => {}
        Err(error) => {
            let name = format_args!("{}-{index}", partition.topic());
            error!(partition = %name, "cannot follow: {error}");
            partition.resign(false);
        }
    }
}

/// Takes partitions away, all at once: what is written to a log directory for it is written once.
fn delete(node: &Node, gone: &[LocalPartition<'_>]) {
    let mut by_delay: BTreeMap<u64, Vec<TopicPartition>> = BTreeMap::new();
    for gone in gone {
        let id = TopicIdPartition { topic_id: gone.topic.id, partition: gone.index };
        let name = TopicPartition { topic: Arc::clone(&gone.topic.name), partition: gone.index };
        let mut settings = None;
        if let Some(partition) = node.partitions.remove(id) {
            node.replicas.forget(id);
            partition.resign(true);
            coordinators::resign(node, &partition);
            settings = Some(partition.settings());
        }
        let delay_ms =
            settings.map_or(DELETE_DELAY_MS, |settings| settings.log.file_delete_delay_ms);
        by_delay.entry(delay_ms).or_default().push(name);
    }
    for (delay_ms, names) in by_delay {
        node.logs.delete(names, delay_ms, node.clock.wall());
        node.note_deleted();
    }
}

/// The hosted partition; its log is made where there is none yet. Where that fails it is tried again later.
fn host(
    node: &Arc<Node>,
    unhosted: &mut Unhosted,
    image: &Image,
    local: &LocalPartition<'_>,
    is_new: bool,
) -> Option<Arc<Partition>> {
    if let Some(partition) = node.partitions.get(local.topic.id, local.index) {
        return Some(partition);
    }
    let id = TopicIdPartition { topic_id: local.topic.id, partition: local.index };
    let name = TopicPartition { topic: Arc::clone(&local.topic.name), partition: local.index };
    let settings = configs::partition_settings(&node.config(), image, &local.topic.name);
    let directory = local.partition.directory(node.config().node_id);
    let wanted = directory.filter(|id| is_real(*id));
    let is_new = is_new || unhosted.is_new(id);
    let new = NewLog {
        partition: &name,
        topic_id: local.topic.id,
        config: Arc::clone(&settings.log),
        target: wanted,
        is_new,
    };
    match node.logs.get_or_create(&new, node.clock.wall()) {
        Ok(entry) => {
            let found = node.logs.dir_of(&entry).and_then(|(_, id)| id);
            let log = entry.log;
            log.write().set_config(Arc::clone(&settings.log));
            let (topic, neighbours) = (Arc::clone(&local.topic.name), Arc::clone(&node.neighbours));
            let partition = Arc::new(Partition::new(id, topic, log, settings, neighbours));
            node.partitions.insert(Arc::clone(&partition));
            if let Some(found) = found.filter(|found| directory.is_some_and(|told| told != *found))
            {
                node.assignments.add(id, found);
            }
            node.moves.resume(node, &partition);
            if unhosted.settle(id) {
                info!(partition = %name, "the log could be opened after all");
            }
            Some(partition)
        }
        Err(error) => {
            if unhosted.failed(id, is_new, node.clock.mono()) {
                error!(partition = %name, "the log cannot be opened, the partition is not served: {error}");
            }
            None
        }
    }
}

/// A directory, not one of the reserved ids for "not chosen yet", "lost" and "before directories had ids".
pub fn is_real(id: DirectoryId) -> bool {
    ![Uuid::DIR_UNASSIGNED, Uuid::DIR_LOST, Uuid::DIR_MIGRATING].contains(&id)
}

fn lead(node: &Arc<Node>, partition: &Arc<Partition>, local: &LocalPartition<'_>) {
    let registered = local.partition;
    let lag_ms = node.config().replication.lag_time_max_ms;
    let config = LeaderConfig {
        node_id: node.config().node_id,
        leader_epoch: registered.leader_epoch,
        partition_epoch: registered.partition_epoch,
        epoch_start: Offset::NONE,
        replicas: registered.replicas.to_vec(),
        isr: registered.isr.to_vec(),
        min_insync_replicas: partition.settings().min_insync_replicas,
        lag_time_max_ms: u64::try_from(lag_ms).unwrap_or(0),
    };
    node.replicas.forget(partition.id());
    let (topic, index) = (partition.topic(), local.index);
    let is_new = match partition.lead(config, node.clock.mono()) {
        Ok(is_new) => is_new,
        Err(error) => {
            error!(partition = %format_args!("{topic}-{index}"), "cannot lead: {error}");
            return;
        }
    };
    coordinators::lead(node, partition, local.partition.leader_epoch);
    if is_new && is_internal(topic) {
        info!(partition = %format_args!("{topic}-{index}"), "leading");
    }
}
