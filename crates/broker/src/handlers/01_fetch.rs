//! Fetch (1), versions 4-18: batches from many partitions, now or when there are enough.
//!
//! v5 tells the log's start, v7 has sessions (KIP-227), v9 the leader epoch (KIP-320), v12 the last fetched epoch and diverging epochs,
//! v13 topic ids, v15-v18 replica fields, v16 endpoints of other leaders. Responses are gather lists: batches stay files until they
//! reach the socket.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use base::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex};
use net::{Frame, Handled};
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::{ErrorCode, Listener};

use crate::authorizer::{Operation, Resource};
use crate::clock::random_bytes;
use crate::fetch::answer::{Answer, Limits};
use crate::fetch::session::{
    Context, PartitionKey, PartitionRequest, SessionError, SessionRequest, TopicKey,
};
use crate::fetch::wait::Waiting;
use crate::fetch::{SessionGuard, Source};
use crate::partitions::{Client, RACK_AWARE, Reader};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::{Handler, HandlerFuture, RequestContext, Run};

pub const HANDLER: Handler = Handler { api: protocol::ApiKey::Fetch, run: Run::Takes(run) };

/// The first version in which consumers tell their rack; who does may be answered by followers (KIP-392).
const RACK_FROM_VERSION: i16 = 11;

fn run(context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
    Box::pin(fetch(context, frame))
}

async fn fetch(context: Arc<RequestContext>, frame: Frame) -> Handled {
    let request: FetchRequest<'_> = match context.decode(&frame) {
        Ok(request) => request,
        Err(closing) => return closing,
    };
    if context.side == Listener::Controller {
        return fetch_metadata_log(Arc::clone(&context), request.into_owned());
    }
    let node = &context.node;
    let mut session_request = session_request(&context, &request);
    let begun = {
        let random_ids = std::iter::repeat_with(|| i32::from_be_bytes(random_bytes()));
        node.fetch_sessions.lock().begin(&mut session_request, random_ids, node.clock.mono())
    };
    let source = match begun {
        Ok(Context::Sessionless) => Source::Partitions(session_request.partitions),
        Ok(Context::Full { session }) => Source::full(SessionGuard::new(node, session)),
        Ok(Context::Incremental { session }) => {
            Source::incremental(SessionGuard::new(node, session))
        }
        Err(error) => {
            let error = match error {
                SessionError::IdNotFound => ErrorCode::FetchSessionIdNotFound,
                SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
                SessionError::TopicIdMismatch => ErrorCode::FetchSessionTopicIdError,
            };
            return context
                .respond(&FetchResponse { error_code: error.code(), ..Default::default() });
        }
    };
    let limits = Limits {
        bytes_max: request.max_bytes.min(node.config().fetch.max_bytes).into(),
        bytes_min: request.min_bytes.max(0) as usize,
        reader: reader(&context, &request),
    };
    let client = client(&context, &request, limits.reader);
    let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
    drop(request);
    drop(frame);

    let answer = Answer::read(&context, source, limits, client).await;
    if answer.is_complete() || wait_ms == 0 {
        return match answer.into_response(&context).await {
            Some(response) => Handled::Now(Some(response)),
            None => Handled::Close,
        };
    }
    let waiting = Waiting::new(context, answer, wait_ms).await;
    Handled::Waiting(Box::pin(waiting.response()))
}

/// Who names a broker's id reads as that broker's replica.
fn reader(context: &RequestContext, request: &FetchRequest<'_>) -> Reader {
    let (id, broker_epoch) = match context.version {
        15.. => (request.replica_state.replica_id, request.replica_state.replica_epoch),
        _ => (request.replica_id, -1),
    };
    if id >= 0 {
        return Reader::Replica { id: NodeId(id), broker_epoch: BrokerEpoch(broker_epoch) };
    }
    Reader::Consumer {
        read_committed: request.isolation_level == 1,
        leader_only: context.version < RACK_FROM_VERSION,
    }
}

/// A consumer tells its rack, and the broker is to send it to a replica there.
fn client(context: &RequestContext, request: &FetchRequest<'_>, reader: Reader) -> Option<Client> {
    let selector = context.node.config();
    let selector = selector.node.replica_selector_class.as_deref();
    let asks = matches!(reader, Reader::Consumer { leader_only: false, .. });
    (asks && selector == Some(RACK_AWARE)).then(|| Client {
        rack: (&*request.rack_id).into(),
        listener: Arc::clone(&context.connection.listener),
    })
}

/// Controllers and brokers replicate the metadata log by the same API, on a controller's listener.
fn fetch_metadata_log(context: Arc<RequestContext>, request: FetchRequest<'static>) -> Handled {
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.code();
        return context.respond(&FetchResponse { error_code, ..Default::default() });
    }
    Handled::Later(Box::pin(async move {
        match context.node.quorum.ask(QuorumRequest::Fetch(request), context.asker()).await {
            Ok(QuorumResponse::Fetch(response)) => context.encode(&response, &mut []),
            _ => None,
        }
    }))
}

fn session_request(context: &RequestContext, request: &FetchRequest<'_>) -> SessionRequest {
    let uses_topic_ids = context.version >= 13;
    let key = |name: &str, id, partition: i32| -> PartitionKey {
        let topic = if uses_topic_ids { TopicKey::Id(id) } else { TopicKey::Name(name.into()) };
        (topic, PartitionIndex(partition))
    };
    let partitions = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |p| {
            let asked = PartitionRequest {
                fetch_offset: Offset(p.fetch_offset),
                log_start: Offset(p.log_start_offset),
                current_leader_epoch: LeaderEpoch(p.current_leader_epoch),
                last_fetched_epoch: LeaderEpoch(p.last_fetched_epoch),
                bytes_max: p.partition_max_bytes,
            };
            (key(&topic.topic, topic.topic_id, p.partition), asked)
        })
    });
    let forgotten = request.forgotten_topics_data.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |p| key(&topic.topic, topic.topic_id, *p))
    });
    // Of a partition that is named twice the last one counts, in the place of the first: Kafka keeps them in a map.
    let mut places: HashMap<PartitionKey, usize> = HashMap::new();
    let mut asked: Vec<(PartitionKey, PartitionRequest)> = Vec::new();
    for (key, partition) in partitions {
        match places.entry(key.clone()) {
            Entry::Occupied(place) => asked[*place.get()].1 = partition,
            Entry::Vacant(place) => {
                place.insert(asked.len());
                asked.push((key, partition));
            }
        }
    }
    SessionRequest {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids,
        partitions: asked,
        forgotten: forgotten.collect(),
    }
}
