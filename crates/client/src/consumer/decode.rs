//! From the bytes of a Fetch answer to records: checks, decompresses, drops what was aborted. No I/O.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use base::TopicPartition;
use bytes::Bytes;
use records::AnyBatch;
use records::control::ControlType;

use super::ConsumerRecord;
use crate::error::{Error, Result};

/// What to check and what to leave out.
#[derive(Clone, Copy, Debug)]
pub struct DecodeOptions {
    pub check_crcs: bool,
    pub read_committed: bool,
    pub max_decompressed_bytes: usize,
}

/// The batches of one partition from one answer, decoded one at a time.
#[derive(Debug)]
pub struct FetchedRecords {
    partition: TopicPartition,
    bytes: Bytes,
    position: i64,
    options: DecodeOptions,
    /// Aborted transactions that begin later in these bytes, by their first offset.
    aborted: VecDeque<(i64, i64)>,
    /// Producers inside an aborted transaction.
    aborting: HashSet<i64>,
}

impl FetchedRecords {
    /// `aborted`: producer id and first offset of each aborted transaction in these bytes.
    pub fn new(
        partition: TopicPartition,
        bytes: Bytes,
        position: i64,
        aborted: impl IntoIterator<Item = (i64, i64)>,
        options: DecodeOptions,
    ) -> Self {
        let mut aborted: Vec<(i64, i64)> =
            aborted.into_iter().map(|(id, first)| (first, id)).collect();
        aborted.sort_unstable();
        Self {
            partition,
            bytes,
            position,
            options,
            aborted: aborted.into(),
            aborting: HashSet::new(),
        }
    }

    /// The offset after everything handed out so far.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The records of the next batch, empty for one without any for the user; None at the end. After an error the
    /// position is that of the batch that caused it.
    pub fn next_records(&mut self) -> Option<Result<Vec<ConsumerRecord>>> {
        if self.bytes.is_empty() {
            return None;
        }
        let bytes = self.bytes.clone();
        let batch = match AnyBatch::parse(&bytes) {
            Ok(Some(batch)) => batch,
            // The last batch of an answer may be cut.
            Ok(None) => {
                self.bytes.clear();
                return None;
            }
            Err(error) => {
                self.bytes.clear();
                return Some(Err(self.corrupt(&error)));
            }
        };
        match self.decode(&bytes, &batch) {
            Ok(records) => {
                self.position = self.position.max(batch.next_offset().get());
                self.bytes = bytes.slice(batch.size()..);
                Some(Ok(records))
            }
            Err(error) => {
                self.bytes.clear();
                Some(Err(error))
            }
        }
    }

    fn corrupt(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::CorruptRecords {
            partition: self.partition.clone(),
            offset: self.position,
            reason: reason.to_string(),
        }
    }

    fn decode(&mut self, bytes: &Bytes, batch: &AnyBatch<'_>) -> Result<Vec<ConsumerRecord>> {
        if batch.next_offset().get() <= self.position {
            return Ok(Vec::new());
        }
        if self.options.check_crcs {
            batch.check_crc().map_err(|error| self.corrupt(&error))?;
        }
        if self.options.read_committed && self.skip_aborted(batch)? || batch.is_control() {
            return Ok(Vec::new());
        }
        let mut buffer = Vec::new();
        let raw = self.raw_records(bytes, batch, &mut buffer)?;
        let decompressed = Bytes::from(buffer);
        let resolve = |place: Place| match place {
            Place::Answer(range) => bytes.slice(range),
            Place::Decompressed(range) => decompressed.slice(range),
        };
        let topic = &self.partition.topic;
        let record = |raw: RawRecord<Place>| ConsumerRecord {
            topic: Arc::clone(topic),
            partition: self.partition.partition.get(),
            offset: raw.offset,
            leader_epoch: batch.partition_leader_epoch().get(),
            timestamp: raw.timestamp,
            timestamp_type: batch.timestamp_type(),
            key: raw.key.map(resolve),
            value: raw.value.map(resolve),
            headers: raw
                .headers
                .into_iter()
                .map(|(key, value)| (key, value.map(resolve)))
                .collect(),
        };
        Ok(raw.into_iter().map(record).collect())
    }

