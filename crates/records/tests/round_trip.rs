//! What the builder writes is what the readers read, with every codec and at every size around the block limits.

#![allow(clippy::unwrap_used)] // helpers of tests

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use records::compress::{compress, decompress};
use records::{
    AnyBatch, BatchBuilder, BatchHeader, Batches, Codec, Compression, ControlType, EndTxnMarker,
    Header, RecordsError, Tail,
};

/// Text that compresses a little, the same at every run.
fn text(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out.extend_from_slice(format!("{:x},", state >> 20).as_bytes());
    }
    out.truncate(len);
    out
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as u8
    };
    (0..len).map(|_| step(&mut state)).collect()
}

#[test]
fn every_codec_gives_back_what_it_took() {
    let codecs = Compression::ALL.map(Codec::from).into_iter().chain([
        Codec::Gzip { level: 1 },
        Codec::Gzip { level: 9 },
        Codec::Lz4 { level: 17 },
        Codec::Zstd { level: -5 },
        Codec::Zstd { level: 19 },
    ]);
    for codec in codecs {
        for len in [0, 1, 2, 100, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 300_001]
        {
            for input in [text(len), noise(len), vec![b'a'; len]] {
                let mut packed = b"before".to_vec();
                compress(codec, &input, &mut packed).unwrap();
                let mut out = b"start".to_vec();
                decompress(codec.compression(), &packed[6..], &mut out, len).unwrap();
                assert_eq!(out[..5], *b"start");
                assert_eq!(out[5..], input, "{codec:?} {len}");
            }
        }
    }
}

#[test]
fn the_output_cap_holds() {
    for compression in Compression::ALL {
        let input = vec![0u8; 1 << 20];
        let mut packed = Vec::new();
        compress(compression.into(), &input, &mut packed).unwrap();
        let mut out = Vec::new();
        let got = decompress(compression, &packed, &mut out, (1 << 20) - 1);
        assert_eq!(got, Err(RecordsError::DecompressedTooLarge { max: (1 << 20) - 1 }));
        assert!(out.len() < 1 << 20);
    }
}

#[test]
fn a_cut_stream_is_an_error() {
    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let mut packed = Vec::new();
        compress(compression.into(), &text(1000), &mut packed).unwrap();
        for cut in 1..packed.len() {
            let mut out = Vec::new();
            let result = decompress(compression, &packed[..cut], &mut out, 1000);
            // A snappy stream has no end mark: cut before a chunk's size is complete, it is just short.
            let short = compression == Compression::Snappy && (16..20).contains(&cut);
            assert_eq!(result.is_ok(), short && out.is_empty(), "{compression} {cut}");
        }
    }
}

fn sample(compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(compression)
        .base_offset(Offset(1000))
        .leader_epoch(LeaderEpoch(3))
        .producer(ProducerId(77), ProducerEpoch(2), i32::MAX - 1);
    let headers = [
        Header { key: b"h", value: Some(b"1") },
        Header { key: b"h", value: None },
        Header { key: b"\xff\xfe", value: Some(b"") },
    ];
    builder.append(500, Some(b"key"), Some(b"value"), &headers).unwrap();
    builder.append(400, None, Some(&text(100_000)), &[]).unwrap();
    builder.append_at(Offset(1007), 900, Some(b""), None, &[]).unwrap();
    builder.build().unwrap()
}

#[test]
fn a_batch_reads_back() {
    for compression in Compression::ALL {
        let bytes = sample(compression);
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.to_bytes(), bytes[..61]);
        assert_eq!(header.size(), bytes.len());
        assert_eq!((header.base_offset, header.last_offset()), (Offset(1000), Offset(1007)));
        assert_eq!((header.base_timestamp, header.max_timestamp, header.count), (500, 900, 3));
        assert_eq!(header.last_sequence(), 5);
        assert_eq!(header.attributes.compression(), Ok(compression));
        let batch = AnyBatch::parse(&bytes).unwrap().unwrap();
        batch.check_crc().unwrap();
        let mut buffer = Vec::new();
        let records: Vec<_> =
            batch.records(&mut buffer, 200_000).unwrap().collect::<Result<_, _>>().unwrap();
        let seen: Vec<_> = records
            .iter()
            .map(|record| (record.offset.0, record.timestamp, record.key, record.headers.len()))
            .collect();
        assert_eq!(
            seen,
            [(1000, 500, Some(&b"key"[..]), 3), (1001, 400, None, 0), (1007, 900, Some(b""), 0)]
        );
        let headers: Vec<_> =
            records[0].headers.iter().map(|header| (header.key, header.value)).collect();
        assert_eq!(headers, [(&b"h"[..], Some(&b"1"[..])), (b"h", None), (b"\xff\xfe", Some(b""))]);
        assert_eq!(records[1].value.unwrap(), text(100_000));
        assert_eq!(records[2].value, None);
    }
}

