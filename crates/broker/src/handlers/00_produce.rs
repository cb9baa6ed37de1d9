//! Produce (0), versions 3-13: appends one batch per partition.
//!
//! v5 answers the log's start, v7 allows zstd, v8 adds record errors and a message, v10 the current leader where this node is not it
//! (KIP-951), v13 names topics by id. acks=0 has no response; an error then closes the connection, as the only way to tell.
//!
//! Records of a transaction are appended once its coordinator knows of it (KIP-890): up to v11 the client has told it before, from v12 on
//! this node does.
//!
//! The appends are the ordered part of the request; waiting for acks=all and for the disk (`flush.messages`) is not, the connection goes on meanwhile. The records
//! stay in the frame: each partition's slice is validated, given its offsets and written in place.

use std::borrow::Cow;
use std::sync::Arc;

use base::{TopicId, TopicIdPartition};
use bytes::BytesMut;
use net::{Frame, Handled};
use protocol::ErrorCode;
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use records::{AppendFault, RecordsError};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::authorizer::{Operation, Resource};
use crate::leaders::produce::{current_leader, node_endpoints};
use crate::node::Node;
use crate::partitions::{AppendFailure, Appended, Use, Written};
use crate::produce::{Parts, TopicPart};
use crate::request::{Handler, HandlerFuture, RequestContext, Run};
use crate::topics::is_internal;
use crate::transactions::{self, Verdict, Verdicts};

pub const HANDLER: Handler = Handler { api: protocol::ApiKey::Produce, run: Run::Takes(run) };

/// Only a client of this name may write to the coordinators' topics (Kafka's `AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

fn run(context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
    Box::pin(produce(context, frame))
}

/// What is owed for one partition: at `topics[topic].partition_responses[partition]`.
struct Owed {
    topic: usize,
    partition: usize,
    id: TopicIdPartition,
    committed: oneshot::Receiver<Written>,
}

type Response = ProduceResponse<'static>;
type PartitionResponse = PartitionProduceResponse<'static>;

async fn produce(context: Arc<RequestContext>, frame: Frame) -> Handled {
    let request: ProduceRequest<'_> = match context.decode(&frame) {
        Ok(request) => request,
        Err(closing) => return closing,
    };
    let acks = request.acks;
    let timeout_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
    let transactional_id = request.transactional_id.as_deref().map(str::to_owned);
    let parts = Parts::of(request, context.version, &frame);
    let mut refused = refusal(&context, acks, transactional_id.as_deref(), &parts, &frame.bytes);
    let mut verdicts = Verdicts::new();
    if let (Some(id), None) = (&transactional_id, refused) {
        match transactions::verify_produce(&context, id, &parts, timeout_ms).await {
            Ok(told) => verdicts = told,
            Err(error) => refused = Some(error),
        }
    }

    let mut appending = Appending {
        context: &context,
        frame: frame.bytes,
        taken: 0,
        all: acks == -1,
        now: context.node.clock.now(),
        timeout_ms,
        verdicts,
        owed: Vec::new(),
        elsewhere: false,
        failed: false,
    };
    let mut response = Response::default();
    for topic in parts.topics {
        let answered = appending.topic(topic, refused, response.responses.len()).await;
        response.responses.push(answered);
    }
    let Appending { owed, elsewhere, failed, .. } = appending;
    if elsewhere && context.version >= 10 {
        response.node_endpoints = node_endpoints(&context);
    }
    if acks == 0 {
        if failed {
            debug!(peer = %context.connection.peer, "connection closed: a produce with acks=0 failed");
            return Handled::Close;
        }
        return Handled::Now(None);
    }
    if owed.is_empty() {
        return context.respond(&response);
    }
    Handled::Waiting(Box::pin(wait(context, response, owed, timeout_ms)))
}

