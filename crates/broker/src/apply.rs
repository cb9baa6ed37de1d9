//! Makes the node what committed metadata says: partitions on disk and led, settings in force.
//!
//! Runs on the publishers' thread, in the order of the log, before handlers see the new image. What would have to wait for a write that
//! stands still is left to [`catch_up`].

mod catch_up;
mod late;
mod pass;
mod role;
mod unhosted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use base::{DirectoryId, TopicIdPartition, TopicPartition, Uuid};
use group::DeletedTopic;
use metadata::{ConfigResourceType, Image, LocalPartition, LocalReplicaChanges, Publisher, Update};
use storage::dirs::NewLog;
use tracing::{error, info, warn};

use self::catch_up::Going;
use self::pass::Pass;
use self::role::take_part;
pub use self::unhosted::Unhosted;
use crate::configs;
use crate::coordinators;
use crate::node::{Node, listeners, logs};
use crate::partitions::{Locked, Partition};

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
        let mut pass = Pass::new(&node);
        if !node.static_config.roles.broker {
            return apply_broker_configs(&mut pass, update);
        }
        if update.metadata_version_change().is_some() && !update.before.is_empty() {
            // What this broker supports is told in records of the new version.
            node.note_metadata_version_changed();
        }
        apply_broker_configs(&mut pass, update);
        apply_partitions(&mut pass, update);
        apply_topic_configs(&mut pass, update);
        pass.unhosted.applied(&update.after);
        pass.end();
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
fn apply_broker_configs(pass: &mut Pass<'_>, update: &Update) {
    let node = pass.node;
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
                refresh(pass, &update.after, &partition);
            }
            node.note_settings_changed();
        }
        Err(error) => {
            error!("the dynamic configuration cannot be used, the old one holds: {error}")
        }
    }
}

fn apply_topic_configs(pass: &mut Pass<'_>, update: &Update) {
    let node = pass.node;
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
                refresh(pass, &update.after, &partition);
            }
        }
    }
}

fn refresh(pass: &mut Pass<'_>, image: &Image, partition: &Partition) {
    if let Some(mut locked) = pass.lock(partition) {
        set(pass.node, image, partition, &mut locked);
    }
}

fn set(node: &Node, image: &Image, partition: &Partition, locked: &mut Locked<'_>) {
    let config = node.config();
    let settings = configs::partition_settings(&config, image, partition.topic());
    partition.set_settings(locked, settings, node.clock.mono());
    locked.set_producer_config(logs::producers(&config));
}

fn apply_partitions(pass: &mut Pass<'_>, update: &Update) {
    let id = pass.node.config().node_id;
    let LocalReplicaChanges { deletes, leaders, followers, .. } = update.local_changes(id);
    for gone in &deletes {
        pass.unhosted.settle(TopicIdPartition { topic_id: gone.topic.id, partition: gone.index });
    }
    delete(pass, &deletes);
    for local in leaders.iter().chain(&followers) {
        let before = update.before.topics.partition(local.topic.id, local.index);
        let is_new = before.is_none() && !update.before.is_empty();
        take_up(pass, &update.after, local, is_new);
    }
}

/// Leads or follows as the metadata says.
fn take_up(pass: &mut Pass<'_>, image: &Image, local: &LocalPartition<'_>, is_new: bool) {
    let Some(partition) = host(pass, image, local, is_new) else { return };
    let node = pass.node;
    match pass.lock(&partition) {
        Some(locked) => take_part(node, &partition, locked, local),
        // Nobody has to wait for its locks to coordinate no more.
        None if !role::is_led_here(node, local) => coordinators::resign(node, &partition),
        None => {}
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
        let mut pass = Pass::new(node);
        let Some(image) = pass.unhosted.image() else { return };
        match unhosted::local(&image, node.static_config.node_id, *id) {
            Some(local) => take_up(&mut pass, &image, &local, false),
            None => drop(pass.unhosted.settle(*id)),
        }
        pass.end();
    }
    let left = node.unhosted.lock().len();
    if left > 0 && !due.is_empty() {
        warn!(replicas = left, "replicas still have no log, they are tried again");
    }
}

/// Takes partitions away, all at once: what is written to a log directory for it is written once. Clients do not find them from here on; the
/// logs in a directory in which one is late, or moving, are another's to delete.
fn delete(pass: &mut Pass<'_>, gone: &[LocalPartition<'_>]) {
    let node = pass.node;
    let mut by_delay: BTreeMap<u64, Vec<TopicPartition>> = BTreeMap::new();
    let mut told = Vec::new();
    for gone in gone {
        let id = TopicIdPartition { topic_id: gone.topic.id, partition: gone.index };
        let name = TopicPartition { topic: Arc::clone(&gone.topic.name), partition: gone.index };
        let Some(partition) = node.partitions.remove(id) else {
            if !pass.unhosted.late.is_going(&name) {
                by_delay.entry(DELETE_DELAY_MS).or_default().push(name);
            }
            continue;
        };
        node.replicas.forget(id);
        let may_wait = match pass.try_lock(&partition) {
            Some(mut locked) => {
                locked.delete();
                locked.is_moving()
            }
            None => true,
        };
        pass.unhosted.late.settle(id);
        coordinators::resign(node, &partition);
        let (dir, going) = (partition.lane().index(), Going::new(partition));
        if may_wait {
            pass.unhosted.late.add_going(dir, name, going);
        } else {
            told.push((dir, name, going));
        }
    }
    for (dir, name, going) in told {
        if pass.unhosted.late.is_any_in(dir) {
            pass.unhosted.late.add_going(dir, name, going);
        } else {
            by_delay.entry(going.delay_ms()).or_default().push(name);
        }
    }
    for (delay_ms, names) in by_delay {
        node.logs.delete(names, delay_ms, node.clock.wall());
        node.note_deleted();
    }
}

/// The hosted partition; its log is made where there is none yet. Where that fails it is tried again later.
fn host(
    pass: &mut Pass<'_>,
    image: &Image,
    local: &LocalPartition<'_>,
    is_new: bool,
) -> Option<Arc<Partition>> {
    let (node, unhosted) = (pass.node, &mut *pass.unhosted);
    if let Some(partition) = node.partitions.get(local.topic.id, local.index) {
        return Some(partition);
    }
    let id = TopicIdPartition { topic_id: local.topic.id, partition: local.index };
    let name = TopicPartition { topic: Arc::clone(&local.topic.name), partition: local.index };
    let settings = configs::partition_settings(&node.config(), image, &local.topic.name);
    let directory = local.partition.directory(node.config().node_id);
    let wanted = directory.filter(|id| is_real(*id));
    let is_new = is_new || unhosted.is_new(id);
    if unhosted.late.is_going(&name) {
        // That log is another topic's, or what this one had before it was taken away.
        if unhosted.failed(id, is_new, node.clock.mono()) {
            info!(partition = %name, "the log is made when the one of this name before it is gone");
        }
        return None;
    }
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
