//! Replicas and the directories of their brokers: where they are, and sending them elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{NodeId, TopicPartition};
use client::Admin;
use protocol::ErrorCode;
use tokio::time::Instant;

use super::plan::{Directories, Place, Replica, joined};
use super::{Failure, Result};

/// Between two tries to move replicas that are not there yet.
const MOVE_PAUSE: Duration = Duration::from_millis(100);

/// Where replicas are by their brokers.
pub async fn places(
    admin: &Admin,
    replicas: impl Iterator<Item = &Replica>,
) -> Result<BTreeMap<Replica, Place>> {
    let mut wanted: BTreeMap<NodeId, BTreeSet<TopicPartition>> = BTreeMap::new();
    for replica in replicas {
        wanted.entry(replica.broker).or_default().insert(replica.partition.clone());
    }
    let mut places: BTreeMap<Replica, Place> = BTreeMap::new();
    for (broker, partitions) in wanted {
        for dir in admin.describe_log_dirs(broker).await? {
            for found in &dir.partitions {
                let partition = TopicPartition::new(found.topic.as_str(), found.partition);
                if !partitions.contains(&partition) {
                    continue;
                }
                let place = places.entry(Replica { broker, partition }).or_default();
                let path = Some(dir.path.clone());
                if found.future { place.future = path } else { place.current = path }
            }
        }
    }
    Ok(places)
}

/// Asks until each broker has its replicas, and moves them.
pub async fn start(admin: &Admin, mut pending: Directories, timeout_ms: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    loop {
        let started = try_all(admin, &pending).await?;
        for replica in started {
            if let Some(directory) = pending.remove(&replica) {
                println!(
                    "Successfully started moving log directory to {directory} for replica {} with broker {} ",
                    replica.partition, replica.broker
                );
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::Terse(format!(
                "Timed out before log directory move{} could be started for: {}",
                if pending.len() == 1 { "" } else { "s" },
                joined(pending.keys(), ",")
            )));
        }
        tokio::time::sleep(MOVE_PAUSE).await;
    }
}

async fn try_all(admin: &Admin, pending: &Directories) -> Result<BTreeSet<Replica>> {
    let mut brokers: BTreeMap<NodeId, Vec<(TopicPartition, String)>> = BTreeMap::new();
    for (replica, directory) in pending {
        let moves = brokers.entry(replica.broker).or_default();
        moves.push((replica.partition.clone(), directory.clone()));
    }
    let mut started = BTreeSet::new();
    for (broker, moves) in brokers {
        for (partition, result) in admin.alter_replica_log_dirs(broker, &moves).await? {
            let replica = Replica { broker, partition };
            match result {
                Ok(()) => {
                    started.insert(replica);
                }
                // It moves to this broker first.
                Err(error) if error.code() == Some(ErrorCode::ReplicaNotAvailable) => {}
                Err(_) => {
                    return Err(Failure::Error(format!("Failed to alter dir for {replica}")));
                }
            }
        }
    }
    Ok(started)
}
