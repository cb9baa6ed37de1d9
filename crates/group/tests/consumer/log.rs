//! The log tells all: reloads, compaction, and appends that fail.

use std::collections::BTreeMap;

use base::Offset;
use coordinator::{LogRecord, Shard};
use group::GroupShard;
use protocol::ErrorCode;

use crate::harness::{Heartbeat, Test, alive, join, join_regex, join_static};

/// A group with a bit of everything, in the middle of a rebalance.
fn busy() -> Test {
    let mut test = Test::new();
    test.ok(join("m1", &["a"]));
    test.ok(join_static("m2", "i2", &["a", "b"]));
    test.settle();
    test.ok(join_regex("m3", "a.*"));
    test.settle();
    test.ok(Heartbeat { server_assignor: Some("range".into()), ..join("m4", &["b"]) });
    test.ok(Heartbeat { instance_id: Some("i2".into()), ..alive("m2", -2) });
    test.ok(join_static("m5", "i2", &["a", "b"]));
    test.ok(join("m6", &["a"]));
    test.ok(alive("m6", -1));
    let epoch = test.group().member("m1").unwrap().epoch;
    test.ok(alive("m1", epoch));
    test
}

#[test]
fn a_reload_finds_what_was_there() {
    let mut test = busy();
    let state = test.context.runtime.tip().clone();
    assert_eq!(test.group().state(), "Reconciling");
    test.context.reload();
    assert_eq!(test.context.runtime.tip(), &state);
    // Everybody has time to show up, or to give up partitions, and is removed if not.
    test.context.advance(29_999);
    assert_eq!(test.context.runtime.tip(), &state);
    test.context.advance(1);
    assert_eq!(test.group().members().count(), 3);
    test.context.advance(15_000);
    assert!(test.group().is_empty());
}

#[test]
fn any_order_of_the_last_records_gives_the_same_state() {
    let test = busy();
    let mut last: BTreeMap<Vec<u8>, LogRecord> = BTreeMap::new();
    for record in test.context.log.iter().flatten() {
        last.insert(record.key.clone(), record.clone());
    }
    let records: Vec<LogRecord> = last.into_values().collect();
    assert!(records.len() > 20);
    let mut seed: u64 = 1;
    for _ in 0..200 {
        let mut order: Vec<&LogRecord> = records.iter().collect();
        for at in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(at, usize::try_from(seed >> 33).unwrap() % (at + 1));
        }
        let mut shard = GroupShard::default();
        for record in order {
            let decoded = GroupShard::decode(&record.key, record.value.as_deref()).unwrap();
            shard.replay(Offset(0), None, &decoded.expect("all are known"));
        }
        assert_eq!(&shard, test.context.runtime.tip());
    }
}

#[test]
fn records_come_back_as_they_were_written() {
    let test = busy();
    for record in test.context.log.iter().flatten() {
        let decoded = GroupShard::decode(&record.key, record.value.as_deref()).unwrap().unwrap();
        assert_eq!(&GroupShard::encode(&decoded).unwrap(), record);
    }
}

#[test]
fn a_failed_append_leaves_nothing_behind() {
    let mut test = busy();
    let before = test.context.runtime.tip().clone();
    test.context.append_error = Some(ErrorCode::NotEnoughReplicas);
    let requests = [
        join("m9", &["a"]),
        join_regex("m9", "b.*"),
        join_static("m9", "i9", &["a"]),
        alive("m1", -1),
    ];
    for request in requests {
        assert_eq!(test.send(request), Err(ErrorCode::CoordinatorNotAvailable));
        assert_eq!(test.context.runtime.tip(), &before);
    }
    // A timer whose effects could not be written comes again.
    test.context.advance(45_000);
    assert_eq!(test.context.runtime.tip(), &before);
    test.context.append_error = None;
    test.context.advance(500);
    assert!(test.group().is_empty());
}

#[test]
fn an_expired_group_can_come_back_in_any_kind() {
    let mut test = Test::new();
    test.ok(join("m1", &["a"]));
    test.ok(alive("m1", -1));
    test.context.advance(600_000);
    assert!(test.try_group().is_none());
    test.ok(join("m1", &["a"]));
    assert_eq!(test.group().epoch, 2);
    let state = test.context.runtime.tip().clone();
    test.context.reload();
    assert_eq!(test.context.runtime.tip(), &state);
}
