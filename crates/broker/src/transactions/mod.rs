//! What this node does for transactions as the leader of partitions, and as the neighbour of coordinators.
//!
//! Records are taken only into transactions that their coordinator knows of (KIP-890): [`Verifier`] asks it, or tells it. What was
//! decided goes to the leaders of the partitions ([`MarkerSender`]), who write it down ([`mark`]).

mod add;
mod commit;
mod grouped;
mod mark;
mod markers;
mod outbox;
mod produce;
mod support;
mod verifier;

use std::sync::Arc;

use base::{LeaderEpoch, NodeId};

pub use add::{add_partitions, all_refused, result, rows};
pub use commit::verify_commit;
pub use mark::{mark, marks_failed};
pub use markers::MarkerSender;
pub use produce::{Verdict, Verdicts, verify_produce};
pub use support::Support;
pub use verifier::{Joining, Verifier};

use crate::coordinators::TransactionCoordinators;
use crate::node::Node;
use crate::peers::Address;

/// The topic that holds transactional ids and their transactions.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// The live broker that leads the id's partition, and in which epoch, as far as this node knows.
fn coordinator_of(node: &Node, transactional_id: &str) -> Option<(NodeId, LeaderEpoch)> {
    let at = TransactionCoordinators::partition_of(node, transactional_id)?;
    let image = node.image();
    let topic = image.topics.by_name(TRANSACTIONS_TOPIC)?;
    let partition = topic.partition(at)?;
    let broker = image.cluster.broker(partition.leader).filter(|broker| !broker.fenced)?;
    Some((broker.id, partition.leader_epoch))
}

/// Where brokers reach that one.
fn address_of(node: &Node, broker: NodeId) -> Option<Address> {
    let image = node.image();
    let listener = &node.static_config.inter_broker_listener;
    let endpoint = image.cluster.broker(broker)?.endpoint(listener)?;
    Some(Address { host: Arc::clone(&endpoint.host), port: endpoint.port })
}
