//! What every member holds, and whether the group has come to rest.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A member, by the order of their coming.
pub type MemberNo = usize;

/// What one member holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// The generation, or the member's epoch.
    pub epoch: i32,
    pub partitions: Vec<i32>,
    /// Nothing is left to do: no rejoin, no assignment that was not confirmed.
    pub settled: bool,
}

struct Row {
    holding: Holding,
    since: Instant,
}

#[derive(Default)]
struct State {
    rows: HashMap<MemberNo, Row>,
    failure: Option<String>,
}

/// Written by the members, read by who waits for them.
#[derive(Default)]
pub struct Board {
    state: Mutex<State>,
    pub changed: Notify,
}

/// A group at rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    pub epoch: i32,
    /// When the last member came to hold what it holds.
    pub since: Instant,
}

impl Board {
    pub fn put(&self, no: MemberNo, holding: Holding) {
        let mut state = self.state.lock();
        if state.rows.get(&no).is_none_or(|row| row.holding != holding) {
            state.rows.insert(no, Row { holding, since: Instant::now() });
            self.changed.notify_one();
        }
    }

    /// What the member holds is about to change.
    pub fn unsettle(&self, no: MemberNo) {
        if let Some(row) = self.state.lock().rows.get_mut(&no) {
            row.holding.settled = false;
        }
    }

    pub fn forget(&self, no: MemberNo) {
        self.state.lock().rows.remove(&no);
    }

    /// A member met what it cannot go on with.
    pub fn fail(&self, no: MemberNo, why: &str) {
        self.state.lock().failure.get_or_insert_with(|| format!("member {no}: {why}"));
        self.changed.notify_one();
    }

    pub fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    /// The members that hold something, the settled among them, and the partitions that are held, for whoever waited in vain.
    pub fn tell(&self) -> String {
        let state = self.state.lock();
        let settled = state.rows.values().filter(|row| row.holding.settled).count();
        let held: usize = state.rows.values().map(|row| row.holding.partitions.len()).sum();
        let epochs = state.rows.values().map(|row| row.holding.epoch);
        let (low, high) = (epochs.clone().min().unwrap_or(0), epochs.max().unwrap_or(0));
        let members = state.rows.len();
        format!(
            "{members} members, {settled} settled, {held} partitions held, epochs {low} to {high}"
        )
    }

    /// At rest: so many members, all settled in one epoch, each partition held by exactly one of them, evenly.
    pub fn rest(&self, members: usize, partitions: i32) -> Option<Rest> {
        let state = self.state.lock();
        let epoch = state.rows.values().next()?.holding.epoch;
        let agreed = |row: &Row| row.holding.settled && row.holding.epoch == epoch;
        if state.rows.len() != members || !state.rows.values().all(agreed) {
            return None;
        }
        let mut owners = vec![0u32; usize::try_from(partitions).ok()?];
        let mut counts = (usize::MAX, 0);
        for row in state.rows.values() {
            let count = row.holding.partitions.len();
            counts = (counts.0.min(count), counts.1.max(count));
            for partition in &row.holding.partitions {
                *owners.get_mut(usize::try_from(*partition).ok()?)? += 1;
            }
        }
        let even = counts.1 <= counts.0 + 1;
        let since = state.rows.values().map(|row| row.since).max()?;
        (even && owners.iter().all(|owners| *owners == 1)).then_some(Rest { epoch, since })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holding(epoch: i32, partitions: &[i32]) -> Holding {
        Holding { epoch, partitions: partitions.to_vec(), settled: true }
    }

    #[test]
    fn rest_is_one_epoch_with_every_partition_held_once() {
        let board = Board::default();
        board.put(1, holding(3, &[0, 1]));
        assert_eq!(board.rest(2, 4), None, "a member is missing");
        board.put(2, holding(3, &[2]));
        assert_eq!(board.rest(2, 4), None, "a partition is not held");
        board.put(2, holding(3, &[2, 1]));
        assert_eq!(board.rest(2, 4), None, "a partition is held twice");
        board.put(2, holding(2, &[2, 3]));
        assert_eq!(board.rest(2, 4), None, "two epochs");
        board.put(2, holding(3, &[2, 3]));
        assert_eq!(board.rest(2, 4).unwrap().epoch, 3);
        board.unsettle(1);
        assert_eq!(board.rest(2, 4), None, "a member is about to rejoin");
    }

    #[test]
    fn rest_wants_an_even_share() {
        let board = Board::default();
        board.put(1, holding(1, &[0, 1, 2]));
        board.put(2, holding(1, &[3]));
        assert_eq!(board.rest(2, 4), None);
    }
}
