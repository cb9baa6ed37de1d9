//! A volume that fills and is freed: nothing that was acknowledged is lost, the log stays online, and goes on by itself.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LeaderEpoch, Offset, TopicPartition};
use common::*;
use protocol::ErrorCode;
use records::{AppendOrigin, Compression};
use small_disk::{BLOCK, SmallDisk};
use storage::log::{AppendInfo, LogWork, OpenOptions};
use storage::space::{DirSpace, Volume};
use storage::{FilePool, Log, LogConfig, LogError};

const PRODUCER: i64 = 7;
const TRANSACTIONAL: i64 = 8;

/// A log on a small disk, and what it has promised.
struct World {
    root: tempfile::TempDir,
    disk: SmallDisk,
    log: Option<Log>,
    /// Value and base offset of every batch that was acknowledged and not removed.
    acked: Vec<(i64, Vec<u8>)>,
    /// Of the idempotent producer: what it sends next, and its last batch.
    sequence: i32,
    last: Option<(i32, Vec<u8>, i64)>,
    /// Every transaction has an epoch of its own, as `transaction.version` 2 wants it.
    txn_epoch: i16,
    txn_start: Option<i64>,
    aborted: Vec<(i64, i64)>,
    random: u64,
}

fn options(recovery_point: Offset, start_offset: Offset, clean: bool) -> OpenOptions {
    let config = LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 100,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    OpenOptions {
        config: Arc::new(config),
        recovery_point,
        start_offset,
        clean,
        ..OpenOptions::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            root: tempfile::tempdir().unwrap(),
            disk: SmallDisk::new(1 << 20),
            log: None,
            acked: Vec::new(),
            sequence: 0,
            last: None,
            txn_epoch: 0,
            txn_start: None,
            aborted: Vec::new(),
            random: seed,
        };
        world.open(options(Offset(0), Offset(0), true));
        world
    }

    fn next(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1442695);
        (self.random >> 33) % bound
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn open(&mut self, options: OpenOptions) {
        let pool = FilePool::new(Arc::new(self.disk.clone()), 64);
        let dir = self.root.path().join("topic-0");
        let mut log = Log::open(&pool, dir, TopicPartition::new("topic", 0), options, NOW).unwrap();
        log.set_high_watermark(log.end_offset());
        self.log = Some(log);
    }

    /// The process dies, or stops: cleanly when it can.
    fn restart(&mut self, clean: bool) {
        let mut log = self.log.take().unwrap();
        let (start, point) = (log.start_offset(), log.recovery_point());
        let closed = clean && log.close(NOW).is_ok();
        let point = if closed { log.recovery_point() } else { point };
        drop(log);
        self.open(options(point, start, closed));
    }

    fn send(&mut self, value: Vec<u8>, producer: Producer) -> Result<AppendInfo, LogError> {
        let result = append_batch(self.log(), &[(NOW.0, &value)], Some(producer));
        if let Ok(info) = &result
            && !info.duplicate
        {
            self.acked.push((info.first_offset.0, value));
        }
        result
    }

    fn produce(&mut self) -> Result<(), LogError> {
        let len = self.next(900) as usize + 1;
        let (sequence, value) = (self.sequence, vec![self.random as u8; len]);
        let producer = idempotent(PRODUCER, 0, sequence).unwrap();
        let info = self.send(value.clone(), producer)?;
        self.sequence += 1;
        self.last = Some((sequence, value, info.first_offset.0));
        Ok(())
    }

    /// What a client does that did not hear the answer.
    fn send_again(&mut self) {
        let Some((sequence, value, offset)) = self.last.clone() else { return };
        let info = self.send(value, idempotent(PRODUCER, 0, sequence).unwrap()).unwrap();
        assert!(info.duplicate);
        assert_eq!(info.first_offset.0, offset);
    }

    fn transact(&mut self) -> Result<(), LogError> {
        let producer = transactional(TRANSACTIONAL, self.txn_epoch, 0).unwrap();
        let Some(first) = self.txn_start else {
            let info = self.send(vec![9; 40], producer)?;
            self.txn_start = Some(info.first_offset.0);
            return Ok(());
        };
        let commit = self.next(2) == 0;
        let info = append_marker(self.log(), producer, commit, 1)?;
        self.txn_start = None;
        self.txn_epoch += 1;
        if !commit {
            self.aborted.push((first, info.last_offset.0));
        }
        Ok(())
    }

    fn retain(&mut self) -> Result<(), LogError> {
        let end = self.log().end_offset().0;
        let start = self.log().start_offset().0;
        let start = start + self.next((end - start + 1) as u64) as i64;
        self.log().delete_records(Offset(start)).map(drop)?;
        self.log().delete_old_segments(NOW).map(drop)
    }

    fn step(&mut self) {
        let result = match self.next(20) {
            0..8 => self.produce(),
            8..11 => self.transact(),
            11 => {
                self.send_again();
                Ok(())
            }
            12 => self.log().roll(NOW).map(drop),
            13 => self.log().flush(NOW),
            14 => self.retain(),
            15 => {
                self.work();
                Ok(())
            }
            16 => {
                let clean = self.next(2) == 0;
                self.restart(clean);
                Ok(())
            }
            17 => {
                let left = [Some(0), Some(1), Some(2), None, None, None][self.next(6) as usize];
                self.disk.set_names_left(left);
                Ok(())
            }
            // Others fill the volume to the last block, or leave a little, or much.
            _ => {
                let left = [0, 0, 1, 2, 5, 40][self.next(6) as usize];
                self.disk.set_capacity(self.disk.used() + left);
                Ok(())
            }
        };
        if let Err(error) = result {
            assert!(error.is_full() && !error.is_disk_failure(), "{error}");
            assert_eq!(error.error_code(), ErrorCode::NotEnoughReplicas);
        }
        assert_eq!(self.log().failure(), None);
    }

    fn work(&mut self) {
        for work in self.log().take_work() {
            match work {
                LogWork::Flush(flush) => self.log().complete_flush(flush.run(), NOW).unwrap(),
                LogWork::Remove(remove) => remove.run().unwrap(),
            }
        }
    }

    fn check(&mut self, context: &str) {
        let log = self.log.as_ref().unwrap();
        let (start, end) = (log.start_offset().0, log.end_offset().0);
        let markers = end - start;
        let found: Vec<(i64, Vec<u8>)> = read_all(log, start)
            .into_iter()
            .filter(|(_, _, value)| value.len() != 6 || value[0] == value[5])
            .map(|(offset, _, value)| (offset, value))
            .collect();
        let expected: Vec<_> =
            self.acked.iter().filter(|(offset, _)| *offset >= start).cloned().collect();
        assert_eq!(found.len(), expected.len(), "{context}: {start}..{end} {markers}");
        assert!(found == expected, "{context}");
        let data = log.read(Offset(start), u32::MAX, Offset(end), true, true).unwrap();
        let aborted: Vec<_> = data.aborted.unwrap_or_default();
        let last = data.records.map_or(start, |_| end);
        for txn in &aborted {
            let known = self.aborted.contains(&(txn.first_offset, txn.last_offset));
            assert!(known, "{context}: {txn:?} of {last}");
        }
    }

    /// Every aborted transaction that is still there, from wherever it is asked.
    fn check_aborted(&mut self, context: &str) {
        let log = self.log.as_ref().unwrap();
        let start = log.start_offset().0;
        for (first, last) in self.aborted.iter().filter(|(first, _)| *first >= start) {
            let data = log.read(Offset(*first), 1, log.end_offset(), true, true).unwrap();
            let aborted = data.aborted.unwrap_or_default();
            let found =
                aborted.iter().any(|txn| (txn.first_offset, txn.last_offset) == (*first, *last));
            assert!(found, "{context}: {first}..{last} not in {aborted:?}");
        }
    }
}