    /// Whether the batch belongs to an aborted transaction; keeps count of those that are open.
    fn skip_aborted(&mut self, batch: &AnyBatch<'_>) -> Result<bool> {
        let last = batch.last_offset().get();
        while let Some((_, id)) = self.aborted.pop_front_if(|(first, _)| *first <= last) {
            self.aborting.insert(id);
        }
        if !batch.is_transactional() && !batch.is_control() {
            return Ok(false);
        }
        let producer = batch.producer_id().get();
        if batch.is_control() {
            if self.marker(batch)? == Some(ControlType::Abort) {
                self.aborting.remove(&producer);
            }
            return Ok(true);
        }
        Ok(self.aborting.contains(&producer))
    }

    fn marker(&self, batch: &AnyBatch<'_>) -> Result<Option<ControlType>> {
        let mut buffer = Vec::new();
        let records = batch.records(&mut buffer, self.options.max_decompressed_bytes);
        let mut records = records.map_err(|error| self.corrupt(&error))?;
        let first = records.next().transpose().map_err(|error| self.corrupt(&error))?;
        Ok(first.and_then(|record| record.key).and_then(ControlType::from_key))
    }

    fn raw_records(
        &self,
        bytes: &Bytes,
        batch: &AnyBatch<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<RawRecord<Place>>> {
        let records = batch.records(buffer, self.options.max_decompressed_bytes);
        let records = records.map_err(|error| self.corrupt(&error))?;
        let mut found: Vec<RawRecord<Range<usize>>> = Vec::new();
        for record in records {
            let record = record.map_err(|error| self.corrupt(&error))?;
            if record.offset.get() < self.position {
                continue;
            }
            let header = |h: records::Header<'_>| {
                (String::from_utf8_lossy(h.key).into_owned(), h.value.map(span))
            };
            found.push(RawRecord {
                offset: record.offset.get(),
                timestamp: record.timestamp,
                key: record.key.map(span),
                value: record.value.map(span),
                headers: record.headers.iter().map(header).collect(),
            });
        }
        let (answer, decompressed) = (span(bytes), span(buffer));
        let place = |slice: Range<usize>| {
            within(&slice, &answer)
                .map(Place::Answer)
                .or_else(|| within(&slice, &decompressed).map(Place::Decompressed))
                .ok_or_else(|| self.corrupt(&"a record lies outside of its batch"))
        };
        found.into_iter().map(|record| record.place(&place)).collect()
    }
}

/// Where a slice lies, by the addresses of its memory: only compared with those of the two buffers it may lie in.
fn span(slice: &[u8]) -> Range<usize> {
    let start = slice.as_ptr().addr();
    start..start + slice.len()
}

/// The part of `whole` that `slice` is.
fn within(slice: &Range<usize>, whole: &Range<usize>) -> Option<Range<usize>> {
    if slice.is_empty() {
        return Some(0..0);
    }
    let start = slice.start.checked_sub(whole.start)?;
    (slice.end <= whole.end).then(|| start..start + slice.len())
}

enum Place {
    Answer(Range<usize>),
    Decompressed(Range<usize>),
}

struct RawRecord<P> {
    offset: i64,
    timestamp: i64,
    key: Option<P>,
    value: Option<P>,
    headers: Vec<(String, Option<P>)>,
}

impl RawRecord<Range<usize>> {
    fn place(self, place: &impl Fn(Range<usize>) -> Result<Place>) -> Result<RawRecord<Place>> {
        let header =
            |(key, value): (String, Option<Range<usize>>)| Ok((key, value.map(place).transpose()?));
        Ok(RawRecord {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(place).transpose()?,
            value: self.value.map(place).transpose()?,
            headers: self.headers.into_iter().map(header).collect::<Result<_>>()?,
        })
    }
}
