//! Requests for records: which partitions are asked for, at whom, and what becomes of each answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{NodeId, TopicId, TopicPartition};
use bytes::Bytes;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::{FetchResponse, PartitionData};
use protocol::{ErrorCode, Records};
use tokio::time::Instant;

use super::decode::{DecodeOptions, FetchedRecords};
use super::options::{ConsumerOptions, IsolationLevel, OffsetReset};
use super::{Consumer, Position};
use crate::admin::{ListedOffset, OffsetSpec, PerItem};
use crate::cluster::{Client, Target, Topics};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::transport::Reply;

/// Pause of a partition after an answer that says "not now", and between two refreshes.
const PAUSE_MS: u64 = 100;
/// The last version that names topics; later ones carry their ids.
const LAST_BY_NAME: i16 = 12;

pub(crate) enum Event {
    Fetched {
        generation: u64,
        node: NodeId,
        asked: Vec<(TopicPartition, i64)>,
        result: Result<Reply>,
    },
    Positions {
        generation: u64,
        asked: Vec<TopicPartition>,
        result: Result<PerItem<TopicPartition, ListedOffset>>,
    },
    Refreshed(Result<()>),
}

impl Consumer {
    /// Starts what can be started: positions to ask for, fetches at each leader that is idle. Says when to look again.
    pub(crate) fn fetch(&mut self) -> Option<Instant> {
        let metadata = self.client.metadata();
        let now = Instant::now();
        let mut look_again: Option<Instant> = None;
        let mut unknown = Vec::new();
        let mut by_leader: HashMap<NodeId, Vec<(TopicPartition, i64)>> = HashMap::new();
        for (tp, partition) in &self.partitions {
            if partition.busy || partition.buffered.is_some() {
                continue;
            }
            if let Some(not_before) = partition.not_before.filter(|at| *at > now) {
                look_again = Some(look_again.map_or(not_before, |at| at.min(not_before)));
                continue;
            }
            match partition.position {
                Position::Unknown(spec) => unknown.push((tp.clone(), spec)),
                Position::At(offset) => match metadata.leader(&tp.topic, tp.partition.get()) {
                    Some(node) => by_leader.entry(node.id).or_default().push((tp.clone(), offset)),
                    None => self.refresh_wanted = true,
                },
            }
        }
        if !unknown.is_empty() {
            self.ask_positions(unknown);
        }
        for (node, wanted) in by_leader {
            if !self.fetching.contains_key(&node) {
                self.fetch_from(node, wanted, &metadata);
            }
        }
        let refresh_at = self.refresh(now);
        [look_again, refresh_at].into_iter().flatten().min()
    }

