//! The disk of the metadata log: where it is full, writes wait for space instead of failing.
//!
//! Topics are deleted and retention is changed through the metadata log, so it must go on when nothing else does. Some space is
//! set aside for that in a file, the ballast: on the first write that finds none it goes, and comes back when there is enough.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storage::disk::{Disk, DiskFile, FileInfo, OpenMode, is_full};
use storage::space::{Claim, Gate, Reserve, Volume};

/// Space set aside, in the metadata log's directory.
pub(super) const BALLAST_FILE: &str = ".ballast";
const BALLAST_BYTES_MAX: u64 = 4 << 20;
/// Its part of the reserve.
const BALLAST_DIVISOR: u64 = 16;
/// A smaller one would not hold the few blocks that a start and some changes take.
const BALLAST_BYTES_MIN: u64 = 64 << 10;
/// Between two tries of a write.
const PAUSE: Duration = Duration::from_millis(200);

/// How long writes wait, and what is given up for them.
pub struct Patience {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    ended: AtomicBool,
    /// Somebody waits: said once.
    waits: AtomicBool,
}

impl Patience {
    /// For the metadata log in `dir`.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Arc<Self> {
        let (ended, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { disk, dir: dir.to_path_buf(), ended, waits })
    }

    /// The disk on which writes wait.
    pub fn disk(self: &Arc<Self>) -> Arc<dyn Disk> {
        Arc::new(PatientDisk { patience: Arc::clone(self) })
    }

    /// The node stops: who waits fails, and who comes later.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Sets the ballast aside where there is enough space. `reserve_bytes` as [`Reserve::of`] takes it.
    pub fn set_aside(&self, reserve_bytes: i64) {
        let Ok(Some(volume)) = self.disk.volume(&self.dir) else { return };
        let Some(bytes) = ballast_bytes(volume, reserve_bytes) else { return };
        let path = self.dir.join(BALLAST_FILE);
        if !matches!(self.disk.stat(&path), Ok(None)) {
            return;
        }
        let make = || self.disk.open(&path, OpenMode::CreateIfMissing)?.preallocate(bytes);
        if let Err(error) = make() {
            tracing::debug!("no space is set aside for the metadata log: {error}");
            self.release();
        }
    }

    /// Tells whether there was something to give up.
    fn release(&self) -> bool {
        matches!(self.disk.remove_file(&self.dir.join(BALLAST_FILE)), Ok(true))
    }

    /// Repeats what finds no space until there is some.
    fn retry<T>(&self, mut what: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match what() {
                Err(error) if is_full(&error) && !self.ended.load(Ordering::Relaxed) => {
                    let dir = self.dir.display();
                    if self.release() {
                        tracing::warn!(%dir, "the disk of the metadata log is full, what was set aside for it is used");
                        continue;
                    }
                    if !self.waits.swap(true, Ordering::Relaxed) {
                        tracing::error!(%dir, "the disk of the metadata log is full, it waits for space");
                    }
                    std::thread::sleep(PAUSE);
                }
                done => {
                    if done.is_ok() && self.waits.swap(false, Ordering::Relaxed) {
                        tracing::info!(dir = %self.dir.display(), "the metadata log goes on");
                    }
                    return done;
                }
            }
        }
    }
}

/// Only beside a whole reserve: where that is touched already, others need the space more.
fn ballast_bytes(volume: Volume, reserve_bytes: i64) -> Option<u64> {
    let reserve = Reserve::of(reserve_bytes, volume.total_bytes);
    let bytes = (reserve.bytes / BALLAST_DIVISOR).min(BALLAST_BYTES_MAX);
    let mut gate = Gate::new(reserve);
    gate.found_full();
    gate.see(volume.free_bytes.saturating_sub(bytes));
    (bytes >= BALLAST_BYTES_MIN && gate.allows(Claim::Records)).then_some(bytes)
}

struct PatientDisk {
    patience: Arc<Patience>,
}

struct PatientFile {
    file: Arc<dyn DiskFile>,
    patience: Arc<Patience>,
}

impl Disk for PatientDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.patience.retry(|| self.patience.disk.open(path, mode))?;
        Ok(Arc::new(PatientFile { file, patience: Arc::clone(&self.patience) }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.patience.retry(|| self.patience.disk.create_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        self.patience.disk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        self.patience.disk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.patience.retry(|| self.patience.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.patience.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.patience.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.patience.disk.sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.patience.disk.sync_file_system(path)
    }

    fn volume(&self, path: &Path) -> io::Result<Option<Volume>> {
        self.patience.disk.volume(path)
    }
}

impl DiskFile for PatientFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.patience.retry(|| self.file.write_at(buf, position))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.patience.retry(|| self.file.preallocate(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_ballast_is_set_aside_beside_a_whole_reserve_only() {
        let volume = |free_bytes| Volume { total_bytes: 64 << 20, free_bytes };
        let reserve = (64 << 20) / 20;
        assert_eq!(ballast_bytes(volume(32 << 20), -1), Some(reserve / 16));
        assert_eq!(ballast_bytes(volume(reserve), -1), None);
        assert_eq!(ballast_bytes(volume(32 << 20), 0), None);
        let large = Volume { total_bytes: 1 << 44, free_bytes: 1 << 40 };
        assert_eq!(ballast_bytes(large, -1), Some(BALLAST_BYTES_MAX));
    }

    #[test]
    fn writes_take_the_ballast_and_then_wait() {
        let dir = tempfile::tempdir().expect("a directory");
        let patience = Patience::new(Arc::new(storage::RealDisk), dir.path());
        let ballast = dir.path().join(BALLAST_FILE);
        std::fs::write(&ballast, [0; 100]).expect("written");
        let tries = AtomicU32::new(0);
        let write = || {
            let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => full(),
                1 => {
                    assert!(!ballast.exists(), "it went at once");
                    full()
                }
                2 => {
                    assert!(patience.waits.load(Ordering::Relaxed));
                    Ok(7)
                }
                _ => full(),
            }
        };
        assert_eq!(patience.retry(write).expect("space came"), 7);
        assert!(!patience.waits.load(Ordering::Relaxed));
        patience.end();
        assert!(is_full(&patience.retry(write).expect_err("nobody waits any more")));
    }
}
