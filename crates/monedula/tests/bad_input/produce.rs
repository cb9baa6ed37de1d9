//! Batches that are none: Kafka's error code for each fault, nothing written, memory flat. The codes were compared with Kafka 4.4.0.

use protocol::ErrorCode;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::{Records, encode_to_vec};
use records::{BatchBuilder, Batches, Compression, batch as header};

use crate::common::{
    Node, Numbers, Place, Reaction, batch, decoded, frame, produce_request, request_bytes,
};

const MIB: u64 = 1 << 20;
const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn node_with_topic(place: &Place) -> Node {
    let node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 1, &[]), 0);
    assert_eq!(node.produce("t", &batch(&[b"first"])), (0, 0));
    node
}

/// A good batch with some bytes replaced, and its checksum right again unless that is the fault.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch(&[b"one", b"two"]);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    if at > 20 {
        header::write_crc(&mut batch).unwrap();
    }
    batch
}

#[test]
fn faults_of_a_batch() {
    use ErrorCode::{CorruptMessage, InvalidRecord, InvalidTimestamp, None};
    let place = Place::new();
    let mut node = node_with_topic(&place);
    let good = batch(&[b"one", b"two"]);
    let int = i32::to_be_bytes;
    let rows: &[(&str, Vec<u8>, ErrorCode)] = &[
        ("checksum", changed(17, &[1, 2, 3, 4]), CorruptMessage),
        ("magic 0", changed(16, &[0]), InvalidRecord),
        ("magic 1", changed(16, &[1]), InvalidRecord),
        ("magic 3", changed(16, &[3]), CorruptMessage),
        ("magic -1", changed(16, &[0xff]), CorruptMessage),
        ("length beyond the end", changed(8, &int(5000)), InvalidRecord),
        ("length below a header", changed(8, &int(10)), CorruptMessage),
        ("length negative", changed(8, &int(-1)), CorruptMessage),
        ("cut off", good[..good.len() - 3].to_vec(), InvalidRecord),
        ("two batches", [&good[..], &good].concat(), InvalidRecord),
        ("empty", Vec::new(), InvalidRecord),
        ("base offset", changed(0, &100_i64.to_be_bytes()), InvalidRecord),
        ("count too high", changed(57, &int(3)), InvalidRecord),
        ("count too low", changed(57, &int(1)), InvalidRecord),
        ("count zero", changed(57, &int(0)), InvalidRecord),
        ("count negative", changed(57, &int(-5)), InvalidRecord),
        ("count huge", changed(57, &int(i32::MAX)), InvalidRecord),
        ("last offset delta", changed(23, &int(7)), InvalidRecord),
        ("last offset delta negative", changed(23, &int(-7)), InvalidRecord),
        ("control batch", changed(21, &[0, 32]), InvalidRecord),
        ("unknown codec", changed(21, &[0, 5]), ErrorCode::UnknownServerError),
        ("not gzip", changed(21, &[0, 1]), ErrorCode::UnknownServerError),
        ("not snappy", changed(21, &[0, 2]), ErrorCode::UnknownServerError),
        ("not lz4", changed(21, &[0, 3]), ErrorCode::UnknownServerError),
        ("not zstd", changed(21, &[0, 4]), ErrorCode::UnknownServerError),
        ("first timestamp far ahead", changed(27, &(1_i64 << 50).to_be_bytes()), InvalidTimestamp),
        ("producer without sequence", changed(43, &7_i64.to_be_bytes()), InvalidRecord),
        ("garbage behind", [&good[..], b"xyz"].concat(), None),
        ("too large", batch(&[&[7; 1_100_000]]), ErrorCode::MessageTooLarge),
    ];
    let mut transactional = changed(21, &[0, 16]);
    header::set_producer(&mut transactional, base::ProducerId(7), base::ProducerEpoch(0), 0, true)
        .unwrap();
    header::write_crc(&mut transactional).unwrap();
    let more = [(
        "transactional without a transaction",
        transactional,
        ErrorCode::TransactionalIdAuthorizationFailed,
    )];
    for (name, bytes, expected) in rows.iter().chain(&more) {
        let (code, _) = node.produce("t", bytes);
        assert_eq!(ErrorCode::from_code(code), *expected, "{name}");
    }
    node.assert_alive("bad batches");
    // Only "garbage behind" was written: two records.
    assert_eq!(node.produce("t", &batch(&[b"last"])), (0, 3));
}

#[test]
fn the_topics_limit_of_a_batch() {
    let place = Place::new();
    let node = Node::start(&place.data);
    assert_eq!(node.create_topic("small", 1, &[("max.message.bytes", "1000")]), 0);
    assert_eq!(node.produce("small", &batch(&[&[1; 900]])), (0, 0));
    let (code, offset) = node.produce("small", &batch(&[&[1; 1000]]));
    assert_eq!((ErrorCode::from_code(code), offset), (ErrorCode::MessageTooLarge, -1));
    assert_eq!(node.produce("small", &batch(&[b"next"])), (0, 1));
}

