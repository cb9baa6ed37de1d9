//! Open files under one bound: a log names its files, the pool keeps the recently used ones open.
//!
//! An idle partition costs no descriptor. Evicting a file with unsynced writes is safe: the kernel keeps the dirty
//! pages by inode, and a sync through a later descriptor covers them and still reports a failed write-back.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, OpenMode};

/// Parts with a lock each, so that partitions do not wait for one another.
const SHARDS: usize = 16;

/// Which file of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
}

/// Names a file of a log in the pool, whatever it is called on disk right now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileKey {
    pub log: u64,
    pub base_offset: i64,
    pub kind: FileKind,
}

struct Entry {
    file: Arc<dyn DiskFile>,
    /// Second chance: cleared by the sweep, set by every use.
    used: bool,
}

#[derive(Default)]
struct Shard {
    open: HashMap<FileKey, Entry>,
    /// Counts what was forgotten: what was being opened meanwhile may be what is meant no longer.
    forgotten: u64,
}

/// The open files of all logs of a process, at most `capacity` of them (rounded up to the number of shards).
pub struct FilePool {
    disk: Arc<dyn Disk>,
    shards: [Mutex<Shard>; SHARDS],
    per_shard: usize,
    next_log: AtomicU64,
}

impl FilePool {
    pub fn new(disk: Arc<dyn Disk>, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            disk,
            shards: Default::default(),
            per_shard: capacity.div_ceil(SHARDS).max(1),
            next_log: AtomicU64::new(0),
        })
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Descriptors held right now.
    pub fn open_files(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().open.len()).sum()
    }

    /// A number for the keys of one log.
    pub(crate) fn new_log(&self) -> u64 {
        self.next_log.fetch_add(1, Ordering::Relaxed)
    }

    /// The open file, or opens it; the path is only asked for when it must be opened. Nobody else waits for that: the disk may
    /// be slow, and not theirs.
    pub(crate) fn get<P: AsRef<Path>>(
        &self,
        key: FileKey,
        mode: OpenMode,
        path: impl FnOnce() -> P,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let forgotten = {
            let mut shard = self.shard(key).lock();
            if let Some(file) = shard.used(key) {
                return Ok(file);
            }
            shard.forgotten
        };
        let file = self.disk.open(path().as_ref(), mode)?;
        let mut shard = self.shard(key).lock();
        if shard.forgotten != forgotten {
            return Ok(file);
        }
        if let Some(others) = shard.used(key) {
            return Ok(others);
        }
        let evicted = (shard.open.len() >= self.per_shard).then(|| shard.evict_one());
        shard.open.insert(key, Entry { file: Arc::clone(&file), used: true });
        drop(shard);
        drop(evicted);
        Ok(file)
    }

    /// Closes the file once nobody reads it any more.
    pub(crate) fn forget(&self, key: FileKey) {
        let forgotten = self.shard(key).lock().forget(key);
        drop(forgotten);
    }

    /// Closes all files of a log once nobody reads them any more.
    pub(crate) fn forget_log(&self, log: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.forgotten += 1;
            shard.open.retain(|key, _| key.log != log);
        }
    }

    fn shard(&self, key: FileKey) -> &Mutex<Shard> {
        // Neighbouring logs and segments land in different shards.
        let mixed = key
            .log
            .wrapping_mul(7)
            .wrapping_add(key.base_offset as u64)
            .wrapping_add(key.kind as u64);
        &self.shards[(mixed % SHARDS as u64) as usize]
    }
}

impl Shard {
    fn used(&mut self, key: FileKey) -> Option<Arc<dyn DiskFile>> {
        let entry = self.open.get_mut(&key)?;
        entry.used = true;
        Some(Arc::clone(&entry.file))
    }

    fn forget(&mut self, key: FileKey) -> Option<Entry> {
        self.forgotten += 1;
        self.open.remove(&key)
    }

    fn evict_one(&mut self) -> Option<Entry> {
        let mut victim = None;
        for (key, entry) in &mut self.open {
            if !entry.used {
                victim = Some(*key);
                break;
            }
            entry.used = false;
        }
        let victim = victim.or_else(|| self.open.keys().next().copied());
        self.open.remove(&victim?)
    }
}
