//! Recovery points that have fallen and stand higher on disk: until they are written down again, a crash would make the next
//! start trust what is written below them. Each log directory has its own, so that none waits for another's disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::lane::Lane;

/// Counts truncations in each directory, and knows up to which of them recovery points are written down.
#[derive(Default)]
pub struct Truncations {
    /// By the number of the way to it; without those where nothing was ever cut.
    dirs: RwLock<HashMap<u16, Arc<Dir>>>,
}

struct Dir {
    path: PathBuf,
    count: AtomicU64,
    written: AtomicU64,
    writing: Mutex<()>,
}

impl Dir {
    fn is_due(&self) -> bool {
        self.written.load(Ordering::Acquire) < self.count.load(Ordering::Acquire)
    }
}

impl Truncations {
    /// A log was cut below its recovery point.
    pub(super) fn add(&self, lane: &Lane, path: &Path) {
        let mut dirs = self.dirs.write();
        let dir = dirs.entry(lane.index()).or_insert_with(|| {
            Arc::new(Dir {
                path: path.to_path_buf(),
                count: AtomicU64::new(0),
                written: AtomicU64::new(0),
                writing: Mutex::default(),
            })
        });
        dir.count.fetch_add(1, Ordering::Release);
    }

    /// The directory, if there are some in it that are not written down yet.
    pub fn due_in(&self, lane: &Lane) -> Option<PathBuf> {
        let dirs = self.dirs.read();
        dirs.get(&lane.index()).filter(|dir| dir.is_due()).map(|dir| dir.path.clone())
    }

    /// All directories with some.
    pub fn due(&self) -> Vec<PathBuf> {
        let dirs = self.dirs.read();
        dirs.values().filter(|dir| dir.is_due()).map(|dir| dir.path.clone()).collect()
    }

    /// Writes with `write` unless there is nothing new in this directory; waits for who is writing. It blocks.
    pub fn settle(&self, path: &Path, write: impl FnOnce()) {
        let found = self.dirs.read().values().find(|dir| dir.path == path).cloned();
        let Some(dir) = found else { return };
        let _writing = dir.writing.lock();
        let count = dir.count.load(Ordering::Acquire);
        if dir.written.load(Ordering::Acquire) < count {
            write();
            dir.written.store(count, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::partitions::lane::Lanes;

    #[test]
    fn many_truncations_are_written_down_together_and_once() {
        let (truncations, lanes) = (Truncations::default(), Lanes::new(Clock::new()));
        let (path, other) = (Path::new("/a"), Path::new("/b"));
        let (lane, others) = (lanes.of_log(&path.join("t-0")), lanes.of_log(&other.join("t-1")));
        let is_due = |lane: &Lane| truncations.due_in(lane).is_some();
        let mut writes = 0;
        truncations.settle(path, || writes += 1);
        assert_eq!((is_due(&lane), writes), (false, 0));
        truncations.add(&lane, path);
        truncations.add(&lane, path);
        assert!(is_due(&lane) && !is_due(&others));
        assert_eq!(truncations.due(), [path]);
        truncations.settle(other, || writes += 1);
        truncations.settle(path, || writes += 1);
        truncations.settle(path, || writes += 1);
        assert_eq!((is_due(&lane), writes), (false, 1));
        truncations.add(&lane, path);
        truncations.settle(path, || truncations.add(&lane, path));
        assert!(is_due(&lane), "one that came while others were written counts");
        // Who writes for one directory keeps nobody from another.
        truncations.add(&others, other);
        truncations.settle(path, || truncations.settle(other, || writes += 1));
        assert_eq!((is_due(&others), writes), (false, 2));
    }
}
