//! Cleaned segments take their places in steps, and between two of them the disk is waited for without the log's lock:
//! whatever happens to the log then, and whenever a crash comes afterwards, it holds what it should.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use base::{Offset, TopicPartition};
use common::keyed::*;
use common::*;
use parking_lot::{Mutex, RwLock};
use records::Compression;
use simdisk::{Loss, SimDisk};
use storage::disk::{DiskFile, FileInfo, OpenMode};
use storage::log::OpenOptions;
use storage::log::cleaning::{CleanError, CleanRequest, KeyMap, clean};
use storage::{Disk, FilePool, Log};

/// So often each kind of crash is tried at each place.
const CRASHES: u64 = 12;

type Act = Box<dyn FnOnce(&mut Log) + Send>;

/// A disk that lets something happen to the log while its directory is synced, and sees to it that a step comes only once
/// the one before is durable: not every file system keeps the order of names that were not synced.
struct Meanwhile {
    disk: SimDisk,
    unsynced: Mutex<Vec<Step>>,
    log: Mutex<Weak<RwLock<Log>>>,
    syncs: AtomicUsize,
    act: Mutex<Option<(usize, Act)>>,
}

/// What a rename does in a swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Announced,
    TakenBack,
    Removed,
    Installed,
}

impl Step {
    fn of(from: &Path, to: &Path) -> Option<Self> {
        let end = |path: &Path| path.extension().and_then(|end| end.to_str()).map(str::to_owned);
        match (end(from).as_deref(), end(to).as_deref()) {
            (_, Some("swap")) => Some(Self::Announced),
            (Some("swap"), Some("cleaned")) => Some(Self::TakenBack),
            (_, Some("deleted")) => Some(Self::Removed),
            (Some("swap"), _) => Some(Self::Installed),
            _ => None,
        }
    }

    /// What must be durable before.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Announced | Self::TakenBack => &[],
            Self::Removed => &[Self::Announced, Self::TakenBack],
            Self::Installed => &[Self::Announced, Self::Removed],
        }
    }
}

impl Disk for Meanwhile {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
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
        if let Some(step) = Step::of(from, to) {
            let mut unsynced = self.unsynced.lock();
            let early = step.needs().iter().find(|before| unsynced.contains(before));
            assert_eq!(
                early,
                None,
                "not durable before {} becomes {}",
                from.display(),
                to.display()
            );
            unsynced.push(step);
        }
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let log = self.log.lock().upgrade();
        if let Some(log) = log {
            let nth = self.syncs.fetch_add(1, Ordering::Relaxed);
            let due = self.act.lock().take_if(|(at, _)| *at == nth);
            if let Some((_, act)) = due {
                act(&mut log.try_write().expect("nobody who waits for the disk holds the lock"));
            }
        }
        self.disk.sync_dir(path)?;
        self.unsynced.lock().clear();
        Ok(())
    }
}

struct World {
    disk: SimDisk,
    watched: Arc<Meanwhile>,
    log: Arc<RwLock<Log>>,
}

fn dir() -> PathBuf {
    PathBuf::from("/logs/topic-0")
}

fn open(disk: Arc<dyn Disk>, options: OpenOptions) -> Log {
    let pool = FilePool::new(disk, 32);
    let mut log = Log::open(&pool, dir(), TopicPartition::new("topic", 0), options, NOW).unwrap();
    log.set_high_watermark(log.end_offset());
    log
}

fn write(log: &mut Log, key: &str, value: &str) {
    append_keyed(log, &[keyed(key, value)], Compression::None, None).unwrap();
}

