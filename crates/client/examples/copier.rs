//! Copies a topic in transactions, for the exactly-once test: copier BOOTSTRAP GROUP ID INPUT OUTPUT MODE [PROTOCOL].
//!
//! A member of GROUP; what it reads goes to the same partition of OUTPUT, with the offsets in one transaction, now and then
//! aborted on purpose. MODE is `exactly-once`, or what breaks it: `uncommitted` reads what others have not committed, `plain`
//! uses no transactions. Writes what happens as JSON lines; ends with 3 when another one with its id has taken over.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::consumer::{ConsumerOptions, ConsumerRecord};
use client::group::{CommittedOffset, GroupOptions, Offsets, Subscription};
use client::producer::{ProducerOptions, ProducerRecord};
use client::{Client, ClientOptions, Error, GroupConsumer, Producer, TransactionFault};
use tokio::signal::unix::{SignalKind, signal};

const FENCED: u8 = 3;
/// One transaction of so many is aborted on purpose.
const ABORTS: u64 = 10;
const POLL: Duration = Duration::from_millis(500);

type Failure = Box<dyn std::error::Error>;

struct Copier {
    producer: Producer,
    consumer: GroupConsumer,
    output: Arc<str>,
    transactional: bool,
    chance: u64,
}

fn log(event: &str, more: &str) {
    println!("{{\"ev\": \"{event}\"{more}}}");
}

fn why(error: &Error) -> String {
    let text: String = error.to_string().chars().filter(|c| !"\"\\\n".contains(*c)).collect();
    format!(", \"why\": \"{text}\"")
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ended = match Copier::new(&words) {
        Ok(copier) => copier.run().await,
        Err(failure) => Err(failure),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let error = failure.downcast_ref::<Error>();
            let text = error.map_or_else(|| format!(", \"why\": \"{failure}\""), why);
            let fatal = error.is_some_and(|e| e.fault() == Some(TransactionFault::Fatal));
            log(if fatal { "fenced" } else { "failed" }, &text);
            if fatal { ExitCode::from(FENCED) } else { ExitCode::FAILURE }
        }
    }
}

impl Copier {
    fn new(words: &[String]) -> Result<Self, Failure> {
        let [bootstrap, group, id, _, output, mode, ..] = words else {
            return Err("usage: copier BOOTSTRAP GROUP ID INPUT OUTPUT MODE [PROTOCOL]".into());
        };
        let transactional = mode != "plain";
        let mut options = ClientOptions {
            bootstrap_servers: ClientOptions::bootstrap(bootstrap)?,
            ..Default::default()
        };
        let (mut sends, mut reads) = (ProducerOptions::default(), ConsumerOptions::default());
        let mut joins = GroupOptions::new(group);
        for (key, value) in [("client.id", id.as_str()), ("retry.backoff.ms", "50")] {
            options.set(key, value)?;
        }
        for (key, value) in [("linger.ms", "2"), ("max.block.ms", "20000")] {
            sends.set(key, value)?;
        }
        if transactional {
            sends.set("transactional.id", id)?;
            sends.set("transaction.timeout.ms", "6000")?;
        }
        let isolation = if mode == "uncommitted" { "read_uncommitted" } else { "read_committed" };
        let settings = [
            ("isolation.level", isolation),
            ("auto.offset.reset", "earliest"),
            ("fetch.max.wait.ms", "100"),
        ];
        for (key, value) in settings {
            reads.set(key, value)?;
        }
        joins.set("enable.auto.commit", "false")?;
        if words.get(6).is_some_and(|protocol| protocol == "consumer") {
            joins.set("group.protocol", "consumer")?;
        } else {
            // The other clients of the group know it, too.
            joins.set("partition.assignment.strategy", "range")?;
            joins.set("session.timeout.ms", "6000")?;
            joins.set("heartbeat.interval.ms", "500")?;
        }
        let client = Client::new(options)?;
        let input = words.get(3).map(|topic| topic.as_str().into()).into_iter().collect();
        let topics = Subscription::Topics(input);
        Ok(Self {
            producer: Producer::new(client.clone(), sends)?,
            consumer: GroupConsumer::new(client, joins, reads, topics)?,
            output: output.as_str().into(),
            transactional,
            chance: u64::from(std::process::id()),
        })
    }

    async fn run(mut self) -> Result<(), Failure> {
        let mut stop = signal(SignalKind::terminate())?;
        if self.transactional {
            while let Err(error) = self.producer.init_transactions().await {
                again(error)?;
            }
        }
        log("ready", "");
        loop {
            let records = tokio::select! {
                _ = stop.recv() => break,
                records = self.consumer.poll(POLL) => records?,
            };
            if !records.is_empty() {
                self.copy(records).await?;
            }
        }
        self.producer.close().await;
        self.consumer.close().await?;
        log("end", "");
        Ok(())
    }

    async fn copy(&mut self, records: Vec<ConsumerRecord>) -> Result<(), Failure> {
        let first = first_offsets(&records);
        match self.transfer(&records).await {
            Ok(()) => {
                if self.transactional {
                    log("commit", &format!(", \"n\": {}", records.len()));
                }
                return Ok(());
            }
            Err(error) if error.fault() == Some(TransactionFault::Fatal) => {
                return Err(error.into());
            }
            Err(error) => log("abort", &why(&error)),
        }
        if self.transactional {
            while let Err(error) = self.producer.abort_transaction().await {
                again(error)?;
            }
        }
        for (tp, offset) in first {
            self.consumer.seek(&tp, offset);
        }
        Ok(())
    }

    async fn transfer(&mut self, records: &[ConsumerRecord]) -> Result<(), Error> {
        let mut offsets = Offsets::new();
        if self.transactional {
            self.producer.begin_transaction()?;
        }
        for record in records {
            let copy = ProducerRecord {
                topic: Arc::clone(&self.output),
                partition: Some(record.partition),
                key: record.key.clone(),
                value: record.value.clone(),
                ..Default::default()
            };
            self.producer.send(copy).await?;
            let tp = TopicPartition::new(Arc::clone(&record.topic), record.partition);
            let (offset, leader_epoch) = (record.offset + 1, record.leader_epoch);
            offsets.insert(tp, CommittedOffset { offset, leader_epoch, metadata: String::new() });
        }
        if !self.transactional {
            self.producer.flush().await;
            return self.consumer.commit(&offsets).await;
        }
        if self.aborts() {
            self.producer.flush().await;
            return Err(Error::TransactionAborted);
        }
        let member = self.consumer.group_metadata();
        self.producer.send_offsets_to_transaction(offsets, member).await?;
        while let Err(error) = self.producer.commit_transaction().await {
            match error.fault() {
                None if matches!(error, Error::Expired { .. }) => log("again", &why(&error)),
                _ => return Err(error),
            }
        }
        Ok(())
    }

    fn aborts(&mut self) -> bool {
        // Any numbers will do (a linear congruential generator).
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33).is_multiple_of(ABORTS)
    }
}

/// A call that took too long is made again.
fn again(error: Error) -> Result<(), Error> {
    if !matches!(error, Error::Expired { .. }) {
        return Err(error);
    }
    log("again", &why(&error));
    Ok(())
}

fn first_offsets(records: &[ConsumerRecord]) -> BTreeMap<TopicPartition, i64> {
    let mut first = BTreeMap::new();
    for record in records {
        let tp = TopicPartition::new(Arc::clone(&record.topic), record.partition);
        first.entry(tp).or_insert(record.offset);
    }
    first
}
