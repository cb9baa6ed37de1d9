//! The real disk with only so many blocks: what does not fit is written in part and refused, as a full volume does it.
#![allow(dead_code)] // every test program uses its own part
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};
use storage::space::Volume;
use storage::{RealDisk, disk};

pub const BLOCK: u64 = 256;

#[derive(Default)]
struct State {
    capacity: u64,
    /// Blocks of every file by its name.
    blocks: HashMap<PathBuf, Arc<Mutex<u64>>>,
    used: u64,
    /// So many new or longer names find a place in their directory; `None`: all.
    names_left: Option<u64>,
    refused: u64,
}

#[derive(Clone, Default)]
pub struct SmallDisk(Arc<Mutex<State>>);

struct SmallFile {
    disk: SmallDisk,
    file: Arc<dyn DiskFile>,
    blocks: Arc<Mutex<u64>>,
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

impl SmallDisk {
    pub fn new(blocks: u64) -> Self {
        let disk = Self::default();
        disk.set_capacity(blocks);
        disk
    }

    /// Others take or free space.
    pub fn set_capacity(&self, blocks: u64) {
        self.0.lock().capacity = blocks;
    }

    pub fn used(&self) -> u64 {
        self.0.lock().used
    }

    pub fn set_names_left(&self, left: Option<u64>) {
        self.0.lock().names_left = left;
    }

    /// How often something did not fit.
    pub fn refused(&self) -> u64 {
        self.0.lock().refused
    }

    /// Gives a file this many blocks, or as many as there are.
    fn resize(&self, blocks: &Mutex<u64>, wanted: u64) -> Result<(), u64> {
        let mut state = self.0.lock();
        let mut blocks = blocks.lock();
        let free = state.capacity.saturating_sub(state.used);
        let given = wanted.min(*blocks + free);
        state.used = state.used + given - *blocks;
        *blocks = given;
        if given < wanted {
            state.refused += 1;
            return Err(given);
        }
        Ok(())
    }

    fn forget(&self, path: &Path) {
        let mut state = self.0.lock();
        if let Some(blocks) = state.blocks.remove(path) {
            state.used -= std::mem::take(&mut *blocks.lock());
        }
    }

    fn check_name(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let Some(left) = state.names_left.filter(|_| !path.exists()) else { return Ok(()) };
        state.names_left = Some(left.saturating_sub(1));
        if left == 0 {
            state.refused += 1;
            return Err(full());
        }
        Ok(())
    }
}

impl Disk for SmallDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if matches!(mode, OpenMode::CreateEmpty | OpenMode::CreateIfMissing) {
            self.check_name(path)?;
        }
        let file = RealDisk.open(path, mode)?;
        let blocks = Arc::clone(self.0.lock().blocks.entry(path.to_path_buf()).or_default());
        let _shrinks = self.resize(&blocks, file.len()?.div_ceil(BLOCK));
        Ok(Arc::new(SmallFile { disk: self.clone(), file, blocks }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.check_name(path)?;
        RealDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        RealDisk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        RealDisk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_name(to)?;
        RealDisk.rename(from, to)?;
        self.forget(to);
        let mut state = self.0.lock();
        let moved: Vec<PathBuf> =
            state.blocks.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            if let (Some(blocks), Ok(rest)) = (state.blocks.remove(&path), path.strip_prefix(from))
            {
                let to = if rest.as_os_str().is_empty() { to.into() } else { to.join(rest) };
                state.blocks.insert(to, blocks);
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.forget(path);
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)?;
        let inside: Vec<PathBuf> = {
            let state = self.0.lock();
            state.blocks.keys().filter(|file| file.starts_with(path)).cloned().collect()
        };
        for file in inside {
            self.forget(&file);
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn volume(&self, _: &Path) -> io::Result<Option<Volume>> {
        let state = self.0.lock();
        let free = state.capacity.saturating_sub(state.used);
        Ok(Some(Volume { total_bytes: state.capacity * BLOCK, free_bytes: free * BLOCK }))
    }
}

impl DiskFile for SmallFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let end = position + buf.len() as u64;
        let had = *self.blocks.lock();
        match self.disk.resize(&self.blocks, end.div_ceil(BLOCK).max(had)) {
            Ok(()) => self.file.write_at(buf, position),
            Err(given) => {
                let fits = (given * BLOCK).saturating_sub(position).min(buf.len() as u64);
                self.file.write_at(&buf[..fits as usize], position)?;
                Err(full())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let wanted = len.div_ceil(BLOCK).min(*self.blocks.lock());
        self.resize(wanted)?;
        self.file.set_len(len)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.resize(len.div_ceil(BLOCK))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.fd()
    }
}

impl SmallFile {
    fn resize(&self, wanted: u64) -> io::Result<()> {
        self.disk.resize(&self.blocks, wanted).map_err(|_| full())
    }
}

/// That the double refuses as a volume does.
#[test]
fn a_small_disk_takes_what_fits() {
    let dir = tempfile::tempdir().unwrap();
    let small = SmallDisk::new(4);
    let path = dir.path().join("file");
    let file = small.open(&path, OpenMode::CreateIfMissing).unwrap();
    file.write_at(&[1; 3 * BLOCK as usize], 0).unwrap();
    let error = file.write_at(&[2; 3 * BLOCK as usize], 2 * BLOCK).unwrap_err();
    assert!(disk::is_full(&error));
    assert_eq!((file.len().unwrap(), small.used()), (4 * BLOCK, 4));
    file.set_len(BLOCK).unwrap();
    assert_eq!(small.used(), 1);
    small.remove_file(&path).unwrap();
    assert_eq!(small.used(), 0);
}
