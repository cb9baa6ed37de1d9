//! Measures the log on this machine: `cargo run --release -p monedula-storage --example measure_log -- DIR`.
//! Idle partitions (time, memory, descriptors), appends, reads at the tail and elsewhere, recovery.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use bytes::BytesMut;
use records::validate::prepare;
use records::{AppendOrigin, BatchBuilder, Compression, ValidationConfig};
use storage::log::OpenOptions;
use storage::{FilePool, Log, LogConfig, RealDisk};

const NOW: WallMs = WallMs(1_700_000_000_000);
const PARTITIONS: i32 = 10_000;
const BATCH_BYTES: usize = 16 * 1024;
const APPENDS: i32 = 65_536;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: measure_log DIR")?);
    let pool = FilePool::new(Arc::new(RealDisk), 1024);
    idle(&pool, &dir.join("idle"))?;
    one(&pool, &dir.join("one-0"))
}

fn open(pool: &Arc<FilePool>, dir: PathBuf, partition: i32, clean: Option<Offset>) -> Outcome<Log> {
    let options = OpenOptions {
        config: Arc::new(LogConfig::default()),
        clean: clean.is_some(),
        recovery_point: clean.unwrap_or(Offset::ZERO),
        ..OpenOptions::default()
    };
    Ok(Log::open(pool, dir, TopicPartition::new("idle", partition), options, NOW)?)
}

fn idle(pool: &Arc<FilePool>, dir: &Path) -> Outcome<()> {
    let path = |n: i32| dir.join(format!("idle-{n}"));
    let before = rss_kib()?;
    let start = Instant::now();
    let mut logs = Vec::new();
    for n in 0..PARTITIONS {
        logs.push(open(pool, path(n), n, None)?);
    }
    report("create 10,000 partitions", start, PARTITIONS);
    println!(
        "  {:.1} KiB each, {} descriptors",
        (rss_kib()? - before) as f64 / f64::from(PARTITIONS),
        pool.open_files()
    );
    let start = Instant::now();
    for log in &mut logs {
        append(log, 100, None)?;
    }
    report("first append to each", start, PARTITIONS);
    println!(
        "  {:.1} KiB each, {} descriptors",
        (rss_kib()? - before) as f64 / f64::from(PARTITIONS),
        pool.open_files()
    );
    let start = Instant::now();
    for log in &mut logs {
        log.close_unsynced(NOW)?;
    }
    report("close", start, PARTITIONS);
    let start = Instant::now();
    pool.disk().sync_file_system(dir)?;
    report("make durable", start, 1);
    drop(logs);
    let start = Instant::now();
    let mut logs = Vec::new();
    for n in 0..PARTITIONS {
        logs.push(open(pool, path(n), n, Some(Offset(1)))?);
    }
    report("open after a clean stop", start, PARTITIONS);
    drop(logs);
    let start = Instant::now();
    for n in 0..PARTITIONS {
        drop(open(pool, path(n), n, None)?);
    }
    report("open after a crash", start, PARTITIONS);
    Ok(())
}

fn one(pool: &Arc<FilePool>, dir: &Path) -> Outcome<()> {
    let mut log = open(pool, dir.to_path_buf(), 0, None)?;
    let template = batch(BATCH_BYTES, None)?;
    let validation = ValidationConfig::new(AppendOrigin::Client);
    let mut batches = Vec::new();
    let start = Instant::now();
    for _ in 0..APPENDS {
        batches.push(prepare(BytesMut::from(template.as_slice()), &validation, NOW)?);
        if batches.len() == 256 {
            for batch in &mut batches {
                log.append_as_leader(batch, LeaderEpoch(0), AppendOrigin::Client, NOW)?;
            }
            batches.clear();
        }
    }
    report("prepare and append 16 KiB", start, APPENDS);
    let mut batch = prepare(BytesMut::from(template.as_slice()), &validation, NOW)?;
    let start = Instant::now();
    for _ in 0..APPENDS {
        log.append_as_leader(&mut batch, LeaderEpoch(0), AppendOrigin::Client, NOW)?;
    }
    report("append 16 KiB", start, APPENDS);
    let end = log.end_offset();
    let start = Instant::now();
    for _ in 0..1_000_000 {
        log.read(Offset(end.0 - 1), 1 << 20, end, true, false)?;
    }
    report("find at the tail", start, 1_000_000);
    let start = Instant::now();
    let mut offset = 7;
    for _ in 0..100_000 {
        offset = (offset * 48_271 + 11) % end.0;
        log.read(Offset(offset), 1 << 20, end, true, false)?;
    }
    report("find anywhere", start, 100_000);
    let bytes = log.size();
    drop(log);
    let start = Instant::now();
    let log = open(pool, dir.to_path_buf(), 0, None)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("recovery of {} MiB: {:.2} GB/s", bytes >> 20, bytes as f64 / 1e9 / seconds);
    assert_eq!(log.end_offset(), end);
    Ok(())
}

fn batch(bytes: usize, producer: Option<i64>) -> Outcome<Vec<u8>> {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(id) = producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(0), 0);
    }
    let value = vec![b'x'; bytes.min(1000)];
    while builder.uncompressed_size() < bytes {
        builder.append(NOW.0, Some(b"key"), Some(&value), &[])?;
    }
    Ok(builder.build()?)
}

fn append(log: &mut Log, bytes: usize, producer: Option<i64>) -> Outcome<()> {
    let bytes = BytesMut::from(batch(bytes, producer)?.as_slice());
    let mut prepared = prepare(bytes, &ValidationConfig::new(AppendOrigin::Client), NOW)?;
    log.append_as_leader(&mut prepared, LeaderEpoch(0), AppendOrigin::Client, NOW)?;
    Ok(())
}

fn report(what: &str, start: Instant, times: i32) {
    let elapsed = start.elapsed();
    let each = elapsed.as_secs_f64() * 1e6 / f64::from(times);
    println!("{what}: {:.2} s, {each:.2} us each", elapsed.as_secs_f64());
}

fn rss_kib() -> Outcome<i64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?)
}
