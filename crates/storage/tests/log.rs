//! The log of one partition: append, read, roll, reopen.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod common;

use base::{LeaderEpoch, Offset};
use common::*;
use protocol::ErrorCode;
use records::AppendOrigin;
use records::compress::Compression;
use storage::{LogConfig, LogError};

fn small() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 100, ..LogConfig::default() }
}

fn fill(log: &mut storage::Log, count: usize) {
    for n in 0..count {
        let info = append(log, NOW.0 + n as i64, format!("value {n}").as_bytes());
        assert_eq!(info.first_offset.0, n as i64);
    }
}

fn expected(count: usize) -> Vec<(i64, i64, Vec<u8>)> {
    (0..count).map(|n| (n as i64, NOW.0 + n as i64, format!("value {n}").into_bytes())).collect()
}

#[test]
fn what_is_appended_is_read_across_segments() {
    let place = Place::new(small());
    let mut log = place.open();
    fill(&mut log, 100);
    assert!(log.segment_count() > 5, "{}", log.segment_count());
    for from in 0..100 {
        assert_eq!(read_all(&log, from), expected(100)[from as usize..]);
    }
    assert_eq!(log.end_offset(), Offset(100));
}

#[test]
fn a_clean_and_an_unclean_stop_lose_nothing() {
    let mut place = Place::new(small());
    let mut log = place.open();
    fill(&mut log, 100);
    let size = log.size();
    let log = place.reopen_clean(log);
    assert_eq!(read_all(&log, 0), expected(100));
    assert_eq!((log.size(), log.recovery_point()), (size, Offset(100)));
    let log = place.reopen_unclean(log);
    assert_eq!(read_all(&log, 0), expected(100));
    assert_eq!(log.size(), size);
}

/// Base offsets of the segments after records at these times (milliseconds after the first).
fn bases(config: LogConfig, times: &[i64]) -> Vec<i64> {
    let place = Place::new(config);
    let mut log = place.open();
    for time in times {
        append(&mut log, NOW.0 + time, b"value");
    }
    log.segment_base_offsets().iter().map(|base| base.0).collect()
}

#[test]
fn segments_roll_by_record_time_and_when_an_index_is_full() {
    let by_time = || LogConfig { segment_ms: 100, ..LogConfig::default() };
    assert_eq!(bases(by_time(), &[0, 50, 100, 101, 150, 202, 10]), [0, 3, 5]);
    let compacted = LogConfig { compact: true, max_compaction_lag_ms: 20, ..by_time() };
    assert_eq!(bases(compacted, &[0, 20, 21]), [0, 2]);
    // Two entries of 8 bytes fill the offset index; an entry comes with every record but the first.
    let by_index =
        LogConfig { segment_index_bytes: 16, index_interval_bytes: 0, ..LogConfig::default() };
    assert_eq!(bases(by_index, &[0, 0, 0, 0, 0]), [0, 1, 2, 3, 4]);
}

#[test]
fn retention_removes_whole_segments_below_the_high_watermark() {
    let retention = |config: LogConfig, high_watermark: i64| {
        let place = Place::new(LogConfig { segment_bytes: 200, ..config });
        let mut log = place.open();
        for n in 0..10 {
            append(&mut log, NOW.0 + n * 1000, &[7; 80]);
        }
        assert_eq!(log.segment_count(), 10);
        log.set_high_watermark(Offset(high_watermark));
        log.delete_old_segments(base::WallMs(NOW.0 + 10_000)).unwrap();
        let files = || place.names().iter().filter(|name| name.contains(".log")).count();
        assert_eq!(files(), if log.start_offset().0 == 10 { 11 } else { 10 });
        run_work(&mut log);
        assert_eq!(files(), log.segment_count());
        log.start_offset().0
    };
    let keep = || LogConfig { retention_ms: -1, ..LogConfig::default() };
    assert_eq!(retention(keep(), 10), 0);
    assert_eq!(retention(LogConfig { retention_ms: 4000, ..keep() }, 10), 6);
    assert_eq!(retention(LogConfig { retention_ms: 4000, ..keep() }, 3), 3);
    assert_eq!(retention(LogConfig { retention_ms: 0, ..keep() }, 10), 10);
    // Ten segments of 153 bytes: five can go before less than 700 bytes would be left.
    assert_eq!(retention(LogConfig { retention_bytes: 700, ..keep() }, 10), 5);
    let compact = LogConfig { delete: false, compact: true, ..keep() };
    assert_eq!(retention(LogConfig { retention_ms: 0, ..compact }, 10), 0);
}

