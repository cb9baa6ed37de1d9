//! Cleaning against a naive model: random histories of keyed, idempotent and transactional records over any split into
//! segments, any number of passes with maps of any size, restarts and crashes in the middle of a pass.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Offset, TopicPartition, WallMs};
use common::keyed::*;
use common::*;
use parking_lot::RwLock;
use proptest::prelude::*;
use records::Compression;
use simdisk::{Loss, SimDisk};
use storage::log::OpenOptions;
use storage::{Disk, FilePool, Log};

const RETENTION_MS: i64 = 100;

#[derive(Clone, Debug)]
enum Action {
    /// By which producer (none, idempotent or transactional), which keys with a value or without, codec.
    Append(u8, Vec<(u8, bool)>, Compression),
    /// The producer's transaction ends.
    End(u8, bool),
    /// The producer begins anew with its next epoch.
    Bump(u8),
    Roll,
    /// The most keys of the map, the time since the last pass.
    Clean(u64, u8),
    /// A pass that a crash ends after so many changes of the disk.
    CrashedClean(u64, Loss, u8),
    Reopen(bool),
    /// A start that knows of the producers only what the log says.
    ReopenWithoutSnapshots,
}

fn action() -> impl Strategy<Value = Action> {
    let codec = prop::sample::select(vec![Compression::None, Compression::None, Compression::Lz4]);
    let keys = prop::collection::vec((0..6u8, prop::bool::weighted(0.7)), 1..5);
    let loss = (0..8usize, any::<u64>()).prop_map(|(kind, seed)| Loss::every(seed)[kind]);
    prop_oneof![
        16 => (0..7u8, keys, codec).prop_map(|(who, keys, codec)| Action::Append(who, keys, codec)),
        5 => (0..7u8, any::<bool>()).prop_map(|(who, commit)| Action::End(who, commit)),
        1 => (0..7u8).prop_map(Action::Bump),
        4 => Just(Action::Roll),
        4 => (1..40u64, 0..80u8).prop_map(|(keys, waited)| Action::Clean(keys, waited)),
        2 => (0..60u64, loss, 0..80u8).prop_map(|(at, loss, waited)| Action::CrashedClean(at, loss, waited)),
        1 => any::<bool>().prop_map(Action::Reopen),
        1 => Just(Action::ReopenWithoutSnapshots),
    ]
}

/// Producers 1 and 2 are idempotent, those above transactional.
fn is_transactional(who: u8) -> bool {
    who > 2
}

#[derive(Default)]
struct Writer {
    epoch: i16,
    sequence: i32,
    /// The records of its open transaction.
    open: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Committed,
    Open,
    Aborted,
}

struct Written {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    state: State,
    /// The first pass that may have seen it.
    seen: Option<i64>,
}

/// A log, what was written into it, and how far it is clean.
struct World {
    disk: SimDisk,
    pool: Arc<FilePool>,
    log: Option<Log>,
    writers: BTreeMap<u8, Writer>,
    written: BTreeMap<i64, Written>,
    clean_upto: i64,
    /// No pass was to reach what lies here and behind it.
    untouched: i64,
    now: i64,
    values: u32,
}

