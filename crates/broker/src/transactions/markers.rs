//! The markers of decided transactions on their way to the leaders of their partitions: one request at a time to each broker, with
//! all that has come together meanwhile, again and again until the coordinator says that it is done.
//!
//! Must not know: what a transaction's state is. That is the shard's, which is handed every outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{LeaderEpoch, NodeId, PartitionIndex, TopicPartition};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;
use tokio::runtime::Handle;
use tracing::{debug, info, warn};
use transaction::{MarkerOutcome, Markers, Reply, Request, Verdict, Written};

use super::{address_of, mark};
use crate::node::Node;
use crate::peers::{Channel, PeerError};

/// The pause before what failed is tried again, perhaps with another leader.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Partitions in one request.
const PARTITIONS_MAX: usize = 20_000;

/// Markers of one transaction, for some of its partitions.
#[derive(Clone, Debug)]
struct Job {
    markers: Arc<Markers>,
    /// The shard that decided, and the epoch it led in.
    at: PartitionIndex,
    epoch: LeaderEpoch,
    /// Of the shard's duties, when this one was told: it is void when they were forgotten since.
    round: u64,
    partitions: Vec<TopicPartition>,
}

impl Job {
    fn with(&self, partitions: Vec<TopicPartition>) -> Self {
        Self { partitions, ..self.clone() }
    }

    fn written(&self, outcomes: Vec<(TopicPartition, MarkerOutcome)>) -> Written {
        let Markers { transactional_id, number, .. } = &*self.markers;
        Written { transactional_id: Arc::clone(transactional_id), number: *number, outcomes }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    /// A request is under way.
    sending: bool,
}

#[derive(Default)]
struct State {
    queues: HashMap<NodeId, Queue>,
    /// How often the duties of each shard were forgotten.
    rounds: HashMap<PartitionIndex, u64>,
}

/// All markers that this node has to send. Their number is bounded by the transactions that its shards hold.
pub struct MarkerSender {
    state: Arc<Mutex<State>>,
    runtime: Handle,
}

/// What the tasks share.
#[derive(Clone)]
struct Sending {
    state: Arc<Mutex<State>>,
    node: Weak<Node>,
    runtime: Handle,
}

impl MarkerSender {
    /// Within the runtime that is to send.
    pub fn new() -> Self {
        Self { state: Arc::default(), runtime: Handle::current() }
    }

    /// A shard of this node, which leads in `epoch`, has decided a transaction.
    pub fn begin(
        &self,
        node: &Arc<Node>,
        at: PartitionIndex,
        epoch: LeaderEpoch,
        markers: Markers,
    ) {
        let round = self.state.lock().rounds.get(&at).copied().unwrap_or(0);
        let partitions = markers.partitions.clone();
        let job = Job { markers: Arc::new(markers), at, epoch, round, partitions };
        let (state, runtime) = (Arc::clone(&self.state), self.runtime.clone());
        Sending { state, node: Arc::downgrade(node), runtime }.dispatch(node, job);
    }

    /// What a shard had to send is of no concern any more.
    pub fn forget(&self, at: PartitionIndex) {
        let mut state = self.state.lock();
        *state.rounds.entry(at).or_default() += 1;
        for queue in state.queues.values_mut() {
            queue.waiting.retain(|job| job.at != at);
        }
    }
}

impl Sending {
    /// Whether the shard still wants it.
    fn is_wanted(&self, job: &Job) -> bool {
        self.state.lock().rounds.get(&job.at).copied().unwrap_or(0) == job.round
    }

    /// Puts markers into the queues of the brokers that lead.
    fn dispatch(&self, node: &Arc<Node>, job: Job) {
        if !self.is_wanted(&job) {
            return;
        }
        let mut to: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        let (mut later, mut gone) = (Vec::new(), Vec::new());
        for partition in &job.partitions {
            match leader_of(node, partition) {
                Leader::Is(broker) => to.entry(broker).or_default().push(partition.clone()),
                Leader::Unreachable => later.push(partition.clone()),
                Leader::NoPartition => {
                    gone.push((partition.clone(), MarkerOutcome::NoSuchPartition));
                }
            }
        }
        if !gone.is_empty() || job.partitions.is_empty() {
            self.hand_in(job.at, vec![(job.clone(), gone)]);
        }
        if !later.is_empty() {
            self.dispatch_later(vec![job.with(later)]);
        }
        for (broker, partitions) in to {
            self.enqueue(broker, job.with(partitions));
        }
    }

    fn enqueue(&self, broker: NodeId, job: Job) {
        let idle = {
            let mut state = self.state.lock();
            let queue = state.queues.entry(broker).or_default();
            queue.waiting.push(job);
            !std::mem::replace(&mut queue.sending, true)
        };
        if idle {
            self.runtime.spawn(self.clone().run(broker));
        }
    }