#[test]
fn a_disk_that_fills_and_empties_loses_nothing_and_heals() {
    let mut refused = 0;
    for seed in 0..50 {
        let mut world = World::new(seed);
        for step in 0..70 {
            world.step();
            world.check(&format!("seed {seed}, step {step}"));
        }
        world.check_aborted(&format!("seed {seed}"));
        refused += world.disk.refused();
        // Space comes back: it goes on, with everything that there was.
        world.disk.set_names_left(None);
        world.disk.set_capacity(1 << 20);
        world.send_again();
        world.produce().unwrap();
        world.log().flush(NOW).unwrap();
        let end = world.log().end_offset();
        assert_eq!(world.log().recovery_point(), end, "seed {seed}");
        world.restart(true);
        world.check(&format!("seed {seed}, healed"));
        world.check_aborted(&format!("seed {seed}, healed"));
        world.send_again();
        world.restart(false);
        world.check(&format!("seed {seed}, killed"));
        world.check_aborted(&format!("seed {seed}, killed"));
        world.send_again();
        world.produce().unwrap();
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn a_write_that_finds_no_space_leaves_no_byte_behind() {
    let mut world = World::new(1);
    append(world.log(), NOW.0, &[1; 100]);
    let file = world.root.path().join("topic-0/00000000000000000000.log");
    let before = std::fs::metadata(&file).unwrap().len();
    world.disk.set_capacity(world.disk.used() + 1);
    let error = append_batch(world.log(), &[(NOW.0, &[2; 3 * BLOCK as usize])], None).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), before);
    // A smaller one fits.
    append(world.log(), NOW.0, &[3; 10]);
    assert_eq!(read_all(world.log(), 0).len(), 2);
}