    fn ask_positions(&mut self, unknown: Vec<(TopicPartition, OffsetSpec)>) {
        let asked: Vec<TopicPartition> = unknown.iter().map(|(tp, _)| tp.clone()).collect();
        for tp in &asked {
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.busy = true;
            }
        }
        let committed = self.options.isolation_level == IsolationLevel::ReadCommitted;
        let (client, events, generation) =
            (self.client.clone(), self.events.clone(), self.generation);
        tokio::spawn(async move {
            let result = crate::admin::list_offsets(&client, &unknown, committed).await;
            let _ = events.send(Event::Positions { generation, asked, result });
        });
    }

    fn fetch_from(
        &mut self,
        node: NodeId,
        wanted: Vec<(TopicPartition, i64)>,
        metadata: &Metadata,
    ) {
        let by_id =
            wanted.iter().all(|(tp, _)| metadata.topic(&tp.topic).is_some_and(|t| !t.id.is_zero()));
        let request = request(&self.options, &wanted, metadata);
        for (tp, _) in &wanted {
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.busy = true;
            }
        }
        self.fetching.insert(node, self.generation);
        let (client, events, generation) =
            (self.client.clone(), self.events.clone(), self.generation);
        let cap = if by_id { i16::MAX } else { LAST_BY_NAME };
        tokio::spawn(async move {
            let result = ask(&client, node, &request, cap).await;
            let _ = events.send(Event::Fetched { generation, node, asked: wanted, result });
        });
    }

    /// Asks for metadata when something is missing or old. Says when to look again.
    fn refresh(&mut self, now: Instant) -> Option<Instant> {
        let max_age = Duration::from_millis(self.client.options().metadata_max_age_ms);
        let due = match (self.refresh_wanted, self.last_refresh) {
            (true, None) => now,
            (true, Some(last)) => last + Duration::from_millis(PAUSE_MS),
            (false, last) => last.unwrap_or(now) + max_age,
        };
        if self.refreshing || due > now || self.partitions.is_empty() {
            return (!self.refreshing).then_some(due);
        }
        self.refreshing = true;
        self.refresh_wanted = false;
        let mut topics: Vec<Arc<str>> =
            self.partitions.keys().map(|tp| Arc::clone(&tp.topic)).collect();
        topics.sort_unstable();
        topics.dedup();
        let create = self.options.allow_auto_create_topics;
        let (client, events) = (self.client.clone(), self.events.clone());
        tokio::spawn(async move {
            let result = client.refresh_once(&Topics::Named(topics), create).await;
            let _ = events.send(Event::Refreshed(result.map(drop)));
        });
        None
    }

    pub(crate) fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Refreshed(result) => {
                self.refreshing = false;
                self.last_refresh = Some(Instant::now());
                match result {
                    Ok(()) => self.check_topics(),
                    Err(error) if error.retriable() => {
                        tracing::warn!(%error, "metadata refresh failed");
                        self.refresh_wanted = true;
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Event::Positions { generation, asked, result } => {
                if generation != self.generation {
                    return Ok(());
                }
                self.free(asked.iter());
                self.positioned(asked, result)
            }
            Event::Fetched { generation, node, asked, result } => {
                if self.fetching.get(&node) == Some(&generation) {
                    self.fetching.remove(&node);
                }
                if generation != self.generation {
                    return Ok(());
                }
                self.free(asked.iter().map(|(tp, _)| tp));
                self.fetched(&asked, result)
            }
        }
    }

    /// A topic that will not come by waiting: its name is invalid, or it may not be read.
    fn check_topics(&self) -> Result<()> {
        let metadata = self.client.metadata();
        for topic in self.partitions.keys().map(|tp| &tp.topic) {
            let code = metadata.topic(topic).map_or(ErrorCode::None, |known| known.error);
            if code != ErrorCode::None && !code.retriable() {
                return Err(Error::api(code, Some(&format!("{topic}: {}", code.message()))));
            }
        }
        Ok(())
    }

    fn free<'a>(&mut self, partitions: impl Iterator<Item = &'a TopicPartition>) {
        for tp in partitions {
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.busy = false;
            }
        }
    }

    fn pause<'a>(&mut self, partitions: impl Iterator<Item = &'a TopicPartition>) {
        let until = Instant::now() + Duration::from_millis(PAUSE_MS);
        for tp in partitions {
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.not_before = Some(until);
            }
        }
        self.refresh_wanted = true;
    }

    fn positioned(
        &mut self,
        asked: Vec<TopicPartition>,
        result: Result<PerItem<TopicPartition, ListedOffset>>,
    ) -> Result<()> {
        let answers = match result {
            Ok(answers) => answers,
            Err(error) => {
                self.pause(asked.iter());
                return if error.retriable() || matches!(error, Error::Expired { .. }) {
                    Ok(())
                } else {
                    Err(error)
                };
            }
        };
        let mut failed = Ok(());
        for (tp, answer) in answers {
            let Some(partition) = self.partitions.get_mut(&tp) else { continue };
            match answer {
                Ok(listed) if listed.offset >= 0 => {
                    partition.position = Position::At(listed.offset)
                }
                // No record at or after that time: the end.
                Ok(_) => partition.position = Position::Unknown(OffsetSpec::Latest),
                Err(error) => {
                    let passing = error.retriable() || matches!(error, Error::Expired { .. });
                    self.pause(std::iter::once(&tp));
                    if !passing {
                        failed = Err(error);
                    }
                }
            }
        }
        failed
    }

    fn fetched(&mut self, asked: &[(TopicPartition, i64)], result: Result<Reply>) -> Result<()> {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                self.pause(asked.iter().map(|(tp, _)| tp));
                return if error.retriable() { Ok(()) } else { Err(error) };
            }
        };
        let response: FetchResponse<'_> = reply.decode()?;
        if let Err(error) = Error::check(response.error_code, None) {
            self.pause(asked.iter().map(|(tp, _)| tp));
            return if error.retriable() { Ok(()) } else { Err(error) };
        }
        let metadata = self.client.metadata();
        let names = names(asked, &metadata, reply.version);
        let mut failed = Ok(());
        for topic in &response.responses {
            let key = if reply.version > LAST_BY_NAME {
                Named::Id(topic.topic_id)
            } else {
                Named::Name(&topic.topic)
            };
            let Some(name) = names.get(&key) else { continue };
            for data in &topic.partitions {
                let tp = TopicPartition::new(Arc::clone(name), data.partition_index);
                let Some((_, offset)) = asked.iter().find(|(asked, _)| *asked == tp) else {
                    continue;
                };
                if let Err(error) = self.partition_data(&tp, *offset, data, &reply) {
                    failed = Err(error);
                }
            }
        }
        failed
    }

    fn partition_data(
        &mut self,
        tp: &TopicPartition,
        offset: i64,
        data: &PartitionData<'_>,
        reply: &Reply,
    ) -> Result<()> {
        let code = ErrorCode::from_code(data.error_code);
        let reset = self.options.offset_reset;
        let Some(partition) = self.partitions.get_mut(tp) else { return Ok(()) };
        // Asked for before a seek, or before the partition was taken away and given back.
        if partition.position != Position::At(offset) || partition.buffered.is_some() {
            return Ok(());
        }
        match code {
            ErrorCode::None => {
                partition.high_watermark = data.high_watermark;
                partition.not_before = None;
                let bytes = match &data.records {
                    Some(Records::Bytes(Cow::Borrowed(bytes))) => reply.body().slice_ref(bytes),
                    Some(Records::Bytes(Cow::Owned(bytes))) => Bytes::copy_from_slice(bytes),
                    Some(Records::External { .. }) | None => Bytes::new(),
                };
                if bytes.is_empty() {
                    return Ok(());
                }
                let aborted = data.aborted_transactions.iter().flatten();
                let options = DecodeOptions {
                    check_crcs: self.options.check_crcs,
                    read_committed: self.options.isolation_level == IsolationLevel::ReadCommitted,
                    max_decompressed_bytes: self.options.max_decompressed_bytes,
                };
                partition.buffered = Some(FetchedRecords::new(
                    tp.clone(),
                    bytes,
                    offset,
                    aborted.map(|a| (a.producer_id, a.first_offset)),
                    options,
                ));
                self.order.push_back(tp.clone());
                Ok(())
            }
            ErrorCode::OffsetOutOfRange => {
                partition.position = match reset {
                    OffsetReset::Earliest => Position::Unknown(OffsetSpec::Earliest),
                    OffsetReset::Latest => Position::Unknown(OffsetSpec::Latest),
                    OffsetReset::None => {
                        let message =
                            format!("Fetch position {offset} is out of range for partition {tp}");
                        return Err(Error::api(code, Some(&message)));
                    }
                };
                tracing::info!(partition = %tp, offset, "the offset is out of range and is reset");
                Ok(())
            }
            code => {
                self.pause(std::iter::once(tp));
                if code.retriable() { Ok(()) } else { Err(Error::api(code, None)) }
            }
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Named<'a> {
    Name(&'a str),
    Id(TopicId),
}

/// The topics of a request by what its answer calls them.
fn names<'a>(
    asked: &'a [(TopicPartition, i64)],
    metadata: &Metadata,
    version: i16,
) -> HashMap<Named<'a>, Arc<str>> {
    let topics = asked.iter().filter_map(|(tp, _)| {
        let key = if version > LAST_BY_NAME {
            Named::Id(metadata.topic(&tp.topic)?.id)
        } else {
            Named::Name(&tp.topic)
        };
        Some((key, Arc::clone(&tp.topic)))
    });
    topics.collect()
}

