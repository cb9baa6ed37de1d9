//! Looks through data directories and tells, file by file, what is wrong. Never writes, and repairs nothing.
//!
//! Every batch is read with its checksum; what other files say of a log (indexes, snapshots of producers, leader epochs,
//! checkpoints) is compared with what its batches give. Memory is bounded by the number of threads: nothing is believed
//! that a file says of sizes. Start reading at [`verify`]; [`Check`] lists what is looked at.

mod batch;
mod directory;
mod finding;
mod indexes;
mod partition;
mod reader;
mod replay;
mod run;
mod segment;
mod txns;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub use finding::{Check, Finding, Severity};
pub use run::verify;

/// See [`Options::inspect_record`].
pub type InspectRecord<'a> = &'a (dyn Fn(bool, &records::Record<'_>) -> Result<(), String> + Sync);

/// What is looked at, and how.
pub struct Options<'a> {
    /// Only these topics; all when there is none.
    pub topics: HashSet<String>,
    /// Topics that are compacted: their records must have keys, and offsets may be missing.
    pub compacted: HashSet<String>,
    /// Headers and checksums only: records are not opened.
    pub quick: bool,
    pub threads: usize,
    /// Looks at files whose formats are not the log's: those of the metadata quorum. `None` for a file that is not known.
    pub inspect: &'a (dyn Fn(&Path) -> Option<Result<(), String>> + Sync),
    /// Looks at a record of the metadata log, whether it is a control record told first; says what is wrong with it.
    pub inspect_record: InspectRecord<'a>,
    pub progress: &'a Progress,
}

/// How far it has come, to be looked at from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    logs: AtomicU64,
    logs_done: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Logs in all, logs done, bytes read.
    pub fn get(&self) -> (u64, u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.logs), of(&self.logs_done), of(&self.bytes))
    }

    fn add_logs(&self, count: u64) {
        self.logs.fetch_add(count, Ordering::Relaxed);
    }

    fn log_done(&self) {
        self.logs_done.fetch_add(1, Ordering::Relaxed);
    }

    fn add_bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }
}

/// What was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    pub dirs: u64,
    /// Directories that a running process has open.
    pub dirs_in_use: u64,
    pub logs: u64,
    pub files: u64,
    pub bytes: u64,
    pub batches: u64,
    pub records: u64,
    pub notes: u64,
    pub repairable: u64,
    pub damage: u64,
    /// Files and directories that could not be read at all; they count as damage, too.
    pub unreadable: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.dirs += other.dirs;
        self.dirs_in_use += other.dirs_in_use;
        self.logs += other.logs;
        self.files += other.files;
        self.bytes += other.bytes;
        self.batches += other.batches;
        self.records += other.records;
        self.notes += other.notes;
        self.repairable += other.repairable;
        self.damage += other.damage;
        self.unreadable += other.unreadable;
    }

    fn count(&mut self, finding: &Finding) {
        match finding.severity {
            Severity::Note => self.notes += 1,
            Severity::Repairable => self.repairable += 1,
            Severity::Damage => self.damage += 1,
        }
        self.unreadable += u64::from(finding.check == Check::Unreadable);
    }
}
