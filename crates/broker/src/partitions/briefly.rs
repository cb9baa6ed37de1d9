//! What takes a partition's locks for a moment and touches no disk, in tasks of the runtime.
//!
//! Who holds the locks may stand still at his disk. So they are taken where nobody has them; else it is waited for them as for a
//! disk, or not at all.

use std::sync::Arc;
use std::time::Duration;

use base::{LeaderEpoch, NodeId};
use replication::{Event, Follower, IsrAnswer};

use super::lane::Use;
use super::locked::Locked;
use super::partition::Partition;
use crate::clock::Clock;

/// So long a thread waits for who is not expected to hold the locks for long.
const PATIENCE: Duration = Duration::from_millis(5);

impl Partition {
    /// Does it under the locks.
    pub(super) async fn briefly<T>(&self, operation: impl FnOnce(&mut Locked<'_>) -> T) -> T {
        if let Some(mut state) = self.try_lock() {
            return operation(&mut state);
        }
        self.enter(Use::Read, || operation(&mut self.lock())).await
    }

    /// Takes what the controller said to a proposal of the leader in `epoch`: now, or when who is at work here is done. Others' answers
    /// do not wait for that.
    pub fn isr_answered(
        self: &Arc<Self>,
        epoch: LeaderEpoch,
        id: u64,
        answer: IsrAnswer,
        clock: Clock,
    ) {
        if let Some(mut state) = self.try_lock() {
            return state.isr_answered(epoch, id, answer, clock);
        }
        let partition = Arc::clone(self);
        tokio::spawn(async move {
            partition.briefly(|state| state.isr_answered(epoch, id, answer, clock)).await;
        });
    }

    /// Not while somebody is at work here for longer.
    pub fn is_leader(&self) -> bool {
        let state = self.state.try_lock_for(PATIENCE);
        state.is_some_and(|state| state.leader.is_some())
    }

    /// The leader that this replica follows, and its epoch; not while somebody is at work here for longer.
    pub fn followed(&self) -> Option<(NodeId, LeaderEpoch)> {
        let state = self.state.try_lock_for(PATIENCE)?;
        let follower: &Follower = state.follower.as_ref()?;
        Some((follower.leader(), follower.leader_epoch()))
    }

    /// Nobody is at work here, with the log or with its copy.
    pub fn is_free(&self) -> bool {
        self.moving.try_lock_for(PATIENCE).is_some() && self.lock_within(PATIENCE).is_some()
    }
}

impl Locked<'_> {
    fn isr_answered(&mut self, epoch: LeaderEpoch, id: u64, answer: IsrAnswer, clock: Clock) {
        if self.leader.as_ref().map(replication::Leader::epoch) == Some(epoch) {
            self.step(clock.mono(), Event::IsrAnswered { id, answer });
        }
    }
}

#[cfg(test)]
mod tests;
