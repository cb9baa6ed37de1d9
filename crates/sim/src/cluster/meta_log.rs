//! What a node has of the metadata log on its disk: batches, snapshots, `quorum-state`. A model: consensus is pure and sees of a
//! log only where its epochs begin; batches here are values, which is a hundred times faster than bytes.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::Offset;
use kraft::{Boot, ControlRecord, ElectionState, EpochStart, LogView, SnapshotId, VoterSet};
use metadata::Image;
use protocol::metadata_records::MetadataRecord;

use crate::Rng;

/// Bytes of a snapshot; pieces of it are fetched.
pub(super) const SNAPSHOT_BYTES: u64 = 100;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Data {
    Control(Vec<ControlRecord>),
    Records(Vec<MetadataRecord<'static>>),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Batch {
    pub base: Offset,
    pub next: Offset,
    pub epoch: i32,
    pub data: Rc<Data>,
}

impl Batch {
    pub fn new(base: Offset, epoch: i32, data: Data) -> Self {
        let count = match &data {
            Data::Control(records) => records.len(),
            Data::Records(records) => records.len(),
        };
        Self { base, next: base.plus(count as i64), epoch, data: Rc::new(data) }
    }

    /// Control records that matter to the quorum.
    pub fn control(&self) -> Vec<(Offset, ControlRecord)> {
        let Data::Control(records) = &*self.data else { return Vec::new() };
        let at = |(index, record): (usize, &ControlRecord)| {
            (self.base.plus(index as i64), record.clone())
        };
        let matters = |(_, record): &(Offset, ControlRecord)| {
            !matches!(record, ControlRecord::LeaderChange { .. })
        };
        records.iter().enumerate().map(at).filter(matters).collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct SnapshotFile {
    pub image: Image,
    pub control: Vec<ControlRecord>,
    /// Records for an empty log: of the snapshot that formatting writes.
    pub bootstrap: Vec<MetadataRecord<'static>>,
}

/// Survives crashes, but for what was not flushed.
#[derive(Clone, Debug, Default)]
pub(super) struct MetaLog {
    pub quorum_state: Option<ElectionState>,
    start: Offset0,
    batches: Vec<Batch>,
    flushed: Offset0,
    pub snapshots: BTreeMap<SnapshotId, Rc<SnapshotFile>>,
    /// A snapshot that is being fetched, and how much of it is there.
    part: Option<(SnapshotId, u64, Rc<SnapshotFile>)>,
}

/// An offset that begins at zero.
#[derive(Clone, Copy, Debug)]
struct Offset0(Offset);

impl Default for Offset0 {
    fn default() -> Self {
        Self(Offset::ZERO)
    }
}

type Done = Result<(), String>;

impl MetaLog {
    pub fn start(&self) -> Offset {
        self.start.0
    }

    pub fn end(&self) -> Offset {
        self.batches.last().map_or(self.start.0, |last| last.next)
    }

    /// All control records, in order.
    pub fn control(&self) -> impl Iterator<Item = &ControlRecord> {
        let batches = self.batches.iter().map(|batch| match &*batch.data {
            Data::Control(records) => &records[..],
            Data::Records(_) => &[],
        });
        batches.flatten()
    }

    pub fn append(&mut self, batch: Batch) -> Done {
        let end = self.end();
        if batch.base != end {
            return Err(format!("appends {} at the log's end {end}", batch.base));
        }
        if self.batches.last().is_some_and(|last| last.epoch > batch.epoch) {
            return Err(format!("appends a batch of the older epoch {}", batch.epoch));
        }
        self.batches.push(batch);
        Ok(())
    }

    /// Everything before is on the disk.
    pub fn flushed(&self) -> Offset {
        self.flushed.0
    }

    pub fn flush(&mut self) -> Offset {
        self.flushed = Offset0(self.end());
        self.flushed.0
    }

    pub fn truncate(&mut self, end: Offset) -> Done {
        while self.batches.last().is_some_and(|last| last.next > end) {
            self.batches.pop();
        }
        if self.end() != end {
            return Err(format!(
                "the log is cut at {end}, within a batch or behind {}",
                self.end()
            ));
        }
        self.flushed = Offset0(self.flushed.0.min(end));
        Ok(())
    }

    /// The power fails: of what was not flushed any prefix may be left.
    pub fn lose_unflushed(&mut self, rng: &mut Rng) {
        let flushed = self.flushed.0;
        let safe = self.batches.partition_point(|batch| batch.next <= flushed);
        let left = self.batches.len() - safe;
        let keep = safe + usize::try_from(rng.below(left as u64 + 1)).unwrap_or(0);
        self.batches.truncate(keep);
        self.part = None;
    }

    /// Batches from the one that holds `from` on.
    pub fn read(&self, from: Offset, until: Offset) -> &[Batch] {
        let first = self.batches.partition_point(|batch| batch.next <= from);
        let last = self.batches.partition_point(|batch| batch.base < until);
        self.batches.get(first..last.max(first)).unwrap_or_default()
    }

    pub fn write_part(
        &mut self,
        id: SnapshotId,
        position: u64,
        len: u64,
        file: Rc<SnapshotFile>,
    ) -> Done {
        let there = match &self.part {
            Some((known, there, _)) if position > 0 && *known == id => *there,
            _ => 0,
        };
        if position != there {
            return Err(format!("writes {id:?} at {position}, there are {there} bytes"));
        }
        self.part = Some((id, position + len, file));
        Ok(())
    }

    /// The fetched snapshot takes the place of the log.
    pub fn install(&mut self, id: SnapshotId) -> Result<Rc<SnapshotFile>, String> {
        let Some((_, _, file)) =
            self.part.take().filter(|(known, there, _)| *known == id && *there == SNAPSHOT_BYTES)
        else {
            return Err(format!("installs {id:?}, which is not all there"));
        };
        self.snapshots.retain(|old, _| old.offset >= id.offset);
        self.snapshots.insert(id, Rc::clone(&file));
        self.batches.clear();
        (self.start, self.flushed) = (Offset0(id.offset), Offset0(id.offset));
        Ok(file)
    }

    /// Drops snapshots before `oldest`, and the log before it.
    pub fn clean(&mut self, oldest: SnapshotId) {
        self.snapshots.retain(|id, _| *id >= oldest);
        self.batches.retain(|batch| batch.next > oldest.offset);
        self.start = Offset0(self.batches.first().map_or(oldest.offset, |first| first.base));
        self.flushed = Offset0(self.flushed.0.max(self.start.0));
    }

    /// What consensus is told at start.
    pub fn boot(&mut self, static_voters: VoterSet) -> Boot {
        // All that survived counts as flushed from here on: opening a log flushes it.
        self.flush();
        let mut control = Vec::new();
        let mut from = self.start();
        if let Some((id, file)) = self.snapshots.last_key_value() {
            let at = Offset(id.offset.get() - 1);
            control.extend(file.control.iter().map(|record| (at, record.clone())));
            from = from.max(id.offset);
        }
        let mut epochs: Vec<EpochStart> = Vec::new();
        for batch in &self.batches {
            if batch.base >= from {
                control.extend(batch.control());
            }
            if epochs.last().is_none_or(|last| last.epoch < batch.epoch) {
                epochs.push(EpochStart { epoch: batch.epoch, start: batch.base });
            }
        }
        let log = LogView {
            start: self.start(),
            end: self.end(),
            flushed: self.end(),
            epochs,
            snapshots: self.snapshots.keys().copied().collect(),
        };
        Boot { election: self.quorum_state.clone(), static_voters, log, control }
    }
}
