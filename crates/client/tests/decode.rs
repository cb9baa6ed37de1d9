//! The bytes of Fetch answers: what a user gets, what is left out, what is refused.

#![allow(clippy::unwrap_used)] // helpers of tests, too, may fail loudly

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use bytes::Bytes;
use client::Error;
use client::consumer::decode::{DecodeOptions, FetchedRecords};
use records::builder::BatchBuilder;
use records::control::EndTxnMarker;
use records::{Codec, Compression, Header};

const OPTIONS: DecodeOptions =
    DecodeOptions { check_crcs: true, read_committed: false, max_decompressed_bytes: 1 << 20 };
const COMMITTED: DecodeOptions = DecodeOptions { read_committed: true, ..OPTIONS };

fn batch(base: i64, values: &[&str], codec: Codec, producer: Option<i64>) -> Vec<u8> {
    let mut builder =
        BatchBuilder::new(codec).base_offset(Offset(base)).leader_epoch(LeaderEpoch(4));
    if let Some(id) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), 0).transactional();
    }
    for value in values {
        let headers = [Header { key: b"h", value: Some(b"x") }, Header { key: b"h", value: None }];
        builder.append(1000 + base, Some(b"key"), Some(value.as_bytes()), &headers).unwrap();
    }
    builder.build().unwrap()
}

fn marker(base: i64, producer: i64, commit: bool) -> Vec<u8> {
    let marker = EndTxnMarker { commit, coordinator_epoch: 0 };
    marker.batch(Offset(base), LeaderEpoch(4), 5, ProducerId(producer), ProducerEpoch(0)).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 1)
}

/// Offsets and values of all records, and the position at the end.
fn read(
    bytes: Vec<u8>,
    from: i64,
    aborted: &[(i64, i64)],
    options: DecodeOptions,
) -> (Vec<(i64, String)>, i64) {
    let aborted = aborted.iter().copied();
    let mut fetched = FetchedRecords::new(partition(), Bytes::from(bytes), from, aborted, options);
    let mut found = Vec::new();
    while let Some(records) = fetched.next_records() {
        for record in records.unwrap() {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            found.push((record.offset, value));
        }
    }
    (found, fetched.position())
}

fn expected(pairs: &[(i64, &str)], position: i64) -> (Vec<(i64, String)>, i64) {
    (pairs.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect(), position)
}

#[test]
fn every_codec() {
    for compression in Compression::ALL {
        let mut bytes = batch(10, &["a", "b"], compression.into(), None);
        bytes.extend(batch(12, &["c"], compression.into(), None));
        let all = expected(&[(10, "a"), (11, "b"), (12, "c")], 13);
        assert_eq!(read(bytes.clone(), 10, &[], OPTIONS), all, "{compression}");
        let middle = expected(&[(11, "b"), (12, "c")], 13);
        assert_eq!(read(bytes.clone(), 11, &[], OPTIONS), middle, "{compression}");
        let mut fetched = FetchedRecords::new(partition(), Bytes::from(bytes), 10, [], OPTIONS);
        let record = fetched.next_records().unwrap().unwrap().remove(0);
        assert_eq!(record.key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(
            record.headers,
            [("h".to_owned(), Some(Bytes::from_static(b"x"))), ("h".to_owned(), None)]
        );
        assert_eq!((record.timestamp, record.leader_epoch, record.partition), (1010, 4, 1));
    }
}

#[test]
fn the_last_batch_may_be_cut() {
    let mut bytes = batch(0, &["a"], Codec::None, None);
    let second = batch(1, &["b"], Codec::None, None);
    for cut in [1, 12, 17, 60, second.len() - 1] {
        let mut cut_bytes = bytes.clone();
        cut_bytes.extend(&second[..cut]);
        assert_eq!(read(cut_bytes, 0, &[], OPTIONS), expected(&[(0, "a")], 1), "{cut}");
    }
    bytes.extend(second);
    assert_eq!(read(bytes, 0, &[], OPTIONS), expected(&[(0, "a"), (1, "b")], 2));
}

#[test]
fn transactions() {
    let mut bytes = batch(0, &["open"], Codec::None, Some(7));
    bytes.extend(batch(1, &["other"], Codec::None, Some(8)));
    bytes.extend(batch(2, &["plain"], Codec::None, None));
    bytes.extend(marker(3, 7, false));
    bytes.extend(batch(4, &["again"], Codec::None, Some(7)));
    bytes.extend(marker(5, 7, true));
    bytes.extend(marker(6, 8, true));
    let all = [(0, "open"), (1, "other"), (2, "plain"), (4, "again")];
    assert_eq!(read(bytes.clone(), 0, &[], OPTIONS), expected(&all, 7));
    let committed = [(1, "other"), (2, "plain"), (4, "again")];
    assert_eq!(read(bytes.clone(), 0, &[(7, 0)], COMMITTED), expected(&committed, 7));
    // The second transaction of the same producer was aborted instead.
    let second = [(0, "open"), (1, "other"), (2, "plain")];
    assert_eq!(read(bytes, 0, &[(7, 4)], COMMITTED), expected(&second, 7));
}

#[test]
fn corrupt_bytes_are_refused() {
    let check = |change: &dyn Fn(&mut Vec<u8>), options: DecodeOptions, reason: &str| {
        let good = batch(5, &["a"], Codec::None, None);
        let mut bad = batch(6, &["b"], Codec::Gzip { level: 1 }, None);
        change(&mut bad);
        let bytes: Vec<u8> = good.into_iter().chain(bad).collect();
        let mut fetched = FetchedRecords::new(partition(), Bytes::from(bytes), 5, [], options);
        assert_eq!(fetched.next_records().unwrap().unwrap().len(), 1);
        match fetched.next_records().unwrap().unwrap_err() {
            Error::CorruptRecords { partition: p, offset, reason: found } => {
                assert_eq!((p, offset), (partition(), 6));
                assert!(found.contains(reason), "{found}");
            }
            other => panic!("{other}"),
        }
        assert!(fetched.next_records().is_none());
    };
    check(&|b| b[70] ^= 1, OPTIONS, "crc");
    check(&|b| b[16] = 9, OPTIONS, "magic");
    let unchecked = DecodeOptions { check_crcs: false, ..OPTIONS };
    check(&|b| b[61] ^= 0x55, unchecked, "gzip");
    let small = DecodeOptions { max_decompressed_bytes: 4, ..OPTIONS };
    check(&|_| {}, small, "larger than the allowed 4 bytes");
}

#[test]
fn mutated_bytes_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let options =
        DecodeOptions { check_crcs: false, read_committed: true, max_decompressed_bytes: 1 << 16 };
    let mut refused = 0;
    for round in 0..4000 {
        let codec = Compression::ALL[round % Compression::ALL.len()];
        let mut bytes = batch(0, &["value one", "value two"], codec.into(), Some(3));
        bytes.extend(marker(2, 3, false));
        for _ in 0..=next() % 4 {
            let at = (next() % bytes.len() as u64) as usize;
            bytes[at] = (next() & 0xff) as u8;
        }
        let mut fetched =
            FetchedRecords::new(partition(), Bytes::from(bytes), 0, [(3, 0)], options);
        while let Some(records) = fetched.next_records() {
            refused += usize::from(records.is_err());
        }
    }
    assert!(refused > 0, "mutations were not noticed at all");
}