/// Two segments fit into one, so there are two groups: offsets 0 to 3 and 4 to 7, then the active segment with 8.
fn world() -> World {
    let disk = SimDisk::with_pages(64, 16);
    disk.create_dir(Path::new("/logs")).unwrap();
    let watched = Arc::new(Meanwhile {
        disk: disk.clone(),
        unsynced: Mutex::default(),
        log: Mutex::new(Weak::new()),
        syncs: AtomicUsize::new(0),
        act: Mutex::new(None),
    });
    let config = Arc::new(compacted(320));
    let mut log = open(watched.clone(), OpenOptions { config, ..OpenOptions::default() });
    for (n, pair) in [["a", "b"], ["a", "c"], ["b", "d"], ["a", "d"]].iter().enumerate() {
        for key in pair {
            write(&mut log, key, &format!("{n}"));
        }
        log.roll(NOW).unwrap();
    }
    write(&mut log, "e", "active");
    log.flush(NOW).unwrap();
    run_work(&mut log);
    disk.sync_file_system(Path::new("/")).unwrap();
    assert_eq!(log.segment_base_offsets(), [0, 2, 4, 6, 8].map(Offset));
    let log = Arc::new(RwLock::new(log));
    *watched.log.lock() = Arc::downgrade(&log);
    World { disk, watched, log }
}

impl World {
    /// Cleans everything; `act` happens while the directory is synced for the `at`th time.
    fn clean(
        &self,
        at: usize,
        act: impl FnOnce(&mut Log) + Send + 'static,
    ) -> Result<(), CleanError> {
        *self.watched.act.lock() = Some((at, Box::new(act)));
        let request = CleanRequest {
            first_dirty: Offset(0),
            first_uncleanable: Offset(8),
            now: NOW,
            delete_retention_ms: 0,
        };
        let mut map = KeyMap::new(1 << 10, 0.9, [3, 4]);
        clean(&self.log, &request, &mut map, &mut |_| true, &mut || {}).map(|_| ())
    }

    fn acted(&self) -> bool {
        self.watched.act.lock().is_none()
    }

    fn offsets(&self) -> Vec<i64> {
        offsets(&self.log.read())
    }

    /// The files are those of the segments, with their own names.
    fn check_files(&self) {
        run_work(&mut self.log.write());
        let files = self.disk.list(&dir()).unwrap();
        let mut names: Vec<String> =
            files.into_iter().map(|file| file.name).filter(|name| name.contains(".log")).collect();
        names.sort();
        let segments = self.log.read().segment_base_offsets();
        let expected: Vec<String> = segments.iter().map(|base| format!("{base:020}.log")).collect();
        assert_eq!(names, expected);
    }

    /// What a start finds after each kind of crash, many times.
    fn after_crashes(&self, seed: u64) -> Vec<Vec<i64>> {
        (0..CRASHES).flat_map(|n| self.after_each_crash(seed * CRASHES + n)).collect()
    }

    fn after_each_crash(&self, seed: u64) -> [Vec<i64>; 8] {
        let log = self.log.read();
        let options = OpenOptions {
            config: Arc::clone(log.config()),
            start_offset: log.start_offset(),
            recovery_point: log.recovery_point(),
            cleaned_upto: Some(Offset(0)),
            ..OpenOptions::default()
        };
        Loss::every(seed).map(|loss| {
            let disk = self.disk.after_crash(loss);
            let log = open(Arc::new(disk.clone()), options.clone());
            let names: Vec<String> =
                disk.list(&dir()).unwrap().into_iter().map(|f| f.name).collect();
            let left = |name: &String| name.ends_with(".swap") || name.ends_with(".cleaned");
            assert!(!names.iter().any(left), "{names:?}");
            offsets(&log)
        })
    }
}

fn offsets(log: &Log) -> Vec<i64> {
    let all = consume(log, false);
    assert!(all.is_sorted_by(|a, b| a.0 < b.0), "in order, none twice: {all:?}");
    all.into_iter().map(|(offset, ..)| offset).collect()
}

/// Tries it at every sync of a pass; gives how often that was possible.
fn at_every_sync(mut check: impl FnMut(World, usize) -> bool) -> usize {
    (0..).take_while(|at| check(world(), *at)).count()
}

