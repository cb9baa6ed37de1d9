//! Offset commits of groups without members, as many as the server takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::transport::Connection;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::setup::{Failure, Setup, check, is_passing, pause, quantile};

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub requests: u64,
    pub groups: u64,
    /// Offsets in each request.
    pub partitions: i32,
    pub connections: usize,
    /// Requests under way on each connection.
    pub depth: usize,
}

/// Who commits.
pub struct Committer<'a> {
    pub group: &'a str,
    pub member: &'a str,
    /// Its generation or epoch.
    pub epoch: i32,
}

pub async fn run(setup: &Arc<Setup>, plan: Plan) -> Result<String, Failure> {
    let connections = setup.connections(plan.connections).await?;
    if let Some(first) = connections.first() {
        setup.look(first).await?;
    }
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    for connection in &connections {
        for _ in 0..plan.depth {
            let worker = work(Arc::clone(setup), plan, connection.clone(), Arc::clone(&next));
            workers.spawn(worker);
        }
    }
    let mut latencies_us = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies_us.extend(worker??);
    }
    let seconds = begin.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    let offsets = plan.requests * u64::try_from(plan.partitions)?;
    Ok(format!(
        "ms={:.1} requests={} offsets={offsets} p50_us={} p99_us={}",
        seconds * 1e3,
        plan.requests,
        quantile(&latencies_us, 50),
        quantile(&latencies_us, 99)
    ))
}

async fn work(
    setup: Arc<Setup>,
    plan: Plan,
    connection: Connection,
    next: Arc<AtomicU64>,
) -> Result<Vec<u64>, Failure> {
    let mut latencies_us = Vec::new();
    loop {
        let no = next.fetch_add(1, Ordering::Relaxed);
        if no >= plan.requests {
            return Ok(latencies_us);
        }
        let group = format!("load-commits-{}", no % plan.groups.max(1));
        let begin = Instant::now();
        let who = Committer { group: &group, member: "", epoch: -1 };
        commit(&setup, &connection, &who, plan.partitions, i64::try_from(no)?).await?;
        latencies_us.push(u64::try_from(begin.elapsed().as_micros())?);
    }
}

/// Commits one offset for the first so many partitions.
pub async fn commit(
    setup: &Setup,
    connection: &Connection,
    who: &Committer<'_>,
    partitions: i32,
    offset: i64,
) -> Result<(), Failure> {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: setup.topic.as_str().into(),
        topic_id: setup.topic_found().id,
        partitions: (0..partitions).map(partition).collect(),
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: who.group.into(),
        generation_id_or_member_epoch: who.epoch,
        member_id: who.member.into(),
        topics: vec![topic],
        ..Default::default()
    };
    loop {
        let reply = connection.call(&request).await?;
        let response: OffsetCommitResponse<'_> = reply.decode()?;
        let mut codes = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code)
            .filter(|code| *code != 0);
        match codes.next() {
            None => return Ok(()),
            Some(code) if is_passing(code) => pause().await,
            Some(code) => check("OffsetCommit", code)?,
        }
    }
}
