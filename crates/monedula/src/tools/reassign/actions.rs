//! The five actions of `reassign-partitions`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{NodeId, TopicPartition};
use client::Admin;
use client::admin::{PerItem, ReassignedPartition, TopicDescription};
use protocol::ErrorCode;

use super::place::{self, Usable};
use super::plan::{self, Assignments, Directories, PartitionState, Reassignment, Replica, joined};
use super::{Failure, Result, moves, throttles};

/// Partitions of one answer of DescribeTopicPartitions.
const PARTITIONS_PER_ANSWER: i32 = 2000;
const EXISTING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to override \
                        this and create a new partition assignment in addition to the existing one. The --additional \
                        flag can also be used to change the throttle by resubmitting the current reassignment.";
const VERIFY_LATER: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the \
                            throttle is removed.";

/// What `--execute` was told besides its file.
pub struct Execution {
    pub additional: bool,
    /// Bytes per second; negative for none.
    pub throttle: i64,
    pub directory_throttle: i64,
    pub timeout_ms: u64,
    pub may_change_count: bool,
}

pub async fn list(admin: &Admin) -> Result<()> {
    let mut active = active(admin).await?;
    if active.is_empty() {
        println!("No partition reassignments found.");
        return Ok(());
    }
    active.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    println!("Current partition reassignments:");
    for one in active {
        let part = |name: &str, brokers: &[i32]| match brokers {
            [] => String::new(),
            brokers => format!(" {name}: {}.", joined(brokers, ",")),
        };
        let (adding, removing) = (part("adding", &one.adding), part("removing", &one.removing));
        let replicas = joined(&one.replicas, ",");
        println!("{}-{}: replicas: {replicas}.{adding}{removing}", one.topic, one.partition);
    }
    Ok(())
}

async fn active(admin: &Admin) -> Result<Vec<ReassignedPartition>> {
    Ok(admin.list_reassignments(None).await?)
}

pub async fn verify(admin: &Admin, text: &str, preserve_throttles: bool) -> Result<()> {
    let wanted = Reassignment::parse(text)?;
    let active = active(admin).await?;
    println!("{}", plan::show_states(&states(admin, &active, &wanted).await?));
    let places = moves::places(admin, wanted.directories.keys()).await?;
    let mut moving = false;
    let mut lines = Vec::new();
    for (replica, target) in &wanted.directories {
        let place = places.get(replica).cloned().unwrap_or_default();
        let (line, on_its_way) = plan::show_move(replica, &place, target);
        lines.push(line);
        moving |= on_its_way;
    }
    println!("{}", lines.join("\n"));
    if active.is_empty() && !moving && !preserve_throttles {
        throttles::clear(admin, &wanted.targets).await?;
    }
    Ok(())
}

async fn states(
    admin: &Admin,
    active: &[ReassignedPartition],
    wanted: &Reassignment,
) -> Result<BTreeMap<TopicPartition, PartitionState>> {
    let under_way = |partition: &TopicPartition| {
        active
            .iter()
            .find(|one| one.topic == *partition.topic && one.partition == partition.partition.get())
    };
    let resting = wanted.targets.iter().map(|(partition, _)| partition);
    let names = resting.filter(|partition| under_way(partition).is_none());
    let described = describe(admin, names).await?;
    let mut states = BTreeMap::new();
    for (partition, target) in &wanted.targets {
        let (current, done) = match under_way(partition) {
            Some(one) => (one.replicas.clone(), false),
            None => (current_replicas(&described, partition)?, true),
        };
        let target = target.clone();
        states.insert(partition.clone(), PartitionState { current, target, done });
    }
    Ok(states)
}

/// Nothing for a partition that is not there.
fn current_replicas(
    described: &PerItem<Arc<str>, TopicDescription>,
    partition: &TopicPartition,
) -> Result<Vec<i32>> {
    let found = described.iter().find(|(name, _)| *name == partition.topic);
    match found {
        Some((_, Ok(topic))) => {
            let index = partition.partition.get();
            let found = topic.partitions.iter().find(|p| p.metadata.index == index);
            let replicas = found.iter().flat_map(|p| &p.metadata.replicas);
            Ok(replicas.map(|id| id.0).collect())
        }
        Some((_, Err(error))) if error.code() != Some(ErrorCode::UnknownTopicOrPartition) => {
            Err(error.clone().into())
        }
        _ => Ok(Vec::new()),
    }
}

