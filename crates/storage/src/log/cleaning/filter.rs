//! What stays of a batch: nothing, an empty one for its producer, some records, or all of it. Pure: bytes in, bytes out.

use std::collections::HashMap;

use base::{Offset, WallMs};
use records::batch::BatchHeader;
use records::record::Records;
use records::{
    AnyBatch, AnyRecords, BatchBuilder, Codec, ControlType, Header, Record, RecordsError,
    TimestampType,
};

use super::keymap::{KeyHash, KeyMap, TOGETHER};
use super::txns::TxnScan;
use crate::log::AbortedTxn;

/// The last that a log remembers of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LastRecord {
    /// Last offset of its last data batch; `None` when only markers are remembered.
    pub data_offset: Option<i64>,
    pub epoch: i16,
}

/// What a pass goes by.
pub(super) struct Rules {
    pub now: WallMs,
    pub delete_retention_ms: i64,
    pub high_watermark: i64,
    pub last_records: HashMap<i64, LastRecord>,
    pub max_decompressed_bytes: usize,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Filtered {
    pub records_read: u64,
    pub records_kept: u64,
    /// Records without a key: they go, whatever they say.
    pub keyless: u64,
    /// A transaction that goes on to need its entry in the index.
    pub aborted: Option<AbortedTxn>,
}

/// What is decided before a record is looked at.
struct Verdict {
    /// All records go: aborted data, or a marker whose time has come.
    discard: bool,
    /// Nobody needs this marker any more, only its time has not come.
    obsolete_marker: bool,
    /// Without records it stays as an empty batch.
    keep_empty: bool,
    aborted: Option<AbortedTxn>,
}

/// Filters the batches of one pass in their order.
pub(super) struct Filter {
    pub rules: Rules,
    pub txns: TxnScan,
    decompressed: Vec<u8>,
    looked_at: Vec<Looked>,
    keep: Vec<bool>,
}

/// What decides about a record.
struct Looked {
    offset: i64,
    key: Option<KeyHash>,
    has_value: bool,
}

impl Filter {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            txns: TxnScan::default(),
            decompressed: Vec::new(),
            looked_at: Vec::with_capacity(TOGETHER),
            keep: Vec::new(),
        }
    }

    /// Appends what stays of a batch to `out`. `legacy_deletes_stay`: so do tombstones in old formats, which carry no
    /// time of their own.
    pub fn filter(
        &mut self,
        batch: &AnyBatch<'_>,
        map: &KeyMap,
        legacy_deletes_stay: bool,
        out: &mut Vec<u8>,
    ) -> Result<Filtered, String> {
        let verdict = self.judge(batch).map_err(text)?;
        let mut done = Filtered { aborted: verdict.aborted, ..Filtered::default() };
        if verdict.discard && !verdict.keep_empty {
            return Ok(done);
        }
        let mut tombstones = false;
        self.keep.clear();
        let mut buffer = std::mem::take(&mut self.decompressed);
        let records = batch.records(&mut buffer, self.rules.max_decompressed_bytes);
        let mut records = records.map_err(text)?;
        while self.look(&mut records, map)? {
            for looked in &self.looked_at {
                let keep = !verdict.discard
                    && (batch.is_control()
                        || self.stays(batch, looked, map, legacy_deletes_stay, &mut done.keyless));
                self.keep.push(keep);
                done.records_kept += u64::from(keep);
                tombstones |= keep && !looked.has_value;
            }
        }
        done.records_read = self.keep.len() as u64;
        let empty = done.records_kept == 0;
        let all = done.records_kept == done.records_read && batch.v2().is_some();
        let horizon = self.horizon(batch, tombstones || verdict.obsolete_marker);
        match batch.v2() {
            Some(header) if empty && verdict.keep_empty => {
                out.extend_from_slice(&header.without_records());
            }
            None if empty && verdict.keep_empty => {
                return Err("an empty batch in an old format cannot be kept".into());
            }
            _ if empty => {}
            _ if all && !matches!(horizon, Horizon::New(_)) => out.extend_from_slice(batch.bytes()),
            _ => self.rebuild(batch, &mut buffer, horizon, out)?,
        }
        self.decompressed = buffer;
        shrink(&mut self.decompressed);
        Ok(done)
    }

    /// Looks at the next records; false when there are none.
    fn look(&mut self, records: &mut AnyRecords<'_>, map: &KeyMap) -> Result<bool, String> {
        self.looked_at.clear();
        for record in records.take(TOGETHER) {
            let record = record.map_err(text)?;
            self.looked_at.push(Looked {
                offset: record.offset.0,
                key: record.key.map(|key| map.hash(key)),
                has_value: record.value.is_some(),
            });
        }
        map.warm(self.looked_at.iter().filter_map(|looked| looked.key));
        Ok(!self.looked_at.is_empty())
    }

    fn judge(&mut self, batch: &AnyBatch<'_>) -> Result<Verdict, RecordsError> {
        let (producer_id, last) = (batch.producer_id().0, batch.last_offset().0);
        let is_last = producer_id >= 0 && self.is_last_of_producer(batch);
        let keep_empty = is_last || batch.next_offset().0 == self.rules.high_watermark;
        if !batch.is_control() {
            let discard = self.txns.on_data(last, producer_id, batch.is_transactional());
            return Ok(Verdict { discard, obsolete_marker: false, keep_empty, aborted: None });
        }
        let fate = self.txns.on_control(last, producer_id, control_type(batch)?);
        let due = delete_horizon(batch).is_some_and(|horizon| horizon <= self.rules.now.0);
        Ok(Verdict {
            discard: fate.obsolete && due,
            obsolete_marker: fate.obsolete,
            keep_empty,
            aborted: fate.aborted,
        })
    }

    /// The log remembers this batch as the last of its producer: its sequence and epoch must not get lost.
    fn is_last_of_producer(&self, batch: &AnyBatch<'_>) -> bool {
        self.rules.last_records.get(&batch.producer_id().0).is_some_and(|last| {
            match last.data_offset {
                Some(offset) => batch.last_offset() == Offset(offset),
                None => batch.is_control() && batch.producer_epoch().0 == last.epoch,
            }
        })
    }

    fn stays(
        &self,
        batch: &AnyBatch<'_>,
        record: &Looked,
        map: &KeyMap,
        legacy_deletes_stay: bool,
        keyless: &mut u64,
    ) -> bool {
        if record.offset > map.latest() {
            return true;
        }
        let Some(key) = record.key else {
            *keyless += 1;
            return false;
        };
        let newest = map.get(key).is_none_or(|newest| record.offset >= newest);
        newest && (record.has_value || self.delete_stays(batch, legacy_deletes_stay))
    }

    fn delete_stays(&self, batch: &AnyBatch<'_>, legacy_deletes_stay: bool) -> bool {
        match batch.v2() {
            Some(_) => delete_horizon(batch).is_none_or(|horizon| self.rules.now.0 < horizon),
            None => legacy_deletes_stay,
        }
    }

    fn horizon(&self, batch: &AnyBatch<'_>, needed: bool) -> Horizon {
        if let Some(old) = delete_horizon(batch) {
            return Horizon::Old(old);
        }
        // A time beyond all times is none: such tombstones stay for ever.
        match self.rules.now.0.checked_add(self.rules.delete_retention_ms) {
            Some(at) if needed && at >= 0 => Horizon::New(at),
            _ => Horizon::None,
        }
    }

    /// Writes the batch with the records that stay. It keeps its offsets, its producer and its codec; in old formats
    /// it becomes one of the new.
    fn rebuild(
        &mut self,
        batch: &AnyBatch<'_>,
        buffer: &mut Vec<u8>,
        horizon: Horizon,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let codec = Codec::from(batch.compression().map_err(text)?);
        let records = match batch.v2() {
            // What was decompressed to look at it is still there.
            Some(header) if codec != Codec::None => {
                AnyRecords::V2(Records::new(header, buffer).map_err(text)?)
            }
            _ => batch.records(buffer, self.rules.max_decompressed_bytes).map_err(text)?,
        };
        let mut kept = records.zip(&self.keep).filter(|(_, keep)| **keep).map(|(record, _)| record);
        let Some(first) = kept.next().transpose().map_err(text)? else { return Ok(()) };
        let mut builder = BatchBuilder::new(codec).base_offset(first.offset);
        if let Some(header) = batch.v2() {
            builder = like(builder, header);
        }
        if batch.timestamp_type() == Some(TimestampType::LogAppendTime) {
            builder = builder.log_append_time(batch.max_timestamp());
        }
        builder = builder.delete_horizon(horizon.at()).in_place(std::mem::take(out));
        let mut headers = Vec::new();
        for record in std::iter::once(Ok(first)).chain(kept) {
            append(&mut builder, &record.map_err(text)?, &mut headers)?;
        }
        if batch.v2().is_some() {
            builder.end_at(batch.last_offset()).map_err(text)?;
        }
        *out = builder.build_in_place().map_err(text)?;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Horizon {
    None,
    Old(i64),
    New(i64),
}

impl Horizon {
    fn at(self) -> i64 {
        match self {
            Self::None => -1,
            Self::Old(at) | Self::New(at) => at,
        }
    }
}

fn like(builder: BatchBuilder, header: &BatchHeader) -> BatchBuilder {
    let builder = builder
        .base_offset(header.base_offset)
        .leader_epoch(header.partition_leader_epoch)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence);
    let attributes = header.attributes;
    let builder = if attributes.is_transactional() { builder.transactional() } else { builder };
    if attributes.is_control() { builder.control() } else { builder }
}

