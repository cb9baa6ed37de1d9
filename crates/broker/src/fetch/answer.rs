//! One pass over the partitions of a fetch: what each has, under the limits of the request, and the response made of it.

use std::sync::Arc;

use arc_swap::Guard;
use base::{MonoMs, NodeId};
use metadata::Image;
use net::{Chunk, Response};
use protocol::ErrorCode;
use protocol::messages::fetch_response::FetchResponse;
use storage::log::LogError;
use tracing::warn;

use super::Source;
use super::session::{PartitionAnswer, PartitionKey, PartitionRequest, TopicKey};
use super::told::{Entry, push};
use crate::authorizer::{Operation, Resource};
use crate::leaders::fetch::node_endpoints;
use crate::partitions::{Client, Partition, PartitionFailure, ReadRequest, ReadResult, Reader};
use crate::request::RequestContext;

/// So often a look-up is tried anew after what it met was read from the disk; then it waits for the rest under the partition's lock.
const LOOKUPS_MAX: u32 = 16;
/// What the system may read on its own behind what a look-up met.
const LOOKUP_AHEAD_BYTES: u64 = 128 * 1024;

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

impl Answer {
    pub async fn read(
        context: &RequestContext,
        source: Source,
        limits: Limits,
        client: Option<Client>,
    ) -> Self {
        let (entries, bytes, urgent) = (Vec::new(), 0, false);
        let mut answer = Self { source, limits, client, entries, bytes, urgent };
        answer.pass(context, true).await;
        answer
    }

    /// Looks again after a wait.
    pub(super) async fn read_again(&mut self, context: &RequestContext) {
        self.pass(context, false).await;
    }

    async fn pass(&mut self, context: &RequestContext, first: bool) {
        let now = context.node.clock.mono();
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        let image = Guard::into_inner(context.node.image());
        let client = self.client.as_ref();
        let mut pass = Pass {
            context,
            limits: self.limits,
            client: client.map(|client| (client, &*image, context.node.static_config.node_id)),
            first,
            now,
            bytes: 0,
            urgent: false,
            readable: false,
        };
        match &self.source {
            Source::Partitions(partitions) => {
                for (place, (key, request)) in partitions.iter().enumerate() {
                    entries.push(pass.entry(place as u64, key, request).await);
                }
            }
            Source::Session { session, .. } => {
                for (place, key, request) in session.get().partitions() {
                    entries.push(pass.entry(place, key, request).await);
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

    pub async fn into_response(mut self, context: &RequestContext) -> Option<Response> {
        for entry in &mut self.entries {
            entry.read_small().await;
        }
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
    async fn entry(&mut self, place: u64, key: &PartitionKey, request: &PartitionRequest) -> Entry {
        let (partition, result) = match self.find(key) {
            Err(error) => (None, Err(error)),
            Ok(partition) => {
                self.readable = true;
                let result = self.read(&partition, request).await;
                (Some(partition), result)
            }
        };
        Entry { place, key: key.clone(), partition, result, small: None }
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

    async fn read(
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
        let mut asked = ReadRequest {
            reader: self.limits.reader,
            offset: request.fetch_offset,
            log_start: request.log_start,
            leader_epoch: request.current_leader_epoch,
            last_fetched_epoch: request.last_fetched_epoch,
            bytes_max,
            whole_batch: self.bytes == 0,
            cached_only: true,
            counts: self.first,
            client: self.client,
            now: self.now,
        };
        let mut lookups = LOOKUPS_MAX;
        let read = loop {
            match partition.read_beside(&asked).await {
                Err(PartitionFailure::Log(LogError::NotCached(cold))) => {
                    partition.lane().load(cold, LOOKUP_AHEAD_BYTES).await;
                    lookups -= 1;
                    asked.cached_only = lookups > 0;
                }
                read => break read,
            }
        };
        match read {
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
                let is_fault =
                    matches!(code, ErrorCode::KafkaStorageError | ErrorCode::CorruptMessage);
                if is_fault && !matches!(error, PartitionFailure::StandsStill) {
                    let (topic, index) = (partition.topic(), partition.id().partition);
                    warn!(partition = %format_args!("{topic}-{index}"), "read failed: {error}");
                }
                Err(code)
            }
        }
    }
}
