//! What a leader of the metadata quorum may say that is not so.

use std::time::Duration;

use base::{LeaderEpoch, Offset, Uuid};
use protocol::messages::fetch_snapshot_response::PartitionSnapshot;
use protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::no_op_record::NoOpRecord;
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;
use protocol::{Records, encode_to_vec};
use records::control::quorum_batch;
use records::{BatchBuilder, Codec, ControlType};

use crate::controller::{Lie, Place, Row};
use crate::fake::{Asked, Reply};

type Piece = fn(&Place, i64, &mut PartitionSnapshot<'static>);

pub fn batch(base: i64, epoch: i32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut batch =
        BatchBuilder::new(Codec::None).base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
    for value in values {
        batch.append(1_700_000_000_000, None, Some(value), &[]).unwrap();
    }
    batch.build().unwrap()
}

fn noop() -> Vec<u8> {
    MetadataRecord::NoOp(NoOpRecord::default()).encode_value(0).unwrap()
}

/// Readable, but there is no such topic.
pub fn contradiction() -> Vec<u8> {
    let record =
        PartitionChangeRecord { topic_id: Uuid([9; 16]), partition_id: 0, ..Default::default() };
    MetadataRecord::PartitionChange(record).encode_value(0).unwrap()
}

fn put(row: &mut Row, bytes: Vec<u8>) {
    // Whatever comes is said to be committed.
    row.high_watermark = i64::MAX;
    row.records = Some(Records::from(bytes));
}

fn noop_at(place: &Place, by: i64) -> Vec<u8> {
    batch(place.offset.wrapping_add(by), place.epoch, &[noop()])
}

fn damaged(place: &Place, at: usize, value: u8) -> Vec<u8> {
    let mut bytes = noop_at(place, 0);
    bytes[at] = value;
    bytes
}

/// Committed, and it cannot be applied.
pub fn refused_record(place: &Place, row: &mut Row) {
    put(row, batch(place.offset, place.epoch, &[contradiction()]));
    row.high_watermark = place.offset + 1;
}

fn endless(_: &Asked) -> Reply {
    let mut bytes = i32::MAX.to_be_bytes().to_vec();
    bytes.resize(4 << 20, 0);
    Reply::Bytes(bytes)
}

fn voters_of_nonsense(place: &Place, row: &mut Row) {
    let (base, epoch) = (Offset(place.offset), LeaderEpoch(place.epoch));
    put(row, quorum_batch(base, epoch, 0, &[(ControlType::KRaftVoters, b"nonsense")]).unwrap());
}

pub const LIES: &[(&str, Lie)] = &[
    ("half a batch", Lie::Row(|place, row| put(row, noop_at(place, 0)[..40].to_vec()))),
    ("a wrong checksum", Lie::Row(|place, row| put(row, damaged(place, 63, 0xff)))),
    ("an unknown format", Lie::Row(|place, row| put(row, damaged(place, 16, 9)))),
    ("a batch of a negative size", Lie::Row(|place, row| put(row, damaged(place, 8, 0x80)))),
    ("text", Lie::Row(|_, row| put(row, b"HTTP/1.1 200 OK\r\n\r\n".repeat(20)))),
    ("an offset too far", Lie::Row(|place, row| put(row, noop_at(place, 5)))),
    ("an offset that is there", Lie::Row(|place, row| put(row, noop_at(place, -1)))),
    ("a negative offset", Lie::Row(|place, row| put(row, batch(-7, place.epoch, &[noop()])))),
    (
        "the last offset there is",
        Lie::Row(|place, row| {
            put(row, batch(i64::MAX, place.epoch, &[noop()]));
        }),
    ),
    (
        "a later epoch",
        Lie::Row(|place, row| put(row, batch(place.offset, place.epoch + 1, &[noop()]))),
    ),
    ("an earlier epoch", Lie::Row(|place, row| put(row, batch(place.offset, 0, &[noop()])))),
    (
        "no record that is known",
        Lie::Row(|place, row| {
            put(row, batch(place.offset, place.epoch, &[b"nonsense".to_vec()]));
        }),
    ),
    (
        "a known record and an unknown one",
        Lie::Row(|place, row| {
            put(row, batch(place.offset, place.epoch, &[noop(), vec![1, 99, 0]]));
        }),
    ),
    ("voters of nonsense", Lie::Row(voters_of_nonsense)),
    (
        "a watermark beyond the end",
        Lie::Row(|_, row| {
            row.high_watermark = i64::MAX;
            std::thread::sleep(Duration::from_millis(50));
        }),
    ),
    (
        "a negative watermark",
        Lie::Row(|_, row| {
            (row.high_watermark, row.log_start_offset) = (i64::MIN, i64::MIN);
            std::thread::sleep(Duration::from_millis(50));
        }),
    ),
    (
        "a divergence in what is committed",
        Lie::Row(|_, row| {
            (row.diverging_epoch.epoch, row.diverging_epoch.end_offset) = (0, 0);
        }),
    ),
    (
        "a divergence nowhere",
        Lie::Row(|_, row| {
            (row.diverging_epoch.epoch, row.diverging_epoch.end_offset) = (0, -1);
        }),
    ),
    (
        "a divergence beyond the end",
        Lie::Row(|place, row| {
            row.diverging_epoch.epoch = place.epoch;
            row.diverging_epoch.end_offset = i64::MAX;
        }),
    ),
    (
        "an old snapshot",
        Lie::Row(|_, row| {
            (row.snapshot_id.epoch, row.snapshot_id.end_offset) = (1, 1);
        }),
    ),
    (
        "a snapshot of a later epoch",
        Lie::Row(|place, row| {
            row.snapshot_id.epoch = place.epoch + 1;
            row.snapshot_id.end_offset = place.offset + 100;
        }),
    ),
    (
        "a snapshot of half a name",
        Lie::Row(|place, row| {
            row.snapshot_id.end_offset = place.offset + 100;
        }),
    ),
    ("another leader", Lie::Row(|place, row| row.current_leader.leader_id = place.leader + 7)),
    ("the follower itself leads", Lie::Row(|_, row| row.current_leader.leader_id = 101)),
    ("NOT_LEADER_OR_FOLLOWER", Lie::Row(|_, row| row.error_code = 6)),
    ("UNKNOWN_LEADER_EPOCH", Lie::Row(|_, row| row.error_code = 75)),
    ("OFFSET_OUT_OF_RANGE", Lie::Row(|_, row| row.error_code = 1)),
    ("an error that does not exist", Lie::Row(|_, row| row.error_code = 9_999)),
    ("another partition", Lie::Row(|_, row| row.partition_index = 7)),
    ("another topic", Lie::Whole(|answer| answer.responses[0].topic_id = Uuid([9; 16]))),
    ("no partition", Lie::Whole(|answer| answer.responses.clear())),
    ("two answers", Lie::Whole(|answer| answer.responses.extend(answer.responses.clone()))),
    ("INCONSISTENT_CLUSTER_ID", Lie::Whole(|answer| answer.error_code = 104)),
    ("an error of the whole", Lie::Whole(|answer| answer.error_code = -1)),
    (
        "an answer that cannot be read",
        Lie::Raw(|asked| Reply::Body(asked.correlation_id, vec![0xff; 100])),
    ),
    (
        "the answer to another request",
        Lie::Raw(|asked| Reply::Body(asked.correlation_id.wrapping_add(1), vec![0; 20])),
    ),
    ("a frame of 2 GiB", Lie::Raw(endless)),
    ("the connection ends", Lie::Raw(|_| Reply::Close)),
    ("no answer", Lie::Raw(|_| Reply::Never)),
];

/// The whole snapshot in one piece.
fn whole(row: &mut PartitionSnapshot<'static>, bytes: Vec<u8>) {
    row.size = bytes.len() as i64;
    row.unaligned_records = Some(Records::from(bytes));
}

fn header(epoch: i32) -> Vec<u8> {
    let header = encode_to_vec(&SnapshotHeaderRecord::default(), 0).unwrap();
    let records = [(ControlType::SnapshotHeader, &header[..])];
    quorum_batch(Offset(0), LeaderEpoch(epoch), 0, &records).unwrap()
}

fn footer(base: i64, epoch: i32) -> Vec<u8> {
    let footer = encode_to_vec(&SnapshotFooterRecord::default(), 0).unwrap();
    let records = [(ControlType::SnapshotFooter, &footer[..])];
    quorum_batch(Offset(base), LeaderEpoch(epoch), 0, &records).unwrap()
}

fn text(row: &mut PartitionSnapshot<'static>) {
    whole(row, b"no snapshot at all, but long enough for a header of a batch ".repeat(4));
}

/// Pieces of snapshots, none of which may be taken.
pub const PIECES: &[(&str, Piece)] = &[
    ("a snapshot: none", |_, _, row| row.error_code = 98),
    ("a snapshot: an empty piece", |_, _, row| row.size = 100),
    ("a snapshot: of a negative size", |_, _, row| {
        text(row);
        row.size = -1;
    }),
    ("a snapshot: larger than any", |_, _, row| {
        text(row);
        row.size = 1 << 31;
    }),
    ("a snapshot: larger than said", |_, _, row| {
        text(row);
        row.size = 10;
    }),
    ("a snapshot: from elsewhere", |_, position, row| {
        text(row);
        row.position = position + 1;
    }),
    ("a snapshot: from before", |_, _, row| {
        text(row);
        row.position = -1;
    }),
    ("a snapshot: another", |_, _, row| {
        text(row);
        row.snapshot_id.end_offset += 1;
    }),
    ("a snapshot: of a negative name", |_, _, row| {
        text(row);
        (row.snapshot_id.end_offset, row.snapshot_id.epoch) = (-1, -1);
    }),
    ("a snapshot: another partition", |_, _, row| {
        text(row);
        row.index = 1;
    }),
    ("a snapshot: text", |_, _, row| text(row)),
    ("a snapshot: half of it, then another size", |_, position, row| {
        row.size = 1_000 + position;
        row.unaligned_records = Some(Records::from(vec![0; 500]));
    }),
    ("a snapshot: no footer", |place, _, row| {
        let bytes = [header(place.epoch), batch(1, place.epoch, &[noop()])].concat();
        whole(row, bytes);
    }),
    ("a snapshot: no header", |place, _, row| {
        let bytes = [batch(0, place.epoch, &[noop()]), footer(1, place.epoch)].concat();
        whole(row, bytes);
    }),
    ("a snapshot: more after its footer", |place, _, row| {
        let epoch = place.epoch;
        let bytes = [header(epoch), footer(1, epoch), batch(2, epoch, &[noop()])].concat();
        whole(row, bytes);
    }),
    ("a snapshot: a record that is not known", |place, _, row| {
        let epoch = place.epoch;
        let bytes = [header(epoch), batch(1, epoch, &[vec![1, 99, 0]]), footer(2, epoch)].concat();
        whole(row, bytes);
    }),
    ("a snapshot: a record that cannot be applied", |place, _, row| {
        let epoch = place.epoch;
        let bytes = [header(epoch), batch(1, epoch, &[contradiction()]), footer(2, epoch)].concat();
        whole(row, bytes);
    }),
    ("a snapshot: damaged", |place, _, row| {
        let epoch = place.epoch;
        let mut bytes = [header(epoch), batch(1, epoch, &[noop()]), footer(2, epoch)].concat();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        whole(row, bytes);
    }),
];