/// Why nothing of the request is appended.
fn refusal(
    context: &RequestContext,
    acks: i16,
    transactional_id: Option<&str>,
    parts: &Parts,
    frame: &[u8],
) -> Option<ErrorCode> {
    // KIP-98 by the batch, not by the request's word alone (CVE-2018-17196).
    let allowed = transactional_id
        .is_some_and(|id| context.allows(Operation::Write, Resource::TransactionalId(id)));
    if !allowed && parts.are_transactional(frame) {
        return Some(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    (!(-1..=1).contains(&acks)).then_some(ErrorCode::InvalidRequiredAcks)
}

struct Appending<'a> {
    context: &'a RequestContext,
    frame: BytesMut,
    /// Bytes of the original frame that were split off already.
    taken: usize,
    all: bool,
    now: base::time::Now,
    timeout_ms: u64,
    /// Of partitions with records of transactions.
    verdicts: Verdicts,
    owed: Vec<Owed>,
    /// Some partition is led by another node.
    elsewhere: bool,
    failed: bool,
}

impl Appending<'_> {
    async fn topic(
        &mut self,
        topic: TopicPart,
        refused: Option<ErrorCode>,
        position: usize,
    ) -> TopicProduceResponse<'static> {
        let known = {
            let image = self.context.node.image();
            let known = match &topic.name {
                Some(name) => image.topics.by_name(name),
                None => image.topics.by_id(topic.id),
            };
            known.map(|known| (known.id, Arc::clone(&known.name)))
        };
        let is_known = known.is_some();
        let (topic_id, topic_name) = match known {
            Some((id, name)) => (id, Some(name)),
            None => (topic.id, topic.name.as_deref().map(Arc::from)),
        };
        let error = refused.or_else(|| match &topic_name {
            Some(name) if !self.context.allows(Operation::Write, Resource::Topic(name)) => {
                Some(ErrorCode::TopicAuthorizationFailed)
            }
            _ if is_known => None,
            _ if topic.name.is_some() => Some(ErrorCode::UnknownTopicOrPartition),
            _ => Some(ErrorCode::UnknownTopicId),
        });
        let mut partition_responses = Vec::with_capacity(topic.parts.len());
        for part in topic.parts {
            let records = part.range.map(|(at, len)| self.take(at, len));
            let answered = match (error, records) {
                (Some(error), _) => {
                    PartitionResponse { error_message: words(error), ..failure(part.index, error) }
                }
                (None, None) => failure(part.index, ErrorCode::InvalidRecord),
                (None, Some(records)) => {
                    let place = (position, partition_responses.len());
                    let name = topic_name.as_deref().unwrap_or("");
                    match part.checked {
                        Ok(_) => self.partition(name, topic_id, part.index, records, place).await,
                        Err(fault) => refused_unread(name, part.index, &fault),
                    }
                }
            };
            self.failed |= answered.error_code != 0;
            partition_responses.push(answered);
        }
        TopicProduceResponse {
            name: topic.name.unwrap_or_default().into(),
            topic_id: topic.id,
            partition_responses,
            ..Default::default()
        }
    }

    /// The records of a partition, split off the frame: they come in its order.
    fn take(&mut self, at: usize, len: usize) -> BytesMut {
        let skip = at.saturating_sub(self.taken).min(self.frame.len());
        let mut rest = self.frame.split_off(skip);
        let len = len.min(rest.len());
        self.frame = rest.split_off(len);
        self.taken = at + len;
        rest
    }

    async fn partition(
        &mut self,
        name: &str,
        topic_id: TopicId,
        index: i32,
        records: BytesMut,
        place: (usize, usize),
    ) -> PartitionResponse {
        let shown = std::fmt::from_fn(|f| write!(f, "{name}-{index}"));
        if is_internal(name) && self.context.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
            return failure(index, ErrorCode::InvalidTopicException);
        }
        let node = &self.context.node;
        let id = TopicIdPartition::new(topic_id, index);
        if node.image().topics.partition(topic_id, id.partition).is_none() {
            return failure(index, ErrorCode::UnknownTopicOrPartition);
        }
        let Some(partition) = node.partitions.get(topic_id, id.partition) else {
            self.elsewhere = true;
            return not_leader(node, id);
        };
        let guard = match self.verdicts.remove(&(topic_id, index)) {
            None => None,
            Some(Verdict::Append(guard)) => guard,
            Some(Verdict::Refused { error: ErrorCode::NotLeaderOrFollower, .. }) => {
                self.elsewhere = true;
                return not_leader(node, id);
            }
            Some(Verdict::Refused { error, message }) => {
                debug!(partition = %shown, error = error.name(), "not part of the transaction");
                return PartitionResponse {
                    error_message: message.map(Into::into),
                    ..failure(index, error)
                };
            }
        };
        let deadline = self.now.mono.plus_ms(self.timeout_ms);
        let (all, now) = (self.all, self.now);
        let append = || {
            let appended = partition.append(records, all, guard, now, deadline);
            appended.map_err(|error| {
                let log_start = error.tells_log_start().then(|| partition.log_start_offset());
                (error, log_start)
            })
        };
        match partition.enter(Use::Write, append).await {
            Ok(appended) => self.appended(id, appended, place),
            Err((error, log_start)) => {
                let mut answer = self.refused(&shown, index, &error);
                if let Some(log_start) = log_start {
                    answer.log_start_offset = log_start.get();
                }
                if answer.error_code == ErrorCode::NotLeaderOrFollower.code() {
                    self.elsewhere = true;
                    return not_leader(node, id);
                }
                if error.code() == ErrorCode::KafkaStorageError {
                    warn!(partition = %shown, "append failed: {error}");
                }
                answer
            }
        }
    }

    fn appended(
        &mut self,
        id: TopicIdPartition,
        appended: Appended,
        (topic, partition): (usize, usize),
    ) -> PartitionResponse {
        self.context.node.note_appended();
        if let Some(committed) = appended.committed {
            self.owed.push(Owed { topic, partition, id, committed });
        }
        PartitionResponse {
            index: id.partition.get(),
            base_offset: appended.first_offset.get(),
            log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.0),
            log_start_offset: appended.log_start_offset.get(),
            ..Default::default()
        }
    }

    fn refused(
        &self,
        shown: &dyn std::fmt::Display,
        index: i32,
        error: &AppendFailure,
    ) -> PartitionResponse {
        let mut answer = failure(index, error.code());
        if error.is_full() {
            // The code alone would send people to look for lost brokers.
            answer.error_message = Some("The broker's disk is full.".into());
        }
        if let AppendFailure::Batch(fault) = error {
            debug!(partition = %shown, "refused: {}", fault.text(&shown));
            answer.error_message = fault.response_message(&shown).map(Into::into);
            let errors = fault.record_errors(&shown).into_iter();
            answer.record_errors = errors
                .map(|(batch_index, message)| BatchIndexAndErrorMessage {
                    batch_index,
                    batch_index_error_message: Some(message.into()),
                    ..Default::default()
                })
                .collect();
        }
        answer
    }
}

