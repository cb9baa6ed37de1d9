//! Names of snapshot files.

use kraft::SnapshotId;

#[track_caller]
fn check(name: &str, expected: Option<(i64, i32)>) {
    let id = SnapshotId::from_file_name(name);
    assert_eq!(id.map(|id| (id.offset.get(), id.epoch)), expected);
    if let Some(id) = id {
        assert_eq!(id.file_name(), name);
    }
}

#[test]
fn snapshot_file_names() {
    check("00000000000000000000-0000000000.checkpoint", Some((0, 0)));
    check("00000000000000012345-0000000007.checkpoint", Some((12345, 7)));
    check("00000000000000012345-0000000007.checkpoint.deleted", None);
    check("00000000000000012345-0000000007-123.checkpoint.part", None);
    check("99999999999999999999-0000000007.checkpoint", None);
    check("00000000000000012345-9999999999.checkpoint", None);
    check("-0000000000000012345-0000000007.checkpoint", None);
    check("bootstrap.checkpoint", None);
}
