//! The task that sends: looks at what is ready, keeps at most so many requests per node under way, sorts the answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{MonoMs, NodeId, ProducerEpoch, ProducerId, TopicPartition};
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::produce_request::ProduceRequest;
use protocol::{ApiKey, ErrorCode, Message};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::accumulator::{Batch, Identity, Ready};
use super::delivery::Stored;
use super::options::Acks;
use super::request;
use crate::backoff;
use crate::cluster::{Target, Topics};
use crate::error::{Error, Result};
use crate::transport::{Connection, Reply};

/// Between two looks at what is too old, and between two refreshes for a leader that is missing.
const HOUSEKEEPING_MS: u64 = 100;

enum Event {
    Connected { node: NodeId, result: Result<Connection> },
    Answered { node: NodeId, batches: Vec<Batch>, result: Result<Reply> },
    Identified(Result<Identity>),
    Refreshed,
}

#[derive(Default)]
struct Node {
    connection: Option<Connection>,
    connecting: bool,
    in_flight: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Idempotence {
    Off,
    /// An identity is needed; asked for when nothing is with a server.
    Needed,
    Asking,
    Known(Identity),
}

struct Sender {
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
    nodes: HashMap<NodeId, Node>,
    idempotence: Idempotence,
    refreshing: bool,
    refresh_wanted: bool,
    last_refresh: MonoMs,
    last_housekeeping: MonoMs,
}

/// Runs until the producer closes and everything is answered.
pub(crate) async fn run(shared: Arc<Shared>) {
    // Bounded by what is in flight: at most `max_in_flight` events per node, and one each for the rest.
    let (events, mut incoming) = mpsc::unbounded_channel();
    let idempotence =
        if shared.options.idempotence { Idempotence::Needed } else { Idempotence::Off };
    let mut sender = Sender {
        shared: Arc::clone(&shared),
        events,
        nodes: HashMap::new(),
        idempotence,
        refreshing: false,
        refresh_wanted: false,
        last_refresh: shared.now(),
        last_housekeeping: MonoMs::default(),
    };
    loop {
        let look_again = sender.step().await;
        if shared.closing.load(Ordering::Acquire) && shared.accumulator.lock().is_empty() {
            return;
        }
        let timer = async {
            match look_again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.wake.notified() => {}
            () = timer => {}
            Some(event) = incoming.recv() => {
                sender.handle(event);
                while let Ok(event) = incoming.try_recv() {
                    sender.handle(event);
                }
            }
        }
    }
}

impl Sender {
    /// Sends what can be sent; says when to look again at the latest.
    async fn step(&mut self) -> Option<Instant> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        self.housekeeping(now);
        let metadata = shared.client.metadata();
        let leader =
            |tp: &TopicPartition| metadata.leader(&tp.topic, tp.partition.get()).map(|n| n.id);
        // Someone waits for room: what is there leaves.
        let hurried = shared.hurried() || shared.memory.available_permits() == 0;
        let Ready { partitions, leaderless, look_again } =
            shared.accumulator.lock().ready(now, hurried, leader);
        if !leaderless.is_empty() {
            self.refresh_wanted = true;
        }
        if !partitions.is_empty() && self.identify() {
            for (node, partitions) in partitions {
                self.send_to(node, partitions, now).await;
            }
        }
        self.refresh(now);
        let waiting = !shared.accumulator.lock().is_empty();
        let housekeeping = waiting.then(|| now.plus_ms(HOUSEKEEPING_MS));
        let next = [look_again, housekeeping].into_iter().flatten().min();
        next.map(|at| Instant::now() + Duration::from_millis(at.since(now).max(1)))
    }

    /// Whether batches may leave, as far as idempotence goes.
    fn identify(&mut self) -> bool {
        match self.idempotence {
            Idempotence::Off | Idempotence::Known(_) => true,
            Idempotence::Asking => false,
            Idempotence::Needed => {
                if self.shared.accumulator.lock().in_flight() == 0 {
                    self.idempotence = Idempotence::Asking;
                    let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
                    tokio::spawn(async move {
                        let _ = events.send(Event::Identified(new_identity(&shared).await));
                    });
                }
                false
            }
        }
    }

