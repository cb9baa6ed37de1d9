//! What metadata makes of a partition: led, followed or kept, by whose settings, or taken away.
//!
//! All of it happens under the locks, and almost nothing of it on the disk. Whoever applies metadata comes with the locks, so that it is
//! him who says how long he waits for them.

use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, NodeId};
use replication::{Event, Follower, Leader, LeaderConfig};
use storage::log::ProducerConfig;

use super::failure::PartitionFailure;
use super::follow::View;
use super::locked::Locked;
use super::partition::Partition;
use super::settings::PartitionSettings;

impl Partition {
    /// Takes over changed settings of the topic, without a restart.
    pub fn set_settings(
        &self,
        state: &mut Locked<'_>,
        settings: Arc<PartitionSettings>,
        now: MonoMs,
    ) {
        state.log.set_config(Arc::clone(&settings.log));
        let min = settings.min_insync_replicas;
        self.settings.store(settings);
        state.step(now, Event::MinInsyncReplicas { min });
    }

    /// Leads as the metadata says; a new epoch begins at the log's end. Tells whether the epoch is new.
    pub fn lead_locked(
        self: &Arc<Self>,
        state: &mut Locked<'_>,
        mut config: LeaderConfig,
        now: MonoMs,
    ) -> Result<bool, PartitionFailure> {
        let known = state.leader.as_ref().map(Leader::epoch);
        let is_new = known.is_none_or(|known| known < config.leader_epoch);
        if is_new {
            state.log.assign_leader_epoch(config.leader_epoch)?;
        }
        state.leader_epoch = config.leader_epoch;
        state.follower = None;
        if known.is_some() {
            state.step(
                now,
                Event::Metadata {
                    leader_epoch: config.leader_epoch,
                    partition_epoch: config.partition_epoch,
                    replicas: config.replicas,
                    isr: config.isr,
                },
            );
        } else {
            config.epoch_start = state.log.end_offset();
            config.min_insync_replicas = self.settings.load().min_insync_replicas;
            let (end, known) = (state.counted_end(), state.log.high_watermark());
            state.leader = Some(Leader::new(config, end, known, now));
            state.step(now, Event::Appended { log_end: end });
            if state.log.owes_flush() {
                // It was a follower until now, and not done with what came last.
                self.flush_soon(state);
            }
        }
        if is_new {
            state.readers.wake();
        }
        Ok(is_new)
    }

    /// Follows another node in the epoch that the metadata says. Tells whether that is new.
    ///
    /// # Errors
    /// When the log cannot be cut to what may be kept.
    pub fn follow_locked(
        &self,
        state: &mut Locked<'_>,
        leader: NodeId,
        epoch: LeaderEpoch,
        backoff_ms: u64,
        now: Now,
    ) -> Result<bool, PartitionFailure> {
        let known = state.follower.as_ref().map(|f| (f.leader(), f.leader_epoch()));
        if known == Some((leader, epoch)) {
            return Ok(false);
        }
        state.check_replica(LeaderEpoch::NONE)?;
        state.leader = None;
        state.leader_epoch = epoch;
        state.turn_all_away();
        let mut effects = Vec::new();
        let view = View(&state.log);
        state.follower = Some(Follower::new(leader, epoch, backoff_ms, &view, &mut effects));
        state.execute(effects, now.wall)?;
        Ok(true)
    }

    /// Serves no longer: its directory has failed. Whoever waits is told.
    pub fn resign(&self) {
        self.state.lock().resign();
    }
}

impl Locked<'_> {
    /// Holds a replica in this epoch which nobody leads: it can be read, as far as it is known to be committed.
    pub fn rest(&mut self, epoch: LeaderEpoch) {
        self.resign();
        self.leader_epoch = epoch;
    }

    /// The topic is gone, or the replica is to be elsewhere.
    pub fn delete(&mut self) {
        self.resign();
        self.deleted = true;
    }

    /// It is being copied to another directory.
    pub fn is_moving(&self) -> bool {
        self.copy_start.is_some()
    }

    /// Its disk failed.
    pub fn is_offline(&self) -> bool {
        self.log.failure().is_some()
    }

    pub fn set_producer_config(&mut self, config: ProducerConfig) {
        self.log.set_producer_config(config);
    }
}

#[cfg(test)]
impl Partition {
    pub fn lead(
        self: &Arc<Self>,
        config: LeaderConfig,
        now: MonoMs,
    ) -> Result<bool, PartitionFailure> {
        self.lead_locked(&mut self.lock(), config, now)
    }

    pub fn follow(
        &self,
        leader: NodeId,
        epoch: LeaderEpoch,
        backoff_ms: u64,
        now: Now,
    ) -> Result<bool, PartitionFailure> {
        self.follow_locked(&mut self.lock(), leader, epoch, backoff_ms, now)
    }
}
