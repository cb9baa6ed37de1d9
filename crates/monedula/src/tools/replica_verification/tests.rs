//! Made-up replicas: those that agree, that are behind, and that differ.

use std::collections::BTreeMap;

use base::{NodeId, TopicPartition};

use super::rounds::{Answer, Batch, Rounds};

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn answer(high_watermark: i64, batches: &[(i64, u32)]) -> Answer {
    let batch = |(last_offset, checksum): &(i64, u32)| Batch {
        last_offset: *last_offset,
        checksum: *checksum,
    };
    Answer { high_watermark, batches: batches.iter().map(batch).collect() }
}

/// The offset after a round, and what was found.
fn round(answers: &[Answer]) -> (i64, Vec<String>, String) {
    let mut rounds = Rounds::new(BTreeMap::from([(partition(), 0)]));
    for (id, answer) in (1..).zip(answers) {
        rounds.take(NodeId(id), vec![(partition(), answer.clone())]);
    }
    let findings = rounds.compare().iter().map(ToString::to_string).collect();
    let offset = rounds.offsets().values().next().copied().expect("one partition");
    (offset, findings, rounds.report())
}

#[test]
fn replicas_that_agree() {
    let same = answer(10, &[(3, 7), (9, 8)]);
    let (offset, findings, report) = round(&[same.clone(), same.clone()]);
    assert_eq!((offset, findings.len()), (10, 0));
    assert_eq!(report, "max lag is 0 for partition t-0 at offset 10 among 1 partitions");
    let behind = answer(8, &[(3, 7), (9, 8)]);
    let (offset, findings, report) = round(&[same.clone(), behind]);
    assert_eq!((offset, findings.len()), (4, 0), "beyond a high watermark nothing is compared");
    assert_eq!(report, "max lag is 6 for partition t-0 at offset 4 among 1 partitions");
    let (offset, findings, _) = round(&[same, Answer::default()]);
    assert_eq!((offset, findings.len()), (0, 0), "a broker that is down is waited for");
    let (_, _, report) = round(&[]);
    assert_eq!(report, "max lag is -1 for partition null at offset -1 among 1 partitions");
}

#[test]
fn replicas_that_differ() {
    let (offset, findings, _) = round(&[answer(10, &[(3, 7)]), answer(10, &[(4, 7)])]);
    assert_eq!(
        (offset, findings),
        (
            0,
            vec![
                "partition t-0: replica 1's offset 3 doesn't match replica 2's offset 4".to_owned()
            ]
        )
    );
    let (offset, findings, _) =
        round(&[answer(10, &[(3, 7), (9, 8)]), answer(10, &[(3, 6), (9, 8)])]);
    assert_eq!((offset, findings), (10, vec![
        "partition t-0 has unmatched checksum at offset 3; replica 1's checksum 7; replica 2's checksum 6".to_owned()
    ]));
}

#[test]
fn batches_of_an_answer() {
    use records::crc::crc32c;
    let mut batch = vec![0u8; 61];
    batch[8..12].copy_from_slice(&49i32.to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&4i32.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    let mut bytes = batch.clone();
    bytes.extend_from_slice(&batch[..30]);
    let read = Answer::read(9, &bytes).expect("whole, and a cut one");
    assert_eq!(read, answer(9, &[(4, crc)]));
    batch[16] = 9;
    assert!(Answer::read(9, &batch).is_err(), "an unknown format");
}