    fn identity(&self) -> Option<Identity> {
        match self.idempotence {
            Idempotence::Known(identity) => Some(identity),
            _ => None,
        }
    }

    async fn send_to(&mut self, id: NodeId, partitions: Vec<TopicPartition>, now: MonoMs) {
        let identity = self.identity();
        let node = self.nodes.entry(id).or_default();
        let options = &self.shared.options;
        if node.connecting || node.in_flight >= options.max_in_flight {
            return;
        }
        let Some(connection) = node.connection.clone().filter(|c| !c.is_closed()) else {
            node.connecting = true;
            let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
            tokio::spawn(async move {
                let result = shared.client.connection(Target::Node(id)).await;
                let _ = events.send(Event::Connected { node: id, result });
            });
            return;
        };
        while node.in_flight < options.max_in_flight {
            let sequences = identity.is_some();
            let mut batches = self.shared.accumulator.lock().drain(
                now,
                &partitions,
                options.max_request_size,
                sequences,
            );
            if batches.is_empty() {
                return;
            }
            let started = start(&self.shared, &connection, &mut batches, identity).await;
            node.in_flight += 1;
            let events = self.events.clone();
            match started {
                Ok(Some(in_flight)) => {
                    tokio::spawn(async move {
                        let result = in_flight.answer().await;
                        let _ = events.send(Event::Answered { node: id, batches, result });
                    });
                }
                Ok(None) => {
                    node.in_flight -= 1;
                    let mut accumulator = self.shared.accumulator.lock();
                    for batch in batches {
                        let unknown = Stored { base_offset: -1, log_append_time: -1 };
                        self.shared.memory.add_permits(accumulator.complete(batch, Ok(unknown)));
                    }
                }
                Err(error) => {
                    let _ = events.send(Event::Answered { node: id, batches, result: Err(error) });
                    return;
                }
            }
            // More of the same partitions only when they are full or nobody wants to wait.
            let more = {
                let metadata = self.shared.client.metadata();
                let leader = |tp: &TopicPartition| {
                    metadata.leader(&tp.topic, tp.partition.get()).map(|n| n.id)
                };
                let ready =
                    self.shared.accumulator.lock().ready(now, self.shared.hurried(), leader);
                ready.partitions.contains_key(&id)
            };
            if !more {
                return;
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected { node, result } => {
                let entry = self.nodes.entry(node).or_default();
                entry.connecting = false;
                match result {
                    Ok(connection) => entry.connection = Some(connection),
                    Err(error) => {
                        tracing::debug!(node = node.get(), %error, "cannot reach the leader");
                        self.refresh_wanted = true;
                    }
                }
            }
            Event::Answered { node, batches, result } => {
                if let Some(entry) = self.nodes.get_mut(&node) {
                    entry.in_flight = entry.in_flight.saturating_sub(1);
                }
                self.answered(batches, result);
            }
            Event::Identified(Ok(identity)) => {
                self.shared.accumulator.lock().restart_sequences();
                self.idempotence = Idempotence::Known(identity);
            }
            Event::Identified(Err(error)) => {
                if error.retriable() || matches!(error, Error::Expired { .. }) {
                    self.idempotence = Idempotence::Needed;
                } else {
                    let freed = self.shared.accumulator.lock().fail_waiting(&error);
                    self.shared.memory.add_permits(freed);
                    self.idempotence = Idempotence::Needed;
                }
            }
            Event::Refreshed => {
                self.refreshing = false;
                self.last_refresh = self.shared.now();
            }
        }
    }

    fn answered(&mut self, batches: Vec<Batch>, result: Result<Reply>) {
        let metadata = self.shared.client.metadata();
        let answers = result.and_then(|reply| {
            request::answers(&reply, &metadata).map(|answers| (answers, reply.address().to_owned()))
        });
        for batch in batches {
            let result = match &answers {
                Ok((answers, address)) => {
                    answers.get(&batch.partition).cloned().unwrap_or_else(|| {
                        let what = format!("an answer for {}", batch.partition);
                        Err(Error::Incomplete { what, address: address.clone() })
                    })
                }
                Err(error) => Err(error.clone()),
            };
            self.settle(batch, result);
        }
    }

    fn settle(&mut self, batch: Batch, result: Result<Stored>) {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let mut accumulator = shared.accumulator.lock();
        let error = match result {
            Ok(stored) => {
                shared.memory.add_permits(accumulator.complete(batch, Ok(stored)));
                return;
            }
            Err(error) => error,
        };
        let kept = if error.code() == Some(ErrorCode::MessageTooLarge) {
            accumulator.split(batch)
        } else {
            Some(batch)
        };
        let Some(batch) = kept else { return };
        let out_of_order = error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        // Those behind a batch that failed for a moment are out of order until it has come again.
        let behind = out_of_order && !accumulator.is_next_to_answer(&batch);
        let again = (error.retriable() || behind)
            && batch.attempts < shared.options.retries
            && !accumulator.past_deadline(now, &batch);
        if again {
            tracing::debug!(partition = %batch.partition, %error, "sending a batch again");
            self.refresh_wanted |= !behind;
            let pause_ms =
                shared.client.options().retry_backoff.after(batch.attempts + 1, backoff::random());
            accumulator.put_back(batch, now.plus_ms(pause_ms), error);
            return;
        }
        // A batch that is given up leaves a gap in the sequences: only a new identity gets past it.
        if matches!(self.idempotence, Idempotence::Known(_)) {
            self.idempotence = Idempotence::Needed;
        }
        shared.memory.add_permits(accumulator.complete(batch, Err(error)));
    }

    fn housekeeping(&mut self, now: MonoMs) {
        if now.since(self.last_housekeeping) < HOUSEKEEPING_MS {
            return;
        }
        self.last_housekeeping = now;
        let (freed, gap) = self.shared.accumulator.lock().expire(now);
        self.shared.memory.add_permits(freed);
        if gap && matches!(self.idempotence, Idempotence::Known(_)) {
            self.idempotence = Idempotence::Needed;
        }
    }

    /// Asks for metadata when something went wrong or it is old; one request at a time.
    fn refresh(&mut self, now: MonoMs) {
        let age = now.since(self.last_refresh);
        let wanted = self.refresh_wanted && age >= HOUSEKEEPING_MS;
        if self.refreshing || !(wanted || age >= self.shared.client.options().metadata_max_age_ms) {
            return;
        }
        self.refreshing = true;
        self.refresh_wanted = false;
        let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
        tokio::spawn(async move {
            let topics = Topics::Named(shared.accumulator.lock().topics());
            if let Err(error) = shared.client.refresh_once(&topics, false).await {
                tracing::debug!(%error, "metadata refresh failed");
            }
            let _ = events.send(Event::Refreshed);
        });
    }
}

/// Encodes and puts the request in line. None: it will not be answered.
async fn start(
    shared: &Shared,
    connection: &Connection,
    batches: &mut [Batch],
    identity: Option<Identity>,
) -> Result<Option<crate::transport::InFlight>> {
    let metadata = shared.client.metadata();
    let cap = request::version_cap(batches, &metadata);
    let request = request::request(batches, &shared.options, &metadata, identity)?;
    let version = connection.version_for::<ProduceRequest<'_>>()?.min(cap);
    let version = version.max(<ProduceRequest<'_> as Message>::MIN_VERSION);
    if shared.options.acks == Acks::None {
        connection.send_only(&request, ApiKey::Produce, version).await?;
        return Ok(None);
    }
    let started =
        connection.start(&request, ApiKey::Produce, version, shared.options.request_timeout_ms);
    Ok(Some(started.await?))
}

async fn new_identity(shared: &Shared) -> Result<Identity> {
    let client = &shared.client;
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let ask = || async {
        // Version 6 asks for what is still unstable in Kafka.
        let connection = client.connection(Target::Any).await?;
        let reply =
            connection.call_within(&request, 5, client.options().request_timeout_ms).await?;
        let response: InitProducerIdResponse = reply.decode()?;
        Error::check(response.error_code, None)?;
        Ok(Identity {
            id: ProducerId(response.producer_id),
            epoch: ProducerEpoch(response.producer_epoch),
        })
    };
    client.retry("initProducerId", client.deadline(), ask).await
}