/// The log goes on in the segment that it has: at a start, files of the one that was not made would be taken for its end.
#[test]
fn a_segment_that_finds_no_space_leaves_no_file_behind() {
    for (names, clean) in [(1, false), (2, false), (1, true), (2, true)] {
        let mut world = World::new(1);
        append(world.log(), NOW.0, &[1; 100]);
        world.disk.set_names_left(Some(names));
        let refused = world.log().roll(NOW).unwrap_err();
        assert!(refused.is_full(), "{refused}");
        append(world.log(), NOW.0, &[2; 100]);
        world.log().flush(NOW).unwrap();
        world.disk.set_names_left(None);
        world.restart(clean);
        assert_eq!(world.log().end_offset(), Offset(2), "{names} names, clean: {clean}");
        assert_eq!(read_all(world.log(), 0).len(), 2);
    }
}

/// The same where the space of a whole segment is taken at once: there may be enough for a record.
#[test]
fn a_segment_whose_space_cannot_be_reserved_leaves_no_file_behind() {
    for clean in [false, true] {
        let mut world = World::new(1);
        let config = LogConfig { preallocate: true, ..LogConfig::clone(world.log().config()) };
        world.log().set_config(Arc::new(config));
        append(world.log(), NOW.0, &[1; 100]);
        world.disk.set_capacity(world.disk.used() + 4);
        assert!(world.log().roll(NOW).unwrap_err().is_full());
        append(world.log(), NOW.0, &[2; 100]);
        world.disk.set_capacity(1 << 20);
        world.restart(clean);
        assert_eq!(world.log().end_offset(), Offset(2), "clean: {clean}");
    }
}

/// The old segments go even if there is no space for a new one, and make some.
#[test]
fn retention_frees_a_full_disk_where_all_has_expired() {
    let mut world = World::new(1);
    for _ in 0..3 {
        append(world.log(), NOW.0, &[1; 100]);
        world.log().roll(NOW).unwrap();
    }
    append(world.log(), NOW.0, &[1; 100]);
    world.disk.set_names_left(Some(0));
    let later = base::WallMs(NOW.0 + 30 * 24 * 3_600_000);
    assert_eq!(world.log().delete_old_segments(later).unwrap(), 3);
    assert_eq!(read_all(world.log(), 3).len(), 1);
    assert!(world.log().delete_old_segments(later).unwrap_err().is_full());
    world.disk.set_names_left(None);
    assert_eq!(world.log().delete_old_segments(later).unwrap(), 1);
    assert_eq!(world.log().start_offset(), Offset(4));
}

