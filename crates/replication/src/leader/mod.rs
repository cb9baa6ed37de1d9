//! The leader of a partition: what it knows of its replicas, how far records are committed, and who is in sync.
//!
//! The high watermark is the smallest log end of all replicas that are or may be in sync (the "maximal ISR", so that a replica
//! may join without the watermark going back), and of those that have caught up and may join any moment.

mod isr;
mod progress;
mod request;

use std::collections::BTreeMap;

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset, PartitionEpoch};

use crate::invariants;
use isr::InSync;

pub use isr::{IsrAnswer, IsrProposal};
pub use progress::ReplicaProgress;

/// What the cluster's metadata says of other brokers.
pub trait Brokers {
    /// The epoch under which the broker is registered, if it is and is not fenced.
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch>;
    /// It is about to stop.
    fn is_leaving(&self, id: NodeId) -> bool;
    /// The directory of its replica of this partition is offline.
    fn has_lost_disk(&self, _id: NodeId) -> bool {
        false
    }
}

/// What the metadata says of the partition while this node leads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderConfig {
    pub node_id: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Where this leader's epoch begins.
    pub epoch_start: Offset,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub min_insync_replicas: usize,
    /// `replica.lag.time.max.ms`
    pub lag_time_max_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The leader's own log has grown (or, at the start, is so long).
    Appended { log_end: Offset },
    /// A follower asked for records from `fetch_offset` on, which do not diverge from ours: it has all before it.
    FollowerFetched {
        replica: NodeId,
        fetch_offset: Offset,
        log_start: Offset,
        broker_epoch: BrokerEpoch,
    },
    /// The metadata log tells a state of the partition in which this node still leads.
    Metadata {
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        replicas: Vec<NodeId>,
        isr: Vec<NodeId>,
    },
    /// What the controller said to a proposal.
    IsrAnswered { id: u64, answer: IsrAnswer },
    /// Time to look for replicas that lag.
    Tick,
    /// `min.insync.replicas` changed.
    MinInsyncReplicas { min: usize },
    /// `replica.lag.time.max.ms` changed.
    LagTime { max_ms: u64 },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Waiting producers up to `to` are answered, waiting consumers have something to read.
    HighWatermarkAdvanced { from: Offset, to: Offset },
    /// The controller is to be asked for this (again); the answer comes back as [`Event::IsrAnswered`].
    Propose(IsrProposal),
}

/// Why a fetch does not count as a replica's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchRefused {
    /// It holds no replica, as far as this leader knows.
    UnknownReplica,
    /// The broker was started again since.
    StaleBrokerEpoch,
}

/// A partition's leadership, over one or several epochs in which nobody else led.
#[derive(Clone, Debug)]
pub struct Leader {
    config: LeaderConfig,
    log_end: Offset,
    high_watermark: Offset,
    in_sync: InSync,
    followers: BTreeMap<NodeId, ReplicaProgress>,
}

impl Leader {
    /// Takes over with the high watermark that this node knew as a follower, or read from its checkpoint.
    pub fn new(config: LeaderConfig, log_end: Offset, high_watermark: Offset, now: MonoMs) -> Self {
        let in_sync = InSync::new(config.isr.clone(), config.partition_epoch);
        let others = config.replicas.iter().filter(|id| **id != config.node_id);
        let followers = others
            .map(|id| (*id, ReplicaProgress::unknown(config.isr.contains(id), now)))
            .collect();
        let high_watermark = high_watermark.clamp(Offset::ZERO, log_end);
        Self { config, log_end, high_watermark, in_sync, followers }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.config.leader_epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.in_sync.partition_epoch()
    }

    pub fn epoch_start(&self) -> Offset {
        self.config.epoch_start
    }

    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Records below are committed: on every in-sync replica.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// As committed.
    pub fn isr(&self) -> &[NodeId] {
        self.in_sync.committed()
    }

    /// Whether the replica is in sync, or may be by now.
    pub fn may_be_in_sync(&self, id: NodeId) -> bool {
        self.in_sync.maximal_contains(id)
    }