async fn describe<'a>(
    admin: &Admin,
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<PerItem<Arc<str>, TopicDescription>> {
    let names: BTreeSet<Arc<str>> = partitions.map(|p| Arc::clone(&p.topic)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<Arc<str>> = names.into_iter().collect();
    Ok(admin.describe_topics(&names, PARTITIONS_PER_ANSWER).await?)
}

/// The replicas of whole topics; each must exist.
fn assignments(described: PerItem<Arc<str>, TopicDescription>) -> Result<Assignments> {
    let mut all = Assignments::new();
    for (name, topic) in described {
        let topic = topic.map_err(|error| match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition) => {
                Failure::Error(format!("Topic {name} not found."))
            }
            _ => error.into(),
        })?;
        for partition in topic.partitions {
            let replicas = partition.metadata.replicas.iter().map(|id| id.0).collect();
            all.insert(TopicPartition::new(Arc::clone(&name), partition.metadata.index), replicas);
        }
    }
    Ok(all)
}

/// Directories of the replicas on brokers that are there.
async fn directories(admin: &Admin, current: &Assignments) -> Result<Directories> {
    let cluster = admin.describe_cluster().await?;
    let present: BTreeSet<i32> = cluster.nodes.iter().map(|node| node.id.0).collect();
    let replicas: Vec<Replica> = current
        .iter()
        .flat_map(|(partition, brokers)| {
            let there = brokers.iter().filter(|broker| present.contains(broker));
            there.map(|id| Replica { broker: NodeId(*id), partition: partition.clone() })
        })
        .collect();
    let places = moves::places(admin, replicas.iter()).await?;
    let known = places.into_iter().filter_map(|(replica, place)| Some((replica, place.current?)));
    Ok(known.collect())
}

pub async fn generate(admin: &Admin, text: &str, brokers: &str, racks: bool) -> Result<()> {
    let (topics, brokers) = plan::parse_generate(text, brokers)?;
    let wanted: Vec<TopicPartition> =
        topics.iter().map(|topic| TopicPartition::new(topic.as_str(), 0)).collect();
    let current = assignments(describe(admin, wanted.iter()).await?)?;
    let directories = directories(admin, &current).await?;
    let cluster = admin.describe_cluster().await?;
    let asked = cluster.nodes.iter().filter(|node| brokers.contains(&node.id.0));
    let usable: Vec<Usable> = asked
        .map(|node| Usable { id: node.id.0, rack: node.rack.clone().filter(|_| racks) })
        .collect();
    let without = usable.iter().filter(|broker| broker.rack.is_none()).count();
    if racks && without != 0 && without != usable.len() {
        return Err(Failure::Error(String::from(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica \
             assignment without rack information.",
        )));
    }
    let mut shapes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (partition, replicas) in &current {
        let shape = shapes.entry(&partition.topic).or_insert((0, replicas.len()));
        shape.0 += 1;
    }
    let mut proposed = Assignments::new();
    let mut seed = 0;
    for (topic, (partitions, replicas)) in shapes {
        let placed = place::place(&usable, partitions, replicas, seed)?;
        seed += partitions;
        for (index, replicas) in (0..).zip(placed) {
            proposed.insert(TopicPartition::new(topic, index), replicas);
        }
    }
    println!("Current partition replica assignment\n{}\n", plan::to_json(&current, &directories));
    println!(
        "Proposed partition reassignment configuration\n{}",
        plan::to_json(&proposed, &Directories::new())
    );
    Ok(())
}