fn request(
    options: &ConsumerOptions,
    wanted: &[(TopicPartition, i64)],
    metadata: &Metadata,
) -> FetchRequest<'static> {
    let mut topics: BTreeMap<&Arc<str>, Vec<FetchPartition>> = BTreeMap::new();
    for (tp, offset) in wanted {
        let known = metadata.partition(&tp.topic, tp.partition.get());
        topics.entry(&tp.topic).or_default().push(FetchPartition {
            partition: tp.partition.get(),
            current_leader_epoch: known.map_or(-1, |p| p.leader_epoch.get()),
            fetch_offset: *offset,
            partition_max_bytes: options.max_partition_fetch_bytes,
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&Arc<str>, Vec<FetchPartition>)| FetchTopic {
        topic: name.to_string().into(),
        topic_id: metadata.topic(name).map_or(TopicId::ZERO, |t| t.id),
        partitions,
        ..Default::default()
    };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: options.fetch_max_wait_ms,
        min_bytes: options.fetch_min_bytes,
        max_bytes: options.fetch_max_bytes,
        isolation_level: i8::from(options.isolation_level == IsolationLevel::ReadCommitted),
        session_id: 0,
        // Without a session: every request names all partitions.
        session_epoch: -1,
        topics: topics.into_iter().map(topic).collect(),
        rack_id: options.client_rack.clone().into(),
        ..Default::default()
    }
}

async fn ask(
    client: &Client,
    node: NodeId,
    request: &FetchRequest<'static>,
    cap: i16,
) -> Result<Reply> {
    let connection = client.connection(Target::Node(node)).await?;
    let patience_ms = client
        .options()
        .request_timeout_ms
        .max(u64::try_from(request.max_wait_ms).unwrap_or(0) + 5_000);
    connection.call_within(request, cap, patience_ms).await
}
