//! What waits to be sent: batching, order, sequences, deadlines.

#![allow(clippy::unwrap_used)] // helpers of tests, too, may fail loudly

use std::sync::Arc;

use base::{MonoMs, NodeId, ProducerEpoch, ProducerId, TopicPartition};
use bytes::Bytes;
use client::Error;
use client::producer::accumulator::{Accumulator, Batch, Identity, Limits, size_upper_bound};
use client::producer::delivery::Stored;
use client::producer::{Delivery, ProducerRecord};
use records::{BatchHeader, Codec};

const LIMITS: Limits = Limits {
    batch_size: 300,
    linger_ms: 10,
    delivery_timeout_ms: 1000,
    codec: Codec::None,
    transactional: false,
};
const IDENTITY: Identity = Identity { id: ProducerId(9), epoch: ProducerEpoch(0) };
const STORED: Stored = Stored { base_offset: 100, log_append_time: -1 };

/// A producer that has its identity.
fn identified() -> Accumulator {
    let mut accumulator = Accumulator::new(LIMITS);
    accumulator.identify(IDENTITY);
    accumulator
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn append(accumulator: &mut Accumulator, now: u64, partition: i32, bytes: usize) -> Delivery {
    let record = ProducerRecord {
        topic: "t".into(),
        value: Some(Bytes::from(vec![7; bytes])),
        ..Default::default()
    };
    accumulator.append(MonoMs(now), tp(partition), 5, &record, bytes as u32).unwrap().delivery
}

/// The partitions that can leave now, by node: 0 to 9 are led by node 1, the rest by nobody.
fn ready(accumulator: &Accumulator, now: u64, hurried: bool) -> (Vec<i32>, Option<u64>) {
    let leader = |tp: &TopicPartition| (tp.partition.get() < 10).then_some(NodeId(1));
    let ready = accumulator.ready(MonoMs(now), hurried, leader);
    let found = ready.partitions.get(&NodeId(1)).into_iter().flatten();
    let mut found: Vec<i32> = found.map(|tp| tp.partition.get()).collect();
    found.sort_unstable();
    (found, ready.look_again.map(|at| at.0))
}

fn drain(accumulator: &mut Accumulator, partitions: &[i32]) -> Vec<Batch> {
    let partitions: Vec<TopicPartition> = partitions.iter().copied().map(tp).collect();
    accumulator.drain(MonoMs(0), &partitions, 1 << 20)
}

/// Base sequences of batches.
fn sequences(batches: &mut [Batch]) -> Vec<i32> {
    epochs_and_sequences(batches).into_iter().map(|(_, sequence)| sequence).collect()
}

fn epochs_and_sequences(batches: &mut [Batch]) -> Vec<(i16, i32)> {
    let built = batches.iter_mut().map(|b| BatchHeader::parse(b.build().unwrap()).unwrap());
    built.map(|header| (header.producer_epoch.0, header.base_sequence)).collect()
}

/// The batches that leave one after the other when each is answered before the next.
fn one_by_one(accumulator: &mut Accumulator, partition: i32) -> Vec<(i16, i32)> {
    let mut seen = Vec::new();
    while let Some(mut batch) = drain(accumulator, &[partition]).pop() {
        seen.extend(epochs_and_sequences(std::slice::from_mut(&mut batch)));
        accumulator.complete(batch, STORED);
    }
    seen
}

#[test]
fn a_batch_leaves_when_it_is_full_or_old_or_hurried() {
    let mut accumulator = Accumulator::new(LIMITS);
    append(&mut accumulator, 100, 0, 50);
    assert_eq!(ready(&accumulator, 100, false), (vec![], Some(110)));
    assert_eq!(ready(&accumulator, 100, true), (vec![0], None));
    assert_eq!(ready(&accumulator, 110, false), (vec![0], None));
    append(&mut accumulator, 100, 1, 280);
    assert_eq!(ready(&accumulator, 101, false), (vec![1], Some(110)));
    // Too large for the rest of the first batch: a second one, so the first is full.
    append(&mut accumulator, 101, 0, 280);
    assert_eq!(ready(&accumulator, 101, false), (vec![0, 1], None));
    append(&mut accumulator, 101, 12, 280);
    let leaderless = accumulator.ready(MonoMs(101), false, |_| None).leaderless;
    assert_eq!(leaderless, [Arc::from("t")]);
}

#[test]
fn answers_reach_the_records_and_free_their_memory() {
    let mut accumulator = Accumulator::new(LIMITS);
    let (first, second) = (append(&mut accumulator, 0, 0, 20), append(&mut accumulator, 0, 0, 30));
    let mut batches = drain(&mut accumulator, &[0]);
    assert_eq!((batches.len(), accumulator.in_flight(), accumulator.is_empty()), (1, 1, false));
    let batch = batches.remove(0);
    assert!(first.answer().is_none());
    assert_eq!(accumulator.complete(batch, STORED), 50);
    let offset = |delivery: Delivery| delivery.answer().unwrap().unwrap().offset;
    assert_eq!((offset(first), offset(second)), (100, 101));
    assert_eq!((accumulator.in_flight(), accumulator.is_empty()), (0, true));
}

#[test]
fn a_request_holds_one_batch_per_partition_and_its_limit_of_bytes() {
    let mut accumulator = Accumulator::new(LIMITS);
    for partition in [0, 0, 1, 2] {
        append(&mut accumulator, 0, partition, 200);
    }
    let partitions: Vec<TopicPartition> = [0, 1, 2].into_iter().map(tp).collect();
    let drained = accumulator.drain(MonoMs(0), &partitions, 600);
    let drained: Vec<i32> = drained.iter().map(|b| b.partition.partition.get()).collect();
    assert_eq!(drained, [0, 1]);
    // One that is larger than the limit leaves alone.
    assert_eq!(accumulator.drain(MonoMs(0), &partitions[2..], 10).len(), 1);
}

#[test]
fn batches_that_come_back_keep_their_order_and_sequences() {
    let mut accumulator = identified();
    for _ in 0..4 {
        append(&mut accumulator, 0, 0, 250);
    }
    let mut sent: Vec<Batch> = (0..3).flat_map(|_| drain(&mut accumulator, &[0])).collect();
    assert_eq!(sequences(&mut sent), [0, 1, 2]);
    let [first, second, third] = <[Batch; 3]>::try_from(sent).unwrap();
    let next = |accumulator: &Accumulator, batch: &Batch| accumulator.is_next_to_answer(batch);
    assert!(next(&accumulator, &first) && !next(&accumulator, &second));
    // They fail in another order than they left.
    accumulator.put_back(second, MonoMs(0), Error::Closed);
    assert!(drain(&mut accumulator, &[0]).is_empty(), "one before it is still under way");
    accumulator.put_back(first, MonoMs(0), Error::Closed);
    assert!(!next(&accumulator, &third), "those before it must go again");
    accumulator.put_back(third, MonoMs(50), Error::Closed);
    assert_eq!(ready(&accumulator, 49, true), (vec![], Some(50)));
    // One at a time until all that come again are answered.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut batches = accumulator.drain(MonoMs(50), &[tp(0)], 1 << 20);
        let more = accumulator.drain(MonoMs(50), &[tp(0)], 1 << 20);
        seen.push((sequences(&mut batches), batches[0].attempts, more.len()));
        for batch in batches.into_iter().chain(more) {
            accumulator.complete(batch, STORED);
        }
    }
    let expected = [(vec![0], 1, 0), (vec![1], 1, 0), (vec![2], 1, 1)];
    assert_eq!(seen, expected);
}

