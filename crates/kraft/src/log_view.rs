//! What consensus knows of the log: where it starts and ends, its epochs and its snapshots; never its records.

use std::collections::BTreeSet;

use base::Offset;

/// A snapshot holds all records before `offset`, the last of them of `epoch`. Ordered by epoch, then offset, as Kafka.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId {
    pub epoch: i32,
    pub offset: Offset,
}

impl SnapshotId {
    /// The snapshot that formatting writes: feature levels and voters, before any record.
    pub const BOOTSTRAP: Self = Self { epoch: 0, offset: Offset::ZERO };

    /// File name of the snapshot: `OFFSET-EPOCH.checkpoint`.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}.checkpoint", self.offset.get(), self.epoch)
    }

    /// Reads a file name back; `None` when it is not one of a finished snapshot.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".checkpoint")?;
        let (offset, epoch) = stem.split_once('-')?;
        let digits =
            |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(offset, 20) || !digits(epoch, 10) {
            return None;
        }
        Some(Self { epoch: epoch.parse().ok()?, offset: Offset(offset.parse().ok()?) })
    }
}

/// The offset of the first record of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    pub epoch: i32,
    pub start: Offset,
}

/// Where a fetching replica stands compared with this log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchPosition {
    Valid,
    /// Its log differs: it must truncate to this epoch and end offset.
    Diverging {
        epoch: i32,
        end: Offset,
    },
    /// Its position is gone here: it must fetch this snapshot.
    Snapshot(SnapshotId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogView {
    pub start: Offset,
    pub end: Offset,
    /// All records before this survive a power loss.
    pub flushed: Offset,
    /// Ascending in both fields.
    pub epochs: Vec<EpochStart>,
    pub snapshots: BTreeSet<SnapshotId>,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            start: Offset::ZERO,
            end: Offset::ZERO,
            flushed: Offset::ZERO,
            epochs: Vec::new(),
            snapshots: BTreeSet::new(),
        }
    }
}

impl LogView {
    pub fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.last().copied()
    }

    /// Epoch of the last record; of the latest snapshot when the log is empty behind it; 0 before any record.
    pub fn last_epoch(&self) -> i32 {
        match (self.epochs.last(), self.latest_snapshot()) {
            (Some(last), _) => last.epoch,
            (None, Some(snapshot)) => snapshot.epoch,
            (None, None) => 0,
        }
    }

    /// Largest known epoch not above `epoch`, and where it ends.
    pub fn end_for_epoch(&self, epoch: i32) -> (i32, Offset) {
        let whole = (self.last_epoch(), self.end);
        if self.epochs.last().is_some_and(|last| last.epoch == epoch) {
            return (epoch, self.end);
        }
        let Some(next) = self.epochs.iter().position(|entry| entry.epoch > epoch) else {
            return whole;
        };
        let end = self.epochs[next].start;
        let found = next.checked_sub(1).map_or(epoch, |floor| self.epochs[floor].epoch);
        match self.snapshots.first() {
            // The epoch ends where the earliest snapshot does: its records are only there.
            Some(earliest) if found == epoch && end == earliest.offset => {
                (earliest.epoch, earliest.offset)
            }
            _ => (found, end),
        }
    }

    /// Kafka's check of a replica that has fetched everything before `offset`, the last record of it at `epoch`.
    pub fn check_position(&self, offset: Offset, epoch: i32) -> FetchPosition {
        if self.start == Offset::ZERO && offset == Offset::ZERO {
            return FetchPosition::Valid;
        }
        if let (Some(earliest), Some(latest)) = (self.snapshots.first(), self.latest_snapshot()) {
            let gone = offset < self.start || (offset == self.start && epoch != earliest.epoch);
            if gone || epoch < earliest.epoch {
                return FetchPosition::Snapshot(latest);
            }
        }
        let (end_epoch, end) = self.end_for_epoch(epoch);
        if end_epoch != epoch || end < offset {
            return FetchPosition::Diverging { epoch: end_epoch, end };
        }
        FetchPosition::Valid
    }

    pub(crate) fn append(&mut self, epoch: i32, records: i64) -> Offset {
        assert!(self.last_epoch() <= epoch, "epochs of the log never go back");
        let base = self.end;
        if self.epochs.last().is_none_or(|last| last.epoch < epoch) {
            self.epochs.push(EpochStart { epoch, start: base });
        }
        self.end = base.plus(records);
        base
    }

    /// Cuts off everything from `end` on.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.end = self.end.min(end);
        self.flushed = self.flushed.min(end);
        self.epochs.retain(|entry| entry.start < end);
        self.snapshots.retain(|id| id.offset <= end);
    }

    /// Starts empty behind the snapshot, which is the only one.
    pub(crate) fn restart_at(&mut self, id: SnapshotId) {
        *self = Self {
            start: id.offset,
            end: id.offset,
            flushed: id.offset,
            epochs: Vec::new(),
            snapshots: BTreeSet::from([id]),
        };
    }

    /// What the disk is sure to hold: epoch of the last record, end.
    pub(crate) fn durable_end(&self) -> (i32, Offset) {
        if self.flushed >= self.end {
            return (self.last_epoch(), self.end);
        }
        let last = self.epochs.iter().rfind(|entry| entry.start < self.flushed);
        let before = || self.snapshots.iter().rfind(|id| id.offset <= self.flushed);
        let epoch = last.map_or_else(|| before().map_or(0, |id| id.epoch), |entry| entry.epoch);
        (epoch, self.flushed)
    }

    /// Where to cut this log when its leader says that `epoch` ends at `end`.
    pub(crate) fn truncation(&self, epoch: i32, end: Offset) -> Offset {
        if epoch == 0 {
            return end.min(self.end);
        }
        let (own_epoch, own_end) = self.end_for_epoch(epoch);
        if own_epoch == epoch { own_end.min(end) } else { own_end }
    }

    /// Forgets what lies before `start`, keeping the epoch that `start` belongs to.
    pub(crate) fn advance_start(&mut self, start: Offset) {
        self.start = self.start.max(start);
        let keep = self.epochs.iter().rposition(|entry| entry.start <= self.start).unwrap_or(0);
        self.epochs.drain(..keep);
        if let Some(first) = self.epochs.first_mut() {
            first.start = first.start.max(self.start);
        }
    }
}
