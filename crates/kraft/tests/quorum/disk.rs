//! A disk: what is flushed survives a crash, of the rest only luck.

use std::collections::BTreeMap;

use base::Offset;
use kraft::invariants::LogImage;
use kraft::{
    Boot, ControlRecord, ElectionState, EpochStart, LogView, SnapshotId, VoterHistory, VoterSet,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    Control(ControlRecord),
    Data(u64),
}

/// A record, and the first offset of the batch that it came in.
pub type Record = (i32, (i64, Entry));

/// All records before the snapshot's end, as its content, and the voters then.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub records: Vec<Record>,
    pub control: Vec<ControlRecord>,
}

impl Snapshot {
    pub fn size(&self) -> u64 {
        self.records.len() as u64 * 10 + 7
    }
}

#[derive(Clone, Default, Debug)]
pub struct Disk {
    pub election: Option<ElectionState>,
    pub static_voters: VoterSet,
    pub start: i64,
    pub records: Vec<Record>,
    pub flushed: i64,
    pub snapshots: BTreeMap<SnapshotId, Snapshot>,
}

impl Disk {
    pub fn end(&self) -> i64 {
        self.start + self.records.len() as i64
    }

    pub fn image(&self) -> LogImage<'_, (i64, Entry)> {
        LogImage { start: Offset(self.start), records: &self.records }
    }

    pub fn append(&mut self, base: i64, epoch: i32, entries: Vec<Entry>) {
        assert_eq!(base, self.end(), "appended at the wrong place");
        self.records.extend(entries.into_iter().map(|entry| (epoch, (base, entry))));
    }

    pub fn truncate(&mut self, end: i64) {
        assert!(end >= self.start);
        self.records.truncate((end - self.start) as usize);
        self.flushed = self.flushed.min(end);
    }

    /// Whole batches from `offset` on, about `max` records.
    pub fn read(&self, offset: i64, max: usize) -> Vec<Record> {
        let mut read: Vec<Record> = Vec::new();
        for record in &self.records[(offset - self.start) as usize..] {
            let begins = read.last().is_none_or(|last| last.1.0 != record.1.0);
            if begins && read.len() >= max {
                break;
            }
            read.push(record.clone());
        }
        read
    }

    /// The epoch of the last record before `offset`.
    pub fn epoch_before(&self, offset: i64) -> Option<i32> {
        if offset == self.start {
            return self.snapshots.keys().find(|id| id.offset.get() == offset).map(|id| id.epoch);
        }
        self.records.get((offset - 1 - self.start) as usize).map(|(epoch, _)| *epoch)
    }

    /// All records before `offset`, those at the front from a snapshot.
    pub fn all_before(&self, offset: i64) -> Vec<Record> {
        let mut all: Vec<Record> = if self.start == 0 {
            Vec::new()
        } else {
            let (_, snapshot) = self.snapshots.last_key_value().expect("a log that starts late");
            snapshot.records[..self.start as usize].to_vec()
        };
        all.extend_from_slice(&self.records[..(offset - self.start) as usize]);
        all
    }

    /// The power fails: whole batches of what was not flushed may be there or not.
    pub fn crash(&mut self, lucky: u64) {
        let mut ends: Vec<i64> = vec![self.flushed];
        for (index, (_, (base, _))) in self.records.iter().enumerate() {
            let at = self.start + index as i64;
            if at == *base && at > self.flushed {
                ends.push(at);
            }
        }
        ends.push(self.end());
        let end = ends[(lucky % ends.len() as u64) as usize];
        self.truncate(end.max(self.flushed));
        self.flushed = self.end();
    }

    pub fn boot(&self) -> Boot {
        let mut epochs: Vec<EpochStart> = Vec::new();
        let mut control = Vec::new();
        if let Some((id, snapshot)) = self.snapshots.last_key_value() {
            let at = id.offset.plus(-1);
            control.extend(snapshot.control.iter().map(|record| (at, record.clone())));
        }
        let covered = self.snapshots.last_key_value().map_or(0, |(id, _)| id.offset.get());
        for (index, (epoch, (_, entry))) in self.records.iter().enumerate() {
            let at = Offset(self.start + index as i64);
            if epochs.last().is_none_or(|last| last.epoch < *epoch) {
                epochs.push(EpochStart { epoch: *epoch, start: at });
            }
            if let Entry::Control(record) = entry
                && at.get() >= covered
            {
                control.push((at, record.clone()));
            }
        }
        let log = LogView {
            start: Offset(self.start),
            end: Offset(self.end()),
            flushed: Offset(self.end()),
            epochs,
            snapshots: self.snapshots.keys().copied().collect(),
        };
        let (election, static_voters) = (self.election.clone(), self.static_voters.clone());
        Boot { election, static_voters, log, control }
    }

    /// What a snapshot that ends at `offset` holds.
    pub fn snapshot(&self, offset: i64, voters: &VoterHistory) -> Snapshot {
        let mut control =
            vec![ControlRecord::KRaftVersion(voters.kraft_version_before(Offset(offset)))];
        let set = voters.voters_before(Offset(offset));
        control.extend(set.map(|set| ControlRecord::Voters(set.clone())));
        Snapshot { records: self.all_before(offset), control }
    }
}
