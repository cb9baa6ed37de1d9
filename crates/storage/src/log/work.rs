//! What a log leaves to be done without its lock: syncs and removals.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{LogError, Result};
use crate::disk::{Disk, DiskFile};

/// Something to run without the log's lock.
#[must_use]
pub enum LogWork {
    /// Sync what a roll has finished; give the result to [`Log::complete_flush`].
    Flush(FlushWork),
    /// Remove files after their delay, when nobody reads them any more.
    Remove(RemoveWork),
}

/// Files to sync, and the recovery point that is reached with it.
#[must_use]
pub struct FlushWork {
    pub(super) files: Vec<(PathBuf, Arc<dyn DiskFile>)>,
    /// The directory when files in it are new, its parent when it is new itself.
    pub(super) dirs: Vec<PathBuf>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) reached: Reached,
}

/// What has come of the log when a flush is done.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    /// Where recovery begins.
    pub recovery_point: i64,
    /// The end of what is on the disk.
    pub synced_end: i64,
    pub rewrites: u64,
    /// The parent is among the directories.
    pub with_parent: bool,
    /// The snapshots up to this offset are among the files.
    pub snapshots_upto: Option<i64>,
}

/// What [`FlushWork::run`] has done; the log must learn of it.
#[must_use]
pub struct FlushDone {
    pub(super) reached: Reached,
    pub(super) result: Result<()>,
}

/// Files to remove.
#[must_use]
pub struct RemoveWork {
    disk: Arc<dyn Disk>,
    pub paths: Vec<PathBuf>,
    /// How long to wait first, for reads that are under way by name.
    pub delay_ms: u64,
}

impl LogWork {
    /// The log's directory has a new name.
    pub(super) fn renamed(&mut self, from: &Path, to: &Path) {
        let paths = match self {
            Self::Flush(work) => &mut work.dirs,
            Self::Remove(work) => &mut work.paths,
        };
        for path in paths {
            if let Ok(inside) = path.strip_prefix(from) {
                *path = to.join(inside);
            }
        }
    }
}

impl FlushWork {
    /// Syncs; blocks for as long as the disk takes. A failure is final.
    pub fn run(self) -> FlushDone {
        FlushDone { result: self.sync(), reached: self.reached }
    }

    pub(super) fn sync(&self) -> Result<()> {
        sync_all(&self.files)?;
        for dir in &self.dirs {
            self.disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        }
        Ok(())
    }
}

/// Makes the content of files durable.
pub(super) fn sync_all(files: &[(PathBuf, Arc<dyn DiskFile>)]) -> Result<()> {
    for (path, file) in files {
        file.sync_data().map_err(LogError::io("sync", path))?;
    }
    Ok(())
}

impl RemoveWork {
    pub(super) fn new(disk: Arc<dyn Disk>, paths: Vec<PathBuf>, delay_ms: u64) -> Self {
        Self { disk, paths, delay_ms }
    }

    /// Removes the files; those that are gone already are fine.
    pub fn run(&self) -> Result<()> {
        for path in &self.paths {
            self.disk.remove_file(path).map_err(LogError::io("remove", path))?;
        }
        Ok(())
    }
}
