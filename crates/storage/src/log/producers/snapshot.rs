//! The `.snapshot` files: version, CRC-32C of the rest, then the producers in entries of 46 bytes.

use super::entry::{ProducerBatch, ProducerEntry};

const VERSION: i16 = 1;
/// Version and CRC.
const CRC_END: usize = 6;
const HEADER_LEN: usize = CRC_END + 4;
const ENTRY_LEN: usize = 46;

/// The bytes of a snapshot.
pub fn encode<'a>(entries: impl ExactSizeIterator<Item = (i64, &'a ProducerEntry)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + entries.len() * ENTRY_LEN);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(entries.len() as i32).to_be_bytes());
    for (producer_id, entry) in entries {
        let last = entry.last_batch();
        out.extend_from_slice(&producer_id.to_be_bytes());
        out.extend_from_slice(&entry.epoch.to_be_bytes());
        out.extend_from_slice(&entry.last_sequence().to_be_bytes());
        out.extend_from_slice(&entry.last_offset().to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        out.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = records::crc::crc32c(out.get(CRC_END..).unwrap_or_default());
    if let Some(place) = out.get_mut(2..CRC_END) {
        place.copy_from_slice(&crc.to_be_bytes());
    }
    out
}

/// The producers of a snapshot, or what is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<impl Iterator<Item = (i64, ProducerEntry)>, String> {
    let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
        return Err(format!("{} bytes are too few", bytes.len()));
    };
    let [v0, v1, c0, c1, c2, c3, n0, n1, n2, n3] = *head;
    let version = i16::from_be_bytes([v0, v1]);
    if version != VERSION {
        return Err(format!("unknown version {version}"));
    }
    let stored = u32::from_be_bytes([c0, c1, c2, c3]);
    let computed = records::crc::crc32c(bytes.get(CRC_END..).unwrap_or_default());
    if stored != computed {
        return Err(format!("stored CRC {stored}, computed CRC {computed}"));
    }
    let count = i32::from_be_bytes([n0, n1, n2, n3]);
    let (entries, rest) = bytes.get(HEADER_LEN..).unwrap_or_default().as_chunks::<ENTRY_LEN>();
    if usize::try_from(count) != Ok(entries.len()) || !rest.is_empty() {
        return Err(format!("{count} entries are announced in {} bytes", bytes.len()));
    }
    Ok(entries.iter().map(decode_entry))
}

fn decode_entry(bytes: &[u8; ENTRY_LEN]) -> (i64, ProducerEntry) {
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let txn_first_offset = number(38, 8) as i64;
    let mut entry = ProducerEntry::default();
    entry.epoch = number(8, 2) as i16;
    entry.coordinator_epoch = number(34, 4) as i32;
    entry.last_timestamp = number(26, 8) as i64;
    entry.txn_first_offset = (txn_first_offset >= 0).then_some(txn_first_offset);
    let last_offset = number(14, 8) as i64;
    if last_offset >= 0 {
        entry.keep(ProducerBatch {
            last_sequence: number(10, 4) as i32,
            last_offset,
            // A negative one would make no sense and overflow the first sequence.
            offset_delta: (number(22, 4) as i32).max(0),
            timestamp: entry.last_timestamp,
        });
    }
    (number(0, 8) as i64, entry)
}