#[test]
fn a_gap_ends_with_the_next_epoch() {
    let mut accumulator = identified();
    for _ in 0..4 {
        append(&mut accumulator, 0, 0, 250);
    }
    let mut sent: Vec<Batch> = (0..3).flat_map(|_| drain(&mut accumulator, &[0])).collect();
    assert_eq!(epochs_and_sequences(&mut sent), [(0, 0), (0, 1), (0, 2)]);
    let [refused, back, under_way] = <[Batch; 3]>::try_from(sent).unwrap();
    accumulator.give_up(refused, true, Error::Closed);
    let code = protocol::ErrorCode::OutOfOrderSequenceNumber;
    assert!(accumulator.out_of_sequence(&back, code));
    accumulator.put_back(back, MonoMs(0), Error::Closed);
    accumulator.bump_if_wanted();
    assert!(drain(&mut accumulator, &[0]).is_empty(), "one of the old epoch is under way");
    assert!(accumulator.out_of_sequence(&under_way, code));
    accumulator.put_back(under_way, MonoMs(0), Error::Closed);
    assert_eq!(one_by_one(&mut accumulator, 0), [(1, 0), (1, 1), (1, 2)]);
}

#[test]
fn a_gap_in_one_partition_leaves_what_is_under_way_in_others() {
    let mut accumulator = identified();
    for partition in [0, 1, 1] {
        append(&mut accumulator, 0, partition, 250);
    }
    let refused = drain(&mut accumulator, &[0]).remove(0);
    let lost = drain(&mut accumulator, &[1]).remove(0);
    accumulator.give_up(refused, true, Error::Closed);
    accumulator.bump_if_wanted();
    // It may be stored: only under its old number the server knows it again.
    assert!(drain(&mut accumulator, &[1]).is_empty(), "nothing new before the old is answered");
    accumulator.put_back(lost, MonoMs(0), Error::Closed);
    assert_eq!(one_by_one(&mut accumulator, 1), [(0, 0), (1, 0)]);
}