/// Records that are no batch which could be appended anywhere.
fn refused_unread(name: &str, index: i32, fault: &AppendFault) -> PartitionResponse {
    let shown = std::fmt::from_fn(|f| write!(f, "{name}-{index}"));
    debug!(partition = %shown, "refused: {}", fault.text(&shown));
    // Kafka has words for this one alone: it meets it before it looks at the single partitions.
    let unknown_magic = matches!(fault, AppendFault::Bytes(RecordsError::InvalidMagic { .. }));
    PartitionResponse {
        error_message: unknown_magic.then(|| fault.to_string().into()),
        ..failure(index, fault.error_code())
    }
}

/// Kafka has words for one of the errors of a whole request.
fn words(error: ErrorCode) -> Option<Cow<'static, str>> {
    let words = "Transactional records contained more than one producer ID";
    (error == ErrorCode::InvalidProducerIdMapping).then_some(Cow::Borrowed(words))
}

fn failure(index: i32, error: ErrorCode) -> PartitionResponse {
    PartitionResponse {
        index,
        error_code: error.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..Default::default()
    }
}

/// Tells who leads instead (KIP-951).
fn not_leader(node: &Node, id: TopicIdPartition) -> PartitionResponse {
    PartitionResponse {
        current_leader: current_leader(node, id),
        ..failure(id.partition.get(), ErrorCode::NotLeaderOrFollower)
    }
}

/// The part of a request with acks=all that waits: until all its partitions are committed, or the time is over.
async fn wait(
    context: Arc<RequestContext>,
    mut response: Response,
    owed: Vec<Owed>,
    timeout_ms: u64,
) -> Option<net::Response> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(timeout_ms);
    let mut elsewhere = false;
    for Owed { topic, partition, id, committed } in owed {
        let error = match tokio::time::timeout_at(deadline, committed).await {
            Ok(Ok(Written::Committed)) => continue,
            Ok(Ok(written)) => written.error(),
            Ok(Err(_closed)) => ErrorCode::NotLeaderOrFollower,
            Err(_late) => ErrorCode::RequestTimedOut,
        };
        let topic = response.responses.get_mut(topic)?;
        let answer = topic.partition_responses.get_mut(partition)?;
        answer.error_code = error.code();
        if error == ErrorCode::NotLeaderOrFollower {
            elsewhere = true;
            answer.current_leader = current_leader(&context.node, id);
        }
    }
    if elsewhere && context.version >= 10 {
        response.node_endpoints = node_endpoints(&context);
    }
    context.encode(&response, &mut [])
}
