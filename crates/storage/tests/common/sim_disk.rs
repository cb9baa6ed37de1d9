//! A disk in memory that forgets what was not synced, tears what was being written, and fails on demand.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base::WallMs;
use storage::disk::{Disk, DiskFile, FileInfo, OpenMode};

/// Bytes that reach the disk together.
const PAGE: usize = 64;

/// What becomes of unsynced data in a crash.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// Nothing is lost: the process died, the machine did not.
    None,
    /// Everything unsynced is lost.
    All,
    /// Any part of it, as this seed says: single pages, file lengths, the last changes of directories.
    Some(u64),
}

#[derive(Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
}

type Names = BTreeMap<PathBuf, Arc<Mutex<Inode>>>;

#[derive(Default)]
struct State {
    names: Names,
    durable_names: Names,
    /// The names after each change since the last sync of a directory.
    history: Vec<Names>,
    operations: u64,
    /// The operation that fails, and every one after it.
    crash_at: Option<u64>,
    fail_syncs: bool,
    fail_writes: bool,
}

#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    inode: Arc<Mutex<Inode>>,
}

fn gone(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl SimDisk {
    /// Changes so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Lets the change with this number and all later ones fail.
    pub fn crash_at(&self, operation: u64) {
        self.0.lock().unwrap().crash_at = Some(operation);
    }

    pub fn fail_syncs(&self, fail: bool) {
        self.0.lock().unwrap().fail_syncs = fail;
    }

    pub fn fail_writes(&self, fail: bool) {
        self.0.lock().unwrap().fail_writes = fail;
    }

    /// What is found after a crash.
    pub fn after_crash(&self, loss: Loss) -> Self {
        let state = self.0.lock().unwrap();
        let mut random = match loss {
            Loss::Some(seed) => seed | 1,
            _ => 0,
        };
        let mut next = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % bound.max(1)
        };
        let names = match loss {
            Loss::None => state.names.clone(),
            Loss::All => state.durable_names.clone(),
            Loss::Some(_) => match next(state.history.len() + 1) {
                0 => state.durable_names.clone(),
                n => state.history[n - 1].clone(),
            },
        };
        let content = |inode: &Inode, next: &mut dyn FnMut(usize) -> usize| match loss {
            Loss::None => inode.now.clone(),
            Loss::All => inode.durable.clone(),
            Loss::Some(_) => {
                let len = if next(2) == 0 { inode.now.len() } else { inode.durable.len() };
                let mut bytes = inode.durable.clone();
                bytes.resize(len, 0);
                for at in (0..len).step_by(PAGE) {
                    let end = (at + PAGE).min(len).min(inode.now.len());
                    if at < end && next(2) == 0 {
                        bytes[at..end].copy_from_slice(&inode.now[at..end]);
                    }
                }
                bytes
            }
        };
        let names: Names = names
            .iter()
            .map(|(path, inode)| {
                let bytes = content(&inode.lock().unwrap(), &mut next);
                let inode = Inode { now: bytes.clone(), durable: bytes };
                (path.clone(), Arc::new(Mutex::new(inode)))
            })
            .collect();
        let state = State { durable_names: names.clone(), names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Counts a change; fails if it is not to happen.
    fn change(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.crash_at.is_some_and(|at| state.operations >= at) {
            return Err(io::Error::other("the machine has stopped"));
        }
        state.operations += 1;
        Ok(())
    }

    fn rename_in(&self, change: impl FnOnce(&mut Names) -> io::Result<()>) -> io::Result<()> {
        self.change()?;
        let mut state = self.0.lock().unwrap();
        change(&mut state.names)?;
        let names = state.names.clone();
        state.history.push(names);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let found = self.0.lock().unwrap().names.get(path).cloned();
        let inode = match (found, mode) {
            (Some(inode), OpenMode::CreateEmpty) => {
                self.change()?;
                inode.lock().unwrap().now.clear();
                inode
            }
            (Some(inode), _) => inode,
            (None, OpenMode::Existing | OpenMode::ReadOnly) => return Err(gone(path)),
            (None, _) => {
                let inode = Arc::new(Mutex::new(Inode::default()));
                let created = Arc::clone(&inode);
                self.rename_in(|names| {
                    names.insert(path.to_path_buf(), created);
                    Ok(())
                })?;
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        let state = self.0.lock().unwrap();
        let inside = state.names.iter().filter(|(file, _)| file.parent() == Some(path));
        Ok(inside.map(|(file, inode)| info(file, inode)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        Ok(self.0.lock().unwrap().names.get(path).map(|inode| info(path, inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.0.lock().unwrap().names.contains_key(from) {
            return Err(gone(from));
        }
        self.rename_in(|names| {
            let inode = names.remove(from).ok_or_else(|| gone(from))?;
            names.insert(to.to_path_buf(), inode);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        if !self.0.lock().unwrap().names.contains_key(path) {
            return Ok(false);
        }
        self.rename_in(|names| {
            names.remove(path);
            Ok(())
        })?;
        Ok(true)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.rename_in(|names| {
            names.retain(|file, _| !file.starts_with(path));
            Ok(())
        })
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.sync_dir(path)?;
        for inode in self.0.lock().unwrap().names.values() {
            let mut inode = inode.lock().unwrap();
            inode.durable = inode.now.clone();
        }
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.change()?;
        let mut state = self.0.lock().unwrap();
        if state.fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        state.durable_names = state.names.clone();
        state.history.clear();
        Ok(())
    }
}

fn info(path: &Path, inode: &Mutex<Inode>) -> FileInfo {
    FileInfo {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        is_dir: false,
        len: inode.lock().unwrap().now.len() as u64,
        modified: WallMs(0),
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.lock().unwrap().now.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let inode = self.inode.lock().unwrap();
        let from = (position as usize).min(inode.now.len());
        let len = buf.len().min(inode.now.len() - from);
        buf[..len].copy_from_slice(&inode.now[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        // A write that the crash interrupts leaves its first half.
        let stopped = self.disk.change().err();
        if self.disk.0.lock().unwrap().fail_writes {
            return Err(io::Error::other("write failed"));
        }
        let buf = if stopped.is_some() { &buf[..buf.len() / 2] } else { buf };
        let mut inode = self.inode.lock().unwrap();
        let (from, end) = (position as usize, position as usize + buf.len());
        if inode.now.len() < end {
            inode.now.resize(end, 0);
        }
        inode.now[from..end].copy_from_slice(buf);
        stopped.map_or(Ok(()), Err)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.change()?;
        self.inode.lock().unwrap().now.resize(len as usize, 0);
        Ok(())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change()?;
        if self.disk.0.lock().unwrap().fail_syncs {
            return Err(io::Error::other("sync failed"));
        }
        let mut inode = self.inode.lock().unwrap();
        inode.durable = inode.now.clone();
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
