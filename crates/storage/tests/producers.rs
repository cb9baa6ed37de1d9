//! Idempotent and transactional producers: sequences, epochs, duplicates, markers, the last stable offset, expiry.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{Offset, WallMs};
use common::*;
use protocol::ErrorCode;
use storage::{Log, LogConfig};

/// Sends two records from this sequence on; gives the first offset, `dup` before it for a duplicate, or the error.
fn send(log: &mut Log, producer: Option<Producer>) -> String {
    let records: [(i64, &[u8]); 2] = [(NOW.0, b"a"), (NOW.0 + 5, b"b")];
    match append_batch(log, &records, producer) {
        Ok(info) if info.duplicate => {
            assert_eq!(info.last_offset.0, info.first_offset.0 + 1);
            assert_eq!(info.log_append_time, Some(WallMs(NOW.0 + 5)));
            format!("dup {}", info.first_offset)
        }
        Ok(info) => info.first_offset.to_string(),
        Err(error) => format!("{:?}", error.error_code()),
    }
}

/// (epoch, sequence) sent one after another by one producer, and what each is answered.
fn check(place: &Place, sent: &[(i16, i32, &str)]) -> Log {
    let mut log = place.open();
    for (n, (epoch, sequence, expected)) in sent.iter().enumerate() {
        let answer = send(&mut log, idempotent(7, *epoch, *sequence));
        assert_eq!(answer, *expected, "send {n}: epoch {epoch}, sequence {sequence}");
    }
    log
}

#[test]
fn sequences_must_follow() {
    let place = Place::new(LogConfig::default());
    check(
        &place,
        &[
            // An unknown producer may begin anywhere.
            (0, 10, "0"),
            (0, 12, "2"),
            (0, 15, "OutOfOrderSequenceNumber"),
            (0, 13, "OutOfOrderSequenceNumber"),
            (0, 14, "4"),
        ],
    );
}

#[test]
fn the_last_five_batches_are_known() {
    let place = Place::new(LogConfig::default());
    check(
        &place,
        &[
            (0, 0, "0"),
            (0, 2, "2"),
            (0, 4, "4"),
            (0, 6, "6"),
            (0, 8, "8"),
            (0, 0, "dup 0"),
            (0, 8, "dup 8"),
            (0, 10, "10"),
            (0, 2, "dup 2"),
            (0, 0, "OutOfOrderSequenceNumber"),
        ],
    );
}

#[test]
fn an_epoch_begins_at_zero_and_fences_the_ones_before() {
    let place = Place::new(LogConfig::default());
    check(
        &place,
        &[
            (3, 0, "0"),
            (4, 2, "OutOfOrderSequenceNumber"),
            (4, 0, "2"),
            (3, 2, "InvalidProducerEpoch"),
            // Of another epoch, a repeated batch is not a duplicate.
            (3, 0, "InvalidProducerEpoch"),
            (4, 0, "dup 2"),
            (4, 2, "4"),
        ],
    );
}

#[test]
fn sequences_wrap_to_zero() {
    let place = Place::new(LogConfig::default());
    check(
        &place,
        &[
            (0, i32::MAX - 3, "0"),
            (0, i32::MAX - 1, "2"),
            (0, 0, "4"),
            (0, i32::MAX - 1, "dup 2"),
            (0, 2, "6"),
        ],
    );
    let place = Place::new(LogConfig::default());
    // The batch that wraps holds i32::MAX and 0.
    check(&place, &[(0, i32::MAX, "0"), (0, 1, "2"), (0, i32::MAX, "dup 0")]);
}

#[test]
fn the_state_survives_stops_and_truncation() {
    let mut place = Place::new(LogConfig { segment_bytes: 300, ..LogConfig::default() });
    place.options.producers.id_expiration_ms = i64::MAX;
    let mut log = check(&place, &[(0, 0, "0"), (0, 2, "2"), (0, 4, "4"), (0, 6, "6")]);
    assert!(log.segment_count() > 1);
    // Restarted from a snapshot, only the last batch is known.
    for clean in [true, false] {
        log = if clean { place.reopen_clean(log) } else { place.reopen_unclean(log) };
        assert_eq!(send(&mut log, idempotent(7, 0, 6)), "dup 6");
        assert_eq!(send(&mut log, idempotent(7, 0, 9)), "OutOfOrderSequenceNumber");
    }
    log.truncate_to(Offset(4), NOW).unwrap();
    assert_eq!(send(&mut log, idempotent(7, 0, 6)), "OutOfOrderSequenceNumber");
    assert_eq!(send(&mut log, idempotent(7, 0, 4)), "4");
    // Lost and corrupt snapshots are no loss: the log has it all.
    for name in place.names().iter().filter(|name| name.ends_with(".snapshot")) {
        std::fs::write(place.file(name), b"no snapshot").unwrap();
    }
    log = place.reopen_unclean(log);
    assert_eq!(send(&mut log, idempotent(7, 0, 4)), "dup 4");
    log.truncate_fully_and_start_at(Offset(50), None, NOW).unwrap();
    assert_eq!(log.active_producers(), []);
    assert_eq!(send(&mut log, idempotent(7, 0, 77)), "50");
}

