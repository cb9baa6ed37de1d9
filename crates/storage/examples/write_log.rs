//! Writes one partition's directory for Apache Kafka's own tools to look at:
//! `cargo run -p monedula-storage --example write_log -- DIR [unclean]` makes `DIR/monedula-0` with several segments,
//! every codec, an idempotent producer, a committed and an aborted transaction, and an epoch change. With `unclean` the
//! log is left as after a crash.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use bytes::BytesMut;
use records::validate::prepare;
use records::{AppendOrigin, BatchBuilder, Compression, EndTxnMarker, ValidationConfig};
use storage::log::OpenOptions;
use storage::{FilePool, Log, LogConfig, RealDisk};

const START: i64 = 1_700_000_000_000;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: write_log DIR [unclean]")?;
    let unclean = arguments.next().as_deref() == Some("unclean");
    let pool = FilePool::new(Arc::new(RealDisk), 64);
    let config =
        LogConfig { segment_bytes: 8 * 1024, index_interval_bytes: 512, ..LogConfig::default() };
    let options = OpenOptions { config: Arc::new(config), ..OpenOptions::default() };
    let name = TopicPartition::new("monedula", 0);
    let mut log =
        Log::open(&pool, PathBuf::from(dir).join("monedula-0"), name, options, WallMs(START))?;

    let mut time = START;
    for round in 0..60i32 {
        let codec = CODECS[round as usize % CODECS.len()];
        let epoch = LeaderEpoch(if round < 30 { 0 } else { 4 });
        let producer = (round % 2 == 0).then_some((7, 0, round / 2 * 10));
        time = batch(&mut log, codec, epoch, producer, false, time)?;
    }
    for (round, commit) in [true, false, true].into_iter().enumerate() {
        let sequence = round as i32 * 10;
        time =
            batch(&mut log, Compression::None, LeaderEpoch(5), Some((9, 1, sequence)), true, time)?;
        let marker = EndTxnMarker { commit, coordinator_epoch: 2 };
        let bytes =
            marker.batch(Offset::ZERO, LeaderEpoch(5), time, ProducerId(9), ProducerEpoch(1))?;
        let validation = ValidationConfig::new(AppendOrigin::Coordinator);
        let mut prepared = prepare(BytesMut::from(bytes.as_slice()), &validation, WallMs(time))?;
        log.append_marker(&mut prepared, LeaderEpoch(5), 1, WallMs(time))?;
    }
    println!(
        "{} records, {} segments, {} bytes",
        log.end_offset(),
        log.segment_count(),
        log.size()
    );
    if unclean {
        std::mem::forget(log);
    } else {
        log.close(WallMs(time))?;
    }
    Ok(())
}

/// Ten records, one millisecond apart. Gives the time after the last.
fn batch(
    log: &mut Log,
    codec: Compression,
    epoch: LeaderEpoch,
    producer: Option<(i64, i16, i32)>,
    transactional: bool,
    time: i64,
) -> Result<i64, Box<dyn Error>> {
    let mut builder = BatchBuilder::new(codec);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        builder = if transactional { builder.transactional() } else { builder };
    }
    for n in 0..10 {
        let value = format!("value {n} at {time} {}", "x".repeat(80));
        builder.append(time + n, Some(b"key"), Some(value.as_bytes()), &[])?;
    }
    let validation = ValidationConfig::new(AppendOrigin::Client);
    let bytes = BytesMut::from(builder.build()?.as_slice());
    let mut prepared = prepare(bytes, &validation, WallMs(time))?;
    log.append_as_leader(&mut prepared, epoch, AppendOrigin::Client, WallMs(time))?;
    Ok(time + 10)
}
