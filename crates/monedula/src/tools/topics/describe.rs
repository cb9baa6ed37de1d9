//! `topics --describe`.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use base::{NodeId, Uuid};
use client::Admin;
use client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, DescribedPartition, ReassignedPartition,
    TopicDescription,
};

use super::{Failure, chosen, listed, must_exist};
use crate::tools::args::Args;

/// Partitions in one answer of the server when `--partition-size-limit-per-response` is missing.
const PARTITIONS_PER_ANSWER: i32 = 2000;

type Reassignments = HashMap<(String, i32), ReassignedPartition>;

pub async fn describe(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let topics = descriptions(admin, args).await?;
    if topics.is_empty() {
        return Ok(());
    }
    let resources: Vec<ConfigResource> =
        topics.iter().map(|topic| ConfigResource::Topic(topic.name.to_string())).collect();
    let mut configs: HashMap<ConfigResource, client::Result<Vec<ConfigEntry>>> =
        admin.describe_configs(&resources).await?.into_iter().collect();
    let nodes = admin.describe_cluster().await?.nodes;
    let alive: HashSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let reassignments = reassignments(admin, &topics).await;
    let report = Report::new(args);
    for (topic, resource) in topics.iter().zip(&resources) {
        let config = configs.remove(resource).unwrap_or_else(|| Ok(Vec::new()))?;
        if report.topics {
            print_topic(topic, &config, &reassignments, args.has("topics-with-overrides"));
        }
        if report.partitions {
            let min_isr = min_isr(&config);
            for partition in &topic.partitions {
                let moving = reassignments.get(&(topic.name.to_string(), partition.metadata.index));
                if report.wants(partition, moving, min_isr, &alive) {
                    println!("{}", partition_line(&topic.name, partition, moving));
                }
            }
        }
    }
    Ok(())
}

async fn descriptions(admin: &Admin, args: &Args) -> Result<Vec<TopicDescription>, Failure> {
    let id = args.value("topic-id")?.map(|text| text.parse::<Uuid>()).transpose();
    let id = id.map_err(|error| error.to_string())?.filter(|id| !id.is_zero());
    let found = if let Some(id) = id {
        let exists = listed(admin, args).await?.iter().any(|topic| topic.id == id);
        if !exists {
            return if args.has("if-exists") {
                Ok(Vec::new())
            } else {
                Err(Failure::Executing(format!("TopicId '{id}' does not exist as expected")))
            };
        }
        admin.describe_topic_ids(&[id]).await?
    } else {
        let names = chosen(admin, args).await?;
        must_exist(&names, args)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let limit =
            args.number("partition-size-limit-per-response")?.unwrap_or(PARTITIONS_PER_ANSWER);
        admin.describe_topics(&names, limit).await?
    };
    let topics: client::Result<Vec<TopicDescription>> =
        found.into_iter().map(|(_, topic)| topic).collect();
    Ok(topics?)
}

/// Ongoing moves. A cluster that does not tell them is shown without.
async fn reassignments(admin: &Admin, topics: &[TopicDescription]) -> Reassignments {
    let asked: Vec<(String, Vec<i32>)> = topics
        .iter()
        .map(|topic| {
            (topic.name.to_string(), topic.partitions.iter().map(|p| p.metadata.index).collect())
        })
        .collect();
    let found = admin.list_reassignments(Some(&asked)).await.unwrap_or_default();
    found.into_iter().map(|moving| ((moving.topic.clone(), moving.partition), moving)).collect()
}

/// What of each topic is shown.
struct Report {
    topics: bool,
    partitions: bool,
    under_replicated: bool,
    unavailable: bool,
    under_min_isr: bool,
    at_min_isr: bool,
}

impl Report {
    fn new(args: &Args) -> Self {
        let mut report = Self {
            topics: true,
            partitions: !args.has("topics-with-overrides"),
            under_replicated: args.has("under-replicated-partitions"),
            unavailable: args.has("unavailable-partitions"),
            under_min_isr: args.has("under-min-isr-partitions"),
            at_min_isr: args.has("at-min-isr-partitions"),
        };
        report.topics = !(report.under_replicated
            || report.unavailable
            || report.under_min_isr
            || report.at_min_isr);
        report
    }

    fn wants(
        &self,
        partition: &DescribedPartition,
        moving: Option<&ReassignedPartition>,
        min_isr: usize,
        alive: &HashSet<NodeId>,
    ) -> bool {
        let metadata = &partition.metadata;
        let in_sync = metadata.isr.len();
        self.topics
            || (self.under_replicated && replication_factor(partition, moving) > in_sync)
            || (self.unavailable && metadata.leader.is_none_or(|leader| !alive.contains(&leader)))
            || (self.under_min_isr && (metadata.leader.is_none() || in_sync < min_isr))
            || (self.at_min_isr && in_sync == min_isr)
    }
}

fn min_isr(config: &[ConfigEntry]) -> usize {
    let entry = config.iter().find(|entry| entry.name == "min.insync.replicas");
    entry.and_then(|entry| entry.value.as_deref()?.parse().ok()).unwrap_or(1)
}

/// Replicas apart from those that a move adds, as long as it goes on.
fn replication_factor(
    partition: &DescribedPartition,
    moving: Option<&ReassignedPartition>,
) -> usize {
    let replicas = &partition.metadata.replicas;
    let in_progress = |moving: &&ReassignedPartition| {
        let changing = moving.removing.iter().chain(&moving.adding);
        changing.copied().any(|id| replicas.contains(&NodeId(id)))
    };
    match moving.filter(in_progress) {
        Some(moving) => moving.replicas.len().saturating_sub(moving.adding.len()),
        None => replicas.len(),
    }
}

fn print_topic(
    topic: &TopicDescription,
    config: &[ConfigEntry],
    moving: &Reassignments,
    only_overridden: bool,
) {
    let own: Vec<&ConfigEntry> =
        config.iter().filter(|entry| entry.source != ConfigSource::Default).collect();
    if only_overridden && own.is_empty() {
        return;
    }
    let Some(first) = topic.partitions.first() else { return };
    let moving = moving.get(&(topic.name.to_string(), first.metadata.index));
    let value = |entry: &&ConfigEntry| {
        format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null"))
    };
    let configs: Vec<String> = own.iter().map(value).collect();
    let id = if topic.id.is_zero() { String::new() } else { format!("\tTopicId: {}", topic.id) };
    println!(
        "Topic: {}{id}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
        topic.name,
        topic.partitions.len(),
        replication_factor(first, moving),
        configs.join(",")
    );
}

fn partition_line(
    topic: &Arc<str>,
    partition: &DescribedPartition,
    moving: Option<&ReassignedPartition>,
) -> String {
    let metadata = &partition.metadata;
    let leader = metadata.leader.map_or(String::from("none"), |id| id.to_string());
    let moving = moving.map_or(String::new(), |moving| {
        format!(
            "\tAdding Replicas: {}\tRemoving Replicas: {}",
            joined(&moving.adding),
            joined(&moving.removing)
        )
    });
    let elr = |ids: &Option<Vec<NodeId>>| ids.as_deref().map_or(String::from("N/A"), joined);
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}{moving}\tElr: {}\tLastKnownElr: {}",
        metadata.index,
        joined(&metadata.replicas),
        joined(&metadata.isr),
        elr(&partition.elr),
        elr(&partition.last_known_elr),
    )
}

fn joined<T: Display>(ids: &[T]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
