//! Measures one pass over a log on this machine:
//! `cargo run --release -p monedula-storage --example measure_cleaning -- DIR [MEGABYTES]`.
//! Records of 1 KiB in batches of 128, a fifth of the log clean, as `bench/run --compaction` has it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LeaderEpoch, Offset, TopicPartition, WallMs};
use bytes::BytesMut;
use parking_lot::RwLock;
use records::validate::prepare;
use records::{AppendOrigin, BatchBuilder, Compression, ValidationConfig};
use storage::log::cleaning::{CleanRequest, CleanStats, KeyMap, clean};
use storage::log::{LogWork, OpenOptions};
use storage::{FilePool, Log, LogConfig, RealDisk};

const NOW: WallMs = WallMs(1_700_000_000_000);
const VALUE_BYTES: usize = 1024;
const BATCH: u64 = 128;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: measure_cleaning DIR [MEGABYTES]")?);
    let megabytes: u64 = args.next().map_or(Ok(1000), |text| text.parse())?;
    let records = megabytes * 1_000_000 / VALUE_BYTES as u64;
    let keys = records / 5;
    let pool = FilePool::new(Arc::new(RealDisk), 1024);
    let log = RwLock::new(open(&pool, &dir.join("compacted-0"))?);
    let mut random = 1u64;
    fill(&log, keys, |n| n)?;
    let first = measure("first pass, nothing to remove", &log, Offset(0))?;
    fill(&log, records - keys, |_| {
        // Knuth's MMIX generator: any spread of keys will do.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % keys
    })?;
    let second = measure("four fifths dirty", &log, first.upto)?;
    fill(&log, 1000, |n| n)?;
    measure("nearly clean", &log, second.upto)?;
    Ok(())
}

fn open(pool: &Arc<FilePool>, dir: &Path) -> Outcome<Log> {
    let config = LogConfig {
        segment_bytes: 100 << 20,
        compact: true,
        delete: false,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    let options = OpenOptions { config: Arc::new(config), ..OpenOptions::default() };
    Ok(Log::open(pool, dir.to_path_buf(), TopicPartition::new("compacted", 0), options, NOW)?)
}

fn fill(log: &RwLock<Log>, count: u64, mut key_of: impl FnMut(u64) -> u64) -> Outcome<()> {
    let value: Vec<u8> = (0..VALUE_BYTES).map(|n| (n * 7) as u8).collect();
    let mut n = 0;
    while n < count {
        let mut builder = BatchBuilder::new(Compression::None);
        for at in n..count.min(n + BATCH) {
            let key = format!("{:012}", key_of(at));
            builder.append(NOW.0, Some(key.as_bytes()), Some(&value), &[])?;
        }
        n += BATCH;
        let bytes = BytesMut::from(builder.build()?.as_slice());
        let mut batch = prepare(bytes, &ValidationConfig::new(AppendOrigin::Client), NOW)?;
        let mut log = log.write();
        log.append_as_leader(&mut batch, LeaderEpoch(0), AppendOrigin::Client, NOW)?;
        let end = log.end_offset();
        log.set_high_watermark(end);
        work(&mut log)?;
    }
    let mut log = log.write();
    log.roll(NOW)?;
    work(&mut log)
}

fn work(log: &mut Log) -> Outcome<()> {
    for work in log.take_work() {
        match work {
            LogWork::Flush(flush) => log.complete_flush(flush.run(), NOW)?,
            LogWork::Remove(remove) => remove.run()?,
        }
    }
    Ok(())
}

fn measure(what: &str, log: &RwLock<Log>, first_dirty: Offset) -> Outcome<CleanStats> {
    let first_uncleanable = log.read().end_offset();
    let request = CleanRequest { first_dirty, first_uncleanable, now: NOW, delete_retention_ms: 0 };
    let mut map = KeyMap::new(128 << 20, 0.9, [3, 4]);
    let (cpu, begin) = (cpu_time()?, Instant::now());
    let stats = clean(log, &request, &mut map, &mut |_| true, &mut || {})?;
    let (took, after) = (begin.elapsed(), cpu_time()?);
    work(&mut log.write())?;
    let gigabytes = stats.bytes_read as f64 / 1e9;
    let [user, system] = [0, 1].map(|n| after[n].saturating_sub(cpu[n]).as_secs_f64() / gigabytes);
    println!(
        "{what}: {gigabytes:.2} GB, {:.2} GB left, {:.0} MB/s, {:.2} CPU-s per GB ({user:.2} + {system:.2})",
        stats.bytes_written as f64 / 1e9,
        gigabytes * 1e3 / took.as_secs_f64(),
        user + system
    );
    Ok(stats)
}

/// What this process has taken of the processors itself and through the system, in steps of 10 ms.
fn cpu_time() -> Outcome<[Duration; 2]> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().ok_or("no fields")?.split(' ');
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()?;
    let [user, system] = ticks.as_slice() else { return Err("too few fields".into()) };
    Ok([*user, *system].map(|ticks| Duration::from_millis(ticks * 10)))
}
