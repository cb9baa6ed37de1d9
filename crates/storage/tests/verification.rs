//! The first records of a transaction need the guard that was handed out before its coordinator was asked (KIP-890).
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{Offset, WallMs};
use common::*;
use protocol::ErrorCode;
use records::{AppendOrigin, Compression, EndTxnMarker};
use storage::log::{Appender, ProducerConfig, VerificationGuard, Verify};
use storage::{Log, LogConfig};

fn open(place: &Place) -> Log {
    let mut log = place.open();
    log.set_producer_config(ProducerConfig { verify_transactions: true, ..Default::default() });
    log
}

fn verify(producer: Producer, bumps_epoch: bool) -> Verify {
    let Producer { id: producer_id, epoch, sequence, .. } = producer;
    Verify { producer_id, epoch, sequence, bumps_epoch }
}

fn begin(log: &mut Log, producer: Producer, v2: bool) -> Option<VerificationGuard> {
    let begun = log.begin_verification(&verify(producer, v2), NOW).unwrap();
    begun.map(|unverified| unverified.guard)
}

/// The first offset, or the error.
fn send(
    log: &mut Log,
    producer: Producer,
    guard: Option<VerificationGuard>,
) -> Result<i64, ErrorCode> {
    let bytes = client_batch(&[(NOW.0, b"a")], Compression::None, Some(producer));
    let mut batch = prepared(bytes, AppendOrigin::Client);
    let appender = Appender { guard, ..AppendOrigin::Client.into() };
    let info = log.append_as_leader(&mut batch, EPOCH, appender, NOW);
    info.map(|info| info.first_offset.0).map_err(|error| error.error_code())
}

fn end(log: &mut Log, producer: Producer, epoch: i16, version: i16) -> Option<ErrorCode> {
    let marker = EndTxnMarker { commit: false, coordinator_epoch: 1 };
    let (id, epoch) = (base::ProducerId(producer.id), base::ProducerEpoch(epoch));
    let bytes = marker.batch(Offset::ZERO, EPOCH, NOW.0, id, epoch).unwrap();
    let mut batch = prepared(bytes, AppendOrigin::Coordinator);
    log.append_marker(&mut batch, EPOCH, version, NOW).err().map(|error| error.error_code())
}

fn producer(epoch: i16, sequence: i32) -> Producer {
    transactional(7, epoch, sequence).unwrap()
}

#[test]
fn a_transaction_begins_with_a_guard_and_goes_on_without() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    assert_eq!(send(&mut log, producer(0, 0), None), Err(ErrorCode::InvalidTxnState));
    let guard = begin(&mut log, producer(0, 0), false);
    assert!(guard.is_some());
    assert_eq!(begin(&mut log, producer(0, 0), false), guard, "asked again, the same");
    assert_eq!(send(&mut log, producer(0, 0), None), Err(ErrorCode::InvalidTxnState));
    assert_eq!(send(&mut log, producer(0, 0), guard), Ok(0));
    assert_eq!(begin(&mut log, producer(0, 1), false), None, "it is open");
    assert_eq!(send(&mut log, producer(0, 1), None), Ok(1));
    assert_eq!(end(&mut log, producer(0, 0), 0, 1), None);
    assert_eq!(send(&mut log, producer(0, 2), guard), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn an_answer_that_comes_after_the_end_opens_nothing() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let late = begin(&mut log, producer(0, 0), false);
    assert_eq!(end(&mut log, producer(0, 0), 0, 1), None, "aborted meanwhile");
    let next = begin(&mut log, producer(0, 0), false);
    assert_ne!(late, next);
    assert_eq!(send(&mut log, producer(0, 0), late), Err(ErrorCode::InvalidTxnState));
    assert_eq!(send(&mut log, producer(0, 0), next), Ok(1));
}

#[test]
fn with_epochs_for_each_transaction_the_end_of_the_last_one_is_no_end_of_the_next() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let first = begin(&mut log, producer(0, 0), true);
    assert_eq!(send(&mut log, producer(0, 0), first), Ok(0));
    // The next transaction has the epoch that the marker brings.
    let next = begin(&mut log, producer(1, 0), true);
    assert_eq!(end(&mut log, producer(0, 0), 1, 2), None);
    assert_eq!(send(&mut log, producer(1, 0), next), Ok(2));
    let stale = log.begin_verification(&verify(producer(0, 1), true), NOW);
    assert_eq!(stale.unwrap_err().error_code(), ErrorCode::InvalidProducerEpoch);
    assert_eq!(send(&mut log, producer(0, 1), None), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn sequences_wait_for_the_lowest_one() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let guard = begin(&mut log, producer(0, 3), false);
    assert_eq!(begin(&mut log, producer(0, 5), false), guard);
    let ahead = send(&mut log, producer(0, 5), guard);
    assert_eq!(ahead, Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut log, producer(0, 3), guard), Ok(0));
    // A producer of transactions v2 that nothing is known of begins at zero.
    let other = Producer { id: 8, ..producer(0, 4) };
    let guard = begin(&mut log, other, true);
    assert_eq!(send(&mut log, other, guard), Err(ErrorCode::OutOfOrderSequenceNumber));
    let other = Producer { sequence: 0, ..other };
    assert_eq!(begin(&mut log, other, true), guard);
    assert_eq!(send(&mut log, other, guard), Ok(1));
}

#[test]
fn coordinators_need_guards_and_followers_do_not() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let mut append = |origin: AppendOrigin, guard: Option<VerificationGuard>| {
        let bytes = client_batch(&[(NOW.0, b"a")], Compression::None, Some(producer(0, 0)));
        let mut batch = prepared(bytes, origin);
        let appender = Appender { guard, ..origin.into() };
        log.append_as_leader(&mut batch, EPOCH, appender, NOW).map_err(|error| error.error_code())
    };
    let refused = append(AppendOrigin::Coordinator, None).unwrap_err();
    assert_eq!(refused, ErrorCode::InvalidTxnState);
    assert!(append(AppendOrigin::Replication, None).is_ok());
}

#[test]
fn who_never_came_back_is_forgotten() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let guard = begin(&mut log, producer(0, 0), false);
    log.expire_producers(WallMs(NOW.0 + 86_400_000));
    assert_eq!(send(&mut log, producer(0, 0), guard), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn the_last_epoch_can_still_be_ended() {
    let place = Place::new(LogConfig::default());
    let mut log = open(&place);
    let last = producer(i16::MAX, 0);
    let guard = begin(&mut log, last, false);
    assert_eq!(send(&mut log, last, guard), Ok(0));
    assert_eq!(end(&mut log, last, i16::MAX, 2), None, "there is no newer one");
}