#[test]
fn what_expired_after_it_was_sent_holds_up_what_is_new_until_it_is_clear_whether_it_was_stored() {
    let code = protocol::ErrorCode::OutOfOrderSequenceNumber;
    for stored in [true, false] {
        let mut accumulator = identified();
        for now in [0, 900, 900] {
            append(&mut accumulator, now, 0, 250);
        }
        let lost = drain(&mut accumulator, &[0]).remove(0);
        let second = drain(&mut accumulator, &[0]).remove(0);
        accumulator.put_back(lost, MonoMs(0), Error::Closed);
        assert!(accumulator.expire(MonoMs(1000)).1.is_some());
        accumulator.bump_if_wanted();
        assert!(drain(&mut accumulator, &[0]).is_empty(), "its fate is unknown");
        let expected = if stored {
            accumulator.complete(second, STORED);
            vec![(0, 2)]
        } else {
            assert!(accumulator.out_of_sequence(&second, code));
            accumulator.put_back(second, MonoMs(0), Error::Closed);
            accumulator.bump_if_wanted();
            vec![(1, 0), (1, 1)]
        };
        assert_eq!(one_by_one(&mut accumulator, 0), expected);
    }
    // With nothing behind it nobody tells.
    let mut accumulator = identified();
    append(&mut accumulator, 0, 0, 250);
    let lost = drain(&mut accumulator, &[0]).remove(0);
    accumulator.give_up(lost, false, Error::Closed);
    accumulator.bump_if_wanted();
    append(&mut accumulator, 0, 0, 250);
    assert_eq!(one_by_one(&mut accumulator, 0), [(1, 0)]);
}

#[test]
fn after_the_last_epoch_another_id_is_needed() {
    let mut accumulator = identified();
    accumulator.identify(Identity { epoch: ProducerEpoch(i16::MAX), ..IDENTITY });
    append(&mut accumulator, 0, 0, 250);
    let refused = drain(&mut accumulator, &[0]).remove(0);
    accumulator.give_up(refused, true, Error::Closed);
    accumulator.bump_if_wanted();
    assert_eq!(accumulator.identity(), None);
}

