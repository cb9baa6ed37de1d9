//! Files are opened where nobody else waits: one directory's disk stands still, the files of others are opened all the same.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use base::{Offset, TopicPartition};
use common::{EPOCH, NOW, Place, append};
use simdisk::StallDisk;
use storage::{FilePool, Log, LogConfig, RealDisk};

/// More than the pool has parts, so that some share one with any other log.
const LOGS: i32 = 32;
const PATIENCE: Duration = Duration::from_secs(60);

fn first_bytes(log: &Log) -> Vec<u8> {
    let found = log.read(Offset::ZERO, 1000, log.end_offset(), true, false).unwrap();
    found.records.unwrap().read().unwrap()
}

#[test]
fn a_file_that_takes_long_to_open_keeps_no_other_from_being_opened() {
    let mut place = Place::new(LogConfig::default());
    let slow = place.root.path().join("slow");
    let (disk, gate) = StallDisk::new(Arc::new(RealDisk), slow.clone());
    place.pool = FilePool::new(Arc::new(disk), 1);
    let open = |dir: &str, n| {
        let name = TopicPartition::new("topic", n);
        let path = place.root.path().join(dir).join(format!("topic-{n}"));
        let mut log = Log::open(&place.pool, path, name, place.options.clone(), NOW).unwrap();
        log.assign_leader_epoch(EPOCH).unwrap();
        append(&mut log, NOW.0, dir.as_bytes());
        log
    };
    let still = open("slow", 0);
    // Of all these only the last are still open, and the slow one is not.
    let quick: Vec<Log> = (0..LOGS).map(|n| open("quick", n)).collect();
    gate.shut();
    let opening = std::thread::spawn(move || first_bytes(&still));
    gate.until_waiting(1);
    let (done, all) = mpsc::channel();
    let others = std::thread::spawn(move || {
        let read: Vec<Vec<u8>> = quick.iter().map(first_bytes).collect();
        let _ = done.send(read);
    });
    let read = all.recv_timeout(PATIENCE);
    gate.open();
    others.join().unwrap();
    let expected = opening.join().unwrap().len() + "quick".len() - "slow".len();
    assert!(read.expect("others are opened").iter().all(|bytes| bytes.len() == expected));
    assert!(place.pool.open_files() <= 16, "{}", place.pool.open_files());
}
