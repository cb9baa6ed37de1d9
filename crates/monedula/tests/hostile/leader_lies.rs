//! What a leader of a partition may say that is not so.

use std::time::Duration;

use base::Uuid;
use protocol::Records;
use protocol::messages::fetch_response::{EpochEndOffset, PartitionData};

use crate::fake::{Asked, Reply};
use crate::leader::{Answer, Lie, Place, batch_at};

fn records(row: &mut PartitionData<'static>, bytes: Vec<u8>) {
    row.records = Some(Records::from(bytes));
}

/// A good batch for the place, with a byte of it changed.
fn damaged(place: &Place, at: usize, value: u8) -> Vec<u8> {
    let mut batch = batch_at(place.offset, place.epoch, &[b"damaged"]);
    batch[at] = value;
    batch
}

/// A frame that says it has 2 GiB, and some of them.
fn endless(_: &Asked) -> Reply {
    let mut bytes = i32::MAX.to_be_bytes().to_vec();
    bytes.resize(4 << 20, 0);
    Reply::Bytes(bytes)
}

/// Lies in answers to fetches that must leave the follower's log as it is.
pub const LIES: &[(&str, Lie)] = &[
    (
        "half a batch",
        Lie::Row(|place, row| {
            let batch = batch_at(place.offset, place.epoch, &[b"half"]);
            records(row, batch[..batch.len() / 2].to_vec());
        }),
    ),
    (
        "a batch of 2 GiB",
        Lie::Row(|place, row| {
            let mut batch = batch_at(place.offset, place.epoch, &[b"large"]);
            batch[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
            records(row, batch);
        }),
    ),
    ("a batch of a negative size", Lie::Row(|place, row| records(row, damaged(place, 8, 0x80)))),
    ("a wrong checksum", Lie::Row(|place, row| records(row, damaged(place, 70, 0xff)))),
    ("an unknown format", Lie::Row(|place, row| records(row, damaged(place, 16, 9)))),
    (
        "a good batch and a damaged one",
        Lie::Row(|place, row| {
            let mut both = batch_at(place.offset, place.epoch, &[b"good"]);
            let next = Place { offset: place.offset + 1, epoch: place.epoch };
            both.extend(damaged(&next, 70, 0xff));
            records(row, both);
        }),
    ),
    ("text", Lie::Row(|_, row| records(row, b"HTTP/1.1 200 OK\r\n\r\n".repeat(20)))),
    (
        "what is there already",
        Lie::Row(|place, row| {
            records(row, batch_at(place.offset - 1, place.epoch, &[b"again"]));
        }),
    ),
    (
        "the log's beginning",
        Lie::Row(|place, row| {
            records(row, batch_at(0, place.epoch, &[b"first"]));
        }),
    ),
    (
        "a negative offset",
        Lie::Row(|place, row| {
            records(row, batch_at(-5, place.epoch, &[b"negative"]));
        }),
    ),
    (
        "the last offset there is",
        Lie::Row(|place, row| {
            records(row, batch_at(i64::MAX, place.epoch, &[b"last"]));
        }),
    ),
    (
        "offsets beyond the last",
        Lie::Row(|place, row| {
            let mut batch = batch_at(0, place.epoch, &[b"a", b"b", b"c"]);
            batch[..8].copy_from_slice(&(i64::MAX - 1).to_be_bytes());
            records(row, batch);
        }),
    ),
    (
        "offsets that go backwards",
        Lie::Row(|place, row| {
            let mut both = batch_at(place.offset + 1, place.epoch, &[b"second"]);
            both.extend(batch_at(place.offset, place.epoch, &[b"first"]));
            records(row, both);
        }),
    ),
    (
        "a batch of a later epoch",
        Lie::Row(|place, row| {
            records(row, batch_at(place.offset, place.epoch + 1, &[b"later"]));
        }),
    ),
    (
        "a watermark and a start beyond the end",
        Lie::Row(|_, row| {
            (row.high_watermark, row.log_start_offset) = (i64::MAX, i64::MAX - 1);
            std::thread::sleep(Duration::from_millis(50));
        }),
    ),
    (
        "negative offsets of the log",
        Lie::Row(|_, row| {
            (row.high_watermark, row.log_start_offset) = (i64::MIN, i64::MIN);
            std::thread::sleep(Duration::from_millis(50));
        }),
    ),
    (
        "a divergence where the log ends",
        Lie::Row(|place, row| {
            row.diverging_epoch.epoch = place.epoch;
            row.diverging_epoch.end_offset = place.offset;
        }),
    ),
    (
        "a divergence nowhere",
        Lie::Row(|_, row| {
            row.diverging_epoch = EpochEndOffset { epoch: 0, end_offset: -1, ..Default::default() };
        }),
    ),
    (
        "a divergence beyond the end",
        Lie::Row(|place, row| {
            row.diverging_epoch.epoch = place.epoch + 7;
            row.diverging_epoch.end_offset = i64::MAX;
        }),
    ),
    ("out of range, but it is not", Lie::Log(1_000, 0)),
    ("out of range, and negative", Lie::Log(-1, -1)),
    ("FENCED_LEADER_EPOCH", Lie::Row(|_, row| row.error_code = 74)),
    ("NOT_LEADER_OR_FOLLOWER", Lie::Row(|_, row| row.error_code = 6)),
    ("UNKNOWN_TOPIC_ID", Lie::Row(|_, row| row.error_code = 100)),
    ("an error that does not exist", Lie::Row(|_, row| row.error_code = 9_999)),
    (
        "another partition",
        Lie::Row(|place, row| {
            row.partition_index = 7;
            records(row, batch_at(place.offset, place.epoch, &[b"other"]));
        }),
    ),
    (
        "another topic",
        Lie::Whole(|answer| {
            answer.responses[0].topic_id = Uuid([9; 16]);
        }),
    ),
    ("no partition", Lie::Whole(|answer| answer.responses.clear())),
    (
        "the same partition twice",
        Lie::Whole(|answer| {
            answer.responses.extend(answer.responses.clone());
        }),
    ),
    ("an error of the whole", Lie::Whole(|answer| answer.error_code = 31)),
    (
        "an answer that cannot be read",
        Lie::Raw(|asked| Reply::Body(asked.correlation_id, vec![0xff; 100])),
    ),
    (
        "the answer to another request",
        Lie::Raw(|asked| match asked.answer(&Answer::default()) {
            Reply::Body(id, body) => Reply::Body(id.wrapping_add(1), body),
            other => other,
        }),
    ),
    ("a frame of 2 GiB", Lie::Raw(endless)),
    ("a frame of a negative size", Lie::Raw(|_| Reply::Bytes(vec![0xff; 100]))),
    ("the connection ends", Lie::Raw(|_| Reply::Close)),
    ("no answer", Lie::Raw(|_| Reply::Never)),
];

/// Lies that cut the follower's log, as a leader may. The follower goes on, and does not cut for ever.
pub const CUTS: &[(&str, Lie)] = &[
    (
        "a divergence at the beginning",
        Lie::Row(|_, row| {
            row.diverging_epoch = EpochEndOffset { epoch: 0, end_offset: 0, ..Default::default() };
        }),
    ),
    (
        "a divergence at offset 1, again and again",
        Lie::Row(|_, row| {
            row.diverging_epoch = EpochEndOffset { epoch: 0, end_offset: 1, ..Default::default() };
        }),
    ),
    ("a log that ends before the follower's", Lie::Log(1, 0)),
];
