//! Idempotent producers side by side, each over a connection of its own, as fast as the answers come.

use std::sync::Arc;
use std::time::Duration;

use client::Producer;
use client::producer::{Delivery, ProducerOptions, ProducerRecord};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::setup::{Failure, Setup, quantile};

/// Bytes that a producer has under way at most; when they are answered more follow.
const UNDER_WAY: &str = "131072";
/// How long every so many'th record takes is looked at.
const LOOKED_AT: usize = 16;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seconds: f64,
    pub producers: u64,
    /// Bytes of a record's value.
    pub size: usize,
}

/// What one producer was answered.
#[derive(Default)]
struct Answered {
    records: u64,
    took_us: Vec<u64>,
}

/// All records must be stored.
pub async fn run(setup: &Arc<Setup>, plan: Plan) -> Result<String, Failure> {
    let mut working = JoinSet::new();
    let begin = Instant::now();
    for _ in 0..plan.producers {
        working.spawn(work(Arc::clone(setup), plan, begin));
    }
    let mut all = Answered::default();
    while let Some(worker) = working.join_next().await {
        let answered = worker??;
        all.records += answered.records;
        all.took_us.extend(answered.took_us);
    }
    let seconds = begin.elapsed().as_secs_f64();
    all.took_us.sort_unstable();
    Ok(format!(
        "ms={:.1} records={} p50_us={} p99_us={}",
        seconds * 1e3,
        all.records,
        quantile(&all.took_us, 50),
        quantile(&all.took_us, 99)
    ))
}

async fn work(setup: Arc<Setup>, plan: Plan, begin: Instant) -> Result<Answered, Failure> {
    let mut options = ProducerOptions::default();
    options.set("buffer.memory", UNDER_WAY)?;
    let producer = Producer::new(setup.client()?, options)?;
    let topic: Arc<str> = setup.topic.as_str().into();
    let value = bytes::Bytes::from(vec![b'v'; plan.size]);
    let (mut sent, mut looks) = (Vec::new(), JoinSet::new());
    while begin.elapsed() < Duration::from_secs_f64(plan.seconds) {
        let record = ProducerRecord {
            topic: Arc::clone(&topic),
            value: Some(value.clone()),
            ..Default::default()
        };
        let delivery = producer.send(record).await?;
        if sent.len().is_multiple_of(LOOKED_AT) {
            looks.spawn(look(delivery.clone()));
        }
        sent.push(delivery);
    }
    producer.close().await;
    let mut answered = Answered::default();
    while let Some(look) = looks.join_next().await {
        answered.took_us.push(look??);
    }
    for delivery in sent {
        delivery.wait().await?;
        answered.records += 1;
    }
    Ok(answered)
}

async fn look(delivery: Delivery) -> Result<u64, Failure> {
    let begin = Instant::now();
    delivery.wait().await?;
    Ok(u64::try_from(begin.elapsed().as_micros())?)
}