#[test]
fn many_batches_and_their_tail() {
    let one = sample(Compression::Lz4);
    let mut bytes = [one.clone(), one.clone()].concat();
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.by_ref().map(|batch| batch.unwrap().size()).sum::<usize>(), bytes.len());
    assert_eq!((batches.position(), batches.tail()), (bytes.len(), Tail::Clean));

    for cut in 1..one.len() {
        let mut batches = Batches::new(&bytes[..one.len() + cut]);
        assert_eq!(batches.by_ref().filter(|batch| batch.is_ok()).count(), 1);
        let size = (cut > 16).then_some(one.len());
        assert_eq!(batches.tail(), Tail::Incomplete { have: cut, size });
        assert_eq!(batches.position(), one.len());
    }

    for (size, expected) in [
        (13i32, RecordsError::SizeTooSmall { size: 13, min: 14 }),
        (-1, RecordsError::SizeTooSmall { size: -1, min: 14 }),
        (48, RecordsError::BatchTooSmall { size: 60, min: 61 }),
    ] {
        let at = one.len() + 8;
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
        let mut batches = Batches::new(&bytes);
        assert!(batches.next().unwrap().is_ok());
        assert_eq!(batches.next().unwrap().unwrap_err(), expected);
        assert!(batches.next().is_none());
        assert_eq!((batches.position(), batches.tail()), (one.len(), Tail::Corrupt));
    }
    bytes[16] = 3;
    let first = Batches::new(&bytes).next().unwrap();
    assert_eq!(first.unwrap_err(), RecordsError::InvalidMagic { magic: 3 });
}

#[test]
fn setters_keep_the_checksum_true() {
    use records::TimestampType::{CreateTime, LogAppendTime};
    use records::batch::*;
    let mut bytes = sample(Compression::Zstd);
    set_base_offset(&mut bytes, Offset(5)).unwrap();
    set_partition_leader_epoch(&mut bytes, LeaderEpoch(9)).unwrap();
    check_crc(&bytes).unwrap();
    set_last_offset(&mut bytes, Offset(107)).unwrap();
    set_max_timestamp(&mut bytes, LogAppendTime, 12_345).unwrap();
    check_crc(&bytes).unwrap();
    set_producer(&mut bytes, ProducerId(1), ProducerEpoch(0), 4, true).unwrap();
    check_crc(&bytes).unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (Offset(100), LeaderEpoch(9)));
    assert_eq!((header.attributes.timestamp_type(), header.max_timestamp), (LogAppendTime, 12_345));
    assert!(header.attributes.is_transactional());
    let mut buffer = Vec::new();
    let batch = AnyBatch::parse(&bytes).unwrap().unwrap();
    for record in batch.records(&mut buffer, usize::MAX).unwrap() {
        assert_eq!(record.unwrap().timestamp, 12_345);
    }
    set_max_timestamp(&mut bytes, CreateTime, 900).unwrap();
    bytes[70] ^= 1;
    assert!(matches!(check_crc(&bytes), Err(RecordsError::WrongCrc { .. })));
}

#[test]
fn control_batches_read_back() {
    let marker = EndTxnMarker { commit: true, coordinator_epoch: 12 };
    let bytes =
        marker.batch(Offset(7), LeaderEpoch(1), 55, ProducerId(3), ProducerEpoch(4)).unwrap();
    let batch = AnyBatch::parse(&bytes).unwrap().unwrap();
    assert!(batch.is_control() && batch.is_transactional());
    let mut buffer = Vec::new();
    let record = batch.records(&mut buffer, 0).unwrap().next().unwrap().unwrap();
    assert_eq!(EndTxnMarker::read(record.key.unwrap(), record.value.unwrap()), Some(marker));
    for code in -1..8 {
        let kind = ControlType::from_code(code);
        assert_eq!(kind.code(), code);
        assert_eq!(ControlType::from_key(&kind.key()), Some(kind));
    }
    assert_eq!(ControlType::from_key(&[0xff, 0xff, 0, 0]), None);
    assert_eq!(ControlType::from_key(&[0, 0, 0]), None);
}

#[test]
fn a_batch_that_is_built_in_its_place_is_the_same() {
    for compression in Compression::ALL {
        for records in [0, 1, 40] {
            let fill = |mut builder: BatchBuilder| {
                for n in 0..records {
                    builder.append(n, Some(b"key"), Some(&text(50)), &[]).unwrap();
                }
                builder.end_at(Offset(60)).unwrap();
                builder
            };
            let builder = || BatchBuilder::new(compression).base_offset(Offset(5));
            let mut expected = b"before".to_vec();
            fill(builder()).build_into(&mut expected).unwrap();
            let in_place = fill(builder().in_place(b"before".to_vec()));
            assert_eq!(in_place.uncompressed_size(), fill(builder()).uncompressed_size());
            assert_eq!(in_place.build().unwrap(), expected[6..]);
            assert_eq!(in_place.build_in_place().unwrap(), expected);
        }
    }
}
