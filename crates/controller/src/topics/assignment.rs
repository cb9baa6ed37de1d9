//! Replicas of new partitions: checked when a client chose them, and made into the first state of the partition.

use base::{LeaderEpoch, NodeId, PartitionEpoch};
use metadata::{LeaderRecoveryState, Partition};
use protocol::ErrorCode;

use crate::error::{ApiError, Result};
use crate::handle::Controller;
use crate::partitions::change::default_directory;

/// Checks replicas that a client chose; `replication_factor` is that of the topic's other partitions.
pub(crate) fn check_manual(
    controller: &Controller,
    replicas: &[NodeId],
    replication_factor: Option<usize>,
) -> Result<()> {
    let invalid =
        |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return invalid(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        );
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut before = None;
    for id in &sorted {
        match controller.image().cluster.broker(*id) {
            None => {
                return invalid(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                ));
            }
            Some(broker) if !broker.has_uncordoned_directory() => {
                return invalid(format!(
                    "The manual partition assignment includes broker {id}, but all its log directories are cordoned."
                ));
            }
            Some(_) if before == Some(id) => {
                return invalid(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                ));
            }
            Some(_) => before = Some(id),
        }
    }
    match replication_factor {
        Some(others) if others != sorted.len() => invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {others} replica(s).",
            sorted.len()
        )),
        _ => Ok(()),
    }
}

/// The first state of a partition: in sync is who is active, the first of them leads. `None` when nobody is.
pub(crate) fn new_partition(controller: &Controller, replicas: &[NodeId]) -> Option<Partition> {
    let active = replicas.iter().copied().filter(|id| controller.image().cluster.is_active(*id));
    let isr: Box<[NodeId]> = active.collect();
    Some(Partition {
        leader: *isr.first()?,
        isr,
        directories: replicas.iter().map(|id| default_directory(controller, *id)).collect(),
        replicas: replicas.into(),
        removing_replicas: Box::default(),
        adding_replicas: Box::default(),
        elr: Box::default(),
        last_known_elr: Box::default(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
    })
}
