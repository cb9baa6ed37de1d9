//! A partition under its locks: what may be asked of it, and the leader's machine with what it asks for.

use std::ops::{Deref, DerefMut};

use base::{LeaderEpoch, MonoMs, Offset, TopicIdPartition};
use parking_lot::{ArcRwLockWriteGuard, MutexGuard, RawRwLock};
use replication::{Effect, Event};
use storage::log::{Log, LogError};

use super::failure::PartitionFailure;
use super::neighbours::{Neighbours, Others};
use super::partition::{State, Written};
use crate::fetch::waiter::Waiters;

/// Both locks of a partition.
pub struct Locked<'a> {
    pub(super) id: TopicIdPartition,
    pub(super) neighbours: &'a Neighbours,
    pub(super) state: MutexGuard<'a, State>,
    pub(super) log: ArcRwLockWriteGuard<RawRwLock, Log>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Locked<'_> {
    /// The leader's epoch, if the client's view of it is ours and this node leads.
    pub fn check_leader(&self, epoch: LeaderEpoch) -> Result<LeaderEpoch, PartitionFailure> {
        self.check_epoch(epoch)?;
        match &self.leader {
            Some(leader) => Ok(leader.epoch()),
            None => Err(self.not_served(PartitionFailure::NotLeader)),
        }
    }

    /// The same, where a follower may answer, too.
    pub fn check_replica(&self, epoch: LeaderEpoch) -> Result<(), PartitionFailure> {
        self.check_epoch(epoch)?;
        match self.log.failure() {
            Some(cause) => Err(PartitionFailure::Offline(cause.to_owned())),
            None => Ok(()),
        }
    }

    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), PartitionFailure> {
        if self.deleted {
            return Err(PartitionFailure::Deleted);
        }
        let ours = self.leader_epoch;
        match epoch {
            _ if !epoch.is_some() || epoch == ours => Ok(()),
            _ if epoch < ours => Err(PartitionFailure::FencedLeaderEpoch { ours }),
            _ => Err(PartitionFailure::UnknownLeaderEpoch { ours }),
        }
    }

    fn not_served(&self, otherwise: PartitionFailure) -> PartitionFailure {
        match self.log.failure() {
            Some(cause) => PartitionFailure::Offline(cause.to_owned()),
            None => otherwise,
        }
    }

    /// Where the logs of all replicas start, and the copy of this one.
    pub fn low_watermark(&self) -> Offset {
        let start = self.log.start_offset();
        let leader = self.leader.as_ref();
        let low = leader.map_or(start, |leader| leader.low_watermark(start, self.neighbours));
        self.copy_start.map_or(low, |copy| copy.min(low))
    }

    /// Runs the leader's machine and what it asks for; consumers hear of what is committed by it.
    pub fn step(&mut self, now: MonoMs, event: Event) {
        if let Some((from, to)) = self.run(now, event) {
            self.tell_consumers(from, to);
        }
    }

    /// The same without the consumers, but for those who wait for the last stable offset; gives how the watermark moved.
    pub fn run(&mut self, now: MonoMs, event: Event) -> Option<(Offset, Offset)> {
        let stable = self.log.last_stable_offset();
        let moved = self.run_leader(now, event);
        if moved.is_some() {
            let to = self.log.last_stable_offset();
            if to > stable {
                self.tell(&self.readers.stable, stable, to);
            }
        }
        moved
    }

    fn run_leader(&mut self, now: MonoMs, event: Event) -> Option<(Offset, Offset)> {
        let leader = self.state.leader.as_mut()?;
        let mut effects = Vec::new();
        let others = Others { neighbours: self.neighbours, partition: self.id };
        leader.step(now, &others, event, &mut effects);
        let enough = leader.has_enough_after_append();
        let mut moved = None;
        for effect in effects {
            match effect {
                Effect::HighWatermarkAdvanced { from, to } => {
                    moved = Some((from, to));
                    self.log.set_high_watermark(to);
                    self.release_producers(to, enough);
                }
                Effect::Propose(proposal) => {
                    self.neighbours.proposals.add(self.id, proposal);
                }
            }
        }
        self.release_deletions();
        moved
    }

    /// Tells those who removed records and wait for all replicas.
    pub fn release_deletions(&mut self) {
        if self.deletions.is_empty() {
            return;
        }
        let low = self.low_watermark();
        for waiting in self.deletions.release(low) {
            // It may be gone.
            let _gone = waiting.send(low);
        }
    }

    fn release_producers(&mut self, to: Offset, enough: bool) {
        if self.producers.is_empty() {
            return;
        }
        let written = if enough { Written::Committed } else { Written::TooFewReplicas };
        for waiting in self.producers.release(to) {
            // A producer that went away meanwhile does not matter.
            let _gone = waiting.send(written);
        }
    }

    pub fn tell_consumers(&self, from: Offset, to: Offset) {
        self.tell(&self.readers.consumers, from, to);
    }

    /// These may read on, so far.
    fn tell(&self, waiters: &Waiters, from: Offset, to: Offset) {
        let bytes = || {
            let (from, to) = (self.log.position_of(from).ok()?, self.log.position_of(to).ok()?);
            i64::try_from(self.log.bytes_between(from, to)).ok()
        };
        // Where the bytes cannot be counted everybody looks again.
        waiters.add_bytes_with(|| bytes().unwrap_or(i64::MAX));
    }

    /// The disk failed: whoever waits learns it by asking again, and the directory goes offline.
    pub fn stop_serving(&mut self, error: &LogError) {
        self.resign();
        self.neighbours.failed.add(self.id, error);
    }
}