fn log_with(space: &Arc<DirSpace>, root: &Path, internal: bool) -> Log {
    let name = if internal { "__consumer_offsets" } else { "topic" };
    let config = LogConfig { internal, ..LogConfig::default() };
    let options = OpenOptions {
        config: Arc::new(config),
        space: Some(Arc::clone(space)),
        ..OpenOptions::default()
    };
    let pool = FilePool::new(Arc::new(storage::RealDisk), 16);
    let dir: PathBuf = root.join(format!("{name}-0"));
    Log::open(&pool, dir, TopicPartition::new(name, 0), options, NOW).unwrap()
}

fn volume(free_bytes: u64) -> Volume {
    Volume { total_bytes: 1 << 30, free_bytes }
}

#[test]
fn the_reserve_is_given_out_in_steps() {
    let root = tempfile::tempdir().unwrap();
    let space = Arc::new(DirSpace::new(root.path()));
    let mut records = log_with(&space, root.path(), false);
    let mut internal = log_with(&space, root.path(), true);
    let reserve = 1 << 20;
    let first = idempotent(PRODUCER, 0, 0);
    append_batch(&mut records, &[(NOW.0, b"a")], first).unwrap();
    append_batch(&mut records, &[(NOW.0, b"t")], transactional(TRANSACTIONAL, 0, 0)).unwrap();
    space.look(volume(reserve - 1), reserve as i64);

    let refused = append_batch(&mut records, &[(NOW.0, b"b")], None).unwrap_err();
    assert!(matches!(refused, LogError::NoSpace { .. }), "{refused}");
    assert_eq!(refused.error_code(), ErrorCode::NotEnoughReplicas);
    let copied = client_batch(&[(NOW.0, b"b")], Compression::None, None);
    let copied = prepared(copied, AppendOrigin::Client).bytes().to_vec();
    assert!(
        records
            .append_as_follower(&copied, LeaderEpoch(9), NOW)
            .is_err_and(|e| !e.is_disk_failure())
    );
    // What was written is told again, what was begun is ended, offsets are committed.
    assert!(append_batch(&mut records, &[(NOW.0, b"a")], first).unwrap().duplicate);
    append_marker(&mut records, transactional(TRANSACTIONAL, 0, 1).unwrap(), true, 1).unwrap();
    append(&mut internal, NOW.0, b"offset");

    space.look(volume(reserve / 16 - 1), reserve as i64);
    assert!(append_batch(&mut internal, &[(NOW.0, b"offset")], None).unwrap_err().is_full());
    // Reading, cutting and flushing need nothing.
    assert_eq!(read_all(&records, 0).len(), 3);
    records.flush(NOW).unwrap();
    records.delete_records(Offset(1)).unwrap();
    records.truncate_to(Offset(2), NOW).unwrap();

    space.look(volume(reserve + reserve / 8), reserve as i64);
    append(&mut internal, NOW.0, b"offset");
    assert!(append_batch(&mut records, &[(NOW.0, b"b")], None).unwrap_err().is_full());
    space.look(volume(reserve + reserve / 4), reserve as i64);
    append(&mut records, NOW.0, b"b");
}

#[test]
fn a_write_that_finds_no_space_closes_the_directory_until_the_next_look() {
    let root = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(64);
    let space = Arc::new(DirSpace::new(root.path()));
    let pool = FilePool::new(Arc::new(disk.clone()), 16);
    let options = OpenOptions { space: Some(Arc::clone(&space)), ..OpenOptions::default() };
    let dir = root.path().join("topic-0");
    let mut log = Log::open(&pool, dir, TopicPartition::new("topic", 0), options, NOW).unwrap();
    space.look(volume(1 << 29), 0);
    let large = vec![0; 65 * BLOCK as usize];
    assert!(append_batch(&mut log, &[(NOW.0, &large)], None).unwrap_err().is_full());
    let small = append_batch(&mut log, &[(NOW.0, b"a")], None).unwrap_err();
    assert!(matches!(small, LogError::NoSpace { .. }), "{small}");
    space.look(volume(1 << 29), 0);
    append(&mut log, NOW.0, b"a");
}