fn append<'a>(
    builder: &mut BatchBuilder,
    record: &Record<'a>,
    headers: &mut Vec<Header<'a>>,
) -> Result<(), String> {
    headers.clear();
    headers.extend(record.headers.iter());
    let (key, value) = (record.key, record.value);
    builder.append_at(record.offset, record.timestamp, key, value, headers).map_err(text)
}

/// The time from which on the tombstones and markers of a batch may go.
fn delete_horizon(batch: &AnyBatch<'_>) -> Option<i64> {
    let header = batch.v2()?;
    header.attributes.has_delete_horizon().then_some(header.base_timestamp)
}

/// What the first record of a control batch says; `None` when there is none.
pub(super) fn control_type(batch: &AnyBatch<'_>) -> Result<Option<ControlType>, RecordsError> {
    let mut buffer = Vec::new();
    let mut records = batch.records(&mut buffer, batch.size())?;
    let Some(first) = records.next().transpose()? else { return Ok(None) };
    let kind = first.key.and_then(ControlType::from_key);
    Ok(Some(kind.unwrap_or(ControlType::Unknown(-1))))
}

fn text(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}

/// One large batch must not hold its memory to the end.
fn shrink(buffer: &mut Vec<u8>) {
    const KEPT: usize = 4 << 20;
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}
