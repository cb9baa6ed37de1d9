//! How far one replica is, as its leader sees it.

use base::time::Now;
use base::{MonoMs, Offset};

use crate::{ReplicaKey, ReplicaProgress};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) key: ReplicaKey,
    /// Everything before this is on its disk; `None` before its first fetch.
    pub(crate) end: Option<Offset>,
    pub(crate) last_fetch: Option<MonoMs>,
    last_fetch_ms: i64,
    last_caught_up_ms: i64,
    /// Where the leader's log ended at the last fetch.
    leader_end: Offset,
}

impl Progress {
    pub(crate) fn new(key: ReplicaKey) -> Self {
        Self {
            key,
            end: None,
            last_fetch: None,
            last_fetch_ms: -1,
            last_caught_up_ms: -1,
            leader_end: Offset::NONE,
        }
    }

    /// A replica whose directory is not known (static quorum) is any of that node.
    pub(crate) fn is(&self, key: ReplicaKey) -> bool {
        self.key.id == key.id
            && (self.key.directory_id.is_none() || self.key.directory_id == key.directory_id)
    }

    pub(crate) fn fetched(&mut self, now: Now, offset: Offset, leader_end: Offset) {
        let now_ms = now.wall.0;
        if offset >= leader_end {
            self.last_caught_up_ms = self.last_caught_up_ms.max(now_ms);
        } else if self.leader_end > Offset::ZERO && offset >= self.leader_end {
            self.last_caught_up_ms = self.last_caught_up_ms.max(self.last_fetch_ms);
        }
        self.leader_end = leader_end;
        self.last_fetch_ms = self.last_fetch_ms.max(now_ms);
        self.last_fetch = Some(now.mono);
        self.end = Some(offset);
    }

    /// Has fetched within that time, and reached the leader's end at least once.
    pub(crate) fn is_caught_up(&self, now: MonoMs, within_ms: u64) -> bool {
        let recent = self.last_fetch.is_some_and(|at| now.since(at) < within_ms);
        recent && self.last_caught_up_ms > 0
    }

    pub(crate) fn is_silent(&self, now: MonoMs, for_ms: u64) -> bool {
        self.last_fetch.is_none_or(|at| now.since(at) >= for_ms)
    }

    pub(crate) fn describe(&self) -> ReplicaProgress {
        ReplicaProgress {
            key: self.key,
            log_end: self.end.unwrap_or(Offset::NONE),
            last_fetch_ms: self.last_fetch_ms,
            last_caught_up_ms: self.last_caught_up_ms,
        }
    }
}
