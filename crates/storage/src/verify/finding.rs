//! What a look at a data directory found: which check, how bad, where.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// So many findings of one check in one file are told one by one; the rest is counted.
const TOLD_EACH: u64 = 10;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing, nothing is wrong.
    Note,
    /// Wrong; the next start or the next use mends it, and no record is lost.
    Repairable,
    /// Wrong, and nobody on this node can mend it: records are lost or changed, or a start is refused.
    Damage,
}

impl Severity {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Repairable => "repairable",
            Self::Damage => "damage",
        }
    }
}

/// Every kind of check with its name.
macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is looked at.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Check { $($(#[$doc])* $variant,)* }

        impl Check {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

checks! {
    /// Sizes, magic and header of each batch make sense.
    LogStructure = "log-structure",
    /// The checksum of each batch.
    LogCrc = "log-crc",
    /// Offsets rise, and belong to the segment.
    LogOffsets = "log-offsets",
    /// No offsets are missing, unless the log was compacted.
    LogGaps = "log-gaps",
    /// Leader epochs do not fall.
    LogEpochs = "log-epochs",
    /// Records inside of a batch can be read, and are as many as the header says.
    LogRecords = "log-records",
    /// The header's largest timestamp is that of the records.
    LogTimestamps = "log-timestamps",
    /// Records of compacted topics have keys.
    LogKeys = "log-keys",
    /// Control batches hold control records.
    LogControl = "log-control",
    /// Records of the metadata log are of known types and versions.
    MetadataRecords = "metadata-records",
    /// What lies behind the last whole batch.
    LogTail = "log-tail",
    /// Each entry of the offset index leads to its batch.
    OffsetIndex = "offset-index",
    /// Each entry of the time index is the largest timestamp so far.
    TimeIndex = "time-index",
    /// The aborted transactions are those whose markers are in the log.
    TxnIndex = "txn-index",
    /// A snapshot of producers is whole, and what the log gives.
    ProducerSnapshot = "producer-snapshot",
    /// `leader-epoch-checkpoint` has the epochs of the batches.
    LeaderEpochs = "leader-epochs",
    PartitionMetadata = "partition-metadata",
    MetaProperties = "meta-properties",
    /// The offset checkpoints of a log directory can be read and fit the logs.
    Checkpoint = "checkpoint",
    /// Files of the metadata quorum: snapshots, `quorum-state`.
    Quorum = "quorum",
    /// A file that belongs there is not there.
    Missing = "missing",
    /// A partition is in two places.
    Duplicate = "duplicate",
    /// Half-written files, and those on their way out.
    Leftover = "leftover",
    /// A file or directory that nobody knows.
    Unknown = "unknown",
    /// The operating system could not read it.
    Unreadable = "unreadable",
    /// Too large to be looked into.
    Skipped = "skipped",
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub path: PathBuf,
    pub check: Check,
    pub severity: Severity,
    /// Byte in the file.
    pub position: Option<u64>,
    /// Offset in the log.
    pub offset: Option<i64>,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity.name(), self.path.display(), self.check.name())?;
        if let Some(position) = self.position {
            write!(f, ", at byte {position}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Where in a file something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct At {
    pub position: Option<u64>,
    pub offset: Option<i64>,
}

impl At {
    /// The file as a whole.
    pub const FILE: Self = Self { position: None, offset: None };

    pub fn byte(position: u64) -> Self {
        Self { position: Some(position), offset: None }
    }

    pub fn batch(position: u64, offset: i64) -> Self {
        Self { position: Some(position), offset: Some(offset) }
    }
}

/// The findings of one log or directory; few for each file and check, however much is wrong.
#[derive(Debug, Default)]
pub(super) struct Findings {
    told: Vec<Finding>,
    counts: BTreeMap<(PathBuf, Check, Severity), u64>,
}

impl Findings {
    pub fn add(
        &mut self,
        severity: Severity,
        check: Check,
        path: &Path,
        at: At,
        text: impl Into<String>,
    ) {
        let count = self.counts.entry((path.to_path_buf(), check, severity)).or_default();
        *count += 1;
        if *count <= TOLD_EACH {
            let (position, offset) = (at.position, at.offset);
            let path = path.to_path_buf();
            self.told.push(Finding { path, check, severity, position, offset, text: text.into() });
        }
    }

    pub fn damage(&mut self, check: Check, path: &Path, at: At, text: impl Into<String>) {
        self.add(Severity::Damage, check, path, at, text);
    }

    pub fn repairable(&mut self, check: Check, path: &Path, at: At, text: impl Into<String>) {
        self.add(Severity::Repairable, check, path, at, text);
    }

    pub fn note(&mut self, check: Check, path: &Path, at: At, text: impl Into<String>) {
        self.add(Severity::Note, check, path, at, text);
    }

    /// What the checks of a kind have found is not worse than this after all.
    pub fn soften(&mut self, check: Check, to: Severity) {
        for finding in self.told.iter_mut().filter(|finding| finding.check == check) {
            finding.severity = finding.severity.min(to);
        }
        let counts = std::mem::take(&mut self.counts);
        for ((path, of, severity), count) in counts {
            let severity = if of == check { severity.min(to) } else { severity };
            *self.counts.entry((path, of, severity)).or_default() += count;
        }
    }

    /// All that was found, with a line for what was only counted.
    pub fn into_all(mut self) -> Vec<Finding> {
        for ((path, check, severity), count) in self.counts {
            if count > TOLD_EACH {
                let text = format!("and {} more of these", count - TOLD_EACH);
                self.told.push(Finding {
                    path,
                    check,
                    severity,
                    position: None,
                    offset: None,
                    text,
                });
            }
        }
        self.told
    }
}
