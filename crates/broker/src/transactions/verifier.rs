//! Asking coordinators whether partitions are part of a transaction, or telling them so: one request at a time to each node, with
//! all that has come together meanwhile.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{NodeId, ProducerEpoch, ProducerId};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::grouped::grouped;
use super::{Support, add_partitions, address_of, coordinator_of};
use crate::node::Node;
use crate::peers::{Channel, PeerError};

/// From this version on several transactions fit into a request, as brokers send them.
const BATCHED_VERSION: i16 = 4;
/// In which this node would ask itself.
const BROKER_VERSION: i16 = 5;

/// Partitions that a producer is about to write to.
#[derive(Clone, Debug)]
pub struct Joining {
    pub transactional_id: Arc<str>,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub partitions: Vec<(Arc<str>, i32)>,
    pub support: Support,
    /// Of the coordinator that wrote the producer's last marker in these partitions, -1 before the first.
    pub coordinator_epoch: i32,
}

impl Joining {
    fn all_fail(&self, error: ErrorCode) -> Vec<ErrorCode> {
        vec![error; self.partitions.len()]
    }
}

struct Waiting {
    joining: Joining,
    answer: oneshot::Sender<Vec<ErrorCode>>,
}

impl Waiting {
    fn fail(self, error: ErrorCode) {
        let errors = self.joining.all_fail(error);
        self.end(errors);
    }

    fn end(self, errors: Vec<ErrorCode>) {
        // Who asked may have gone.
        let _gone = self.answer.send(errors);
    }
}

/// What waits for one coordinator: of each transactional id one thing, the newest.
#[derive(Default)]
struct Queue {
    waiting: BTreeMap<Arc<str>, Waiting>,
    /// A request is under way.
    sending: bool,
}

impl Queue {
    fn add(&mut self, new: Waiting) {
        let id = &new.joining.transactional_id;
        let epoch = new.joining.producer_epoch;
        if let Some(known) = self.waiting.get(id).map(|known| known.joining.producer_epoch) {
            if epoch < known {
                return new.fail(ErrorCode::InvalidProducerEpoch);
            }
            if let Some(old) = self.waiting.remove(id) {
                // Of the same epoch: its client has probably given up on it and tries again.
                let fenced = known < epoch;
                let error = if fenced {
                    ErrorCode::InvalidProducerEpoch
                } else {
                    ErrorCode::NetworkException
                };
                old.fail(error);
            }
        }
        self.waiting.insert(Arc::clone(&new.joining.transactional_id), new);
    }
}

/// The questions of this node to coordinators.
pub struct Verifier {
    queues: Arc<Mutex<HashMap<NodeId, Queue>>>,
    runtime: Handle,
}

impl Verifier {
    /// Within the runtime that is to send.
    pub fn new() -> Self {
        Self { queues: Arc::default(), runtime: Handle::current() }
    }

    /// For each partition an error, or none: then records may be appended to it.
    pub async fn ask(&self, node: &Arc<Node>, joining: Joining) -> Vec<ErrorCode> {
        let Some((coordinator, epoch)) = coordinator_of(node, &joining.transactional_id) else {
            return joining.all_fail(ErrorCode::CoordinatorNotAvailable);
        };
        // Another coordinator has ended a transaction here since: this one may not know that it was replaced, and what it remembers is
        // over. This node hears of the new one soon.
        if epoch.get() < joining.coordinator_epoch {
            return joining.all_fail(ErrorCode::CoordinatorLoadInProgress);
        }
        if coordinator == node.static_config.node_id {
            let asked = transaction(&joining);
            let adding = add_partitions(node, BROKER_VERSION, &asked, |_| true).await;
            let results = adding.done().await.into_iter();
            let told =
                results.map(|(at, error)| ((at.topic.to_string(), at.partition.get()), error));
            return errors(&joining, told.collect());
        }
        let failed = joining.all_fail(ErrorCode::NetworkException);
        let (answer, answered) = oneshot::channel();
        let idle = {
            let mut queues = self.queues.lock();
            let queue = queues.entry(coordinator).or_default();
            queue.add(Waiting { joining, answer });
            !std::mem::replace(&mut queue.sending, true)
        };
        if idle {
            let queues = Arc::clone(&self.queues);
            self.runtime.spawn(run(queues, Arc::downgrade(node), coordinator));
        }
        answered.await.unwrap_or(failed)
    }
}

