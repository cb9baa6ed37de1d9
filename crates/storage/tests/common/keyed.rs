//! Keyed records in a log, its cleaning, and what is then read of it.

use std::collections::HashSet;

use base::{Offset, ProducerEpoch, ProducerId, WallMs};
use parking_lot::RwLock;
use records::{AppendOrigin, BatchBuilder, Batches, Compression};
use storage::log::cleaning::{CleanError, CleanRequest, CleanStats, KeyMap, clean};
use storage::{Log, LogConfig, LogError};

use super::{EPOCH, NOW, Producer, prepared, run_work_on};

/// A record as it is written: key and value.
pub type Keyed = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Offset, key and value.
pub type Read = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

pub fn keyed(key: &str, value: &str) -> Keyed {
    (Some(key.into()), Some(value.into()))
}

pub fn tombstone(key: &str) -> Keyed {
    (Some(key.into()), None)
}

/// Small segments, compacted.
pub fn compacted(segment_bytes: u32) -> LogConfig {
    LogConfig {
        segment_bytes,
        index_interval_bytes: 64,
        compact: true,
        delete: false,
        retention_ms: -1,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    }
}

/// Appends one batch and counts it as replicated. Gives its first offset.
pub fn append_keyed(
    log: &mut Log,
    records: &[Keyed],
    codec: Compression,
    producer: Option<Producer>,
) -> Result<i64, LogError> {
    let mut builder = BatchBuilder::new(codec);
    if let Some(p) = producer {
        builder = builder.producer(ProducerId(p.id), ProducerEpoch(p.epoch), p.sequence);
        builder = if p.transactional { builder.transactional() } else { builder };
    }
    for (key, value) in records {
        builder.append(NOW.0, key.as_deref(), value.as_deref(), &[]).unwrap();
    }
    let mut batch = prepared(builder.build().unwrap(), AppendOrigin::Client);
    let info = log.append_as_leader(&mut batch, EPOCH, AppendOrigin::Client, NOW)?;
    log.set_high_watermark(log.end_offset());
    Ok(info.first_offset.0)
}

/// How a test cleans.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub from: i64,
    pub now: WallMs,
    pub delete_retention_ms: i64,
    /// The most keys that the map takes.
    pub keys: u64,
}

impl Pass {
    pub fn from(from: i64) -> Self {
        Self { from, now: NOW, delete_retention_ms: 1000, keys: 1000 }
    }
}

/// Cleans all that can be cleaned, and does the work that is left.
pub fn clean_log(log: &RwLock<Log>, pass: Pass) -> Result<CleanStats, CleanError> {
    let first_uncleanable = log.read().last_stable_offset();
    let request = CleanRequest {
        first_dirty: Offset(pass.from),
        first_uncleanable,
        now: pass.now,
        delete_retention_ms: pass.delete_retention_ms,
    };
    // One slot of a map stays free.
    let mut map = KeyMap::new((pass.keys + 1).max(16) * 24, 1.0, [3, 4]);
    let mut fault = None;
    let stats = clean(log, &request, &mut map, &mut |_| true, &mut || {
        fault = run_work_on(&mut log.write()).err();
    })?;
    fault.map_or(Ok(stats), |fault| Err(fault.into()))
}

/// Cleans a log that nobody else uses.
pub fn cleaned(log: Log, pass: Pass) -> (Log, CleanStats) {
    let log = RwLock::new(log);
    let stats = clean_log(&log, pass).unwrap();
    (log.into_inner(), stats)
}

/// The bytes of all segments from the log's start on.
pub fn bytes_of(log: &Log) -> Vec<Vec<u8>> {
    let bases = log.segment_base_offsets();
    let file = |base: &Offset| std::fs::read(log.dir().join(format!("{base:020}.log"))).unwrap();
    bases.iter().map(file).collect()
}

/// All records as a consumer reads them, batch by batch; read-committed ones know nothing of aborted transactions.
pub fn consume(log: &Log, read_committed: bool) -> Vec<Read> {
    let mut found = Vec::new();
    let upper = if read_committed { log.last_stable_offset() } else { log.end_offset() };
    let mut next = log.start_offset();
    while next < upper {
        let data = log.read(next, 500, upper, true, read_committed).unwrap();
        let Some(slice) = data.records else { break };
        let bytes = slice.read().unwrap();
        let mut ahead = data.aborted.unwrap_or_default();
        ahead.sort_by_key(|txn| txn.first_offset);
        let mut ahead = ahead.into_iter().peekable();
        let mut aborted: HashSet<i64> = HashSet::new();
        let mut last = None;
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            while let Some(txn) = ahead.next_if(|txn| txn.first_offset <= batch.last_offset().0) {
                aborted.insert(txn.producer_id.0);
            }
            last = Some(batch.last_offset());
            if batch.is_control() {
                aborted.remove(&batch.producer_id().0);
                continue;
            }
            if batch.is_transactional() && aborted.contains(&batch.producer_id().0) {
                continue;
            }
            let mut buffer = Vec::new();
            for record in batch.records(&mut buffer, 1 << 20).unwrap() {
                let record = record.unwrap();
                let bytes = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
                if record.offset >= next {
                    found.push((record.offset.0, bytes(record.key), bytes(record.value)));
                }
            }
        }
        let Some(last) = last else { break };
        next = Offset(last.0 + 1);
    }
    found
}
