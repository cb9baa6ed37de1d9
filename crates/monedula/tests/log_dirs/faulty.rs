//! The real disk with faults on command: no space for new logs, or a metadata log that cannot be written.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::disk::{FileInfo, OpenMode};
use storage::{Disk, DiskFile, RealDisk};

pub struct Faulty {
    /// The log directory.
    place: PathBuf,
    /// No file can be made in logs' directories.
    pub full: AtomicBool,
    /// The metadata log takes nothing.
    pub broken: Arc<AtomicBool>,
}

impl Faulty {
    pub fn new(place: PathBuf) -> Self {
        Self { place, full: AtomicBool::new(false), broken: Arc::default() }
    }
}

impl Disk for Faulty {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inside = path.parent().is_some_and(|log| log.parent() == Some(&self.place));
        let makes = [OpenMode::CreateEmpty, OpenMode::CreateIfMissing].contains(&mode);
        if inside && makes && !path.exists() && self.full.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        let file = RealDisk.open(path, mode)?;
        if !path.to_string_lossy().contains("__cluster_metadata-0") {
            return Ok(file);
        }
        Ok(Arc::new(MetadataFile { file, broken: Arc::clone(&self.broken) }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        RealDisk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        RealDisk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

struct MetadataFile {
    file: Arc<dyn DiskFile>,
    broken: Arc<AtomicBool>,
}

impl DiskFile for MetadataFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.file.write_at(buf, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}
