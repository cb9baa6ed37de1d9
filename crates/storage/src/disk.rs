//! The one trait through which all file I/O of a log directory goes, and its real implementation.
//!
//! Everything a simulator must be able to break is a method here: writes (torn, lost until synced, refused for want of
//! space), syncs (failing), renames and removals (lost until the directory is synced).

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base::WallMs;

use crate::space::Volume;

/// How a file is opened. Every file is opened for reading and writing, positions are always explicit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Must exist.
    Existing,
    /// For reading only; must exist.
    ReadOnly,
    /// Created empty when missing.
    CreateIfMissing,
    /// Created empty; what was there is cut to nothing.
    CreateEmpty,
}

/// What a directory listing tells about one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileInfo {
    pub name: String,
    pub is_dir: bool,
    /// Bytes; 0 for directories.
    pub len: u64,
    /// Last modification, milliseconds.
    pub modified: WallMs,
}

/// Creates, lists, renames and removes files. All paths are absolute or relative to the process.
pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a directory and its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Every regular file and directory in `path`, in no order. Names that are not UTF-8 are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>>;
    /// `None` when there is no such file.
    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>>;
    /// Atomic; replaces the target.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Tells whether the file existed.
    fn remove_file(&self, path: &Path) -> io::Result<bool>;
    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything below this directory durable: at once, where the system has such a call.
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        for file in self.list(path)? {
            let inside = path.join(&file.name);
            if file.is_dir {
                self.sync_file_system(&inside)?;
            } else {
                self.open(&inside, OpenMode::ReadOnly)?.sync_data()?;
            }
        }
        self.sync_dir(path)
    }
    /// Sizes of the volume that holds `path`; `None` where there is none (simulation).
    fn volume(&self, path: &Path) -> io::Result<Option<Volume>> {
        let _ = path;
        Ok(None)
    }
}

/// The volume, or this process's share of it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// One open file. Handles are shared: a fetch keeps reading while the file is being renamed or removed.
pub trait DiskFile: Send + Sync + 'static {
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads at most `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// The same without waiting for a disk: `None` when some of it is not in memory.
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buf, position).map(Some)
    }
    /// The range is read soon: the system may begin with it now. Does not wait.
    fn will_need(&self, _position: u64, _len: u64) {}
    /// Nobody reads this file any more: the memory that holds its content may serve others now. What is not on the disk
    /// yet stays.
    fn give_back(&self) {}
    /// Writes all of `buf`.
    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space up to `len` and makes the file that long.
    fn preallocate(&self, len: u64) -> io::Result<()>;
    /// Makes the content durable. An error means that the content is unknown from now on: never retried.
    fn sync_data(&self) -> io::Result<()>;
    /// Sets the time of the last modification; not part of what [`DiskFile::sync_data`] promises.
    fn set_modified(&self, _: WallMs) -> io::Result<()> {
        Ok(())
    }
    /// The descriptor for `sendfile`; `None` where there is none (simulation), then [`DiskFile::read_at`] serves.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(fs::File);

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::ReadOnly => &mut options,
            OpenMode::Existing => options.write(true),
            OpenMode::CreateIfMissing => options.write(true).create(true),
            OpenMode::CreateEmpty => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Files that vanish between the listing and this look were removed by somebody: not there.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push(info(name, &metadata));
        }
        Ok(files)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(info(name, &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    /// Since Linux 5.8 this reports failed writes of every file.
    #[cfg(target_os = "linux")]
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
    }

    fn volume(&self, path: &Path) -> io::Result<Option<Volume>> {
        let volume = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let (total, free) = (bytes(volume.f_blocks), bytes(volume.f_bavail));
        Ok(Some(Volume { total_bytes: total, free_bytes: free }))
    }
}

fn info(name: String, metadata: &fs::Metadata) -> FileInfo {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0);
    let len = if metadata.is_dir() { 0 } else { metadata.len() };
    FileInfo { name, is_dir: metadata.is_dir(), len, modified: WallMs(modified) }
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, mut buf: &mut [u8], mut position: u64) -> io::Result<usize> {
        let mut read = 0;
        while !buf.is_empty() {
            match self.0.read_at(buf, position) {
                Ok(0) => break,
                Ok(n) => {
                    read += n;
                    position += n as u64;
                    buf = &mut buf[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    #[cfg(target_os = "linux")]
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        let mut read = 0;
        while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let mut slices = [io::IoSliceMut::new(rest)];
            let at = position + read as u64;
            match preadv2(&self.0, &mut slices, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                // This file system cannot tell.
                Err(Errno::OPNOTSUPP) => return self.read_at(buf, position).map(Some),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(read))
    }

    #[cfg(target_os = "linux")]
    fn will_need(&self, position: u64, len: u64) {
        let len = std::num::NonZeroU64::new(len);
        // It is advice: who does not take it reads later.
        let _ignored = rustix::fs::fadvise(&self.0, position, len, rustix::fs::Advice::WillNeed);
    }

    #[cfg(target_os = "linux")]
    fn give_back(&self) {
        // Advice, too: else the memory goes with the file.
        let _ignored = rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(buf, position)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        #[cfg(target_os = "linux")]
        rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len)?;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_modified(&self, time: WallMs) -> io::Result<()> {
        let since = Duration::from_millis(u64::try_from(time.0).unwrap_or(0));
        self.0.set_modified(UNIX_EPOCH + since)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}
