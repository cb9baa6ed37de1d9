//! Cleaning a compacted log: of each key only the newest record stays, and what no longer matters goes.
//!
//! A pass reads the dirty section into a [`KeyMap`], then copies what stays of all segments below it, group by group,
//! into new segments that take the place of the old. Reading, writing and syncing happen without the log's lock; the log
//! is asked once for what is to be cleaned, and three times for each group, for as long as it takes to give files other
//! names (`swap.rs`). Which log is cleaned when, by how many threads and how fast, is the caller's:
//!
//! ```text
//! let mut map = KeyMap::new(memory_bytes, 0.9, random);
//! let done = clean(&log, &CleanRequest { .. }, &mut map, &mut pace, &mut |log| run_work(log))?;
//! write_checkpoint(done.upto);
//! ```
//!
//! The caller sees to it that only one pass runs on a log, and that it has ended before the log's directory is renamed
//! or removed. A truncation meanwhile, or the removal of a segment that is being replaced, ends a pass with
//! [`CleanError::Changed`]; groups that were swapped in before stay, which harms nothing.

mod filter;
mod group;
mod job;
mod keymap;
mod output;
mod swap;
mod txns;

use base::{Offset, WallMs};
use parking_lot::RwLock;

use super::{Log, LogError};

use job::CleanJob;
pub use keymap::KeyMap;
pub(super) use swap::PendingSwap;

/// What to clean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanRequest {
    /// Up to here the log was cleaned before.
    pub first_dirty: Offset,
    /// From here on nothing may be cleaned. At most the first offset of the active segment and the last stable offset.
    pub first_uncleanable: Offset,
    pub now: WallMs,
    /// `delete.retention.ms`: so long tombstones and markers stay once a pass has seen them.
    pub delete_retention_ms: i64,
}

/// Holds a pass back, and ends it.
pub trait Pace {
    /// So many bytes were read or written; waits as long as they are to last. False: the pass is to end at once.
    fn pass(&mut self, bytes: u64) -> bool;
}

impl<F: FnMut(u64) -> bool> Pace for F {
    fn pass(&mut self, bytes: u64) -> bool {
        self(bytes)
    }
}

/// Why a pass has ended early.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    #[error("the cleaning was ended")]
    Cancelled,
    #[error("the log has changed under its cleaning")]
    Changed,
    /// A corrupt batch, or the disk. What was there is still there.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What a pass has done. Bytes and records are counted as Kafka's cleaner counts them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanStats {
    /// Up to here the log is clean now.
    pub upto: Offset,
    /// Read to find the newest offsets of keys.
    pub map_bytes_read: u64,
    pub map_records_read: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub records_read: u64,
    pub records_written: u64,
    /// Records without a key, which are dropped.
    pub keyless_records: u64,
    /// The part of the map's budget that was taken.
    pub map_utilization: f64,
    /// Segments before and after.
    pub segments_read: usize,
    pub segments_written: usize,
}

impl CleanStats {
    fn begin(upto: Offset) -> Self {
        Self {
            upto,
            map_bytes_read: 0,
            map_records_read: 0,
            bytes_read: 0,
            bytes_written: 0,
            records_read: 0,
            records_written: 0,
            keyless_records: 0,
            map_utilization: 0.0,
            segments_read: 0,
            segments_written: 0,
        }
    }
}

/// One whole pass. What it goes by is made durable first. `swapped` is called after each group that took its place, without
/// any lock: the log has left work then. Nothing to do gives the first dirty offset back.
///
/// # Errors
/// See [`CleanError`]. A [`LogError`] that is neither a disk failure nor a full disk means that this log cannot be
/// cleaned.
pub fn clean(
    log: &RwLock<Log>,
    request: &CleanRequest,
    map: &mut KeyMap,
    pace: &mut dyn Pace,
    swapped: &mut dyn FnMut(),
) -> Result<CleanStats, CleanError> {
    let Some(mut job) = log.read().prepare_clean(request)? else {
        return Ok(CleanStats::begin(request.first_dirty));
    };
    make_durable(log, job.goes_by()?, request.now)?;
    let done = run(log, &mut job, map, pace, swapped);
    map.release();
    if let Err(CleanError::Log(fault)) = &done
        && !fault.is_disk_failure()
        && !log.read().is_current(&job)
    {
        // What was read may have been cut under the reader.
        return Err(CleanError::Changed);
    }
    done?;
    let stats = job.stats();
    if stats.keyless_records > 0 {
        let records = stats.keyless_records;
        tracing::warn!(log = job.name(), records, "records without a key were dropped");
    }
    Ok(stats)
}

/// A record must not give way to a newer one, or to the end of its transaction, that a crash could still take.
fn make_durable(log: &RwLock<Log>, until: Offset, now: WallMs) -> Result<(), LogError> {
    let work = log.write().prepare_flush(until)?;
    work.map_or(Ok(()), |work| {
        let done = work.run();
        log.write().complete_flush(done, now)
    })
}

fn run(
    log: &RwLock<Log>,
    job: &mut CleanJob,
    map: &mut KeyMap,
    pace: &mut dyn Pace,
    swapped: &mut dyn FnMut(),
) -> Result<(), CleanError> {
    job.build_map(map, pace)?;
    while let Some(group) = job.clean_next(map, pace)? {
        swap::swap_in(log, job.files(), group)?;
        swapped();
    }
    // The last names; those before were made durable with what followed.
    swap::sync_names(log, job.files())
}
