//! One pass over the partitions of a fetch: what each has, under the limits of the request, and the response made of it.

use std::sync::Arc;

use base::{MonoMs, NodeId, PartitionIndex, TopicId, TopicIdPartition};
use metadata::Image;
use net::{Chunk, Response};
use protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::{ErrorCode, Records};
use tracing::warn;

use super::Source;
use super::region::into_records;
use super::session::{PartitionAnswer, PartitionKey, PartitionRequest, TopicKey};
use crate::authorizer::{Operation, Resource};
use crate::leaders::fetch::{current_leader, node_endpoints};
use crate::partitions::{Client, Partition, ReadRequest, ReadResult, Reader};
use crate::request::RequestContext;

/// The first version that tells who leads instead (KIP-951).
const LEADER_FROM_VERSION: i16 = 16;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Negative, as the client may send it: then every partition fails, as in Kafka.
    pub bytes_max: i64,
    pub bytes_min: usize,
    pub reader: Reader,
}

impl Limits {
    fn is_replica(&self) -> bool {
        matches!(self.reader, Reader::Replica { .. })
    }
}

/// What was read, still to be turned into a response.
pub struct Answer {
    pub(super) source: Source,
    pub(super) limits: Limits,
    /// Where the consumer is, if it may be sent to a nearer replica.
    client: Option<Client>,
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: usize,
    /// Something must be told at once, whatever the bytes.
    urgent: bool,
}

pub(super) struct Entry {
    place: u64,
    key: PartitionKey,
    pub partition: Option<Arc<Partition>>,
    pub result: Result<ReadResult, ErrorCode>,
}

impl Answer {
    pub fn read(
        context: &RequestContext,
        source: Source,
        limits: Limits,
        client: Option<Client>,
    ) -> Self {
        let (entries, bytes, urgent) = (Vec::new(), 0, false);
        let mut answer = Self { source, limits, client, entries, bytes, urgent };
        answer.pass(context, true);
        answer
    }

    /// Looks again after a wait.
    pub(super) fn read_again(&mut self, context: &RequestContext) {
        self.pass(context, false);
    }

    fn pass(&mut self, context: &RequestContext, first: bool) {
        let now = context.node.clock.mono();
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        let image = context.node.image();
        let client = self.client.as_ref();
        let mut pass = Pass {
            context,
            limits: self.limits,
            client: client.map(|client| (client, &**image, context.node.static_config.node_id)),
            first,
            now,
            bytes: 0,
            urgent: false,
            readable: false,
        };
        match &self.source {
            Source::Partitions(partitions) => {
                for (place, (key, request)) in partitions.iter().enumerate() {
                    entries.push(pass.entry(place as u64, key, request));
                }
            }
            Source::Session { session, .. } => {
                for (place, key, request) in session.get().partitions() {
                    entries.push(pass.entry(place, key, request));
                }
            }
        }
        self.bytes = pass.bytes;
        self.urgent = pass.urgent || !pass.readable;
        self.entries = entries;
    }

    /// Enough for the client, or something that cannot wait.
    pub fn is_complete(&self) -> bool {
        self.urgent || self.bytes >= self.limits.bytes_min
    }

    pub fn into_response(self, context: &RequestContext) -> Option<Response> {
        let Self { mut source, entries, limits, .. } = self;
        let mut response = FetchResponse::default();
        let mut regions: Vec<Option<Chunk>> = Vec::new();
        let mut elsewhere = false;
        for entry in entries {
            let (key, place) = (entry.key.clone(), entry.place);
            let data = entry.into_data(context, &mut regions, &mut elsewhere);
            if let Source::Session { session, incremental } = &mut source {
                let told = PartitionAnswer {
                    has_records: data.records.as_ref().is_some_and(|r| !r.is_empty()),
                    failed: data.error_code != 0,
                    high_watermark: data.high_watermark,
                    log_start: data.log_start_offset,
                    must_tell: data.diverging_epoch.epoch >= 0 || data.preferred_read_replica >= 0,
                };
                if !session.get_mut().answer(place, told) && *incremental {
                    continue;
                }
            }
            push(&mut response.responses, key.0, data);
        }
        if elsewhere && !limits.is_replica() {
            response.node_endpoints = node_endpoints(context);
        }
        if let Source::Session { session, .. } = &source {
            response.session_id = session.get().id();
        }
        context.encode(&response, &mut regions)
    }
}

/// The state of one pass: what is left of the limits.
struct Pass<'a> {
    context: &'a RequestContext,
    limits: Limits,
    client: Option<(&'a Client, &'a Image, NodeId)>,
    /// A later look at the same fetch tells nothing of the reader.
    first: bool,
    now: MonoMs,
    bytes: usize,
    urgent: bool,
    /// Some partition is known, so that waiting can make sense.
    readable: bool,
}

