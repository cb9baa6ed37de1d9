//! `.lock`: one process at a time in a log directory.
//!
//! Two locks on one file: `flock` keeps out a second lock of our own, in this process too; the POSIX record lock is the
//! one that a JVM takes, so that Apache Kafka and Monedula keep each other out. A process loses its POSIX lock when it
//! closes any descriptor of the file: a refused second attempt in one process leaves the first with `flock` alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::error::{DirError, Result};

pub const FILE_NAME: &str = ".lock";

/// Held for as long as this lives; the operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    file: File,
}

impl DirLock {
    /// Fails with [`DirError::Locked`] while another process (or another lock of this one) holds the directory.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(DirError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirError::Locked { dir: dir.to_path_buf() });
            }
            Err(TryLockError::Error(source)) => return Err(DirError::io("lock", &path)(source)),
        }
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(DirError::Locked { dir: dir.to_path_buf() });
            }
            Err(errno) => return Err(DirError::io("lock", &path)(errno.into())),
        }
        Ok(Self { dir: dir.to_path_buf(), file })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the path still leads to what was locked: it does not when the disk was unmounted, or the directory replaced.
    pub fn is_in_place(&self) -> bool {
        let there = std::fs::metadata(self.dir.join(FILE_NAME));
        match (self.file.metadata(), there) {
            (Ok(locked), Ok(there)) => (locked.dev(), locked.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }
}

/// Another process holds the directory. Only asks: nothing is locked, created or written.
///
/// # Errors
/// When the file cannot be opened or asked about.
pub fn is_held(dir: &Path) -> std::io::Result<bool> {
    let file = match File::open(dir.join(FILE_NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?.is_some())
}
