//! Files and directories that are to go, when their time has come.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base::{TopicPartition, WallMs};

use super::error::{DirError, Result};
use super::manager::LogManager;
use crate::disk::Disk;
use crate::log::RemoveWork;

/// Files or a directory on their way out.
pub(super) struct Removal {
    due: WallMs,
    what: What,
}

enum What {
    Files(RemoveWork),
    Dir(PathBuf),
}

impl Removal {
    pub fn files(work: RemoveWork, now: WallMs) -> Self {
        Self { due: after(now, work.delay_ms), what: What::Files(work) }
    }

    pub fn dir(path: PathBuf, now: WallMs, delay_ms: u64) -> Self {
        Self { due: after(now, delay_ms), what: What::Dir(path) }
    }

    fn run(&self, disk: &dyn Disk) -> Result<()> {
        match &self.what {
            What::Files(work) => Ok(work.run()?),
            What::Dir(path) => match disk.remove_dir_all(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(DirError::io("remove", path)(error))
                }
                _ => {
                    tracing::info!(dir = %path.display(), "log removed");
                    Ok(())
                }
            },
        }
    }

    /// A log's directory has a new name.
    pub fn renamed(&mut self, from: &Path, to: &Path) {
        let What::Files(work) = &mut self.what else { return };
        for path in &mut work.paths {
            if let Ok(inside) = path.strip_prefix(from) {
                *path = to.join(inside);
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        match &self.what {
            What::Files(work) => work.paths.first().map(PathBuf::as_path),
            What::Dir(path) => Some(path),
        }
    }
}

fn after(now: WallMs, delay_ms: u64) -> WallMs {
    WallMs(now.0.saturating_add_unsigned(delay_ms))
}

impl LogManager {
    /// Waits until the directories of these logs, and of their copies, take what is asked of them. What follows may change names there: it
    /// keeps nobody from making or deleting logs elsewhere for longer than that takes.
    pub fn reach(&self, partitions: &[TopicPartition]) {
        let entries = partitions.iter().flat_map(|name| [self.get(name), self.future(name)]);
        let mut dirs = BTreeSet::new();
        for entry in entries.flatten() {
            // Nobody is at work in it.
            drop(entry.log.write());
            dirs.insert(entry.dir);
        }
        for dir in dirs {
            self.sync_names(dir);
        }
    }

    pub(super) fn remove_later(&self, removal: Removal) {
        self.removals.lock().push_back(removal);
    }

    /// Removes what is due, and at once what lies where space has run out: whoever still reads it holds it open. Tells when to
    /// come back, if anything is left.
    pub fn run_removals(&self, now: WallMs) -> Option<WallMs> {
        (0..self.dirs.len()).filter_map(|dir| self.run_removals_of(dir, now)).min()
    }

    /// The same in one directory.
    pub fn run_removals_of(&self, index: usize, now: WallMs) -> Option<WallMs> {
        let dir = self.dirs.get(index)?;
        let is_here =
            |removal: &Removal| removal.path().and_then(|path| self.dir_above(path)) == Some(index);
        let short = dir.space.is_short();
        let due: Vec<Removal> = {
            let mut removals = self.removals.lock();
            let (due, later) = removals
                .drain(..)
                .partition(|removal| (short || removal.due <= now) && is_here(removal));
            *removals = later;
            due.into()
        };
        for removal in due {
            if let Err(fault) = removal.run(self.pool.disk().as_ref()) {
                // Nothing is lost by files that stay; a start finds and removes them. But the disk is failing.
                tracing::error!(%fault, "files could not be removed");
                self.fail_dir(index, fault.to_string());
            }
        }
        let removals = self.removals.lock();
        removals.iter().filter(|removal| is_here(removal)).map(|removal| removal.due).min()
    }

    fn dir_above(&self, path: &Path) -> Option<usize> {
        self.dirs.iter().position(|dir| path.starts_with(&dir.path))
    }
}