/// One record of zeros, as large as a batch of the codec may become within `max.message.bytes`.
#[test]
fn compressed_bombs_of_one_record() {
    let place = Place::new();
    let mut node = node_with_topic(&place);
    let before = node.peak_bytes();
    for (codec, mib) in CODECS.into_iter().zip([200, 12, 150, 200]) {
        let mut bomb = BatchBuilder::new(codec);
        bomb.append(1_700_000_000_000, None, Some(&vec![0; mib << 20]), &[]).unwrap();
        let bytes = bomb.build().unwrap();
        assert!(bytes.len() < 1_000_000, "{codec:?}: {}", bytes.len());
        let (code, _) = node.produce("t", &bytes);
        let code = ErrorCode::from_code(code);
        let answered = [ErrorCode::None, ErrorCode::InvalidRecord, ErrorCode::MessageTooLarge];
        assert!(answered.contains(&code), "{codec:?}: {code}");
        node.assert_alive("a bomb");
        let grown = node.peak_bytes() - before;
        assert!(grown < 32 * MIB, "{codec:?}: grown by {} KiB", grown >> 10);
    }
}

/// A hundred million records that are all nothing, in a few kilobytes.
#[test]
fn compressed_bombs_of_empty_records() {
    let place = Place::new();
    let mut node = node_with_topic(&place);
    let before = node.peak_bytes();
    for (codec, mib) in CODECS.into_iter().zip([64, 12, 64, 64]) {
        let count: i32 = mib << 20;
        let mut body = Vec::new();
        records::compress::compress(codec.into(), &vec![0; count as usize], &mut body).unwrap();
        let mut bytes = batch(&[b"x"])[..header::HEADER_LEN].to_vec();
        bytes.extend_from_slice(&body);
        let len = i32::try_from(bytes.len() - 12).unwrap();
        bytes[8..12].copy_from_slice(&len.to_be_bytes());
        bytes[22] = codec as u8;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        header::write_crc(&mut bytes).unwrap();
        assert_eq!(node.produce("t", &bytes).0, ErrorCode::InvalidRecord.code(), "{codec:?}");
        node.assert_alive("a bomb");
        let grown = node.peak_bytes() - before;
        assert!(grown < 32 * MIB, "{codec:?}: grown by {} KiB", grown >> 10);
    }
}

/// Bits flipped in batches of every codec, with the checksum right again: whatever was taken can be read back, batch by batch.
#[test]
fn mutated_batches_leave_a_log_that_reads() {
    let place = Place::new();
    let mut node = node_with_topic(&place);
    let mut numbers = Numbers(7);
    let mut peer = node.connect();
    let mut taken = 0;
    for round in 0..1500 {
        let codec = Compression::from_id((round % 5) as u8).unwrap();
        let mut builder = BatchBuilder::new(codec);
        for n in 0..3 {
            builder.append(1_700_000_000_000 + n, Some(b"key"), Some(&[n as u8; 40]), &[]).unwrap();
        }
        let mut bytes = builder.build().unwrap();
        for _ in 0..=numbers.below(2) {
            let at = 8 + numbers.below(bytes.len() - 8);
            bytes[at] ^= 1 << numbers.below(8);
        }
        let _ = header::write_crc(&mut bytes);
        let body = encode_to_vec(&produce_request("t", 0, &bytes), 12).unwrap();
        peer.send(&frame(&request_bytes(0, 12, &body)));
        match peer.reaction() {
            Reaction::Answer(answer) => {
                let response: protocol::messages::produce_response::ProduceResponse<'_> =
                    decoded(&answer[5..], 12);
                taken += i32::from(response.responses[0].partition_responses[0].error_code == 0);
            }
            reaction => panic!("round {round}: {reaction:?}"),
        }
    }
    node.assert_alive("mutated batches");
    assert!((50..1400).contains(&taken), "{taken} were taken");
    let mut offset = 0;
    let mut batches = 0;
    loop {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic =
            FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { topics: vec![topic], ..Default::default() };
        let body = peer.call(&request, 12);
        let response: FetchResponse<'_> = decoded(&body, 12);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "at {offset}");
        let bytes = partition.records.as_ref().and_then(Records::bytes).unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(offset, partition.high_watermark);
            break;
        }
        for batch in Batches::new(bytes) {
            let Ok(batch) = batch else { break };
            batch.check_crc().unwrap();
            let mut buffer = Vec::new();
            for record in batch.records(&mut buffer, 1 << 20).unwrap() {
                record.unwrap();
            }
            offset = batch.next_offset().0;
            batches += 1;
        }
    }
    assert_eq!(batches, taken + 1);
    node.stop();
    assert_eq!(Node::start(&place.data).produce("t", &batch(&[b"last"])), (0, offset));
}
