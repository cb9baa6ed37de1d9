//! Transactions of many producers at once, and reading what they wrote.

use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use client::admin::OffsetSpec;
use client::consumer::{ConsumerOptions, IsolationLevel, OffsetReset, Start};
use client::producer::{ProducerOptions, ProducerRecord};
use client::{Admin, Client, Consumer, Producer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::setup::{Failure, Setup, quantile};

/// A consumer that gets nothing for so long is told that the rest is missing.
const READ_LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of each producer.
    pub transactions: u64,
    /// Transactional ids, with a producer each.
    pub ids: u64,
    /// In each transaction.
    pub records: u64,
    /// Partitions that a transaction writes to.
    pub spread: u64,
    /// Bytes of a record's value.
    pub size: usize,
}

/// Each producer does its transactions one after the other.
pub async fn run(setup: &Arc<Setup>, plan: Plan) -> Result<String, Failure> {
    let client = setup.client()?;
    let mut starting = JoinSet::new();
    for no in 0..plan.ids {
        let (client, id) = (client.clone(), format!("load-{}-{no}", setup.topic));
        starting.spawn(async move { identified(client, id).await });
    }
    let mut producers = Vec::new();
    while let Some(producer) = starting.join_next().await {
        producers.push(producer??);
    }
    let begin = Instant::now();
    let mut working = JoinSet::new();
    for (no, producer) in (0..).zip(producers) {
        working.spawn(work(Arc::clone(setup), plan, no, producer));
    }
    let mut commits_us = Vec::new();
    while let Some(worker) = working.join_next().await {
        commits_us.extend(worker??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    commits_us.sort_unstable();
    Ok(format!(
        "ms={:.1} transactions={} records={} p50_us={} p99_us={}",
        seconds * 1e3,
        commits_us.len(),
        commits_us.len() as u64 * plan.records,
        quantile(&commits_us, 50),
        quantile(&commits_us, 99)
    ))
}

async fn identified(client: Client, id: String) -> Result<Producer, Failure> {
    let mut options = ProducerOptions::default();
    options.set("transactional.id", &id)?;
    let producer = Producer::new(client, options)?;
    producer.init_transactions().await?;
    Ok(producer)
}

/// How long each commit took.
async fn work(
    setup: Arc<Setup>,
    plan: Plan,
    no: u64,
    producer: Producer,
) -> Result<Vec<u64>, Failure> {
    let value = bytes::Bytes::from(vec![b'v'; plan.size]);
    let topic: Arc<str> = setup.topic.as_str().into();
    let partitions = u64::try_from(setup.topic_found().partitions)?.max(1);
    let mut commits_us = Vec::new();
    for _ in 0..plan.transactions {
        producer.begin_transaction()?;
        for record in 0..plan.records {
            let partition = i32::try_from((no + record % plan.spread.max(1)) % partitions)?;
            let record = ProducerRecord {
                topic: Arc::clone(&topic),
                partition: Some(partition),
                value: Some(value.clone()),
                ..Default::default()
            };
            producer.send(record).await?;
        }
        let begin = Instant::now();
        producer.commit_transaction().await?;
        commits_us.push(u64::try_from(begin.elapsed().as_micros())?);
    }
    producer.close().await;
    Ok(commits_us)
}

/// Reads the whole topic so often; every reading must find as many records.
pub async fn read(setup: &Arc<Setup>, committed: bool, times: u64) -> Result<String, Failure> {
    let client = setup.client()?;
    let begin = Instant::now();
    let mut found = (0, 0);
    for time in 0..times {
        let this = read_once(setup, &client, committed).await?;
        if time > 0 && this != found {
            return Err(format!("{this:?} records and bytes, and {found:?} before").into());
        }
        found = this;
    }
    let (records, bytes) = found;
    Ok(format!("ms={:.1} records={records} bytes={bytes}", begin.elapsed().as_secs_f64() * 1e3))
}

async fn read_once(setup: &Setup, client: &Client, committed: bool) -> Result<(u64, u64), Failure> {
    let topic: Arc<str> = setup.topic.as_str().into();
    let partitions: Vec<TopicPartition> = (0..setup.topic_found().partitions)
        .map(|index| TopicPartition::new(Arc::clone(&topic), index))
        .collect();
    let wanted: Vec<_> = partitions.iter().map(|tp| (tp.clone(), OffsetSpec::Latest)).collect();
    let mut ends = Vec::new();
    for (tp, end) in Admin::new(client.clone()).list_offsets(&wanted, committed).await? {
        ends.push((tp, end?.offset));
    }
    let options = ConsumerOptions {
        isolation_level: if committed {
            IsolationLevel::ReadCommitted
        } else {
            IsolationLevel::ReadUncommitted
        },
        offset_reset: OffsetReset::None,
        ..Default::default()
    };
    let mut consumer = Consumer::new(client.clone(), options);
    consumer.assign(partitions.into_iter().map(|tp| (tp, Start::Offset(0))));
    let (mut records, mut bytes) = (0, 0);
    let mut deadline = Instant::now() + READ_LIMIT;
    while ends.iter().any(|(tp, end)| consumer.position(tp).is_none_or(|at| at < *end)) {
        let read = consumer.poll(Duration::from_millis(100)).await?;
        if !read.is_empty() {
            deadline = Instant::now() + READ_LIMIT;
        } else if Instant::now() > deadline {
            return Err("the rest does not come".into());
        }
        for record in &read {
            records += 1;
            bytes += record.value.as_ref().map_or(0, |value| value.len() as u64);
        }
    }
    Ok((records, bytes))
}
