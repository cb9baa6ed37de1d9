//! Leader: orders records, follows the progress of all replicas, knows what is committed.

use std::collections::BTreeMap;

use base::time::Now;
use base::{NodeId, Offset};

use crate::{ReplicaKey, ReplicaProgress, VoterSet};

/// An observer that has not fetched for so long is forgotten (Kafka's value).
const OBSERVER_SESSION_MS: i64 = 300_000;
/// Replica keys come from the network; beyond this many, further observers are served but not described.
const OBSERVERS_MAX: usize = 2_000;

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) epoch: i32,
    /// Offset of the first record of this epoch.
    pub(crate) start: Offset,
    /// `None` until a record of this epoch is committed: what the log held before may be uncommitted until then.
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) voters: VoterSet,
    observers: BTreeMap<ReplicaKey, Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    end: Offset,
    last_fetch_ms: i64,
    last_caught_up_ms: i64,
    /// Where the leader's log ended at the last fetch.
    leader_end: Offset,
}

impl Leader {
    pub(crate) fn new(epoch: i32, start: Offset, voters: VoterSet) -> Self {
        Self { epoch, start, high_watermark: None, voters, observers: BTreeMap::new() }
    }

    /// The offset that a majority of voters holds durably becomes the high watermark, once it lies in this epoch.
    /// With one voter that majority is this node. True when the high watermark moved.
    pub(crate) fn update_high_watermark(&mut self, flushed: Offset) -> bool {
        let moved = flushed > self.start && self.high_watermark.is_none_or(|known| flushed > known);
        if moved {
            self.high_watermark = Some(flushed);
        }
        moved
    }

    pub(crate) fn observed(
        &mut self,
        now: Now,
        key: ReplicaKey,
        offset: Offset,
        leader_end: Offset,
    ) {
        if !key.id.is_some() {
            return;
        }
        let now_ms = now.wall.0;
        if !self.observers.contains_key(&key) && self.observers.len() >= OBSERVERS_MAX {
            self.forget_inactive(now_ms);
            if self.observers.len() >= OBSERVERS_MAX {
                return;
            }
        }
        let progress = self.observers.entry(key).or_insert(Progress {
            end: Offset::NONE,
            last_fetch_ms: -1,
            last_caught_up_ms: -1,
            leader_end: Offset::NONE,
        });
        if offset >= leader_end {
            progress.last_caught_up_ms = progress.last_caught_up_ms.max(now_ms);
        } else if progress.leader_end > Offset::ZERO && offset >= progress.leader_end {
            progress.last_caught_up_ms = progress.last_caught_up_ms.max(progress.last_fetch_ms);
        }
        progress.leader_end = leader_end;
        progress.last_fetch_ms = progress.last_fetch_ms.max(now_ms);
        progress.end = offset;
    }

    fn forget_inactive(&mut self, now_ms: i64) {
        self.observers.retain(|_, progress| {
            now_ms.saturating_sub(progress.last_fetch_ms) < OBSERVER_SESSION_MS
        });
    }

    pub(crate) fn voters_progress(
        &self,
        now: Now,
        local: ReplicaKey,
        end: Offset,
    ) -> Vec<ReplicaProgress> {
        let now_ms = now.wall.0;
        let progress = |id: NodeId, key: ReplicaKey| {
            debug_assert_eq!(id, local.id, "the only voter is this node");
            ReplicaProgress { key, log_end: end, last_fetch_ms: now_ms, last_caught_up_ms: now_ms }
        };
        self.voters.iter().map(|voter| progress(voter.key.id, voter.key)).collect()
    }

    pub(crate) fn observers_progress(&mut self, now: Now) -> Vec<ReplicaProgress> {
        self.forget_inactive(now.wall.0);
        let progress = |(key, progress): (&ReplicaKey, &Progress)| ReplicaProgress {
            key: *key,
            log_end: progress.end,
            last_fetch_ms: progress.last_fetch_ms,
            last_caught_up_ms: progress.last_caught_up_ms,
        };
        self.observers.iter().map(progress).collect()
    }
}