pub async fn execute(admin: &Admin, text: &str, execution: &Execution) -> Result<()> {
    let wanted = Reassignment::parse(text)?;
    let proposed = wanted.assignments()?;
    let active = active(admin).await?;
    if !execution.additional && !active.is_empty() {
        return Err(Failure::Terse(EXISTING.to_owned()));
    }
    let cluster = admin.describe_cluster().await?;
    let known = |id: &i32| cluster.nodes.iter().any(|node| node.id.0 == *id);
    if let Some(unknown) = proposed.values().flatten().find(|id| !known(id)) {
        return Err(Failure::Error(format!("Unknown broker id {unknown}")));
    }
    let mut current = assignments(describe(admin, proposed.keys()).await?)?;
    current.retain(|partition, _| proposed.contains_key(partition));
    let missing: Vec<_> = proposed.keys().filter(|p| !current.contains_key(*p)).collect();
    if !missing.is_empty() {
        let missing = joined(missing, ", ");
        return Err(Failure::Error(format!("Unable to find partition: {missing}")));
    }
    let directories = directories(admin, &current).await?;
    println!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option \
         during rollback",
        plan::to_json(&current, &directories)
    );
    if execution.throttle >= 0 || execution.directory_throttle >= 0 {
        println!("{VERIFY_LATER}");
        if execution.throttle >= 0 {
            let moves = throttles::moves(&active, &proposed, &current);
            throttles::throttle_brokers(admin, &moves, execution.throttle).await?;
        }
        if execution.directory_throttle >= 0 {
            let brokers = wanted.directories.keys().map(|replica| replica.broker).collect();
            throttles::throttle_directories(admin, &brokers, execution.directory_throttle).await?;
        }
    }
    let changes: Vec<_> =
        proposed.iter().map(|(p, replicas)| (p.clone(), Some(replicas.clone()))).collect();
    let errors = alter(admin, &changes, execution.may_change_count).await?;
    if !errors.is_empty() {
        let errors = errors.join("\n");
        return Err(Failure::Terse(format!("Error reassigning partition(s):\n{errors}")));
    }
    println!(
        "Successfully started partition reassignment{} for {}",
        if proposed.len() == 1 { "" } else { "s" },
        joined(proposed.keys(), ",")
    );
    if wanted.directories.is_empty() {
        return Ok(());
    }
    moves::start(admin, wanted.directories, execution.timeout_ms).await
}

/// A line for each partition that was refused, in order.
async fn alter(
    admin: &Admin,
    changes: &[(TopicPartition, Option<Vec<i32>>)],
    may_change_count: bool,
) -> Result<Vec<String>> {
    let results: BTreeMap<_, _> = match admin.alter_reassignments(changes, may_change_count).await {
        Ok(results) => results.into_iter().collect(),
        Err(error) => changes.iter().map(|(p, _)| (p.clone(), Err(error.clone()))).collect(),
    };
    let refused = results.into_iter().filter_map(|(p, result)| Some((p, result.err()?)));
    Ok(refused.map(|(partition, error)| format!("{partition}: {error}")).collect())
}

pub async fn cancel(
    admin: &Admin,
    text: &str,
    preserve_throttles: bool,
    timeout_ms: u64,
) -> Result<()> {
    let wanted = Reassignment::parse(text)?;
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (partition, _) in &wanted.targets {
        topics.entry(&partition.topic).or_default().push(partition.partition.get());
    }
    let topics: Vec<_> = topics.into_iter().map(|(name, all)| (name.to_owned(), all)).collect();
    let active = admin.list_reassignments(Some(&topics)).await?;
    let moving = active.iter().filter(|one| !one.adding.is_empty() || !one.removing.is_empty());
    let moving: BTreeSet<TopicPartition> =
        moving.map(|one| TopicPartition::new(one.topic.as_str(), one.partition)).collect();
    if moving.is_empty() {
        println!("None of the specified partition reassignments are active.");
    } else {
        let many = |count: usize| if count == 1 { "" } else { "s" };
        let changes: Vec<_> = moving.iter().map(|p| (p.clone(), None)).collect();
        let errors = alter(admin, &changes, true).await?;
        if !errors.is_empty() {
            let many = many(errors.len());
            let errors = errors.join("\n");
            return Err(Failure::Terse(format!(
                "Error cancelling partition reassignment{many} for:\n{errors}"
            )));
        }
        let (many, all) = (many(moving.len()), joined(&moving, ","));
        println!("Successfully cancelled partition reassignment{many} for: {all}");
    }
    let places = moves::places(admin, wanted.directories.keys()).await?;
    let back: Directories = places
        .into_iter()
        .filter_map(|(replica, place)| {
            place.future?;
            Some((replica, place.current?))
        })
        .collect();
    if back.is_empty() {
        print!("None of the specified partition moves are active.");
    } else {
        moves::start(admin, back, timeout_ms).await?;
    }
    if !preserve_throttles {
        throttles::clear(admin, &wanted.targets).await?;
    }
    Ok(())
}
