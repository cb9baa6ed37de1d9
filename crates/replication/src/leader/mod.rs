//! The leader of a partition: what it knows of its replicas, and how far records are committed.
//!
//! The high watermark is the smallest log end of the in-sync replicas (Kafka also counts replicas that have caught up but
//! are not yet back in the set: the "maximal ISR", so that a replica may join without the watermark going back).

use std::collections::BTreeMap;

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};

use crate::invariants;

/// What the metadata says of the partition while this node leads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderConfig {
    pub node_id: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// Where this leader's epoch begins.
    pub epoch_start: Offset,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub min_insync_replicas: usize,
}

/// What a follower's fetches told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaProgress {
    pub log_end: Offset,
    pub log_start: Offset,
    /// When it last had everything that the leader had.
    pub caught_up_at: MonoMs,
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The leader's own log has grown (or, at the start, is so long).
    Appended { log_end: Offset },
    /// A follower asked for records from `fetch_offset` on: it has all before it.
    FollowerFetched {
        replica: NodeId,
        fetch_offset: Offset,
        log_start: Offset,
        broker_epoch: BrokerEpoch,
    },
    /// The metadata log committed a new set of in-sync replicas.
    IsrCommitted { isr: Vec<NodeId> },
    /// `min.insync.replicas` changed.
    MinInsyncReplicas { min: usize },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Waiting producers up to `to` are answered, waiting consumers have something to read.
    HighWatermarkAdvanced { from: Offset, to: Offset },
}

/// One leader epoch of one partition.
#[derive(Clone, Debug)]
pub struct Leader {
    config: LeaderConfig,
    log_end: Offset,
    high_watermark: Offset,
    followers: BTreeMap<NodeId, ReplicaProgress>,
}

impl Leader {
    /// Takes over with the high watermark that this node knew as a follower, or read from its checkpoint.
    pub fn new(config: LeaderConfig, log_end: Offset, high_watermark: Offset, now: MonoMs) -> Self {
        let unknown = ReplicaProgress {
            log_end: Offset::NONE,
            log_start: Offset::NONE,
            caught_up_at: now,
            broker_epoch: BrokerEpoch::NONE,
        };
        let others = config.replicas.iter().filter(|id| **id != config.node_id);
        let followers = others.map(|id| (*id, unknown)).collect();
        let high_watermark = high_watermark.clamp(Offset::ZERO, log_end);
        Self { config, log_end, high_watermark, followers }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.config.leader_epoch
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

    pub fn isr(&self) -> &[NodeId] {
        &self.config.isr
    }

    pub fn follower(&self, id: NodeId) -> Option<ReplicaProgress> {
        self.followers.get(&id).copied()
    }

    /// Whether acks=all is to be refused before (NOT_ENOUGH_REPLICAS) or reported after the append
    /// (NOT_ENOUGH_REPLICAS_AFTER_APPEND).
    pub fn has_min_isr(&self) -> bool {
        self.config.isr.len() >= self.config.min_insync_replicas.min(self.config.replicas.len())
    }

    pub fn step(&mut self, now: MonoMs, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Appended { log_end } => {
                assert!(log_end >= self.log_end, "a leader's log never shrinks");
                self.log_end = log_end;
            }
            Event::FollowerFetched { replica, fetch_offset, log_start, broker_epoch } => {
                let log_end = self.log_end;
                let Some(progress) = self.followers.get_mut(&replica) else { return };
                if broker_epoch < progress.broker_epoch {
                    return; // a fetch from before the follower's restart, arriving late
                }
                progress.log_end = fetch_offset.min(log_end);
                progress.log_start = log_start;
                progress.broker_epoch = broker_epoch;
                if fetch_offset >= log_end {
                    progress.caught_up_at = now;
                }
            }
            Event::IsrCommitted { isr } => self.config.isr = isr,
            Event::MinInsyncReplicas { min } => self.config.min_insync_replicas = min,
        }
        self.advance(effects);
    }

    fn advance(&mut self, effects: &mut Vec<Effect>) {
        let in_sync = |id: &NodeId| {
            let progress = self.followers.get(id);
            progress.map_or(self.log_end, |p| p.log_end)
        };
        let committed = self.config.isr.iter().map(in_sync).min().unwrap_or(self.log_end);
        let committed = committed.min(self.log_end);
        // Below its minimum of replicas Kafka 4 holds the watermark still: what is on too few replicas is not committed.
        if committed > self.high_watermark && self.has_min_isr() {
            let from = std::mem::replace(&mut self.high_watermark, committed);
            effects.push(Effect::HighWatermarkAdvanced { from, to: committed });
        }
        debug_assert_eq!(invariants::high_watermark_within_log(self), Ok(()));
    }
}
