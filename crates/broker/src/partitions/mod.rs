//! The partitions that this node hosts.

mod append;
mod briefly;
mod durable;
mod failure;
mod flusher;
mod follow;
mod glimpse;
mod lane;
mod locked;
mod metadata;
mod moving;
mod neighbours;
mod partition;
mod preferred;
mod read;
pub mod settings;
mod straight;
mod throttle;
mod truncations;

use std::collections::HashMap;
use std::sync::Arc;

use base::{PartitionIndex, TopicId, TopicIdPartition};
use parking_lot::RwLock;

pub use append::{AppendFailure, Appended, TxnMarker};
pub use failure::PartitionFailure;
pub use follow::{FetchedPart, Followed, Turn};
pub use lane::{Lane, Use, beside};
pub use locked::Locked;
pub use moving::Moved;
pub use neighbours::{Neighbours, Proposals};
pub use partition::{Partition, Written};
pub use preferred::{Client, RACK_AWARE};
pub use read::{ReadRequest, ReadResult, Reader};
pub use throttle::Throttle;
pub use truncations::Truncations;

/// All hosted partitions by topic id. The image says which there should be; [`crate::apply`] makes it so.
#[derive(Default)]
pub struct Partitions {
    by_id: RwLock<HashMap<TopicIdPartition, Arc<Partition>>>,
}

impl Partitions {
    pub fn get(&self, topic_id: TopicId, partition: PartitionIndex) -> Option<Arc<Partition>> {
        self.by_id.read().get(&TopicIdPartition { topic_id, partition }).cloned()
    }

    pub fn insert(&self, partition: Arc<Partition>) {
        self.by_id.write().insert(partition.id(), partition);
    }

    pub fn remove(&self, id: TopicIdPartition) -> Option<Arc<Partition>> {
        self.by_id.write().remove(&id)
    }

    /// All of them now, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.by_id.read().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.by_id.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.read().is_empty()
    }
}
