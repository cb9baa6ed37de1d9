//! A replica's log in memory: records with their epochs, an epoch cache, and what a crash of the machine would keep.

use base::{LeaderEpoch, Offset};
use replication::FollowerLog;
use replication::invariants::ReplicaView;

#[derive(Clone, Debug, Default)]
pub struct TestLog {
    pub records: Vec<(LeaderEpoch, u64)>,
    epochs: Vec<(LeaderEpoch, i64)>,
    pub high_watermark: i64,
    /// Records that survive a loss of power.
    pub synced: usize,
}

impl TestLog {
    pub fn view(&self, id: base::NodeId) -> ReplicaView<'_, u64> {
        ReplicaView { id, start: Offset::ZERO, records: &self.records }
    }

    pub fn append(&mut self, epoch: LeaderEpoch, value: u64) {
        self.assign(epoch);
        self.records.push((epoch, value));
    }

    pub fn assign(&mut self, epoch: LeaderEpoch) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            let end = self.records.len() as i64;
            self.epochs.retain(|(_, start)| *start < end);
            self.epochs.push((epoch, end));
        }
    }

    pub fn truncate(&mut self, end: Offset) {
        let end = end.get().min(self.records.len() as i64);
        self.records.truncate(end as usize);
        self.epochs.retain(|(_, start)| *start < end);
        self.high_watermark = self.high_watermark.min(end);
        self.synced = self.synced.min(end as usize);
    }

    /// The process ends; with `power` the machine does, too.
    pub fn crash(&mut self, power: bool, checkpointed: i64) {
        if power {
            self.truncate(Offset(self.synced as i64));
        }
        let end = self.records.len() as i64;
        self.epochs.retain(|(_, start)| *start < end);
        self.high_watermark = checkpointed.min(end);
    }
}

impl FollowerLog for TestLog {
    fn start(&self) -> Offset {
        Offset::ZERO
    }

    fn end(&self) -> Offset {
        Offset(self.records.len() as i64)
    }

    fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark)
    }

    fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    fn end_of_epoch(&self, asked: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest_epoch()?;
        if asked == latest {
            return Some((latest, self.end()));
        }
        let after = self.epochs.iter().position(|(epoch, _)| *epoch > asked)?;
        let found = after.checked_sub(1).map_or(asked, |slot| self.epochs[slot].0);
        Some((found, Offset(self.epochs[after].1)))
    }
}