#[test]
fn silent_producers_are_forgotten_and_open_transactions_are_not() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open();
    send(&mut log, idempotent(1, 0, 0));
    send(&mut log, transactional(2, 0, 0));
    let day = 86_400_000;
    log.expire_producers(WallMs(NOW.0 + 4 + day));
    assert_eq!(log.active_producers().len(), 2);
    log.expire_producers(WallMs(NOW.0 + 5 + day));
    let left = log.active_producers();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].producer_id.0, left[0].txn_start_offset), (2, Some(Offset(2))));
    assert!(!log.has_late_transaction(WallMs(NOW.0 + 900_000)));
    assert!(log.has_late_transaction(WallMs(NOW.0 + 900_000 + 300_006)));
}

#[test]
fn the_stable_offset_waits_for_transactions() {
    let mut place = Place::new(LogConfig { segment_bytes: 200, ..LogConfig::default() });
    let mut log = place.open();
    let (one, two) = (transactional(1, 0, 0).unwrap(), transactional(2, 0, 0).unwrap());
    send(&mut log, None); // 0, 1
    send(&mut log, Some(one)); // 2, 3
    send(&mut log, Some(two)); // 4, 5
    send(&mut log, Some(Producer { sequence: 2, ..one })); // 6, 7
    assert_eq!(log.last_stable_offset(), Offset(2));
    assert!(log.segment_count() > 1);

    // A plain batch does not belong into an open transaction.
    let plain = Producer { sequence: 4, transactional: false, ..one };
    assert_eq!(send(&mut log, Some(plain)), "InvalidTxnState");

    append_marker(&mut log, one, false, 1).unwrap(); // 8 aborts 2..=7
    assert_eq!(log.last_stable_offset(), Offset(4));
    log = place.reopen_unclean(log);
    assert_eq!(log.last_stable_offset(), Offset(4));
    append_marker(&mut log, two, true, 1).unwrap(); // 9
    assert_eq!(log.last_stable_offset(), Offset(10));
    // Decided only once the marker is replicated.
    send(&mut log, Some(Producer { sequence: 2, ..two })); // 10, 11
    let marker = records::EndTxnMarker { commit: true, coordinator_epoch: 1 };
    let (id, epoch) = (base::ProducerId(2), base::ProducerEpoch(0));
    let marker = marker.batch(Offset::ZERO, EPOCH, NOW.0, id, epoch).unwrap();
    let mut marker = prepared(marker, records::AppendOrigin::Coordinator);
    log.append_marker(&mut marker, EPOCH, 1, NOW).unwrap(); // 12
    assert_eq!(log.last_stable_offset(), Offset(10));
    log.set_high_watermark(Offset(13));
    assert_eq!(log.last_stable_offset(), Offset(13));

    for clean in [true, false] {
        log = if clean { place.reopen_clean(log) } else { place.reopen_unclean(log) };
        let aborted = log.aborted_transactions(Offset(0), log.end_offset()).unwrap();
        assert_eq!(aborted.len(), 1);
        let txn = aborted[0];
        assert_eq!((txn.producer_id.0, txn.first_offset, txn.last_offset), (1, 2, 8));
        assert_eq!(txn.last_stable_offset, 4);
        let data = log.read(Offset(3), 1, log.end_offset(), true, true).unwrap();
        assert_eq!(data.aborted, Some(vec![txn]));
        let data = log.read(Offset(9), 1, log.end_offset(), true, true).unwrap();
        assert_eq!(data.aborted, Some(vec![]));
    }
}

#[test]
fn markers_are_fenced_by_epochs() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open();
    let producer = transactional(1, 5, 0).unwrap();
    send(&mut log, Some(producer));
    let code = |log: &mut Log, epoch: i16, coordinator: i32| {
        let result = append_marker(log, Producer { epoch, ..producer }, true, coordinator);
        result.err().map(|error| error.error_code())
    };
    assert_eq!(code(&mut log, 4, 9), Some(ErrorCode::InvalidProducerEpoch));
    assert_eq!(code(&mut log, 5, 9), None);
    assert_eq!(code(&mut log, 5, 8), Some(ErrorCode::TransactionCoordinatorFenced));
    // From transaction version 2 on a marker brings a new epoch; the same one passes only when nothing is open.
    send(&mut log, Some(Producer { sequence: 2, ..producer }));
    let mut with_version = |epoch: i16| {
        let marker = records::EndTxnMarker { commit: false, coordinator_epoch: 9 };
        let (id, epoch) = (base::ProducerId(1), base::ProducerEpoch(epoch));
        let bytes = marker.batch(Offset::ZERO, EPOCH, NOW.0, id, epoch).unwrap();
        let mut batch = prepared(bytes, records::AppendOrigin::Coordinator);
        log.append_marker(&mut batch, EPOCH, 2, NOW).err().map(|error| error.error_code())
    };
    assert_eq!(with_version(5), Some(ErrorCode::InvalidProducerEpoch));
    assert_eq!(with_version(6), None);
    assert_eq!(with_version(6), None);
}
