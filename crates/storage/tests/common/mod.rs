//! What the tests of the log share: a directory, batches, reading everything back.
#![allow(dead_code)] // every test program uses its own part
#![allow(clippy::unwrap_used)] // helpers of tests

pub mod keyed;
pub mod look;

use std::path::PathBuf;
use std::sync::Arc;

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use records::ValidationConfig;
use records::validate::prepare;
use records::{AppendOrigin, BatchBuilder, Batches, Compression, EndTxnMarker, Prepared};
use storage::log::{AppendInfo, FetchData, LogWork, OpenOptions};
use storage::{FilePool, Log, LogConfig, LogError, RealDisk};

pub const NOW: WallMs = WallMs(1_700_000_000_000);
pub const EPOCH: LeaderEpoch = LeaderEpoch(3);

/// A directory for one log, and how it is opened.
pub struct Place {
    pub root: tempfile::TempDir,
    pub pool: Arc<FilePool>,
    pub options: OpenOptions,
}

impl Place {
    pub fn new(config: LogConfig) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            pool: FilePool::new(Arc::new(RealDisk), 64),
            options: OpenOptions { config: Arc::new(config), ..OpenOptions::default() },
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.root.path().join("topic-0")
    }

    pub fn try_open(&self) -> Result<Log, LogError> {
        let name = TopicPartition::new("topic", 0);
        Log::open(&self.pool, self.dir(), name, self.options.clone(), NOW)
    }

    pub fn open(&self) -> Log {
        self.try_open().unwrap()
    }

    /// Opens after a clean stop of `log`.
    pub fn reopen_clean(&mut self, mut log: Log) -> Log {
        log.close(NOW).unwrap();
        self.reopen(log, true)
    }

    /// Opens as after a crash that lost nothing: no close, no clean marker.
    pub fn reopen_unclean(&mut self, log: Log) -> Log {
        self.reopen(log, false)
    }

    fn reopen(&mut self, log: Log, clean: bool) -> Log {
        self.options.clean = clean;
        self.options.start_offset = log.start_offset();
        self.options.recovery_point = log.recovery_point();
        drop(log);
        let mut log = self.open();
        log.set_high_watermark(log.end_offset());
        log
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Who produces a batch.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
}

pub fn idempotent(id: i64, epoch: i16, sequence: i32) -> Option<Producer> {
    Some(Producer { id, epoch, sequence, transactional: false })
}

pub fn transactional(id: i64, epoch: i16, sequence: i32) -> Option<Producer> {
    Some(Producer { id, epoch, sequence, transactional: true })
}

/// The bytes of a batch as a client sends it: one record for each timestamp and value.
pub fn client_batch(
    records: &[(i64, &[u8])],
    codec: Compression,
    producer: Option<Producer>,
) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    if let Some(p) = producer {
        builder = builder.producer(ProducerId(p.id), ProducerEpoch(p.epoch), p.sequence);
        builder = if p.transactional { builder.transactional() } else { builder };
    }
    for (timestamp, value) in records {
        builder.append(*timestamp, Some(b"key"), Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

pub fn prepared(bytes: Vec<u8>, origin: AppendOrigin) -> Prepared {
    let config =
        ValidationConfig { timestamp_after_max_ms: i64::MAX, ..ValidationConfig::new(origin) };
    prepare(bytes::BytesMut::from(bytes.as_slice()), &config, NOW).unwrap()
}

/// Appends one record of this time and value.
pub fn append(log: &mut Log, timestamp: i64, value: &[u8]) -> AppendInfo {
    append_batch(log, &[(timestamp, value)], None).unwrap()
}

pub fn append_batch(
    log: &mut Log,
    records: &[(i64, &[u8])],
    producer: Option<Producer>,
) -> Result<AppendInfo, LogError> {
    let bytes = client_batch(records, Compression::None, producer);
    let mut batch = prepared(bytes, AppendOrigin::Client);
    let info = log.append_as_leader(&mut batch, EPOCH, AppendOrigin::Client, NOW)?;
    log.set_high_watermark(log.end_offset());
    Ok(info)
}

/// Ends a transaction.
pub fn append_marker(
    log: &mut Log,
    producer: Producer,
    commit: bool,
    coordinator_epoch: i32,
) -> Result<AppendInfo, LogError> {
    let marker = EndTxnMarker { commit, coordinator_epoch };
    let (id, epoch) = (ProducerId(producer.id), ProducerEpoch(producer.epoch));
    let bytes = marker.batch(Offset::ZERO, EPOCH, NOW.0, id, epoch).unwrap();
    let mut batch = prepared(bytes, AppendOrigin::Coordinator);
    let info = log.append_marker(&mut batch, EPOCH, 1, NOW)?;
    log.set_high_watermark(log.end_offset());
    Ok(info)
}

pub fn read(log: &Log, offset: i64, max_bytes: u32) -> Result<FetchData, LogError> {
    log.read(Offset(offset), max_bytes, log.end_offset(), true, false)
}

/// Offset, time and value of the records in a slice of whole batches.
pub fn records_in(bytes: &[u8]) -> Vec<(i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        let mut buffer = Vec::new();
        for record in batch.records(&mut buffer, 1 << 20).unwrap() {
            let record = record.unwrap();
            found.push((record.offset.0, record.timestamp, record.value.unwrap_or(b"").to_vec()));
        }
    }
    found
}

/// Everything from an offset to the log's end, as a consumer reads it.
pub fn read_all(log: &Log, from: i64) -> Vec<(i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut next = from;
    while next < log.end_offset().0 {
        let data = read(log, next, 300).unwrap();
        let Some(slice) = data.records else { break };
        let mut records = records_in(&slice.read().unwrap());
        records.retain(|(offset, ..)| *offset >= next);
        let Some((last, ..)) = records.last() else { break };
        next = last + 1;
        found.extend(records);
    }
    found
}

/// Does everything that a log has left to be done.
pub fn run_work(log: &mut Log) {
    run_work_on(log).unwrap();
}

/// The same on a disk that may fail.
pub fn run_work_on(log: &mut Log) -> Result<(), LogError> {
    for work in log.take_work() {
        match work {
            LogWork::Flush(flush) => log.complete_flush(flush.run(), NOW)?,
            LogWork::Remove(remove) => remove.run()?,
        }
    }
    Ok(())
}