fn options(log: Option<&Log>, clean: bool) -> OpenOptions {
    OpenOptions {
        config: Arc::new(compacted(700)),
        start_offset: log.map_or(Offset(0), Log::start_offset),
        recovery_point: log.map_or(Offset(0), Log::recovery_point),
        clean,
        ..OpenOptions::default()
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            disk: SimDisk::default(),
            pool: FilePool::new(Arc::new(SimDisk::default()), 1),
            log: None,
            writers: BTreeMap::new(),
            written: BTreeMap::new(),
            clean_upto: 0,
            untouched: 0,
            now: NOW.0,
            values: 0,
        };
        let disk = SimDisk::with_pages(64, 16);
        let logs = dir().parent().unwrap().to_path_buf();
        disk.create_dir(&logs).unwrap();
        disk.sync_file_system(Path::new("/")).unwrap();
        world.open(disk, &options(None, false));
        world
    }

    fn open(&mut self, disk: SimDisk, options: &OpenOptions) {
        self.disk = disk.clone();
        self.pool = FilePool::new(Arc::new(disk), 32);
        let name = TopicPartition::new("topic", 0);
        let mut log = Log::open(&self.pool, dir(), name, options.clone(), NOW).unwrap();
        log.set_high_watermark(log.end_offset());
        self.log = Some(log);
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn append(&mut self, who: u8, keys: &[(u8, bool)], codec: Compression) {
        let mut records = Vec::new();
        for (key, has_value) in keys {
            self.values += 1;
            let value = has_value.then(|| format!("{}", self.values).into_bytes());
            // Keys as those of markers: they must not meet.
            records.push((Some(vec![0, 0, 0, *key]), value));
        }
        let writer = self.writers.entry(who).or_default();
        let (id, epoch, sequence) = (i64::from(who), writer.epoch, writer.sequence);
        let producer = match who {
            0 => None,
            _ if is_transactional(who) => transactional(id, epoch, sequence),
            _ => idempotent(id, epoch, sequence),
        };
        let log = self.log.as_mut().unwrap();
        let first = append_keyed(log, &records, codec, producer).unwrap();
        writer.sequence += records.len() as i32;
        for (offset, (key, value)) in (first..).zip(records) {
            let state = if is_transactional(who) { State::Open } else { State::Committed };
            if state == State::Open {
                writer.open.push(offset);
            }
            self.written.insert(offset, Written { key: key.unwrap(), value, state, seen: None });
        }
    }

    fn end(&mut self, who: u8, commit: bool) {
        let Some(writer) = self.writers.get_mut(&who).filter(|writer| !writer.open.is_empty())
        else {
            return;
        };
        let producer = transactional(who.into(), writer.epoch, 0).unwrap();
        for offset in std::mem::take(&mut writer.open) {
            let state = if commit { State::Committed } else { State::Aborted };
            self.written.get_mut(&offset).unwrap().state = state;
        }
        append_marker(self.log(), producer, commit, 0).unwrap();
    }

    fn bump(&mut self, who: u8) {
        let writer = self.writers.entry(who).or_default();
        if writer.open.is_empty() {
            writer.epoch += 1;
            writer.sequence = 0;
        }
    }

    fn pass(&mut self, keys: u64, waited: u8) -> Pass {
        self.now += i64::from(waited);
        let active = self.log().segment_base_offsets().last().unwrap().0;
        self.untouched = self.untouched.max(active);
        let pass = Pass {
            from: self.clean_upto,
            now: WallMs(self.now),
            delete_retention_ms: RETENTION_MS,
            keys,
        };
        for written in self.written.values_mut() {
            written.seen.get_or_insert(self.now);
        }
        pass
    }

    fn clean(&mut self, keys: u64, waited: u8) {
        let pass = self.pass(keys, waited);
        let log = RwLock::new(self.log.take().unwrap());
        let stats = clean_log(&log, pass).unwrap();
        self.log = Some(log.into_inner());
        assert!(stats.upto.0 >= self.clean_upto, "{stats:?}");
        self.clean_upto = stats.upto.0;
    }

    fn crashed_clean(&mut self, at: u64, loss: Loss, waited: u8) {
        self.log().flush(NOW).unwrap();
        run_work(self.log());
        let pass = self.pass(1000, waited);
        self.disk.crash_at(self.disk.operations() + at);
        let log = RwLock::new(self.log.take().unwrap());
        let done = clean_log(&log, pass);
        let log = log.into_inner();
        let options = options(Some(&log), false);
        drop(log);
        if let Ok(stats) = done {
            self.clean_upto = stats.upto.0;
        }
        let disk = self.disk.after_crash(loss);
        self.open(disk, &options);
    }

    fn reopen(&mut self, clean: bool) {
        let mut log = self.log.take().unwrap();
        if clean {
            log.close(NOW).unwrap();
        }
        let options = options(Some(&log), clean);
        drop(log);
        self.open(self.disk.clone(), &options);
    }

    fn reopen_without_snapshots(&mut self) {
        for file in self.disk.list(&dir()).unwrap() {
            if file.name.ends_with(".snapshot") {
                self.disk.remove_file(&dir().join(file.name)).unwrap();
            }
        }
        self.reopen(false);
    }

    fn run(&mut self, action: &Action) {
        match action {
            Action::Append(who, keys, codec) => self.append(*who, keys, *codec),
            Action::End(who, commit) => self.end(*who, *commit),
            Action::Bump(who) => self.bump(*who),
            Action::Roll => {
                self.log().roll(NOW).unwrap();
                run_work(self.log());
            }
            Action::Clean(keys, waited) => self.clean(*keys, *waited),
            Action::CrashedClean(at, loss, waited) => self.crashed_clean(*at, *loss, *waited),
            Action::Reopen(clean) => self.reopen(*clean),
            Action::ReopenWithoutSnapshots => self.reopen_without_snapshots(),
        }
    }

    fn producers(&mut self) -> Vec<(i64, i16, i32, Option<Offset>)> {
        let known = self.log().active_producers().into_iter();
        let mut known: Vec<_> = known
            .map(|p| (p.producer_id.0, p.producer_epoch.0, p.last_sequence, p.txn_start_offset))
            .collect();
        known.sort_unstable();
        known
    }

    fn check(&mut self) {
        let log = self.log.as_ref().unwrap();
        let all = consume(log, false);
        assert!(all.is_sorted_by(|a, b| a.0 < b.0), "in order, none twice");
        for (offset, key, value) in &all {
            let written = &self.written[offset];
            assert_eq!((key.as_ref(), value), (Some(&written.key), &written.value), "at {offset}");
        }
        let present: std::collections::HashSet<i64> = all.iter().map(|(o, ..)| *o).collect();
        // What no pass has reached is all there.
        for (offset, _) in self.written.range(self.untouched..) {
            let aborted = self.written[offset].state == State::Aborted;
            assert!(present.contains(offset) || aborted, "{offset} was not to be cleaned");
        }
        let committed: Vec<i64> = consume(log, true).iter().map(|(offset, ..)| *offset).collect();
        let stable = log.last_stable_offset().0;
        for offset in &committed {
            assert_eq!(self.written[offset].state, State::Committed, "at {offset}");
        }
        let mut newest: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (offset, written) in self.written.range(..stable) {
            if written.state == State::Committed {
                newest.insert(&written.key, *offset);
            }
        }
        for (key, offset) in newest {
            let found = committed.iter().rfind(|found| self.written[found].key == key);
            let written = &self.written[&offset];
            let due = written.seen.is_some_and(|seen| seen + RETENTION_MS <= self.now);
            if written.value.is_none() && due {
                // A deleted key: the tombstone, or no trace of it.
                assert!(found.is_none_or(|found| *found == offset), "{key:?}: {found:?}");
            } else {
                assert_eq!(found, Some(&offset), "the newest record of {key:?}");
            }
        }
    }
}