/// Sends what waits for a coordinator until nothing does.
async fn run(queues: Arc<Mutex<HashMap<NodeId, Queue>>>, node: Weak<Node>, coordinator: NodeId) {
    loop {
        let batch = {
            let mut queues = queues.lock();
            let Some(queue) = queues.get_mut(&coordinator) else { return };
            if queue.waiting.is_empty() {
                queues.remove(&coordinator);
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        let Some(node) = node.upgrade() else { return };
        let batch: Vec<Waiting> = batch.into_values().collect();
        match send(&node, coordinator, &batch).await {
            Ok(mut results) => {
                for waiting in batch {
                    let result = results.remove(&*waiting.joining.transactional_id);
                    let errors = errors(&waiting.joining, result.unwrap_or_default());
                    waiting.end(errors);
                }
            }
            Err(error) => batch.into_iter().for_each(|waiting| waiting.fail(error)),
        }
    }
}

/// What the coordinator says of each partition.
type Told = HashMap<(String, i32), ErrorCode>;
/// By transactional id.
type Results = HashMap<String, Told>;

async fn send(node: &Node, coordinator: NodeId, batch: &[Waiting]) -> Result<Results, ErrorCode> {
    let Some(address) = address_of(node, coordinator) else {
        return Err(ErrorCode::CoordinatorNotAvailable);
    };
    let timeout_ms = u64::try_from(node.config().socket.request_timeout_ms).unwrap_or(0);
    let within = Duration::from_millis(timeout_ms);
    let transactions: Vec<_> = batch.iter().map(|waiting| transaction(&waiting.joining)).collect();
    let build = |version: i16| match version {
        BATCHED_VERSION.. => Ok(AddPartitionsToTxnRequest { transactions, ..Default::default() }),
        _ => Err(PeerError::Unsayable("the coordinator cannot be asked about transactions")),
    };
    let answered = node.peers.send(&address, Channel::Transactions, within, build).await;
    let answered = answered.and_then(|answered| {
        let response: AddPartitionsToTxnResponse<'_> = answered.decode()?;
        Ok(told(&response))
    });
    match answered {
        Ok(told) => told,
        // An old broker: records are taken without asking, as before.
        Err(error @ (PeerError::Unsayable(_) | PeerError::UnsupportedVersion { .. })) => {
            warn!(%coordinator, "transactions are not verified: {error}");
            Ok(batch.iter().map(|waiting| verified(&waiting.joining)).collect())
        }
        Err(error) => {
            debug!(%coordinator, "transactions cannot be verified: {error}");
            Err(ErrorCode::NetworkException)
        }
    }
}

fn transaction(joining: &Joining) -> AddPartitionsToTxnTransaction<'static> {
    let rows = joining.partitions.iter().map(|(topic, index)| (&**topic, *index));
    let topics = grouped(rows).into_iter().map(|(name, partitions)| AddPartitionsToTxnTopic {
        name: name.to_owned().into(),
        partitions,
        ..Default::default()
    });
    AddPartitionsToTxnTransaction {
        transactional_id: joining.transactional_id.to_string().into(),
        producer_id: joining.producer_id.get(),
        producer_epoch: joining.producer_epoch.get(),
        verify_only: !joining.support.is_implicit(),
        topics: topics.collect(),
        ..Default::default()
    }
}

fn told(response: &AddPartitionsToTxnResponse<'_>) -> Result<Results, ErrorCode> {
    match ErrorCode::from_code(response.error_code) {
        ErrorCode::None => {}
        // Nothing that a client could understand: its transaction is not known to go on.
        ErrorCode::ClusterAuthorizationFailed => return Err(ErrorCode::InvalidTxnState),
        error => return Err(error),
    }
    let results = response.results_by_transaction.iter().map(|result| {
        let partitions = result.topic_results.iter().flat_map(|topic| {
            topic.results_by_partition.iter().map(|partition| {
                let at = (topic.name.to_string(), partition.partition_index);
                (at, ErrorCode::from_code(partition.partition_error_code))
            })
        });
        (result.transactional_id.to_string(), partitions.collect())
    });
    Ok(results.collect())
}

fn verified(joining: &Joining) -> (String, Told) {
    let told = joining.partitions.iter();
    let told = told.map(|(topic, index)| ((topic.to_string(), *index), ErrorCode::None));
    (joining.transactional_id.to_string(), told.collect())
}

/// In the order of the question; what was not answered may be asked again.
fn errors(joining: &Joining, mut told: Told) -> Vec<ErrorCode> {
    let error = |(topic, index): &(Arc<str>, i32)| {
        let error = told.remove(&(topic.to_string(), *index));
        joining.support.error_for_producer(error.unwrap_or(ErrorCode::NetworkException))
    };
    joining.partitions.iter().map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(epoch: i16) -> (Waiting, oneshot::Receiver<Vec<ErrorCode>>) {
        let (answer, answered) = oneshot::channel();
        let joining = Joining {
            transactional_id: "id".into(),
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(epoch),
            partitions: vec![("topic".into(), 0), ("topic".into(), 1)],
            support: Support::Old,
            coordinator_epoch: -1,
        };
        (Waiting { joining, answer }, answered)
    }

    #[test]
    fn of_an_id_the_newest_waits() {
        let mut queue = Queue::default();
        let (first, mut first_told) = waiting(3);
        let (older, mut older_told) = waiting(2);
        let (again, mut again_told) = waiting(3);
        let (newer, mut newer_told) = waiting(4);
        queue.add(first);
        queue.add(older);
        assert_eq!(older_told.try_recv(), Ok(vec![ErrorCode::InvalidProducerEpoch; 2]));
        queue.add(again);
        assert_eq!(first_told.try_recv(), Ok(vec![ErrorCode::NetworkException; 2]));
        queue.add(newer);
        assert_eq!(again_told.try_recv(), Ok(vec![ErrorCode::InvalidProducerEpoch; 2]));
        assert!(newer_told.try_recv().is_err(), "it waits");
    }

    #[test]
    fn errors_come_in_the_order_of_the_question_and_as_producers_know_them() {
        let (waiting, _told) = waiting(0);
        let said = |codes: [ErrorCode; 2]| {
            let at = |index| ("topic".to_owned(), index);
            HashMap::from([(at(1), codes[1]), (at(0), codes[0])])
        };
        let told = said([ErrorCode::ProducerFenced, ErrorCode::TransactionAbortable]);
        let expected = [ErrorCode::InvalidProducerEpoch, ErrorCode::InvalidTxnState];
        assert_eq!(errors(&waiting.joining, told), expected);
        assert_eq!(errors(&waiting.joining, Told::new()), [ErrorCode::NetworkException; 2]);
    }
}