impl Pass<'_> {
    fn entry(&mut self, place: u64, key: &PartitionKey, request: &PartitionRequest) -> Entry {
        let (partition, result) = match self.find(key) {
            Err(error) => (None, Err(error)),
            Ok(partition) => {
                self.readable = true;
                let result = self.read(&partition, request);
                (Some(partition), result)
            }
        };
        Entry { place, key: key.clone(), partition, result }
    }

    /// A replica may read everything, if it is one.
    fn may_read(&self, topic: &str) -> bool {
        if self.limits.is_replica() {
            return self.context.allows(Operation::ClusterAction, Resource::Cluster);
        }
        self.context.allows(Operation::Read, Resource::Topic(topic))
    }

    fn find(&mut self, (topic, index): &PartitionKey) -> Result<Arc<Partition>, ErrorCode> {
        let node = &self.context.node;
        let image = node.image();
        let id = match topic {
            TopicKey::Id(id) => *id,
            TopicKey::Name(name) => {
                if !self.may_read(name) {
                    return Err(ErrorCode::TopicAuthorizationFailed);
                }
                image.topics.id_of(name).ok_or(ErrorCode::UnknownTopicOrPartition)?
            }
        };
        if let Some(partition) = node.partitions.get(id, *index) {
            return match self.may_read(partition.topic()) {
                true => Ok(partition),
                false => Err(ErrorCode::TopicAuthorizationFailed),
            };
        }
        if image.topics.by_id(id).is_none() {
            return Err(ErrorCode::UnknownTopicId);
        }
        if image.topics.partition(id, *index).is_none() {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        self.urgent = true;
        Err(ErrorCode::NotLeaderOrFollower)
    }

    fn read(
        &mut self,
        partition: &Arc<Partition>,
        request: &PartitionRequest,
    ) -> Result<ReadResult, ErrorCode> {
        let left = match self.limits.bytes_max {
            bytes_max if bytes_max < 0 => bytes_max,
            bytes_max => (bytes_max - self.bytes as i64).max(0),
        };
        let Ok(bytes_max) = u32::try_from(left.min(request.bytes_max.into())) else {
            self.urgent = true;
            return Err(ErrorCode::UnknownServerError);
        };
        let asked = ReadRequest {
            reader: self.limits.reader,
            offset: request.fetch_offset,
            log_start: request.log_start,
            leader_epoch: request.current_leader_epoch,
            last_fetched_epoch: request.last_fetched_epoch,
            bytes_max,
            whole_batch: self.bytes == 0,
            counts: self.first,
            client: self.client,
            now: self.now,
        };
        match partition.read(&asked) {
            Ok(mut result) => {
                if let Some(data) = &mut result.data {
                    // Part of a first batch is of no use when others have data: it comes whole next time.
                    if data.first_batch_incomplete {
                        data.records = None;
                    }
                    self.bytes += data.len();
                }
                self.urgent |= result.diverging.is_some() || result.preferred.is_some();
                Ok(result)
            }
            Err(error) => {
                self.urgent = true;
                let code = error.code();
                if code == ErrorCode::KafkaStorageError || code == ErrorCode::CorruptMessage {
                    let (topic, index) = (partition.topic(), partition.id().partition);
                    warn!(partition = %format_args!("{topic}-{index}"), "read failed: {error}");
                }
                Err(code)
            }
        }
    }
}

impl Entry {
    fn into_data(
        self,
        context: &RequestContext,
        regions: &mut Vec<Option<Chunk>>,
        elsewhere: &mut bool,
    ) -> PartitionData<'static> {
        let index = self.key.1;
        let result = match self.result {
            Ok(result) => result,
            Err(error) => {
                let mut failed = failure(index, error);
                if self.partition.is_some() {
                    // Null for what could not be read, empty for what is not there, as in Kafka.
                    failed.aborted_transactions = None;
                }
                if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
                    && context.version >= LEADER_FROM_VERSION
                    && let Some(id) = registered(&context.node.image(), &self.key)
                {
                    *elsewhere = true;
                    failed.current_leader = current_leader(&context.node, id);
                }
                return failed;
            }
        };
        let (records, aborted) = match result.data {
            Some(data) => (data.records, data.aborted),
            None => (None, None),
        };
        let aborted = aborted.map(|aborted| {
            let row = |txn: storage::log::AbortedTxn| AbortedTransaction {
                producer_id: txn.producer_id.get(),
                first_offset: txn.first_offset,
                ..Default::default()
            };
            aborted.into_iter().map(row).collect()
        });
        let records = match records.map(|slice| into_records(slice, regions)).transpose() {
            Ok(records) => records.unwrap_or_else(|| Records::borrowed(&[])),
            Err(error) => {
                warn!("read failed: {error}");
                return failure(index, ErrorCode::KafkaStorageError);
            }
        };
        let mut data = PartitionData {
            partition_index: index.get(),
            high_watermark: result.high_watermark.get(),
            last_stable_offset: result.last_stable_offset.get(),
            log_start_offset: result.log_start.get(),
            aborted_transactions: aborted,
            records: Some(records),
            ..Default::default()
        };
        if let Some(preferred) = result.preferred {
            data.preferred_read_replica = preferred.get();
        }
        if let Some((epoch, end)) = result.diverging {
            data.diverging_epoch =
                EpochEndOffset { epoch: epoch.get(), end_offset: end.get(), ..Default::default() };
        }
        data
    }
}

fn failure(index: PartitionIndex, error: ErrorCode) -> PartitionData<'static> {
    PartitionData {
        partition_index: index.get(),
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Some(Records::borrowed(&[])),
        ..Default::default()
    }
}

/// Partitions of one topic that follow each other share an entry, as in Kafka's responses.
fn push(
    responses: &mut Vec<FetchableTopicResponse<'static>>,
    topic: TopicKey,
    data: PartitionData<'static>,
) {
    let (name, topic_id) = match topic {
        TopicKey::Id(id) => (String::new(), id),
        TopicKey::Name(name) => (String::from(name), TopicId::ZERO),
    };
    if let Some(last) = responses.last_mut()
        && last.topic_id == topic_id
        && last.topic == name
    {
        last.partitions.push(data);
        return;
    }
    responses.push(FetchableTopicResponse {
        topic: name.into(),
        topic_id,
        partitions: vec![data],
        ..Default::default()
    });
}

fn registered(image: &Image, (topic, index): &PartitionKey) -> Option<TopicIdPartition> {
    let topic = match topic {
        TopicKey::Id(id) => image.topics.by_id(*id)?,
        TopicKey::Name(name) => image.topics.by_name(name)?,
    };
    topic.partition(*index)?;
    Some(TopicIdPartition { topic_id: topic.id, partition: *index })
}