#[test]
fn a_transaction_with_a_gap_is_not_mended() {
    let mut accumulator = Accumulator::new(Limits { transactional: true, ..LIMITS });
    accumulator.identify(IDENTITY);
    for _ in 0..3 {
        append(&mut accumulator, 0, 0, 250);
    }
    let mut sent: Vec<Batch> = (0..2).flat_map(|_| drain(&mut accumulator, &[0])).collect();
    let header = BatchHeader::parse(sent[0].build().unwrap()).unwrap();
    assert!(header.attributes.is_transactional());
    let [first, second] = <[Batch; 2]>::try_from(sent).unwrap();
    let code = protocol::ErrorCode::OutOfOrderSequenceNumber;
    assert!(accumulator.out_of_sequence(&second, code), "one before it is not answered yet");
    assert!(!accumulator.out_of_sequence(&first, code));
    accumulator.give_up(first, true, Error::Closed);
    accumulator.put_back(second, MonoMs(0), Error::Closed);
    // What never left is given up with the transaction; the rest must be answered before its end.
    assert_eq!(accumulator.fail_unsent(&Error::TransactionAborted), 250);
    assert!(!accumulator.is_empty());
    accumulator.bump_if_wanted();
    assert_eq!(accumulator.identity(), Some(IDENTITY));
}

#[test]
fn what_waits_too_long_is_given_up() {
    let mut accumulator = Accumulator::new(LIMITS);
    let old = append(&mut accumulator, 0, 0, 30);
    let young = append(&mut accumulator, 500, 1, 30);
    assert_eq!(accumulator.expire(MonoMs(999)).0, 0);
    assert_eq!(accumulator.expire(MonoMs(1000)).0, 30);
    let error = old.answer().unwrap().unwrap_err();
    assert!(matches!(error, Error::DeliveryTimeout { count: 1, after_ms: 1000, .. }), "{error}");
    assert!(young.answer().is_none());
}

#[test]
fn the_size_of_a_record_is_kafkas_upper_bound() {
    let check =
        |record: ProducerRecord, expected: usize| assert_eq!(size_upper_bound(&record), expected);
    // 61 for the batch, 21 for the record, a byte each for the missing key and the number of headers.
    let value = |n: usize| Some(Bytes::from(vec![0; n]));
    check(ProducerRecord { value: value(36), ..Default::default() }, 121);
    check(ProducerRecord { value: value(64), ..Default::default() }, 61 + 21 + 1 + 2 + 64 + 1);
    let headers = vec![("ab".to_owned(), value(3)), (String::new(), None)];
    let record = ProducerRecord { key: value(1), value: None, headers, ..Default::default() };
    check(record, 61 + 21 + 2 + 1 + 1 + (3 + 4) + (1 + 1));
}

#[test]
fn a_batch_that_is_too_large_goes_in_halves() {
    let mut accumulator = identified();
    let deliveries: Vec<Delivery> = (0..5).map(|_| append(&mut accumulator, 0, 0, 20)).collect();
    let behind = append(&mut accumulator, 0, 0, 250);
    let mut sent: Vec<Batch> = (0..2).flat_map(|_| drain(&mut accumulator, &[0])).collect();
    assert_eq!(sequences(&mut sent), [0, 5]);
    let [large, after] = <[Batch; 2]>::try_from(sent).unwrap();
    assert!(accumulator.split(large).is_none());
    accumulator.put_back(after, MonoMs(0), Error::Closed);
    assert!(deliveries.iter().all(|delivery| delivery.answer().is_none()));
    // The second half is cut once more; the answers come in order.
    let mut seen = Vec::new();
    let mut freed = 0;
    while let Some(mut batch) = drain(&mut accumulator, &[0]).pop() {
        let sequence = sequences(std::slice::from_mut(&mut batch))[0];
        seen.push((sequence, batch.records));
        if batch.records == 3 {
            assert!(accumulator.split(batch).is_none());
            continue;
        }
        let base_offset = 100 + i64::from(sequence);
        freed += accumulator.complete(batch, Stored { base_offset, log_append_time: -1 });
    }
    assert_eq!(seen, [(0, 2), (2, 3), (2, 1), (3, 2), (5, 1)]);
    assert_eq!(freed, 5 * 20 + 250);
    let offset = |delivery: &Delivery| delivery.answer().unwrap().unwrap().offset;
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [100, 101, 102, 103, 104]);
    assert_eq!(offset(&behind), 105);
    assert!(accumulator.is_empty());
    append(&mut accumulator, 0, 0, 20);
    let mut single = drain(&mut accumulator, &[0]).remove(0);
    sequences(std::slice::from_mut(&mut single));
    assert!(accumulator.split(single).is_some());
}