#[test]
fn appends_and_reads_go_on_while_the_disk_is_waited_for() {
    let tried = at_every_sync(|world, at| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let found = Arc::clone(&seen);
        let done = world.clean(at, move |log| {
            write(log, "f", "meanwhile");
            *found.lock() = offsets(log);
        });
        if !world.acted() {
            return false;
        }
        done.unwrap();
        let seen = seen.lock();
        for offset in [3, 4, 6, 7, 8, 9] {
            assert!(seen.contains(&offset), "sync {at}: {offset} of {seen:?}");
        }
        assert_eq!(world.offsets(), [3, 4, 6, 7, 8, 9], "sync {at}");
        world.log.write().flush(NOW).unwrap();
        for left in world.after_crashes(at as u64) {
            assert_eq!(left, [3, 4, 6, 7, 8, 9], "sync {at}");
        }
        world.check_files();
        true
    });
    assert_eq!(tried, 5, "two for each group, one in the end");
}

#[test]
fn a_crash_while_the_disk_is_waited_for_leaves_the_newest_of_each_key() {
    for at in 0..5 {
        let world = world();
        let disk = world.disk.clone();
        // From here on nothing reaches the disk any more.
        let _ended = world.clean(at, move |_| disk.crash_at(disk.operations()));
        for left in world.after_crashes(7 * at as u64) {
            for offset in [3, 4, 6, 7, 8] {
                assert!(left.contains(&offset), "sync {at}: {offset} of {left:?}");
            }
        }
    }
}

#[test]
fn what_is_cut_meanwhile_does_not_come_back() {
    for upto in [1, 3, 4, 5, 7, 8] {
        let tried = at_every_sync(|world, at| {
            let done = world.clean(at, move |log| {
                log.truncate_to(Offset(upto), NOW).unwrap();
                write(log, "z", "instead");
                log.flush(NOW).unwrap();
            });
            if !world.acted() {
                return false;
            }
            // From the last group's second sync on, everything is in its place.
            assert_eq!(done.is_ok(), at >= 3, "sync {at}: {done:?}");
            assert!(done.is_ok() || matches!(done, Err(CleanError::Changed)));
            let offsets = world.offsets();
            let kept: Vec<i64> = [3, 4, 6, 7].into_iter().filter(|o| *o < upto).collect();
            let is_right = |found: &[i64]| {
                found.last() == Some(&upto) && kept.iter().all(|offset| found.contains(offset))
            };
            assert!(is_right(&offsets), "cut to {upto} at sync {at}: {offsets:?}");
            for left in world.after_crashes(at as u64 + 100 * upto as u64) {
                assert!(is_right(&left), "cut to {upto} at sync {at}: {left:?}");
            }
            world.check_files();
            true
        });
        assert_eq!(tried, 5);
    }
}

#[test]
fn a_log_that_begins_anew_meanwhile_has_nothing_of_the_old_one() {
    let tried = at_every_sync(|world, at| {
        let done = world.clean(at, |log| {
            log.truncate_fully_and_start_at(Offset(20), None, NOW).unwrap();
            write(log, "z", "instead");
        });
        if !world.acted() {
            return false;
        }
        assert_eq!(done.is_ok(), at >= 3, "sync {at}: {done:?}");
        assert_eq!(world.offsets(), [20]);
        world.log.write().close(NOW).unwrap();
        for left in world.after_crashes(at as u64) {
            assert_eq!(left, [20], "sync {at}");
        }
        world.check_files();
        true
    });
    assert_eq!(tried, 5);
}

#[test]
fn segments_that_are_removed_meanwhile_stay_away() {
    let tried = at_every_sync(|world, at| {
        let done = world.clean(at, |log| {
            log.delete_records(Offset(4)).unwrap();
            log.delete_old_segments(NOW).unwrap();
        });
        if !world.acted() {
            return false;
        }
        assert!(done.is_ok() || matches!(done, Err(CleanError::Changed)), "{done:?}");
        assert_eq!(world.log.read().start_offset(), Offset(4));
        assert_eq!(world.log.read().segment_base_offsets()[0], Offset(4), "sync {at}");
        let offsets = world.offsets();
        assert!([4, 6, 7, 8].iter().all(|o| offsets.contains(o)), "sync {at}: {offsets:?}");
        for left in world.after_crashes(at as u64) {
            assert!([4, 6, 7, 8].iter().all(|o| left.contains(o)), "sync {at}: {left:?}");
            assert!(left[0] >= 4, "sync {at}: {left:?}");
        }
        world.check_files();
        true
    });
    assert_eq!(tried, 5);
}