fn dir() -> PathBuf {
    PathBuf::from("/logs/topic-0")
}

fn run(actions: &[Action]) {
    let mut world = World::new();
    for action in actions {
        let before = world.producers();
        let (end, epochs) = (world.log().end_offset(), world.log().epochs().to_vec());
        world.run(action);
        let keeps = matches!(
            action,
            Action::Clean(..)
                | Action::CrashedClean(..)
                | Action::Reopen(_)
                | Action::ReopenWithoutSnapshots
        );
        if keeps {
            assert_eq!(world.producers(), before, "the producers after {action:?}");
            assert_eq!(world.log().end_offset(), end, "the end after {action:?}");
            assert_eq!(world.log().epochs(), epochs, "the epochs after {action:?}");
            world.check();
        }
    }
    world.check();
    // Two more passes over everything, then only the newest is left of what is not open.
    let all = Pass { from: 0, now: WallMs(0), delete_retention_ms: RETENTION_MS, keys: 1000 };
    for waited in [0, 120] {
        world.log().roll(NOW).unwrap();
        world.clean_upto = all.from;
        world.clean(1000, waited);
        world.check();
    }
    let log = world.log.as_ref().unwrap();
    let committed = consume(log, true);
    if log.last_stable_offset() == log.end_offset() {
        let mut keys: Vec<_> = committed.iter().map(|(_, key, _)| key.clone()).collect();
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "each key once");
    }
}

fn cases() -> u32 {
    std::env::var("CLEANING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cleaned_log_says_what_its_model_says(actions in prop::collection::vec(action(), 1..70)) {
        run(&actions);
    }
}
