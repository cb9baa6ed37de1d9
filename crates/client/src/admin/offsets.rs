//! Offsets by time, and deleting records below an offset: requests that go to each partition's leader.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{NodeId, TopicPartition};
use protocol::ErrorCode;
use protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use protocol::messages::delete_records_response::DeleteRecordsResponse;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::ListOffsetsResponse;

use super::{Admin, PerItem};
use crate::cluster::{Client, Target, Topics};
use crate::error::{Error, Result};

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    Latest,
    Earliest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first that is still on the broker's own disks.
    EarliestLocal,
    /// The last that was copied to remote storage.
    LatestTiered,
    /// The first that was not copied to remote storage yet.
    EarliestPendingUpload,
    /// The first record at or after this time, milliseconds since 1970.
    Timestamp(i64),
}

impl OffsetSpec {
    /// The number on the wire.
    pub const fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
            Self::Timestamp(ms) => ms,
        }
    }

    /// The first version of ListOffsets that knows it.
    const fn since(self) -> i16 {
        match self {
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
            Self::EarliestPendingUpload => 11,
            _ => 1,
        }
    }
}

/// Offset -1: there is no such record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

type Wanted = BTreeMap<TopicPartition, OffsetSpec>;

impl Admin {
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        read_committed: bool,
    ) -> Result<PerItem<TopicPartition, ListedOffset>> {
        list_offsets(&self.client, wanted, read_committed).await
    }

    /// Deletes all records below each offset (-1: all). Answers the new start of the log.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, i64)],
    ) -> Result<PerItem<TopicPartition, i64>> {
        let mut waiting: BTreeMap<TopicPartition, i64> = before.iter().cloned().collect();
        let mut done = Vec::with_capacity(before.len());
        let client = &self.client;
        let request_for = |part: &[(TopicPartition, i64)]| {
            let mut topics: BTreeMap<Arc<str>, Vec<DeleteRecordsPartition>> = BTreeMap::new();
            for (tp, offset) in part {
                topics.entry(Arc::clone(&tp.topic)).or_default().push(DeleteRecordsPartition {
                    partition_index: tp.partition.get(),
                    offset: *offset,
                    ..Default::default()
                });
            }
            let topic = |(name, partitions): (Arc<str>, Vec<_>)| DeleteRecordsTopic {
                name: name.to_string().into(),
                partitions,
                ..Default::default()
            };
            DeleteRecordsRequest {
                topics: topics.into_iter().map(topic).collect(),
                timeout_ms: 30_000,
                ..Default::default()
            }
        };
        let deadline = client.deadline();
        let mut last = None;
        while !waiting.is_empty() {
            let names = topic_names(waiting.keys());
            let (groups, missing) = by_leader(client, &names, &waiting).await?;
            for (tp, error) in missing {
                last = Some(error.clone());
                if !error.retriable() {
                    waiting.remove(&tp);
                    done.push((tp, Err(error)));
                }
            }
            for (node, part) in groups {
                let reply = match client.call(Target::Node(node), &request_for(&part)).await {
                    Ok(reply) => reply,
                    Err(error) if error.retriable() => {
                        last = Some(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let response: DeleteRecordsResponse<'_> = reply.decode()?;
                for topic in &response.topics {
                    for p in &topic.partitions {
                        let tp = TopicPartition::new(&*topic.name, p.partition_index);
                        match Error::check(p.error_code, None) {
                            Err(error) if error.retriable() => last = Some(error),
                            result => {
                                if waiting.remove(&tp).is_some() {
                                    done.push((tp, result.map(|()| p.low_watermark)));
                                }
                            }
                        }
                    }
                }
            }
            pause(client, "deleteRecords", deadline, &mut waiting, &mut done, last.as_ref()).await;
        }
        Ok(done)
    }
}

/// Asks the leaders of all these partitions, again after each retriable error until the client's deadline.
pub(crate) async fn list_offsets(
    client: &Client,
    wanted: &[(TopicPartition, OffsetSpec)],
    read_committed: bool,
) -> Result<PerItem<TopicPartition, ListedOffset>> {
    let mut waiting: Wanted = wanted.iter().cloned().collect();
    let mut done = Vec::with_capacity(wanted.len());
    let deadline = client.deadline();
    let mut last = None;
    while !waiting.is_empty() {
        let names = topic_names(waiting.keys());
        let (groups, missing) = by_leader(client, &names, &waiting).await?;
        for (tp, error) in missing {
            last = Some(error.clone());
            if !error.retriable() {
                waiting.remove(&tp);
                done.push((tp, Err(error)));
            }
        }
        for (node, part) in groups {
            match ask_leader(client, node, &part, read_committed).await {
                Ok(answers) => {
                    for (tp, result) in answers {
                        match result {
                            Err(error) if error.retriable() => last = Some(error),
                            result => {
                                if waiting.remove(&tp).is_some() {
                                    done.push((tp, result));
                                }
                            }
                        }
                    }
                }
                Err(error) if error.retriable() => last = Some(error),
                Err(error @ Error::UnsupportedVersion { .. }) => {
                    for (tp, _) in part {
                        waiting.remove(&tp);
                        done.push((tp, Err(error.clone())));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        pause(client, "listOffsets", deadline, &mut waiting, &mut done, last.as_ref()).await;
    }
    Ok(done)
}

async fn ask_leader(
    client: &Client,
    node: NodeId,
    part: &[(TopicPartition, OffsetSpec)],
    read_committed: bool,
) -> Result<PerItem<TopicPartition, ListedOffset>> {
    let metadata = client.metadata();
    let connection = client.connection(Target::Node(node)).await?;
    let version = connection.version_for::<ListOffsetsRequest<'_>>()?;
    let needed = part.iter().map(|(_, spec)| spec.since()).max().unwrap_or(1);
    if version < needed {
        return Err(Error::UnsupportedVersion {
            address: connection.address().to_owned(),
            api: "ListOffsets",
            ours_min: needed,
            ours_max: <ListOffsetsRequest<'_> as protocol::Message>::MAX_VERSION,
            theirs: format!("up to {version}"),
        });
    }
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (tp, spec) in part {
        let known = metadata.partition(&tp.topic, tp.partition.get());
        topics.entry(&tp.topic).or_default().push(ListOffsetsPartition {
            partition_index: tp.partition.get(),
            current_leader_epoch: known.map_or(-1, |p| p.leader_epoch.get()),
            timestamp: spec.timestamp(),
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&_, Vec<_>)| {
        let name: &str = name;
        ListOffsetsTopic { name: name.to_owned().into(), partitions, ..Default::default() }
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: i8::from(read_committed),
        topics: topics.into_iter().map(topic).collect(),
        timeout_ms: 30_000,
        ..Default::default()
    };
    let reply = connection.call(&request).await?;
    let response: ListOffsetsResponse<'_> = reply.decode()?;
    let mut answers = Vec::with_capacity(part.len());
    for topic in &response.topics {
        let name: Arc<str> = topic.name.as_ref().into();
        for p in &topic.partitions {
            let listed = ListedOffset {
                offset: p.offset,
                timestamp: p.timestamp,
                leader_epoch: p.leader_epoch,
            };
            let tp = TopicPartition::new(Arc::clone(&name), p.partition_index);
            answers.push((tp, Error::check(p.error_code, None).map(|()| listed)));
        }
    }
    Ok(answers)
}

pub(super) fn topic_names<'a>(
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = partitions.map(|tp| Arc::clone(&tp.topic)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) type Groups<T> = HashMap<NodeId, Vec<(TopicPartition, T)>>;

/// Fresh metadata for these topics, and the partitions by leader; those without one with the reason.
pub(super) async fn by_leader<T: Copy>(
    client: &Client,
    names: &[Arc<str>],
    wanted: &BTreeMap<TopicPartition, T>,
) -> Result<(Groups<T>, Vec<(TopicPartition, Error)>)> {
    let named = Topics::Named(names.to_vec());
    let refreshed = client
        .retry("metadata", client.deadline(), || async {
            match client.refresh_once(&named, false).await {
                // What is said of the one topic asked for shows below, for each of its partitions.
                Err(Error::Api { .. }) => Ok(client.metadata()),
                result => result,
            }
        })
        .await;
    let metadata = refreshed?;
    let mut groups: Groups<T> = HashMap::new();
    let mut missing = Vec::new();
    for (tp, value) in wanted {
        let partition = metadata.partition(&tp.topic, tp.partition.get());
        match partition.map(|p| p.leader.filter(|id| metadata.nodes.contains_key(id))) {
            Some(Some(leader)) => groups.entry(leader).or_default().push((tp.clone(), *value)),
            Some(None) => {
                missing.push((tp.clone(), Error::api(ErrorCode::LeaderNotAvailable, None)))
            }
            None => {
                missing.push((tp.clone(), Error::api(ErrorCode::UnknownTopicOrPartition, None)))
            }
        }
    }
    Ok((groups, missing))
}

/// Waits before the next round; past the deadline everything that still waits fails with the last reason.
pub(super) async fn pause<V, T>(
    client: &Client,
    what: &'static str,
    deadline: tokio::time::Instant,
    waiting: &mut BTreeMap<TopicPartition, V>,
    done: &mut PerItem<TopicPartition, T>,
    last: Option<&Error>,
) {
    if waiting.is_empty() {
        return;
    }
    let next = tokio::time::Instant::now()
        + std::time::Duration::from_millis(client.options().retry_backoff.initial_ms.max(1));
    if next < deadline {
        tokio::time::sleep_until(next).await;
        return;
    }
    for (tp, _) in std::mem::take(waiting) {
        let last = last.cloned().map(Box::new);
        done.push((
            tp,
            Err(Error::Expired { what, after_ms: client.options().api_timeout_ms, last }),
        ));
    }
}
