//! A replica's log: a model of the records, with the epochs kept by the storage's own cache. What bytes do on a disk the storage's
//! tests search; here a record is a number, so that thousands of clusters fit into a minute.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::{LeaderEpoch, Offset};
use coordinator::LogRecord;
use replication::FollowerLog;
use storage::log::EpochCache;

use crate::Rng;

/// Who wrote a record, if it is an idempotent producer: its id and the record's number.
pub(super) type Sequence = Option<(i64, i32)>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub epoch: LeaderEpoch,
    pub value: u64,
    pub sequence: Sequence,
    /// Of a coordinator.
    pub payload: Option<Rc<LogRecord>>,
    /// The batch goes on with the next record: they are written, sent and lost together.
    pub more: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PartLog {
    start: i64,
    records: Vec<Record>,
    epochs: EpochCache,
    flushed: i64,
    high_watermark: i64,
    /// In `replication-offset-checkpoint`: what is known after a restart.
    checkpoint: i64,
    /// Which history of what is committed the rules have compared it with, and up to where it is the same.
    pub compared: (usize, usize),
    /// It has been cut or has grown since the rules looked at it.
    pub changed: bool,
}

impl PartLog {
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn read(&self, from: Offset, until: Offset, max: usize) -> Vec<Record> {
        let first = usize::try_from(from.get() - self.start).unwrap_or(usize::MAX);
        let all = usize::try_from(until.get() - from.get()).unwrap_or(0);
        let there = self.records.iter().skip(first).take(all);
        let (mut taken, mut more) = (Vec::new(), false);
        for record in there {
            if taken.len() >= max && !more {
                break;
            }
            more = record.more;
            taken.push(record.clone());
        }
        taken
    }

    /// A new leader's epoch begins at the end.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), String> {
        let end = self.end();
        self.epochs.assign(epoch, end).map(|_| ()).map_err(|error| error.to_string())
    }

    pub fn append(&mut self, record: Record) -> Result<(), String> {
        let latest = self.latest_epoch();
        if latest.is_some_and(|latest| latest > record.epoch) {
            return Err(format!("{record:?} is appended behind the epoch {latest:?}"));
        }
        if latest != Some(record.epoch) {
            self.assign_epoch(record.epoch)?;
        }
        self.records.push(record);
        self.changed = true;
        Ok(())
    }

    pub fn truncate(&mut self, end: Offset) {
        let end = end.max(Offset(self.start));
        let keep = usize::try_from(end.get() - self.start).unwrap_or(0);
        self.records.truncate(keep);
        self.epochs.truncate_from_end(end);
        self.compared.1 = self.compared.1.min(keep);
        self.changed = true;
        self.flushed = self.flushed.min(self.end().get());
        self.high_watermark = self.high_watermark.min(self.end().get());
        self.checkpoint = self.checkpoint.min(self.end().get());
    }

    /// Everything is removed; the log begins at `start`.
    pub fn start_over(&mut self, start: Offset) {
        *self = Self {
            start: start.get(),
            changed: true,
            flushed: start.get(),
            high_watermark: start.get(),
            checkpoint: start.get(),
            ..Self::default()
        };
    }

    /// The cache of epochs says of the last record what the record says.
    pub fn epochs_fit(&self) -> bool {
        let Some(last) = self.records.last() else { return true };
        self.epochs.epoch_for_offset(Offset(self.end().get() - 1)) == Some(last.epoch)
    }

    pub fn set_high_watermark(&mut self, offset: Offset) {
        self.high_watermark = offset.get();
    }

    pub fn write_checkpoint(&mut self) {
        self.checkpoint = self.high_watermark;
    }

    pub fn flush(&mut self) {
        self.flushed = self.end().get();
    }

    /// The process is gone; the files are as they were.
    pub fn reopen(&mut self) {
        self.high_watermark = self.checkpoint.clamp(self.start, self.end().get());
    }

    /// The power fails: of what was not flushed any prefix may be left.
    pub fn lose_unflushed(&mut self, rng: &mut Rng) {
        let unsafe_count = u64::try_from(self.end().get() - self.flushed).unwrap_or(0);
        let lost = i64::try_from(rng.below(unsafe_count + 1)).unwrap_or(0);
        self.truncate(Offset(self.end().get() - lost));
        // Of a batch all is there, or nothing.
        let torn = self.records.iter().rev().take_while(|record| record.more).count();
        self.truncate(Offset(self.end().get() - torn as i64));
    }

    /// The newest record of every idempotent producer, as replay finds it.
    pub fn producers(&self) -> BTreeMap<i64, (i32, Offset)> {
        let mut newest = BTreeMap::new();
        for (offset, record) in (self.start..).map(Offset).zip(&self.records) {
            if let Some((producer, sequence)) = record.sequence {
                newest.insert(producer, (sequence, offset));
            }
        }
        newest
    }
}

impl FollowerLog for PartLog {
    fn start(&self) -> Offset {
        Offset(self.start)
    }

    fn end(&self) -> Offset {
        Offset(self.start + self.records.len() as i64)
    }

    fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark)
    }

    fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    fn end_of_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.end())
    }
}
