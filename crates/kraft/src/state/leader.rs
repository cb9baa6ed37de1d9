//! Leader: orders records, follows the progress of all replicas, knows what is committed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, NodeId, Offset};

use super::Change;
use super::progress::Progress;
use crate::{ReplicaKey, ReplicaProgress, VoterSet};

/// An observer that has not fetched for so long is forgotten (Kafka's value).
const OBSERVER_SESSION_MS: u64 = 300_000;
/// Replica keys come from the network; beyond this many, further observers are served but not described.
const OBSERVERS_MAX: usize = 2_000;
/// A node that is to become a voter must have fetched within the last hour (Kafka's value).
const CAUGHT_UP_WITHIN_MS: u64 = 3_600_000;

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) epoch: i32,
    /// Offset of the first record of this epoch.
    pub(crate) start: Offset,
    /// `None` until a record of this epoch is committed: what the log held before may be uncommitted until then.
    pub(crate) high_watermark: Option<Offset>,
    local: ReplicaKey,
    voters: BTreeMap<NodeId, Progress>,
    observers: BTreeMap<ReplicaKey, Progress>,
    /// Voters that have fetched since the majority was last heard of.
    fetched: BTreeSet<NodeId>,
    /// When it must have heard of a majority.
    check_quorum_at: MonoMs,
    check_quorum_ms: u64,
    pub(crate) begin_epoch_at: MonoMs,
    pub(crate) begin_epoch_ms: u64,
    pub(crate) resign_requested: bool,
    pub(crate) change: Option<Change>,
    /// Who waits for the commit of an upgrade of `kraft.version`, with the offset of its last record.
    pub(crate) upgrades: Vec<(ReplyId, Offset)>,
    /// Voters of a static quorum with the directories and versions that they told this leader; what an upgrade to
    /// dynamic voters writes.
    pub(crate) told_voters: Option<VoterSet>,
}

impl Leader {
    pub(crate) fn new(
        now: MonoMs,
        epoch: i32,
        start: Offset,
        local: ReplicaKey,
        voters: &VoterSet,
        fetch_timeout_ms: u64,
    ) -> Self {
        let check_quorum_ms = fetch_timeout_ms.saturating_mul(3) / 2;
        let progress = |key: ReplicaKey| (key.id, Progress::new(key));
        Self {
            epoch,
            start,
            high_watermark: None,
            local,
            voters: voters.iter().map(|voter| progress(voter.key)).collect(),
            observers: BTreeMap::new(),
            fetched: BTreeSet::new(),
            check_quorum_at: now.plus_ms(check_quorum_ms),
            check_quorum_ms,
            begin_epoch_at: now,
            begin_epoch_ms: fetch_timeout_ms / 2,
            resign_requested: false,
            change: None,
            upgrades: Vec::new(),
            told_voters: None,
        }
    }

    /// The offset that a majority of voters holds durably becomes the high watermark, once it lies in this epoch and
    /// this node holds it durably, too. True when it moved.
    pub(crate) fn update_high_watermark(&mut self, flushed: Offset) -> bool {
        let end = |progress: &Progress| {
            if progress.is(self.local) { Some(flushed) } else { progress.end }
        };
        let mut ends: Vec<Option<Offset>> = self.voters.values().map(end).collect();
        ends.sort_unstable_by_key(|end| Reverse(*end));
        let Some(Some(majority)) = ends.get(ends.len() / 2) else { return false };
        let known = (*majority).min(flushed);
        let moved = known > self.start && self.high_watermark.is_none_or(|old| known > old);
        if moved {
            self.high_watermark = Some(known);
        }
        moved
    }

