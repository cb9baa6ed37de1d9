//! What the leader knows of one follower, by its fetches.

use base::{BrokerEpoch, MonoMs, Offset};

/// What a follower's fetches told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaProgress {
    /// It has everything before this offset; none before its first fetch.
    pub log_end: Offset,
    pub log_start: Offset,
    /// When it last had everything that the leader had at the time; none: not in this leader's time.
    pub caught_up_at: Option<MonoMs>,
    /// The registration it fetched under; `None` before its first fetch, negative when it told none.
    pub broker_epoch: Option<BrokerEpoch>,
    /// When its last fetch came, and where the leader's log ended then.
    last_fetch: Option<(MonoMs, Offset)>,
}

impl ReplicaProgress {
    /// Nothing is known yet; one that is in sync gets its time to show itself.
    pub(super) fn unknown(in_sync: bool, now: MonoMs) -> Self {
        Self {
            log_end: Offset::NONE,
            log_start: Offset::NONE,
            caught_up_at: in_sync.then_some(now),
            broker_epoch: None,
            last_fetch: None,
        }
    }

    /// The same leader was elected again: what the follower has is known, when it caught up is not.
    pub(super) fn elected_again(&mut self, leader_end: Offset, in_sync: bool, now: MonoMs) {
        self.caught_up_at = in_sync.then_some(now);
        self.last_fetch = in_sync.then_some((now, leader_end));
    }

    pub(super) fn fetched(
        &mut self,
        fetch_offset: Offset,
        log_start: Offset,
        broker_epoch: BrokerEpoch,
        leader_end: Offset,
        now: MonoMs,
    ) {
        // One that has now what the leader had at its last fetch was caught up then, although the leader's log goes on growing.
        let caught_up = match self.last_fetch {
            _ if fetch_offset >= leader_end => Some(now),
            Some((at, end)) if fetch_offset >= end => Some(at),
            _ => None,
        };
        self.caught_up_at = self.caught_up_at.max(caught_up);
        let known = self.last_fetch.map_or(leader_end, |(_, end)| end.max(leader_end));
        self.last_fetch = Some((now, known));
        self.log_end = fetch_offset;
        self.log_start = log_start;
        self.broker_epoch = Some(broker_epoch);
    }

    /// Has everything, or had everything not longer than `lag_ms_max` ago.
    pub fn is_caught_up(&self, leader_end: Offset, now: MonoMs, lag_ms_max: u64) -> bool {
        self.log_end == leader_end
            || self.caught_up_at.is_some_and(|at| now.since(at) <= lag_ms_max)
    }
}
