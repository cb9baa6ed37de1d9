//! Many groups: made, and waited for after the server's start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::transport::Connection;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::commits::{Committer, commit};
use crate::setup::{Failure, Setup, check, is_passing};
use crate::{classic, consumer};

const CONNECTIONS: usize = 32;
/// Of the offsets topic, as every broker has them by default.
const OFFSETS_PARTITIONS: i32 = 50;
const ASK_AGAIN_MS: u64 = 5;
const GROUPS_PER_REQUEST: usize = 500;
/// Heartbeats until a lone member has all it is to have.
const HEARTBEATS_MAX: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Offsets without members.
    Simple,
    Classic,
    Consumer,
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "simple" => Ok(Self::Simple),
            "classic" => Ok(Self::Classic),
            "consumer" => Ok(Self::Consumer),
            _ => Err(format!("no such kind: {text}")),
        }
    }
}

fn name(no: usize) -> String {
    format!("load-many-{no}")
}

/// Groups with one member each, or none, and committed offsets. The members send no more heartbeats.
pub async fn make(
    setup: &Arc<Setup>,
    kind: Kind,
    groups: usize,
    partitions: i32,
) -> Result<String, Failure> {
    let begin = Instant::now();
    let mut workers = JoinSet::new();
    for (at, connection) in setup.connections(CONNECTIONS).await?.into_iter().enumerate() {
        if at == 0 {
            setup.look(&connection).await?;
        }
        let setup = Arc::clone(setup);
        workers.spawn(async move {
            for no in (at..groups).step_by(CONNECTIONS) {
                make_one(&setup, kind, &connection, no, partitions).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(format!("ms={} groups={groups}", begin.elapsed().as_millis()))
}

async fn make_one(
    setup: &Arc<Setup>,
    kind: Kind,
    connection: &Connection,
    no: usize,
    partitions: i32,
) -> Result<(), Failure> {
    let group = name(no);
    let (member, epoch) = match kind {
        Kind::Simple => (String::new(), -1),
        Kind::Classic => {
            let mut member = classic::Member::new(setup, &group, connection.clone());
            member.rejoin().await?;
            (member.id, member.generation)
        }
        Kind::Consumer => {
            let mut member = consumer::Member::new(setup, &group, connection.clone())?;
            for _ in 0..HEARTBEATS_MAX {
                member.heartbeat().await?;
                if !member.is_unconfirmed() {
                    break;
                }
            }
            (member.id().to_owned(), member.epoch)
        }
    };
    let who = Committer { group: &group, member: &member, epoch };
    commit(setup, connection, &who, partitions, i64::try_from(no)?).await
}

/// Until the server answers for one group of every partition of the offsets topic; then all are looked at.
pub async fn until_served(
    setup: &Arc<Setup>,
    groups: usize,
    partitions: i32,
) -> Result<String, Failure> {
    let limit = Instant::now() + Duration::from_millis(setup.limit_ms);
    let mut one_each = BTreeMap::new();
    for no in 0..groups {
        one_each.entry(group::partition_for(&name(no), OFFSETS_PARTITIONS)).or_insert(no);
    }
    let probes: Vec<usize> = one_each.into_values().collect();
    let mut connection = None;
    loop {
        if Instant::now() > limit {
            return Err("the groups are not served in time".into());
        }
        if connection.is_none() {
            connection = setup.connection().await.ok();
        }
        if let Some(open) = &connection {
            match offsets_of(open, &probes).await {
                Ok(Some(_)) => break,
                Ok(None) => {}
                Err(_lost) => connection = None,
            }
        }
        tokio::time::sleep(Duration::from_millis(ASK_AGAIN_MS)).await;
    }
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let Some(connection) = connection else { return Err("no connection".into()) };
    let all: Vec<usize> = (0..groups).collect();
    for some in all.chunks(GROUPS_PER_REQUEST) {
        let Some(found) = offsets_of(&connection, some).await? else {
            return Err("a group is not served, another of its partition is".into());
        };
        for no in some {
            let expected = vec![i64::try_from(*no)?; usize::try_from(partitions)?];
            if found.get(&name(*no)) != Some(&expected) {
                return Err(format!("group {} has lost offsets", name(*no)).into());
            }
        }
    }
    Ok(format!("served_at_s={at:.3}"))
}

/// The committed offsets of groups; `None` while a coordinator is not ready.
async fn offsets_of(
    connection: &Connection,
    groups: &[usize],
) -> Result<Option<BTreeMap<String, Vec<i64>>>, Failure> {
    let group = |no: &usize| OffsetFetchRequestGroup {
        group_id: name(*no).into(),
        topics: None,
        ..Default::default()
    };
    let request =
        OffsetFetchRequest { groups: groups.iter().map(group).collect(), ..Default::default() };
    // Version 9 names topics, so what is answered does not depend on what the broker knows of ids.
    let reply = connection.call_within(&request, 9, 30_000).await?;
    let response: OffsetFetchResponse<'_> = reply.decode()?;
    let mut found = BTreeMap::new();
    for group in &response.groups {
        if is_passing(group.error_code) {
            return Ok(None);
        }
        check("OffsetFetch", group.error_code)?;
        let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
        let offsets = partitions.map(|partition| partition.committed_offset).collect();
        found.insert(group.group_id.to_string(), offsets);
    }
    Ok(Some(found))
}
