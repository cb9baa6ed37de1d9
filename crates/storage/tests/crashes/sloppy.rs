//! Planted bugs: a disk that leaves out or swaps what a log counts on.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use simdisk::SimDisk;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};

use crate::world::Kind;

/// What is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Files whose names end so are not synced.
    Unsynced(&'static str),
    /// Nor are those in a directory whose name ends so.
    UnsyncedIn(&'static str),
    /// Directories are not synced: neither those of partitions nor the one above them.
    UnsyncedPartitionDir,
    UnsyncedRoot,
    /// Files whose names end so keep their length when they are cut.
    Uncut(&'static str),
    /// Files are not moved out of the way.
    Unmoved(&'static str),
    /// Files whose names end so stay.
    Left(&'static str),
    /// What was cleaned is got ready only after the old segments are out of the way.
    SwappedLate,
}

/// All of them, each with the kind and the seed of a life in which it shows. Not among them: syncs of indexes and of
/// producers' snapshots, whose loss is seen and made good.
pub const MISTAKES: [(Mistake, Kind, u64); 14] = [
    (Mistake::Unsynced(".log"), Kind::USUAL, 1),
    (Mistake::Unsynced(".txnindex"), Kind::USUAL, 3),
    (Mistake::Unsynced("leader-epoch-checkpoint.tmp"), Kind::USUAL, 1),
    (Mistake::Unsynced("log-start-offset-checkpoint.tmp"), Kind::USUAL, 4),
    (Mistake::UnsyncedPartitionDir, Kind::USUAL, 1),
    (Mistake::UnsyncedRoot, Kind::USUAL, 1),
    (Mistake::Uncut(".log"), Kind::USUAL, 1),
    (Mistake::Uncut(".txnindex"), Kind::USUAL, 7),
    (Mistake::Unmoved(".deleted"), Kind::USUAL, 1),
    (Mistake::Left(".kafka_cleanshutdown"), Kind::USUAL, 1),
    (Mistake::Unsynced(".log.cleaned"), Kind::COMPACTED, 2),
    (Mistake::SwappedLate, Kind::COMPACTED, 2),
    (Mistake::UnsyncedIn("-future"), Kind::MOVING, 1),
    (Mistake::UnsyncedRoot, Kind::MOVING, 1),
];

pub struct Sloppy {
    disk: SimDisk,
    mistake: Mistake,
    /// Renames that wait.
    late: Mutex<Vec<(PathBuf, PathBuf)>>,
}

struct SloppyFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    mistake: Mistake,
}

impl Sloppy {
    pub fn new(disk: SimDisk, mistake: Mistake) -> Self {
        Self { disk, mistake, late: Mutex::default() }
    }
}

fn ends(path: &Path, suffix: &str) -> bool {
    path.to_string_lossy().ends_with(suffix)
}

impl Disk for Sloppy {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(SloppyFile { file, path: path.to_path_buf(), mistake: self.mistake }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        self.disk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.mistake {
            Mistake::Unmoved(suffix) if ends(to, suffix) => Ok(()),
            Mistake::SwappedLate if ends(to, ".swap") => {
                self.late.lock().push((from.to_path_buf(), to.to_path_buf()));
                Ok(())
            }
            _ => {
                if ends(from, ".swap") {
                    for (from, to) in self.late.lock().drain(..) {
                        self.disk.rename(&from, &to)?;
                    }
                }
                self.disk.rename(from, to)
            }
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        match self.mistake {
            Mistake::Left(suffix) if ends(path, suffix) => Ok(self.disk.stat(path)?.is_some()),
            _ => self.disk.remove_file(path),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let of_partition = name.starts_with("topic-0");
        match self.mistake {
            Mistake::UnsyncedPartitionDir if of_partition => Ok(()),
            Mistake::UnsyncedRoot if !of_partition => Ok(()),
            _ => self.disk.sync_dir(path),
        }
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_file_system(path)
    }
}

impl DiskFile for SloppyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.file.write_at(buf, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.mistake {
            Mistake::Uncut(suffix) if ends(&self.path, suffix) => Ok(()),
            _ => self.file.set_len(len),
        }
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.mistake {
            Mistake::Unsynced(suffix) if ends(&self.path, suffix) => Ok(()),
            Mistake::UnsyncedIn(suffix) if self.path.parent().is_some_and(|d| ends(d, suffix)) => {
                Ok(())
            }
            _ => self.file.sync_data(),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}
