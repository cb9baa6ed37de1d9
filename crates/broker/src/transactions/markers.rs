//! Sends the markers of decided transactions to the leaders of their partitions, as [`Outbox`] says, and tells it what came of them.
//!
//! Must not know: what goes into which request, and when. That is decided there.

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
use transaction::{Markers, Reply, Request, Verdict};

use super::grouped::grouped;
use super::outbox::{Answers, Effect, Event, Job, Lane, Leader, Outbox, Outcomes, RequestNo};
use super::{address_of, mark};
use crate::node::Node;
use crate::peers::{Channel, PeerError};

/// The pause before outcomes are handed in again to a shard that could not write them down.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// All markers that this node has to send.
pub struct MarkerSender {
    outbox: Arc<Mutex<Outbox>>,
    runtime: Handle,
}

/// What the tasks share.
#[derive(Clone)]
struct Sending {
    outbox: Arc<Mutex<Outbox>>,
    node: Weak<Node>,
    runtime: Handle,
}

impl MarkerSender {
    /// Within the runtime that is to send.
    pub fn new() -> Self {
        Self { outbox: Arc::default(), runtime: Handle::current() }
    }

    /// A shard of this node, which leads in `epoch`, has decided a transaction.
    pub fn begin(
        &self,
        node: &Arc<Node>,
        at: PartitionIndex,
        epoch: LeaderEpoch,
        markers: Markers,
    ) {
        self.sending(node).step(node, Event::Decided { at, epoch, markers });
    }

    /// What a shard that led in `epoch` had to send is of no concern any more.
    pub fn forget(&self, node: &Arc<Node>, at: PartitionIndex, epoch: LeaderEpoch) {
        self.sending(node).step(node, Event::Forget { at, epoch });
    }

    fn sending(&self, node: &Arc<Node>) -> Sending {
        let (outbox, runtime) = (Arc::clone(&self.outbox), self.runtime.clone());
        Sending { outbox, node: Arc::downgrade(node), runtime }
    }
}

impl Sending {
    fn step(&self, node: &Arc<Node>, event: Event) {
        let leader_of = |partition: &TopicPartition| leader_of(node, partition);
        let effects = self.outbox.lock().step(node.clock.mono(), event, leader_of);
        for effect in effects {
            self.execute(node, effect);
        }
    }

    fn execute(&self, node: &Arc<Node>, effect: Effect) {
        match effect {
            Effect::Send { request, broker, lane, jobs } => {
                self.runtime.spawn(self.clone().send(request, broker, lane, jobs));
            }
            Effect::Close { broker, lane } => {
                if let Some(address) = address_of(node, broker) {
                    node.peers.close(&address, Channel::Markers(lane.0));
                }
            }
            Effect::HandIn { at, told } => {
                self.runtime.spawn(self.clone().hand_in(at, told));
            }
            Effect::Wake { at } => {
                let (sending, at) = (self.clone(), node.clock.instant(at));
                self.runtime.spawn(async move {
                    tokio::time::sleep_until(at.into()).await;
                    let Some(node) = sending.node.upgrade() else { return };
                    sending.step(&node, Event::Tick);
                });
            }
        }
    }

    async fn send(self, request: RequestNo, broker: NodeId, lane: Lane, jobs: Arc<[Job]>) {
        let Some(node) = self.node.upgrade() else { return };
        let event = match send(&node, broker, lane, &jobs).await {
            Ok(answers) => Event::Answered { request, answers },
            Err(error) => {
                info!(%broker, "markers are sent again: {error}");
                Event::Failed { request }
            }
        };
        self.step(&node, event);
    }

    async fn hand_in(self, at: PartitionIndex, told: Vec<(Job, Outcomes)>) {
        let written: Vec<_> =
            told.iter().map(|(job, outcomes)| job.written(outcomes.clone())).collect();
        loop {
            let Some(node) = self.node.upgrade() else { return };
            {
                let outbox = self.outbox.lock();
                if !told.iter().any(|(job, _)| outbox.is_wanted(job)) {
                    return;
                }
            }
            match node.transactions.request_at(at, Request::Markers(written.clone())).await {
                Ok(Reply::Markers(verdicts)) => {
                    let jobs = told.into_iter().map(|(job, _)| job);
                    let judged: Vec<_> = jobs.zip(verdicts).collect();
                    judged.iter().for_each(note);
                    return self.step(&node, Event::Judged(judged));
                }
                // Whoever loads the shard next begins with all that is left.
                Ok(_) | Err(ErrorCode::NotCoordinator) => return,
                // The record of the end was not appended.
                Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
    }
}

fn note((job, verdict): &(Job, Verdict)) {
    let id = &job.markers.transactional_id;
    match verdict {
        Verdict::Done | Verdict::Void => {}
        Verdict::Again(partitions) => debug!(%id, ?partitions, "markers are sent again"),
        Verdict::Abandoned(error) => {
            warn!(%id, error = error.name(), "no more markers of this transaction are sent");
        }
    }
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

async fn send(node: &Node, broker: NodeId, lane: Lane, jobs: &[Job]) -> Result<Answers, PeerError> {
    let request =
        WriteTxnMarkersRequest { markers: jobs.iter().map(marker).collect(), ..Default::default() };
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
    let channel = Channel::Markers(lane.0);
    let answered = node.peers.send(&address, channel, within, |_| Ok(request)).await?;
    let response: WriteTxnMarkersResponse<'_> = answered.decode()?;
    Ok(answers(&response))
}

fn marker(job: &Job) -> WritableTxnMarker<'static> {
    let rows = job.partitions.iter().map(|one| (&*one.topic, one.partition.get()));
    let topics = grouped(rows).into_iter().map(|(name, partition_indexes)| {
        let name = name.to_owned().into();
        WritableTxnMarkerTopic { name, partition_indexes, ..Default::default() }
    });
    let Markers { producer, commit, transaction_version, .. } = &*job.markers;
    WritableTxnMarker {
        producer_id: producer.id.get(),
        producer_epoch: producer.epoch.get(),
        transaction_result: *commit,
        topics: topics.collect(),
        coordinator_epoch: job.epoch.get(),
        transaction_version: i8::try_from(*transaction_version).unwrap_or(0),
        ..Default::default()
    }
}

fn answers(response: &WriteTxnMarkersResponse<'_>) -> Answers {
    let mut answers = Answers::default();
    for marker in &response.markers {
        for topic in &marker.topics {
            for partition in &topic.partitions {
                let error = ErrorCode::from_code(partition.error_code);
                answers.insert(marker.producer_id, &topic.name, partition.partition_index, error);
            }
        }
    }
    answers
}
