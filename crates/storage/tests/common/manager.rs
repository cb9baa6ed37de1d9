//! A manager of logs over one directory, started as a node starts it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{NodeId, Uuid, WallMs};
use storage::dirs::{LoadOptions, LogManager, MetaProperties, Unique};
use storage::log::ProducerConfig;
use storage::{Disk, FilePool, LogConfig, RealDisk};

/// A formatted directory.
pub fn formatted(now: WallMs) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let meta = MetaProperties::new("cluster", NodeId(1), Uuid([1; 16]));
    meta.write(&RealDisk, root.path(), now).unwrap();
    root
}

/// All that is there is loaded, and counts as committed.
pub fn started(
    root: &Path,
    config: &Arc<LogConfig>,
    disk: Arc<dyn Disk>,
    now: WallMs,
) -> LogManager {
    started_with(root, config, disk, now, false)
}

/// The same; or no log counts as one of a replica of this node.
pub fn started_with(
    root: &Path,
    config: &Arc<LogConfig>,
    disk: Arc<dyn Disk>,
    now: WallMs,
    stray: bool,
) -> LogManager {
    let counter = AtomicU64::new(1);
    let unique: Unique = Arc::new(move || counter.fetch_add(1, Ordering::Relaxed).into());
    let (pool, dirs) = (FilePool::new(disk, 64), [root.to_path_buf()]);
    let manager = LogManager::new(pool, &dirs, ProducerConfig::default(), unique).unwrap();
    let options = LoadOptions {
        config: &|_| Arc::clone(config),
        is_stray: &|_, _| stray,
        threads_per_dir: 1,
        delete_delay_ms: 0,
    };
    manager.load(&options, now).unwrap();
    for (_, entry) in manager.all() {
        let mut log = entry.log.write();
        let end = log.end_offset();
        log.set_high_watermark(end);
    }
    manager
}
