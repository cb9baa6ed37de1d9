//! The part that metadata gives a replica: it leads, follows, or is kept.

use std::sync::Arc;

use base::Offset;
use metadata::{Image, LocalPartition};
use replication::LeaderConfig;
use tracing::{error, info};

use super::{set, unhosted};
use crate::coordinators;
use crate::node::Node;
use crate::partitions::{Locked, Partition};
use crate::topics::is_internal;

pub fn is_led_here(node: &Node, local: &LocalPartition<'_>) -> bool {
    local.partition.leader == node.static_config.node_id
}

pub fn take_part(
    node: &Arc<Node>,
    partition: &Arc<Partition>,
    locked: Locked<'_>,
    local: &LocalPartition<'_>,
) {
    if is_led_here(node, local) {
        lead(node, partition, locked, local);
    } else {
        follow(node, partition, locked, local);
    }
}

/// All that an image says of a replica that was late; by whoever holds [`Node::unhosted`].
pub fn bring_up(
    node: &Arc<Node>,
    image: &Image,
    partition: &Arc<Partition>,
    mut locked: Locked<'_>,
) {
    let local = unhosted::local(image, node.static_config.node_id, partition.id());
    if let Some(local) = local
        // It serves no more, and has been told so.
        && !locked.is_offline()
    {
        set(node, image, partition, &mut locked);
        take_part(node, partition, locked, &local);
    }
}

/// This node holds a replica that it does not lead. Where nobody leads the log is kept as it is.
fn follow(
    node: &Arc<Node>,
    partition: &Arc<Partition>,
    mut locked: Locked<'_>,
    local: &LocalPartition<'_>,
) {
    let LocalPartition { partition: registered, index, .. } = *local;
    coordinators::resign(node, partition);
    if !registered.has_leader() {
        node.replicas.forget(partition.id());
        return locked.rest(registered.leader_epoch);
    }
    let backoff_ms = u64::try_from(node.config().replication.fetch_backoff_ms).unwrap_or(0);
    let (leader, epoch) = (registered.leader, registered.leader_epoch);
    match partition.follow_locked(&mut locked, leader, epoch, backoff_ms, node.clock.now()) {
        Ok(true) => {
            drop(locked);
            node.replicas.follow(node, partition, leader);
        }
        Ok(false) => {}
        Err(error) => {
            let name = format_args!("{}-{index}", partition.topic());
            error!(partition = %name, "cannot follow: {error}");
            locked.resign();
        }
    }
}

fn lead(
    node: &Arc<Node>,
    partition: &Arc<Partition>,
    mut locked: Locked<'_>,
    local: &LocalPartition<'_>,
) {
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
    let is_new = match partition.lead_locked(&mut locked, config, node.clock.mono()) {
        Ok(is_new) => is_new,
        Err(error) => {
            error!(partition = %format_args!("{topic}-{index}"), "cannot lead: {error}");
            return;
        }
    };
    drop(locked);
    coordinators::lead(node, partition, local.partition.leader_epoch);
    if is_new && is_internal(topic) {
        info!(partition = %format_args!("{topic}-{index}"), "leading");
    }
}