    /// The proposal that is not answered yet.
    pub fn proposal(&self) -> Option<&IsrProposal> {
        self.in_sync.proposal()
    }

    pub fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    pub fn follower(&self, id: NodeId) -> Option<ReplicaProgress> {
        self.followers.get(&id).copied()
    }

    pub fn followers(&self) -> impl Iterator<Item = (NodeId, &ReplicaProgress)> {
        self.followers.iter().map(|(id, progress)| (*id, progress))
    }

    /// Whether acks=all may append; if not it is refused with NOT_ENOUGH_REPLICAS.
    pub fn has_min_isr(&self) -> bool {
        self.in_sync.committed().len() >= self.min_insync()
    }

    /// Whether what the watermark has passed counts as written with acks=all; if not the answer is
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    pub fn has_enough_after_append(&self) -> bool {
        self.in_sync.maximal_len() >= self.min_insync()
    }

    /// A minimum above the number of replicas cannot be meant.
    fn min_insync(&self) -> usize {
        self.config.min_insync_replicas.min(self.followers.len() + 1)
    }

    /// Where the logs of all replicas start, those of brokers that are gone left out: DeleteRecords waits for this.
    pub fn low_watermark(&self, own_start: Offset, brokers: &dyn Brokers) -> Offset {
        let alive = self.followers().filter(|(id, _)| brokers.alive_epoch(*id).is_some());
        alive.map(|(_, progress)| progress.log_start).fold(own_start, Offset::min)
    }

    /// Whether a fetch counts as this replica's.
    ///
    /// # Errors
    /// When the broker holds no replica, or fetches under a registration that is over.
    pub fn check_fetch(
        &self,
        replica: NodeId,
        broker_epoch: BrokerEpoch,
        brokers: &dyn Brokers,
    ) -> Result<(), FetchRefused> {
        let progress = self.followers.get(&replica).ok_or(FetchRefused::UnknownReplica)?;
        let newest = progress.broker_epoch.max(brokers.alive_epoch(replica));
        if broker_epoch.is_some() && newest.is_some_and(|newest| newest > broker_epoch) {
            return Err(FetchRefused::StaleBrokerEpoch);
        }
        Ok(())
    }

    pub fn step(
        &mut self,
        now: MonoMs,
        brokers: &dyn Brokers,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        match event {
            Event::Appended { log_end } => {
                assert!(log_end >= self.log_end, "a leader's log never shrinks");
                self.log_end = log_end;
            }
            Event::FollowerFetched { replica, fetch_offset, log_start, broker_epoch } => {
                if self.check_fetch(replica, broker_epoch, brokers).is_err() {
                    return;
                }
                let log_end = self.log_end;
                let Some(progress) = self.followers.get_mut(&replica) else { return };
                let offset = fetch_offset.min(log_end);
                progress.fetched(offset, log_start, broker_epoch, log_end, now);
                self.expand(replica, brokers, effects);
            }
            Event::Metadata { leader_epoch, partition_epoch, replicas, isr } => {
                self.take_over(leader_epoch, partition_epoch, replicas, isr, now);
            }
            Event::IsrAnswered { id, answer } => {
                let again = self.in_sync.answered(id, self.config.leader_epoch, answer);
                effects.extend(again.map(Effect::Propose));
            }
            Event::Tick => self.shrink(now, effects),
            Event::MinInsyncReplicas { min } => self.config.min_insync_replicas = min,
            Event::LagTime { max_ms } => self.config.lag_time_max_ms = max_ms,
        }
        self.advance(now, brokers, effects);
    }

