//! The task that sends: looks at what is ready, keeps at most so many requests per node under way, sorts the answers.

mod settle;
mod transactional;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{MonoMs, NodeId, ProducerEpoch, ProducerId, TopicPartition};
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use protocol::messages::produce_request::ProduceRequest;
use protocol::{ApiKey, Message};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::accumulator::Ready;
use super::batch::Batch;
use super::delivery::Stored;
use super::options::Acks;
use super::request;
use super::sequences::Identity;
use super::transaction::{Answer, Request};
use crate::cluster::{Target, Topics};
use crate::error::{Error, Result};
use crate::transport::{Connection, Reply};

/// Between two looks at what is too old, and between two refreshes for a leader that is missing.
const HOUSEKEEPING_MS: u64 = 100;

enum Event {
    Connected { node: NodeId, result: Result<Connection> },
    Answered { node: NodeId, batches: Vec<Batch>, result: Result<Reply> },
    Identified(Result<Identity>),
    Coordinated { request: Request, answer: Answer },
    Refreshed,
}

#[derive(Default)]
struct Node {
    connection: Option<Connection>,
    connecting: bool,
    in_flight: usize,
}

struct Sender {
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
    nodes: HashMap<NodeId, Node>,
    /// An identity is being asked for.
    identifying: bool,
    /// No request of a transaction before.
    next_ask: MonoMs,
    closing_since: Option<MonoMs>,
    refreshing: bool,
    refresh_wanted: bool,
    last_refresh: MonoMs,
    last_housekeeping: MonoMs,
}

/// Runs until the producer closes and everything is answered.
pub(crate) async fn run(shared: Arc<Shared>) {
    // Bounded by what is in flight: at most `max_in_flight` events per node, and one each for the rest.
    let (events, mut incoming) = mpsc::unbounded_channel();
    let mut sender = Sender {
        shared: Arc::clone(&shared),
        events,
        nodes: HashMap::new(),
        identifying: false,
        next_ask: MonoMs::default(),
        closing_since: None,
        refreshing: false,
        refresh_wanted: false,
        last_refresh: shared.now(),
        last_housekeeping: MonoMs::default(),
    };
    loop {
        let look_again = sender.step().await;
        if shared.closing.load(Ordering::Acquire) {
            let now = shared.now();
            sender.closing_since.get_or_insert(now);
            if shared.accumulator.lock().is_empty() && !sender.must_end_transaction(now) {
                return;
            }
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
        let look_at_transaction = self.transact(now);
        let Ready { partitions, leaderless, look_again } = {
            let mut accumulator = shared.accumulator.lock();
            accumulator.bump_if_wanted();
            accumulator.ready(now, hurried, leader)
        };
        if !leaderless.is_empty() {
            self.refresh_wanted = true;
        }
        if !partitions.is_empty() && self.identify() {
            for (node, mut partitions) in partitions {
                transactional::retain_added(&shared, &mut partitions);
                self.send_to(node, partitions, now).await;
            }
        }
        self.refresh(now);
        let waiting = !shared.accumulator.lock().is_empty() || self.must_end_transaction(now);
        let housekeeping = waiting.then(|| now.plus_ms(HOUSEKEEPING_MS));
        let next = [look_again, look_at_transaction, housekeeping].into_iter().flatten().min();
        next.map(|at| Instant::now() + Duration::from_millis(at.since(now).max(1)))
    }

    /// Whether batches may leave, as far as idempotence goes.
    fn identify(&mut self) -> bool {
        let options = &self.shared.options;
        if !options.idempotence || self.shared.accumulator.lock().identity().is_some() {
            return true;
        }
        if !self.identifying && options.transactional_id.is_none() {
            self.identifying = true;
            let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
            tokio::spawn(async move {
                let _ = events.send(Event::Identified(new_identity(&shared).await));
            });
        }
        false
    }

    async fn send_to(&mut self, id: NodeId, partitions: Vec<TopicPartition>, now: MonoMs) {
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
            let mut batches =
                self.shared.accumulator.lock().drain(now, &partitions, options.max_request_size);
            if batches.is_empty() {
                return;
            }
            let started = start(&self.shared, &connection, &mut batches).await;
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
                        self.shared.memory.add_permits(accumulator.complete(batch, unknown));
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
            Event::Identified(result) => {
                self.identifying = false;
                let mut accumulator = self.shared.accumulator.lock();
                match result {
                    Ok(identity) => accumulator.identify(identity),
                    Err(error) if error.retriable() || matches!(error, Error::Expired { .. }) => {}
                    Err(error) => {
                        self.shared.memory.add_permits(accumulator.fail_waiting(&error));
                    }
                }
            }
            Event::Coordinated { request, answer } => self.coordinated(request, answer),
            Event::Refreshed => {
                self.refreshing = false;
                self.last_refresh = self.shared.now();
            }
        }
    }

    fn housekeeping(&mut self, now: MonoMs) {
        if now.since(self.last_housekeeping) < HOUSEKEEPING_MS {
            return;
        }
        self.last_housekeeping = now;
        let (freed, expired) = self.shared.accumulator.lock().expire(now);
        self.shared.memory.add_permits(freed);
        if let Some(error) = expired {
            self.records_failed(&error);
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
) -> Result<Option<crate::transport::InFlight>> {
    let metadata = shared.client.metadata();
    let cap = request::version_cap(batches, shared, &metadata);
    let request = request::request(batches, &shared.options, &metadata)?;
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
