//! Groups on a whole node: members of our client, and the tools that look at them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

#[path = "../common/mod.rs"]
mod common;
mod members;
mod tools;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::admin::NewTopic;
use client::consumer::{ConsumerOptions, OffsetReset};
use client::group::{Event, GroupOptions, Subscription};
use client::producer::{ProducerOptions, ProducerRecord};
use client::{Admin, Client, ClientOptions, GroupConsumer, Producer};
use tokio::time::Instant;

use common::{BINARY, Node, Place};

/// Every wait ends: a group that hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// A node whose groups do everything at once.
struct Cluster {
    node: Node,
    client: Client,
    _place: Place,
}

impl Cluster {
    fn start() -> Self {
        let place = Place::new();
        let quick = [
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "1000"),
            ("group.consumer.min.session.timeout.ms", "1000"),
            ("group.consumer.session.timeout.ms", "20000"),
            ("group.consumer.min.heartbeat.interval.ms", "100"),
            ("group.consumer.heartbeat.interval.ms", "300"),
            ("group.coordinator.rebalance.protocols", "classic,consumer"),
            ("offsets.topic.num.partitions", "3"),
        ];
        let node = Node::start_with(&place.data, &quick[..]);
        let options = ClientOptions {
            bootstrap_servers: ClientOptions::bootstrap(&node.address).unwrap(),
            metadata_max_age_ms: 1000,
            ..Default::default()
        };
        let client = Client::new(options).unwrap();
        Self { node, client, _place: place }
    }

    async fn create(&self, topic: &str, partitions: i32) {
        let topic = NewTopic { partitions, ..NewTopic::new(topic) };
        let created = Admin::new(self.client.clone()).create_topics(&[topic], false).await;
        for (_, result) in created.unwrap() {
            result.unwrap();
        }
    }

    /// So many records in each partition, with their number as value.
    async fn produce(&self, topic: &str, partitions: i32, each: usize) {
        let producer = Producer::new(self.client.clone(), ProducerOptions::default()).unwrap();
        for partition in 0..partitions {
            for n in 0..each {
                let record = ProducerRecord {
                    topic: topic.into(),
                    partition: Some(partition),
                    value: Some(format!("{partition}:{n}").into()),
                    ..Default::default()
                };
                producer.send(record).await.unwrap();
            }
        }
        producer.close().await;
    }

    /// Deletes all records.
    async fn trim(&self, topic: &str) {
        let admin = Admin::new(self.client.clone());
        let topic: Arc<str> = topic.into();
        let described = admin.describe_topics(&[Arc::clone(&topic)], 100).await.unwrap();
        let partitions = described.into_iter().flat_map(|(_, topic)| topic.unwrap().partitions);
        let all: Vec<_> = partitions
            .map(|p| (TopicPartition::new(Arc::clone(&topic), p.metadata.index), -1))
            .collect();
        for (_, result) in admin.delete_records(&all).await.unwrap() {
            result.unwrap();
        }
    }

    /// A member that begins with the first record where nothing is committed; `settings` as `key=value ...`.
    fn member(&self, group: &str, settings: &str, subscription: Subscription) -> Member {
        let mut options = GroupOptions::new(group);
        for setting in settings.split_whitespace() {
            let (key, value) = setting.split_once('=').unwrap();
            assert!(options.set(key, value).unwrap(), "{setting}");
        }
        let consumer =
            ConsumerOptions { offset_reset: OffsetReset::Earliest, ..Default::default() };
        let consumer =
            GroupConsumer::new(self.client.clone(), options, consumer, subscription).unwrap();
        Member { consumer, values: Vec::new(), events: Vec::new() }
    }

    /// Exit code and standard output of a tool.
    fn tool(&self, tool: &str, arguments: &str) -> (i32, String) {
        let mut command = Command::new(BINARY);
        command.arg(tool).args(["--bootstrap-server", &self.node.address]);
        let done = command.args(arguments.split_whitespace()).output().unwrap();
        (done.status.code().unwrap_or(-1), String::from_utf8(done.stdout).unwrap())
    }
}

fn topics(names: &[&str]) -> Subscription {
    Subscription::Topics(names.iter().map(|name| Arc::from(*name)).collect())
}

/// A member with everything that it was told.
struct Member {
    consumer: GroupConsumer,
    values: Vec<String>,
    events: Vec<String>,
}

impl Member {
    async fn step(&mut self) {
        let event = self.consumer.next(Duration::from_millis(50)).await.unwrap();
        let mut note = |what: &str, mut partitions: Vec<TopicPartition>| {
            partitions.sort_unstable();
            self.events.push(format!("{what} {partitions:?}"));
        };
        match event {
            None => {}
            Some(Event::Records(records)) => self.values.extend(
                records
                    .iter()
                    .map(|r| String::from_utf8(r.value.clone().unwrap().to_vec()).unwrap()),
            ),
            Some(Event::Assigned(partitions)) => note("assigned", partitions),
            Some(Event::Revoked(partitions)) => note("revoked", partitions),
            Some(Event::Lost(partitions)) => note("lost", partitions),
        }
    }

    fn count(&self) -> usize {
        self.consumer.assignment().count()
    }

    fn owned(&self) -> BTreeSet<TopicPartition> {
        self.consumer.assignment().cloned().collect()
    }
}

/// Lets all members work until the condition holds.
async fn until(members: &mut [&mut Member], what: &str, holds: impl Fn(&[&mut Member]) -> bool) {
    let began = Instant::now();
    while !holds(members) {
        for member in members.iter_mut() {
            member.step().await;
        }
        let events: Vec<_> = members.iter().map(|member| &member.events).collect();
        assert!(began.elapsed() < PATIENCE, "never: {what}; {events:?}");
    }
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}
