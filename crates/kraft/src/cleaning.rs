//! Which snapshots, and the log before them, are old enough to be deleted (KIP-630).

use base::WallMs;

use crate::SnapshotId;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotFile {
    pub id: SnapshotId,
    pub bytes: u64,
    /// Time of the last record it contains.
    pub last_contained: WallMs,
}

/// `metadata.max.retention.bytes` and `metadata.max.retention.ms`; negative: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    pub bytes: i64,
    pub ms: i64,
}

/// The snapshot at which the log may start now, everything before it being out of retention; `None` when all stays.
/// `snapshots` in the order of their ids. The newest one always stays.
pub fn new_start(
    retention: Retention,
    snapshots: &[SnapshotFile],
    log_bytes: u64,
    now: WallMs,
) -> Option<SnapshotId> {
    let by_size = || {
        let limit = u64::try_from(retention.bytes).ok()?;
        let mut total =
            snapshots.iter().fold(log_bytes, |sum, file| sum.saturating_add(file.bytes));
        first_kept(snapshots, |file| {
            let over = total > limit;
            total = total.saturating_sub(file.bytes);
            over
        })
    };
    let by_time = || {
        let limit = u64::try_from(retention.ms).ok()?;
        first_kept(snapshots, |file| now.0.saturating_sub(file.last_contained.0) > limit as i64)
    };
    by_size().max(by_time())
}

/// The id behind the leading run of expired files, never beyond the last one.
fn first_kept(
    snapshots: &[SnapshotFile],
    mut expired: impl FnMut(&SnapshotFile) -> bool,
) -> Option<SnapshotId> {
    let candidates = snapshots.split_last().map_or(&[][..], |(_, older)| older);
    let count = candidates.iter().take_while(|file| expired(file)).count();
    if count == 0 { None } else { snapshots.get(count).map(|file| file.id) }
}
