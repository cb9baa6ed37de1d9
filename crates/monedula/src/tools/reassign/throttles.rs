//! Throttles of a reassignment: which replicas and brokers they concern, and setting and clearing them.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, TopicPartition};
use client::Admin;
use client::admin::{AlterConfig, AlterOperation, ConfigResource, ReassignedPartition};

use super::Result;
use super::plan::{Assignments, Targets, joined};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRECTORY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Where the records of a partition come from and go to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Move {
    pub sources: BTreeSet<i32>,
    pub destinations: BTreeSet<i32>,
}

pub type Moves = BTreeMap<TopicPartition, Move>;

/// All moves under way, and those that are proposed over them.
pub fn moves(
    active: &[ReassignedPartition],
    proposed: &Assignments,
    current: &Assignments,
) -> Moves {
    let mut moves = Moves::new();
    for reassigned in active {
        let destinations: BTreeSet<i32> = reassigned.adding.iter().copied().collect();
        let all: BTreeSet<i32> = reassigned.replicas.iter().copied().collect();
        let sources = all.difference(&destinations).copied().collect();
        let partition = TopicPartition::new(reassigned.topic.as_str(), reassigned.partition);
        moves.insert(partition, Move { sources, destinations });
    }
    for (partition, replicas) in proposed {
        let under_way = moves.get(partition).map(|known| known.sources.clone());
        let sources = under_way.unwrap_or_else(|| {
            current.get(partition).into_iter().flatten().copied().collect::<BTreeSet<i32>>()
        });
        let all: BTreeSet<i32> = replicas.iter().copied().collect();
        let destinations = all.difference(&sources).copied().collect();
        moves.insert(partition.clone(), Move { sources, destinations });
    }
    moves
}

/// `PARTITION:BROKER,...` of each topic, in the order of the texts.
pub fn replicas_by_topic(
    moves: &Moves,
    brokers: impl Fn(&Move) -> &BTreeSet<i32>,
) -> BTreeMap<&str, String> {
    let mut topics: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (partition, one) in moves {
        let entry = topics.entry(&partition.topic).or_default();
        entry.extend(brokers(one).iter().map(|broker| format!("{}:{broker}", partition.partition)));
    }
    topics.into_iter().map(|(topic, replicas)| (topic, joined(replicas, ","))).collect()
}

fn set(name: &str, value: impl ToString) -> AlterConfig {
    let value = Some(value.to_string());
    AlterConfig { name: name.to_owned(), operation: AlterOperation::Set, value }
}

fn delete(name: &str) -> AlterConfig {
    AlterConfig { name: name.to_owned(), operation: AlterOperation::Delete, value: None }
}

fn broker(id: impl ToString) -> ConfigResource {
    ConfigResource::Broker(id.to_string())
}

async fn alter(admin: &Admin, changes: Vec<(ConfigResource, Vec<AlterConfig>)>) -> Result<()> {
    for (_, result) in admin.alter_configs(&changes, false).await? {
        result?;
    }
    Ok(())
}

/// Bounds what moves between brokers may take.
pub async fn throttle_brokers(admin: &Admin, moves: &Moves, bytes_per_s: i64) -> Result<()> {
    let leaders = replicas_by_topic(moves, |one| &one.sources);
    let followers = replicas_by_topic(moves, |one| &one.destinations);
    let of_topic = |(topic, leaders): (&&str, &String)| {
        let followers = followers.get(topic).map_or("", String::as_str);
        let changes = vec![set(LEADER_REPLICAS, leaders), set(FOLLOWER_REPLICAS, followers)];
        (ConfigResource::Topic((*topic).to_owned()), changes)
    };
    alter(admin, leaders.iter().map(of_topic).collect()).await?;
    let brokers: BTreeSet<i32> =
        moves.values().flat_map(|one| one.sources.union(&one.destinations)).copied().collect();
    let of_broker = |id: &i32| {
        (broker(id), vec![set(LEADER_RATE, bytes_per_s), set(FOLLOWER_RATE, bytes_per_s)])
    };
    alter(admin, brokers.iter().map(of_broker).collect()).await?;
    println!("The inter-broker throttle limit was set to {bytes_per_s} B/s");
    Ok(())
}

/// Bounds what moves between directories of these brokers may take.
pub async fn throttle_directories(
    admin: &Admin,
    brokers: &BTreeSet<NodeId>,
    bytes_per_s: i64,
) -> Result<()> {
    let change = |id: &NodeId| (broker(id), vec![set(DIRECTORY_RATE, bytes_per_s)]);
    alter(admin, brokers.iter().map(change).collect()).await?;
    println!("The replica-alter-dir throttle limit was set to {bytes_per_s} B/s");
    Ok(())
}

/// Removes all throttles of the brokers, and those of these topics: nobody knows any more which brokers were concerned.
pub async fn clear(admin: &Admin, targets: &Targets) -> Result<()> {
    let cluster = admin.describe_cluster().await?;
    let mut brokers: BTreeSet<i32> = cluster.nodes.iter().map(|node| node.id.0).collect();
    brokers.extend(targets.iter().flat_map(|(_, replicas)| replicas));
    let topics: BTreeSet<&str> = targets.iter().map(|(partition, _)| &*partition.topic).collect();
    let many = |count: usize| if count == 1 { "" } else { "s" };
    println!(
        "Clearing broker-level throttles on broker{} {}",
        many(brokers.len()),
        joined(&brokers, ",")
    );
    let of_broker =
        |id: &i32| (broker(id), [LEADER_RATE, FOLLOWER_RATE, DIRECTORY_RATE].map(delete).to_vec());
    alter(admin, brokers.iter().map(of_broker).collect()).await?;
    println!(
        "Clearing topic-level throttles on topic{} {}",
        many(topics.len()),
        joined(&topics, ",")
    );
    let of_topic = |topic: &&str| {
        let changes = [LEADER_REPLICAS, FOLLOWER_REPLICAS].map(delete).to_vec();
        (ConfigResource::Topic((*topic).to_owned()), changes)
    };
    alter(admin, topics.iter().map(of_topic).collect()).await
}
