//! One batch with a right checksum: does its header make sense, and are its records what the header says?

use records::batch::{NO_SEQUENCE, NO_TIMESTAMP};
use records::{AnyBatch, BatchHeader, ControlType, EndTxnMarker, Record, TimestampType};

use super::InspectRecord;
use super::finding::Check;

/// Decompressed records of one batch that are looked at.
const DECOMPRESSED_MAX: usize = 256 << 20;
/// All bits that mean something.
const ATTRIBUTES_KNOWN: u16 = 0x7f;

/// What one batch tells.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub faults: Vec<(Check, String)>,
    /// Only worth a note.
    pub notes: Vec<(Check, String)>,
    pub records: u64,
    /// Records are missing, or were rewritten: a cleaner has been here.
    pub was_compacted: bool,
}

impl Contents {
    fn fault(&mut self, check: Check, text: impl Into<String>) {
        self.faults.push((check, text.into()));
    }
}

/// Looks at a batch. `buffer` is for decompressed records; `deep` opens them at all, `inspect` looks into them.
pub(super) fn look_at(
    batch: &AnyBatch<'_>,
    keys: bool,
    deep: bool,
    inspect: Option<InspectRecord<'_>>,
    buffer: &mut Vec<u8>,
) -> Contents {
    let mut contents = Contents::default();
    if let Some(header) = batch.v2() {
        check_header(header, &mut contents);
        contents.records = u64::try_from(header.count).unwrap_or(0);
    } else {
        contents.records = 1;
    }
    if deep && contents.faults.is_empty() {
        check_records(batch, keys, inspect, buffer, &mut contents);
    }
    contents
}

/// What the header says of itself.
pub(super) fn check_header(header: &BatchHeader, contents: &mut Contents) {
    let delta = i64::from(header.last_offset_delta);
    let count = i64::from(header.count);
    if delta < 0 || count < 0 || count > delta + 1 {
        contents.fault(
            Check::LogStructure,
            format!("{count} records in the offsets up to {delta} behind the first"),
        );
    }
    contents.was_compacted |= count <= delta || header.attributes.has_delete_horizon();
    if header.base_offset.0.checked_add(delta).is_none() || header.base_offset.0 < 0 {
        contents.fault(Check::LogOffsets, format!("base offset {}", header.base_offset));
    }
    if let Err(fault) = header.attributes.compression() {
        contents.fault(Check::LogStructure, fault.to_string());
    }
    let unknown = header.attributes.0 & !ATTRIBUTES_KNOWN;
    if unknown != 0 {
        contents.notes.push((Check::LogStructure, format!("unknown attributes {unknown:#x}")));
    }
    if header.max_timestamp < NO_TIMESTAMP {
        contents.fault(
            Check::LogTimestamps,
            format!("a largest timestamp of {}", header.max_timestamp),
        );
    }
    let producer = header.has_producer_id();
    if producer && header.producer_epoch.0 < 0 {
        contents.fault(
            Check::LogStructure,
            format!("producer {} has epoch {}", header.producer_id, header.producer_epoch),
        );
    }
    if header.attributes.is_transactional() && !producer {
        contents.fault(Check::LogStructure, "transactional without a producer");
    }
    if producer && !header.attributes.is_control() && header.base_sequence <= NO_SEQUENCE {
        contents.fault(
            Check::LogStructure,
            format!("producer {} has sequence {}", header.producer_id, header.base_sequence),
        );
    }
}

fn check_records(
    batch: &AnyBatch<'_>,
    keys: bool,
    inspect: Option<InspectRecord<'_>>,
    buffer: &mut Vec<u8>,
    contents: &mut Contents,
) {
    let records = match batch.records(buffer, DECOMPRESSED_MAX) {
        Ok(records) => records,
        Err(records::RecordsError::DecompressedTooLarge { max }) => {
            let text = format!("more than {max} bytes when decompressed, not looked at");
            return contents.notes.push((Check::Skipped, text));
        }
        Err(fault) => return contents.fault(Check::LogRecords, fault.to_string()),
    };
    let header = batch.v2();
    let mut walk = Walk { last_delta: -1, max_timestamp: NO_TIMESTAMP, seen: 0, without_key: None };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                let text = format!("record {} of the batch: {fault}", walk.seen);
                return contents.fault(Check::LogRecords, text);
            }
        };
        walk.record(header, &record, contents);
        let is_control = header.is_some_and(|header| header.attributes.is_control());
        if let Some(Err(fault)) = inspect.map(|inspect| inspect(is_control, &record)) {
            let text = format!("the record at offset {}: {fault}", record.offset);
            contents.fault(Check::MetadataRecords, text);
        }
    }
    let Some(header) = header else {
        contents.records = walk.seen;
        return;
    };
    let by_record = header.attributes.timestamp_type() == TimestampType::CreateTime;
    if by_record && walk.seen > 0 && walk.max_timestamp != header.max_timestamp {
        contents.fault(
            Check::LogTimestamps,
            format!(
                "the header's largest timestamp is {}, that of the records {}",
                header.max_timestamp, walk.max_timestamp
            ),
        );
    }
    if let Some(offset) = walk.without_key.filter(|_| keys) {
        contents.fault(Check::LogKeys, format!("the record at offset {offset} has no key"));
    }
}

struct Walk {
    last_delta: i32,
    max_timestamp: i64,
    seen: u64,
    without_key: Option<i64>,
}

impl Walk {
    fn record(
        &mut self,
        header: Option<&BatchHeader>,
        record: &Record<'_>,
        contents: &mut Contents,
    ) {
        self.seen += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        if record.key.is_none() {
            self.without_key.get_or_insert(record.offset.0);
        }
        let Some(header) = header else { return };
        let delta = record.offset_delta;
        if delta <= self.last_delta || delta > header.last_offset_delta {
            contents.fault(
                Check::LogRecords,
                format!(
                    "offset delta {delta} follows {}, the last is {}",
                    self.last_delta, header.last_offset_delta
                ),
            );
        }
        self.last_delta = delta;
        if header.attributes.is_control() {
            check_control(header, record, contents);
            // Keys of control records are their types.
            self.without_key = None;
        }
    }
}

fn check_control(header: &BatchHeader, record: &Record<'_>, contents: &mut Contents) {
    let key = record.key.unwrap_or_default();
    let value = record.value.unwrap_or_default();
    match ControlType::from_key(key) {
        None => {
            contents.fault(Check::LogControl, "a control record without a type");
        }
        Some(ControlType::Unknown(code)) => {
            let text = format!("a control record of the unknown type {code}");
            contents.notes.push((Check::LogControl, text));
        }
        Some(ControlType::Abort | ControlType::Commit) => {
            if EndTxnMarker::read(key, value).is_none() {
                contents.fault(Check::LogControl, "the marker of a transaction has no value");
            } else if !header.has_producer_id() {
                contents.fault(Check::LogControl, "the marker of a transaction has no producer");
            }
        }
        Some(_) => {}
    }
}