    /// A replica fetched from `offset`; of a voter it means that it has all before on its disk.
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
        if let Some(voter) = self.voters.get_mut(&key.id).filter(|voter| voter.is(key)) {
            voter.fetched(now, offset, leader_end);
            return;
        }
        if !self.observers.contains_key(&key) && self.observers.len() >= OBSERVERS_MAX {
            self.forget_inactive(now.mono);
            if self.observers.len() >= OBSERVERS_MAX {
                return;
            }
        }
        let progress = self.observers.entry(key).or_insert_with(|| Progress::new(key));
        progress.fetched(now, offset, leader_end);
    }

    /// A voter was heard of. When all of them, with this node, are a majority, the leader may go on for a while.
    pub(crate) fn heard_of(&mut self, now: MonoMs, key: ReplicaKey) {
        if self.voters.get(&key.id).is_some_and(|voter| voter.is(key)) {
            self.fetched.insert(key.id);
        }
        let mut majority = self.voters.len() / 2 + 1;
        if self.voters.contains_key(&self.local.id) {
            majority -= 1;
        }
        if self.fetched.len() >= majority {
            self.fetched.clear();
            self.check_quorum_at = now.plus_ms(self.check_quorum_ms);
        }
    }

    /// When it must give up unless a majority fetches before.
    pub(crate) fn check_quorum_at(&self) -> MonoMs {
        if self.voters.len() == 1 { MonoMs::NEVER } else { self.check_quorum_at }
    }

    /// Voters that may not know of this leader.
    pub(crate) fn silent_voters(&self, now: MonoMs) -> Vec<ReplicaKey> {
        let silent = self.voters.values().filter(|voter| {
            voter.key.id != self.local.id && voter.is_silent(now, self.begin_epoch_ms)
        });
        silent.map(|voter| voter.key).collect()
    }

    /// The other voters, those with the most of the log first.
    pub(crate) fn successors(&self) -> Vec<ReplicaKey> {
        let others = self.voters.values().filter(|voter| !voter.is(self.local));
        let mut others: Vec<&Progress> = others.collect();
        others.sort_by_key(|voter| (Reverse(voter.end), voter.key));
        others.into_iter().map(|voter| voter.key).collect()
    }

    /// The voters are others now. What is known of a replica stays known.
    pub(crate) fn set_voters(&mut self, voters: &VoterSet) {
        let mut old = std::mem::take(&mut self.voters);
        for voter in voters.iter() {
            let known = old.get(&voter.key.id).filter(|progress| progress.is(voter.key)).copied();
            let mut progress = match known {
                Some(progress) => {
                    old.remove(&voter.key.id);
                    progress
                }
                None => self.observers.remove(&voter.key).unwrap_or(Progress::new(voter.key)),
            };
            progress.key = voter.key;
            self.voters.insert(voter.key.id, progress);
        }
        for progress in old.into_values() {
            self.observers.entry(progress.key).or_insert(progress);
        }
        self.fetched.retain(|id| self.voters.contains_key(id));
    }

    /// Whether this observer is near enough to become a voter.
    pub(crate) fn is_caught_up(&self, now: MonoMs, key: ReplicaKey) -> bool {
        self.observers
            .get(&key)
            .is_some_and(|progress| progress.is_caught_up(now, CAUGHT_UP_WITHIN_MS))
    }

    fn forget_inactive(&mut self, now: MonoMs) {
        let local = self.local;
        self.observers
            .retain(|key, progress| *key == local || !progress.is_silent(now, OBSERVER_SESSION_MS));
    }

    pub(crate) fn voters_progress(&self, now: Now, end: Offset) -> Vec<ReplicaProgress> {
        self.voters.values().map(|voter| self.describe(voter, now, end)).collect()
    }

    pub(crate) fn observers_progress(&mut self, now: Now, end: Offset) -> Vec<ReplicaProgress> {
        self.forget_inactive(now.mono);
        self.observers.values().map(|observer| self.describe(observer, now, end)).collect()
    }

    /// The leader itself is always there.
    fn describe(&self, progress: &Progress, now: Now, end: Offset) -> ReplicaProgress {
        if !progress.is(self.local) {
            return progress.describe();
        }
        let now_ms = now.wall.0;
        ReplicaProgress {
            key: progress.key,
            log_end: end,
            last_fetch_ms: now_ms,
            last_caught_up_ms: now_ms,
        }
    }
}