    fn dispatch_later(&self, jobs: Vec<Job>) {
        let sending = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(AGAIN_AFTER).await;
            let Some(node) = sending.node.upgrade() else { return };
            for job in jobs {
                sending.dispatch(&node, job);
            }
        });
    }

    /// Sends what waits for a broker until nothing does.
    async fn run(self, broker: NodeId) {
        while let Some(batch) = self.take(broker) {
            let Some(node) = self.node.upgrade() else { return };
            match send(&node, broker, &batch).await {
                Ok(answers) => self.answered(batch, &answers),
                Err(error) => {
                    info!(%broker, "markers are sent again: {error}");
                    self.dispatch_later(batch);
                }
            }
        }
    }

    /// What goes into the next request; the queue ends with nothing.
    fn take(&self, broker: NodeId) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        let queue = state.queues.get_mut(&broker)?;
        if queue.waiting.is_empty() {
            state.queues.remove(&broker);
            return None;
        }
        let mut room = PARTITIONS_MAX;
        let mut fits = 0;
        for job in &queue.waiting {
            let count = job.partitions.len();
            if fits > 0 && count > room {
                break;
            }
            (fits, room) = (fits + 1, room.saturating_sub(count));
        }
        Some(queue.waiting.drain(..fits).collect())
    }

    /// Every shard is told what came of its markers.
    fn answered(&self, batch: Vec<Job>, answers: &Answers) {
        let mut by_shard: BTreeMap<PartitionIndex, Vec<(Job, Outcomes)>> = BTreeMap::new();
        for job in batch {
            let id = job.markers.producer.id.get();
            let outcomes = job.partitions.iter().map(|partition| {
                let at = (id, partition.topic.to_string(), partition.partition.get());
                // No answer is none that ends it.
                let error = answers.get(&at).copied().unwrap_or(ErrorCode::UnknownServerError);
                (partition.clone(), MarkerOutcome::Answer(error))
            });
            let outcomes = outcomes.collect();
            by_shard.entry(job.at).or_default().push((job, outcomes));
        }
        for (at, told) in by_shard {
            self.hand_in(at, told);
        }
    }

    fn hand_in(&self, at: PartitionIndex, told: Vec<(Job, Outcomes)>) {
        self.runtime.spawn(self.clone().handed_in(at, told));
    }

    async fn handed_in(self, at: PartitionIndex, told: Vec<(Job, Outcomes)>) {
        let written: Vec<_> =
            told.iter().map(|(job, outcomes)| job.written(outcomes.clone())).collect();
        loop {
            let Some(node) = self.node.upgrade() else { return };
            match node.transactions.request_at(at, Request::Markers(written.clone())).await {
                Ok(Reply::Markers(verdicts)) => {
                    for ((job, _), verdict) in told.into_iter().zip(verdicts) {
                        self.judged(job, verdict);
                    }
                    return;
                }
                // Whoever loads the shard next begins with all that is left.
                Ok(_) | Err(ErrorCode::NotCoordinator) => return,
                // The record of the end was not appended.
                Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
            if !told.iter().any(|(job, _)| self.is_wanted(job)) {
                return;
            }
        }
    }

    fn judged(&self, job: Job, verdict: Verdict) {
        let id = &job.markers.transactional_id;
        match verdict {
            Verdict::Done | Verdict::Void => {}
            Verdict::Again(partitions) => {
                debug!(%id, ?partitions, "markers are sent again");
                self.dispatch_later(vec![job.with(partitions)]);
            }
            Verdict::Abandoned(error) => {
                warn!(%id, error = error.name(), "no more markers of this transaction are sent");
            }
        }
    }
}

type Outcomes = Vec<(TopicPartition, MarkerOutcome)>;
/// By producer id, topic and partition.
type Answers = HashMap<(i64, String, i32), ErrorCode>;

enum Leader {
    Is(NodeId),
    Unreachable,
    NoPartition,
}

fn leader_of(node: &Node, partition: &TopicPartition) -> Leader {
    let image = node.image();
    let topic = image.topics.by_name(&partition.topic);
    let Some(registered) = topic.and_then(|topic| topic.partition(partition.partition)) else {
        return Leader::NoPartition;
    };
    match image.cluster.broker(registered.leader) {
        Some(broker) if !broker.fenced => Leader::Is(broker.id),
        _ => Leader::Unreachable,
    }
}

async fn send(node: &Node, broker: NodeId, batch: &[Job]) -> Result<Answers, PeerError> {
    let request = WriteTxnMarkersRequest {
        markers: batch.iter().map(marker).collect(),
        ..Default::default()
    };
    if broker == node.static_config.node_id {
        return Ok(answers(&mark(node, &request).await));
    }
    let unreachable = || PeerError::Unreachable {
        address: broker.to_string(),
        reason: "it has no address".to_owned(),
    };
    let address = address_of(node, broker).ok_or_else(unreachable)?;
    let timeout_ms = u64::try_from(node.config().socket.request_timeout_ms).unwrap_or(0);
    let within = Duration::from_millis(timeout_ms);
    let answered = node.peers.send(&address, Channel::Markers, within, |_| Ok(request)).await?;
    let response: WriteTxnMarkersResponse<'_> = answered.decode()?;
    Ok(answers(&response))
}

fn marker(job: &Job) -> WritableTxnMarker<'static> {
    let mut topics: Vec<WritableTxnMarkerTopic<'static>> = Vec::new();
    for partition in &job.partitions {
        let index = partition.partition.get();
        match topics.iter_mut().find(|known| known.name == *partition.topic) {
            Some(known) => known.partition_indexes.push(index),
            None => topics.push(WritableTxnMarkerTopic {
                name: partition.topic.to_string().into(),
                partition_indexes: vec![index],
                ..Default::default()
            }),
        }
    }
    let Markers { producer, commit, transaction_version, .. } = &*job.markers;
    WritableTxnMarker {
        producer_id: producer.id.get(),
        producer_epoch: producer.epoch.get(),
        transaction_result: *commit,
        topics,
        coordinator_epoch: job.epoch.get(),
        transaction_version: i8::try_from(*transaction_version).unwrap_or(0),
        ..Default::default()
    }
}

fn answers(response: &WriteTxnMarkersResponse<'_>) -> Answers {
    let markers = response.markers.iter().flat_map(|marker| {
        marker.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| {
                let at = (marker.producer_id, topic.name.to_string(), partition.partition_index);
                (at, ErrorCode::from_code(partition.error_code))
            })
        })
    });
    markers.collect()
}
