//! What is to be done outside of the log, numbered as it came up.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::TransactionShard;
use crate::request::{Duty, Markers};
use crate::state::State;

/// One for each id at most.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Duties {
    by_number: RedBlackTreeMapSync<u64, Arc<str>>,
    by_id: RedBlackTreeMapSync<Arc<str>, u64>,
    last: u64,
}

impl Default for Duties {
    fn default() -> Self {
        let (by_number, by_id) = (RedBlackTreeMapSync::new_sync(), RedBlackTreeMapSync::new_sync());
        Self { by_number, by_id, last: 0 }
    }
}

impl Duties {
    /// None, with numbers above all of these.
    pub(super) fn anew(&self) -> Self {
        Self { last: self.last, ..Self::default() }
    }

    /// Under a new number, in place of an older one.
    pub(super) fn add(&mut self, id: &Arc<str>) {
        self.remove(id);
        self.last = self.last.saturating_add(1);
        self.by_number.insert_mut(self.last, Arc::clone(id));
        self.by_id.insert_mut(Arc::clone(id), self.last);
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some(number) = self.by_id.get(id).copied() {
            self.by_id.remove_mut(id);
            self.by_number.remove_mut(&number);
        }
    }

    pub(super) fn number(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Arc<str>)> {
        let later = self.by_number.range(after.saturating_add(1)..);
        later.map(|(number, id)| (*number, id))
    }
}

impl TransactionShard {
    /// What an id's state asks for.
    pub(super) fn duty(&self, number: u64, id: &Arc<str>) -> Option<Duty> {
        let transaction = self.transactions.get(id)?;
        let (transactional_id, producer) = (Arc::clone(id), transaction.producer);
        match transaction.state.decided() {
            Some(commit) => Some(Duty::Markers(Markers {
                number,
                transactional_id,
                producer,
                commit,
                transaction_version: transaction.client_version,
                partitions: transaction.partitions.iter().cloned().collect(),
            })),
            None if transaction.state == State::Ongoing => {
                Some(Duty::ProducerId { transactional_id, producer })
            }
            None => None,
        }
    }
}
