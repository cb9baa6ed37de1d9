//! The steps of a life, made up from a seed: every kind of change a log goes through; and what was promised after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use simdisk::rng::Rng;

use crate::compacted::Row;
use crate::reference::Batch;
use crate::world::{Kind, World};

/// One step of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Plain,
    Idempotent(i64),
    Transactional(i64),
    EndTransaction(i64, bool),
    NewProducerEpoch(i64),
    Roll,
    Flush,
    Work,
    Truncate(usize),
    StartOver,
    DeleteRecords(usize),
    DeleteSegments,
    CheckpointRecoveryPoints,
    CheckpointStarts,
    CheckpointWatermarks,
    SyncCreated,
    Removals,
    CleanRestart,
    Recreate,
    /// A pass of the cleaner that ends after so many segments read or written.
    Clean(u64),
    BeginMove,
    /// So many bytes go into the copy.
    Copy(u32),
    FinishMove,
    CancelMove,
}

/// A life of so many steps. The partition is made first, and now and then anew.
pub fn script(seed: u64, steps: usize, kind: Kind) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut script = vec![Step::SyncCreated];
    while script.len() < steps {
        if kind.compacted && rng.one_in(8) {
            let limits = [1, 2, 4, u64::MAX, u64::MAX, u64::MAX];
            script.push(Step::Clean(limits[rng.upto(limits.len() - 1)]));
            continue;
        }
        if kind.moving && rng.one_in(5) {
            script.push(match rng.upto(9) {
                0..=2 => Step::BeginMove,
                3..=5 => Step::Copy(100 << rng.upto(5)),
                6..=8 => Step::FinishMove,
                _ => Step::CancelMove,
            });
            continue;
        }
        script.push(usual(&mut rng));
    }
    script
}

fn usual(rng: &mut Rng) -> Step {
    let producer = rng.upto(1) as i64;
    match rng.upto(37) {
        0..=5 => Step::Plain,
        6..=10 => Step::Idempotent(10 + producer),
        11..=16 => Step::Transactional(20 + producer),
        17..=20 => Step::EndTransaction(20 + producer, rng.one_in(2)),
        21 => Step::NewProducerEpoch(10 + producer * 10),
        22 | 23 => Step::Roll,
        24..=26 => Step::Flush,
        27 | 28 => Step::Work,
        29 => Step::Truncate(1 + rng.upto(4)),
        30 => Step::DeleteRecords(rng.upto(6)),
        31 => Step::DeleteSegments,
        32 => Step::CheckpointRecoveryPoints,
        33 => Step::CheckpointStarts,
        34 => Step::CheckpointWatermarks,
        35 => Step::Removals,
        36 => Step::CleanRestart,
        _ => match rng.upto(3) {
            0 => Step::Recreate,
            1 => Step::StartOver,
            _ => Step::SyncCreated,
        },
    }
}

/// What the log's owner has been told so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The partition is there for good.
    pub exists: bool,
    /// The current branch, with what retention and the cleaner have removed.
    pub history: Vec<Arc<Batch>>,
    /// All of the history below is durable.
    pub promised: i64,
    /// The log starts neither earlier nor later, after a crash either.
    pub start_least: i64,
    pub start_most: i64,
    /// Nothing from here on was ever cleaned.
    pub cleaned: i64,
    /// The records that a cleaner may have removed, with the key of which there is a newer one; aborted ones have none.
    pub removable: Arc<BTreeMap<i64, Option<Vec<u8>>>>,
    /// Index of the directory in which the metadata has the replica.
    pub assigned: usize,
}

/// What was told at which operation of the disk, and everything that was ever given to the log.
#[derive(Default)]
pub struct Record {
    pub world: World,
    pub told: Vec<(u64, Step, Told)>,
    pub given: BTreeSet<Vec<u8>>,
    pub rows: BTreeSet<Row>,
}

impl Record {
    /// Place of what counts for a crash after so many operations.
    pub fn at(&self, operation: u64) -> usize {
        self.told.partition_point(|(at, _, _)| *at <= operation).saturating_sub(1)
    }
}
