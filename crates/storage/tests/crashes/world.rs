//! Where a life takes place: its directories, the settings of its log, and how a broker starts there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{DirectoryId, NodeId, TopicPartition, Uuid};
use simdisk::SimDisk;
use storage::dirs::{DirError, LoadOptions, LogEntry, LogManager, MetaProperties, NewLog, Unique};
use storage::log::ProducerConfig;
use storage::{Disk, FilePool, LogConfig};

use crate::common::NOW;

pub const PARTITION: &str = "topic";
pub const ID: Uuid = Uuid([7; 16]);
/// More retained than this goes.
const RETENTION_BYTES: i64 = 2500;

/// For the names of directories on their way out.
static UNIQUE: AtomicU64 = AtomicU64::new(1);

/// What happens in a life beside what happens in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// The log is compacted, and cleaned now and then.
    pub compacted: bool,
    /// There are two directories, and the log moves between them.
    pub moving: bool,
}

impl Kind {
    pub const USUAL: Self = Self { compacted: false, moving: false };
    pub const COMPACTED: Self = Self { compacted: true, moving: false };
    pub const MOVING: Self = Self { compacted: false, moving: true };
    pub const BOTH: Self = Self { compacted: true, moving: true };
    pub const ALL: [(&'static str, Self); 4] = [
        ("usual", Self::USUAL),
        ("compacted", Self::COMPACTED),
        ("moving", Self::MOVING),
        ("both", Self::BOTH),
    ];
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub kind: Kind,
    pub dirs: Vec<PathBuf>,
}

impl World {
    pub fn new(root: &Path, kind: Kind) -> Self {
        let dirs = if kind.moving {
            ["a", "b"].map(|name| root.join(name)).to_vec()
        } else {
            vec![root.to_path_buf()]
        };
        Self { kind, dirs }
    }

    /// Makes the directories, durably.
    pub fn make(&self, disk: &SimDisk) {
        for (index, dir) in self.dirs.iter().enumerate() {
            // Locks are held on the real ones.
            std::fs::create_dir_all(dir).unwrap();
            disk.create_dir(dir).unwrap();
            for above in dir.ancestors() {
                disk.sync_dir(above).unwrap();
            }
            if self.kind.moving {
                let meta = MetaProperties::new("cluster", NodeId(1), dir_id(index));
                meta.write(disk, dir, NOW).unwrap();
            }
        }
    }

    /// Opens the directories as a start of the broker does; the metadata has the replica in the one with this index.
    pub fn start(&self, disk: &Arc<dyn Disk>, assigned: usize) -> Result<LogManager, DirError> {
        let unique: Unique = Arc::new(|| UNIQUE.fetch_add(1, Ordering::Relaxed).into());
        let pool = FilePool::new(Arc::clone(disk), 64);
        let manager = LogManager::new(pool, &self.dirs, ProducerConfig::default(), unique)?;
        let options = LoadOptions {
            config: &|_| self.config(),
            is_stray: &|_, _| false,
            threads_per_dir: 1,
            delete_delay_ms: 0,
        };
        let assigned = self.kind.moving.then(|| dir_id(assigned));
        manager.load_assigned(&options, &|_, _| assigned, NOW)?;
        Ok(manager)
    }

    pub fn config(&self) -> Arc<LogConfig> {
        Arc::new(LogConfig {
            segment_bytes: 700,
            index_interval_bytes: 100,
            retention_bytes: RETENTION_BYTES,
            file_delete_delay_ms: 0,
            compact: self.kind.compacted,
            delete: !self.kind.compacted,
            min_cleanable_dirty_ratio: 0.0,
            ..LogConfig::default()
        })
    }

    pub fn create(&self, manager: &LogManager) -> LogEntry {
        let new = NewLog {
            partition: &partition(),
            topic_id: ID,
            config: self.config(),
            target: None,
            is_new: true,
        };
        manager.get_or_create(&new, NOW).unwrap()
    }

    /// Index of the directory in which a log lies.
    pub fn index_of(&self, manager: &LogManager, entry: &LogEntry) -> usize {
        let (dir, _) = manager.dir_of(entry).unwrap();
        self.dirs.iter().position(|known| known == dir).unwrap()
    }
}

fn dir_id(index: usize) -> DirectoryId {
    Uuid([0x40 + index as u8; 16])
}

pub fn partition() -> TopicPartition {
    TopicPartition::new(PARTITION, 0)
}
