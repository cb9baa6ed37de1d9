//! Batches that a leader sent, looked at before consensus sees them: whole, with the right checksum, dense, readable.
//!
//! Must not know: where they go in the log; that is for consensus to decide.

use base::Offset;
use kraft::{ControlRecord, FetchedBatch};
use protocol::metadata_records::MetadataRecord;
use records::batch::BatchHeader;
use records::{Batches, RecordsError, record};

use super::control;
use super::snapshot::DECOMPRESSED_MAX;

/// Why bytes of a leader are no part of a metadata log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchedError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("a control record cannot be read: {0}")]
    Control(#[from] protocol::DecodeError),
    #[error("the record at offset {offset} cannot be read: {source}")]
    Record { offset: Offset, source: protocol::DecodeError },
    #[error("a batch at offset {0} is of an old format")]
    OldFormat(Offset),
    #[error("the batch at offset {base} has {count} records and ends {delta} behind its first")]
    NotDense { base: Offset, count: i32, delta: i32 },
    #[error("a batch has the offset {base} and the epoch {epoch}")]
    Impossible { base: Offset, epoch: i32 },
    #[error("{0} bytes hold no whole batch")]
    NothingWhole(usize),
}

/// The whole batches at the start of `bytes`; a batch that is cut off at the end is left out.
pub(super) fn check(bytes: &[u8]) -> Result<Vec<FetchedBatch>, FetchedError> {
    let mut checked = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch?;
        let Some(header) = batch.v2() else {
            return Err(FetchedError::OldFormat(batch.last_offset()));
        };
        batch.check_crc()?;
        let (base, epoch) = (header.base_offset, header.partition_leader_epoch.get());
        let (count, delta) = (header.count, header.last_offset_delta);
        if count < 1 || delta != count - 1 {
            return Err(FetchedError::NotDense { base, count, delta });
        }
        // The sum of offset and length may not overflow either.
        let possible = base.get() >= 0 && base.get() < i64::MAX - i64::from(count) && epoch >= 0;
        if !possible {
            return Err(FetchedError::Impossible { base, epoch });
        }
        let control = if header.attributes.is_control() {
            control_records(header, batch.bytes())?
        } else {
            check_records(header, batch.bytes())?;
            Vec::new()
        };
        checked.push(FetchedBatch { base, next: batch.next_offset(), epoch, control });
    }
    if checked.is_empty() && !bytes.is_empty() {
        return Err(FetchedError::NothingWhole(bytes.len()));
    }
    Ok(checked)
}

/// What nobody can read, nobody can replay: it must not come into the log.
fn check_records(header: &BatchHeader, batch: &[u8]) -> Result<(), FetchedError> {
    let mut buffer = Vec::new();
    let body = record::decompressed(batch, &mut buffer, DECOMPRESSED_MAX)?;
    for record in record::Records::new(header, body)? {
        let record = record?;
        let offset = record.offset;
        MetadataRecord::decode_value(record.value.unwrap_or_default())
            .map_err(|source| FetchedError::Record { offset, source })?;
    }
    Ok(())
}

/// Those that matter to the quorum.
fn control_records(
    header: &BatchHeader,
    batch: &[u8],
) -> Result<Vec<(Offset, ControlRecord)>, FetchedError> {
    let mut found = Vec::new();
    for record in record::Records::new(header, record::body(batch))? {
        let record = record?;
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        found.extend(control::decode(key, value)?.map(|body| (record.offset, body)));
    }
    Ok(found)
}

/// The bytes of the whole batches that lie before `until`.
pub(super) fn before(bytes: &[u8], until: Offset) -> &[u8] {
    let mut taken = 0;
    for batch in Batches::new(bytes) {
        match batch {
            Ok(batch) if batch.next_offset() <= until => taken += batch.size(),
            _ => break,
        }
    }
    bytes.get(..taken).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base::LeaderEpoch;
    use protocol::metadata_records::no_op_record::NoOpRecord;
    use records::{BatchBuilder, Codec};

    use super::*;

    fn value() -> Vec<u8> {
        MetadataRecord::NoOp(NoOpRecord::default()).encode_value(0).expect("a record")
    }

    fn batch(base: i64, epoch: i32, records: usize) -> Vec<u8> {
        let mut batch = BatchBuilder::new(Codec::None)
            .base_offset(Offset(base))
            .leader_epoch(LeaderEpoch(epoch));
        for _ in 0..records {
            batch.append(1, None, Some(&value()), &[]).expect("room");
        }
        batch.build().expect("a batch")
    }

    #[test]
    fn whole_batches_are_taken_and_a_cut_tail_is_left() {
        let mut bytes = batch(5, 1, 3);
        bytes.extend(batch(8, 2, 1));
        let whole = bytes.len();
        bytes.extend(&batch(9, 2, 1)[..40]);
        let checked = check(&bytes).expect("good batches");
        let places: Vec<_> =
            checked.iter().map(|b| (b.base.get(), b.next.get(), b.epoch)).collect();
        assert_eq!(places, [(5, 8, 1), (8, 9, 2)]);
        assert_eq!(before(&bytes, Offset(9)).len(), whole);
        assert_eq!(before(&bytes, Offset(8)).len(), batch(5, 1, 3).len());
        assert!(before(&bytes, Offset(7)).is_empty());
        assert_eq!(check(&[]).expect("nothing"), []);
    }

    #[test]
    fn what_no_leader_writes_is_refused() {
        let good = batch(5, 1, 3);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            // Offset and epoch are outside the checksum: consensus compares them with its own log.
            let place = at < 8 || (12..16).contains(&at);
            assert_eq!(
                check(&bad).is_err(),
                !place || bad[0] & 0x80 != 0 || bad[12] & 0x80 != 0,
                "byte {at}"
            );
        }
        assert!(matches!(check(&good[..70]), Err(FetchedError::NothingWhole(70))));
        let mut sparse = good;
        sparse[23..27].copy_from_slice(&7_i32.to_be_bytes());
        records::batch::write_crc(&mut sparse).expect("a batch");
        assert!(matches!(check(&sparse), Err(FetchedError::NotDense { delta: 7, .. })));
    }

    #[test]
    fn records_that_nobody_can_replay_are_refused() {
        let of = |codec, value: &[u8]| {
            let mut batch =
                BatchBuilder::new(codec).base_offset(Offset(5)).leader_epoch(LeaderEpoch(1));
            batch.append(1, None, Some(value), &[]).expect("room");
            check(&batch.build().expect("a batch"))
        };
        assert!(of(Codec::None, &value()).is_ok());
        // No record at all, another frame, an unknown kind, an unknown version, one byte too many.
        let long = [&value()[..], &[0]].concat();
        let bad: [&[u8]; 5] = [b"", b"value", &[1, 0xff, 0x7f, 0], &[1, 20, 99], &long];
        for value in bad {
            let refused = of(Codec::None, value);
            assert!(matches!(refused, Err(FetchedError::Record { offset: Offset(5), .. })));
        }
        // More than may be opened, from little.
        let bomb = of(Codec::Zstd { level: 3 }, &vec![0; DECOMPRESSED_MAX + 1]);
        assert!(matches!(bomb, Err(FetchedError::Records(_))), "{bomb:?}");
    }
}
