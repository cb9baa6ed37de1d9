//! A disk whose syncs of some files take as long as the test wants, or fail.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};

/// What happens before a sync.
pub type BeforeSync = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

pub struct SlowDisk {
    pub disk: Arc<dyn Disk>,
    /// How the names of slow files end.
    pub slow: &'static str,
    pub before_sync: BeforeSync,
}

struct SlowFile(Arc<dyn DiskFile>, Option<BeforeSync>);

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let slow = path.to_str().is_some_and(|path| path.ends_with(self.slow));
        let before = slow.then(|| Arc::clone(&self.before_sync));
        Ok(Arc::new(SlowFile(self.disk.open(path, mode)?, before)))
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
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buf, position)
    }
    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.0.write_at(buf, position)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.preallocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.as_ref().map_or(Ok(()), |before| before())?;
        self.0.sync_data()
    }
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }
}
