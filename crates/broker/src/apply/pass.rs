//! One pass over what metadata says: how long it waits for partitions whose locks somebody holds, and what becomes of those that it does not
//! wait for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::catch_up;
use super::unhosted::Unhosted;
use crate::node::Node;
use crate::partitions::{Locked, Partition};

/// So long one update waits at most for those who hold the locks of partitions, all together.
const PATIENCE: Duration = Duration::from_millis(100);

/// One update, or one look at what is missing.
pub(super) struct Pass<'a> {
    pub node: &'a Arc<Node>,
    pub unhosted: MutexGuard<'a, Unhosted>,
    /// How long it may still wait for locks.
    patience: Duration,
}

impl<'a> Pass<'a> {
    pub fn new(node: &'a Arc<Node>) -> Self {
        Self { node, unhosted: node.unhosted.lock(), patience: PATIENCE }
    }

    /// The partition's locks; where they cannot be had it is late.
    pub fn lock<'p>(&mut self, partition: &'p Partition) -> Option<Locked<'p>> {
        let locked = self.try_lock(partition);
        if locked.is_none() {
            self.unhosted.late.add(partition.lane().index(), partition.id());
        }
        locked
    }

    /// Not those of a replica that is late: they are not waited for twice, and its order is another's by now. Where the directory is known to be
    /// slow nothing is waited for.
    pub fn try_lock<'p>(&mut self, partition: &'p Partition) -> Option<Locked<'p>> {
        if self.unhosted.late.is_behind(partition.id()) {
            return None;
        }
        if let Some(locked) = partition.lock_within(Duration::ZERO) {
            return Some(locked);
        }
        let lane = partition.lane();
        if self.patience.is_zero() || lane.is_slow() || self.unhosted.late.is_any_in(lane.index()) {
            return None;
        }
        let began = self.node.clock.mono();
        let locked = partition.lock_within(self.patience);
        let waited = Duration::from_millis(self.node.clock.mono().since(began));
        self.patience = self.patience.saturating_sub(waited);
        locked
    }

    /// What is late is somebody's from now on.
    pub fn end(mut self) {
        let dirs = self.unhosted.late.take_on();
        drop(self.unhosted);
        for dir in dirs {
            catch_up::begin(self.node, dir);
        }
    }
}
