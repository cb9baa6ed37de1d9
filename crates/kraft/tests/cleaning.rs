//! Retention of snapshots.

use base::{Offset, WallMs};
use kraft::SnapshotId;
use kraft::cleaning::{Retention, SnapshotFile, new_start};

/// Snapshots at offsets 0, 10, 20 of 100 bytes each, contained up to 0, 1000, 2000 ms; a log of 50 bytes; now 3000 ms.
#[track_caller]
fn check(bytes: i64, ms: i64, count: usize, expected: Option<i64>) {
    let file = |index: i64| SnapshotFile {
        id: SnapshotId { epoch: 1, offset: Offset(index * 10) },
        bytes: 100,
        last_contained: WallMs(index * 1000),
    };
    let files: Vec<SnapshotFile> = (0..count as i64).map(file).collect();
    let start = new_start(Retention { bytes, ms }, &files, 50, WallMs(3000));
    assert_eq!(start.map(|id| id.offset.get()), expected);
}

#[test]
fn retention() {
    check(-1, -1, 3, None);
    check(350, 3000, 3, None);
    check(349, -1, 3, Some(10));
    check(249, -1, 3, Some(20));
    check(0, -1, 3, Some(20));
    check(-1, 2999, 3, Some(10));
    check(-1, 1999, 3, Some(20));
    check(-1, 0, 3, Some(20));
    check(349, 1999, 3, Some(20));
    check(0, 0, 1, None);
    check(0, 0, 0, None);
}