#[test]
fn flush_messages_asks_for_a_flush() {
    let place = Place::new(LogConfig { flush_messages: 3, ..LogConfig::default() });
    let mut log = place.open();
    let points: Vec<i64> = (0..7)
        .map(|n| {
            if append(&mut log, NOW.0 + n, b"value").flush_due {
                log.flush(NOW).unwrap();
            }
            log.recovery_point().0
        })
        .collect();
    assert_eq!(points, [0, 0, 3, 3, 3, 6, 6]);
}

#[test]
fn a_follower_takes_what_fits_its_end() {
    let place = Place::new(LogConfig::default());
    let mut leader = place.open();
    fill(&mut leader, 3);
    let bytes = read(&leader, 0, 4096).unwrap().records.unwrap().read().unwrap();
    let size = bytes.len() / 3;
    let copy = Place::new(LogConfig::default());
    let mut log = copy.open();
    // Batches of a later epoch than the follower knows wait for it to learn of it.
    let older = base::LeaderEpoch(EPOCH.0 - 1);
    assert_eq!(log.append_as_follower(&bytes, older, NOW).unwrap().bytes, 0);
    // A cut tail is fetched again.
    let cut = &bytes[..2 * size + 20];
    assert_eq!(log.append_as_follower(cut, EPOCH, NOW).unwrap().last_offset, Offset(1));
    let again = log.append_as_follower(&bytes, EPOCH, NOW).unwrap_err();
    assert!(matches!(again, LogError::UnexpectedOffset { .. }), "{again}");
    let mut broken = bytes[2 * size..].to_vec();
    broken[size - 2] ^= 1;
    let broken = log.append_as_follower(&broken, EPOCH, NOW).unwrap_err();
    assert_eq!(broken.error_code(), ErrorCode::CorruptMessage);
    log.append_as_follower(&bytes[2 * size..], EPOCH, NOW).unwrap();
    // After the last offset there is, nothing could follow.
    let mut last = bytes[..size].to_vec();
    last[..8].copy_from_slice(&i64::MAX.to_be_bytes());
    let last = log.append_as_follower(&last, EPOCH, NOW).unwrap_err();
    assert_eq!(last.error_code(), ErrorCode::InvalidRecord);
    assert_eq!(read_all(&log, 0), expected(3));
    assert_eq!(log.epochs(), leader.epochs());
    // The metadata log's leader brings offsets and its own epoch.
    let wrong = log.append_as_raft_leader(&bytes[..size], older, NOW).unwrap_err();
    assert_eq!(wrong.error_code(), ErrorCode::InvalidRecord);
}

#[test]
fn a_read_is_cut_at_the_bound_and_the_first_batch_may_be_whole() {
    let place = Place::new(LogConfig::default());
    let mut log = place.open();
    fill(&mut log, 4);
    let size = read(&log, 0, 1).unwrap().len();
    let len = |max: u32, upper: i64, whole: bool| {
        let data = log.read(Offset(1), max, Offset(upper), whole, false).unwrap();
        (data.len(), data.first_batch_incomplete)
    };
    assert_eq!(len(u32::MAX, 4, true), (3 * size, false));
    assert_eq!(len(u32::MAX, 3, true), (2 * size, false));
    assert_eq!(len(u32::MAX, 1, true), (0, false));
    assert_eq!(len(10, 4, true), (size, false));
    assert_eq!(len(10, 4, false), (10, true));
    assert_eq!(len(0, 4, false), (0, true));
}

#[test]
fn an_epoch_without_records_is_not_written() {
    let mut place = Place::new(small());
    // Each step: the epoch that begins, the records then appended, and the file after a clean stop.
    let steps: [(i32, usize, Option<&str>); 5] = [
        (2, 0, None),
        (3, 1, Some("0\n1\n3 0\n")),
        (4, 0, Some("0\n1\n3 0\n")),
        (5, 1, Some("0\n2\n3 0\n5 1\n")),
        (6, 0, Some("0\n2\n3 0\n5 1\n")),
    ];
    let mut log = place.open();
    for (epoch, records, file) in steps {
        let epoch = LeaderEpoch(epoch);
        log.assign_leader_epoch(epoch).unwrap();
        for _ in 0..records {
            let bytes = client_batch(&[(NOW.0, b"value")], Compression::None, None);
            let mut batch = prepared(bytes, AppendOrigin::Client);
            log.append_as_leader(&mut batch, epoch, AppendOrigin::Client, NOW).unwrap();
        }
        assert_eq!(log.latest_epoch(), Some(epoch));
        log = place.reopen_clean(log);
        let found = std::fs::read_to_string(place.file("leader-epoch-checkpoint")).ok();
        assert_eq!(found.as_deref(), file, "after epoch {epoch}");
    }
}