    fn take_over(
        &mut self,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        replicas: Vec<NodeId>,
        isr: Vec<NodeId>,
        now: MonoMs,
    ) {
        if partition_epoch < self.in_sync.partition_epoch() {
            return; // the controller's answer has overtaken the metadata log
        }
        let own = self.config.node_id;
        self.followers.retain(|id, _| replicas.contains(id));
        for id in replicas.iter().filter(|id| **id != own) {
            let unknown = ReplicaProgress::unknown(isr.contains(id), now);
            self.followers.entry(*id).or_insert(unknown);
        }
        self.config.replicas = replicas;
        if partition_epoch > self.in_sync.partition_epoch() {
            self.in_sync.commit(isr, partition_epoch);
        }
        if leader_epoch > self.config.leader_epoch {
            self.config.leader_epoch = leader_epoch;
            self.config.epoch_start = self.log_end;
            for (id, progress) in &mut self.followers {
                let in_sync = self.in_sync.committed().contains(id);
                progress.elected_again(self.log_end, in_sync, now);
            }
        }
    }

    /// Asks for a replica that fetched to join those in sync: it has everything committed and everything from before this epoch.
    fn expand(&mut self, replica: NodeId, brokers: &dyn Brokers, effects: &mut Vec<Effect>) {
        if self.in_sync.is_pending() || self.in_sync.committed().contains(&replica) {
            return;
        }
        let Some(progress) = self.followers.get(&replica) else { return };
        let complete =
            progress.log_end >= self.high_watermark && progress.log_end >= self.config.epoch_start;
        if !complete || !is_eligible(replica, progress, brokers) {
            return;
        }
        let followers = &self.followers;
        let epoch_of = |id| epoch_of(followers, id);
        let proposal = self.in_sync.expand(replica, self.config.leader_epoch, epoch_of);
        effects.push(Effect::Propose(proposal));
    }

    /// Asks to remove those in sync who have lagged too long.
    fn shrink(&mut self, now: MonoMs, effects: &mut Vec<Effect>) {
        if self.in_sync.is_pending() {
            return;
        }
        let max_ms = self.config.lag_time_max_ms;
        let lags = |id: &NodeId| {
            *id != self.config.node_id
                && self
                    .followers
                    .get(id)
                    .is_none_or(|progress| !progress.is_caught_up(self.log_end, now, max_ms))
        };
        let gone: Vec<NodeId> = self.in_sync.committed().iter().copied().filter(lags).collect();
        if gone.is_empty() {
            return;
        }
        let followers = &self.followers;
        let epoch_of = |id| epoch_of(followers, id);
        let proposal = self.in_sync.shrink(&gone, self.config.leader_epoch, epoch_of);
        effects.push(Effect::Propose(proposal));
    }

    fn advance(&mut self, now: MonoMs, brokers: &dyn Brokers, effects: &mut Vec<Effect>) {
        let mut committed = self.log_end;
        for (id, progress) in &self.followers {
            let may_join = || {
                progress.is_caught_up(self.log_end, now, self.config.lag_time_max_ms)
                    && is_eligible(*id, progress, brokers)
            };
            if progress.log_end < committed && (self.in_sync.maximal_contains(*id) || may_join()) {
                committed = progress.log_end;
            }
        }
        // Below its minimum of replicas Kafka 4 holds the watermark still: what is on too few replicas is not committed.
        if committed > self.high_watermark && self.has_min_isr() {
            let from = std::mem::replace(&mut self.high_watermark, committed);
            effects.push(Effect::HighWatermarkAdvanced { from, to: committed });
        }
        debug_assert_eq!(invariants::high_watermark_within_log(self), Ok(()));
    }
}

/// May be in sync: alive, not leaving, with its disk, and what it told is from its present registration (KIP-903).
fn is_eligible(id: NodeId, progress: &ReplicaProgress, brokers: &dyn Brokers) -> bool {
    let Some(told) = progress.broker_epoch else { return false };
    let alive = brokers.alive_epoch(id);
    alive.is_some_and(|alive| !told.is_some() || told == alive)
        && !brokers.is_leaving(id)
        && !brokers.has_lost_disk(id)
}

fn epoch_of(followers: &BTreeMap<NodeId, ReplicaProgress>, id: NodeId) -> BrokerEpoch {
    followers.get(&id).and_then(|progress| progress.broker_epoch).unwrap_or(BrokerEpoch::NONE)
}
