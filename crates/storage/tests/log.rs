//! The log of one partition: append, read, roll, reopen.

mod common;

use base::Offset;
use common::*;
use storage::LogConfig;

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
