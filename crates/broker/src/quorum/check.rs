//! Whether the metadata log that is on the disk is the one that was written, looked at before anything is repaired.
//!
//! Recovery cuts a log at its first bad batch. Behind a torn write that is right: nothing that was committed is lost. In the middle of
//! the log it would take committed topics away without a word, so there the node must not start.

use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset};
use kraft::SnapshotId;
use records::AnyBatch;
use records::batch::HEADER_LEN;
use storage::disk::{Disk, DiskFile, OpenMode};
use storage::log::EpochCache;

use super::QuorumError;

/// Read at once, and more where a batch is larger.
const WINDOW_BYTES: usize = 1 << 20;
/// No batch of metadata is larger, with ample room: Kafka writes at most 8 MiB.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Where a batch says its length, and its format.
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;

/// An offset that the log must hold, and what tells so.
pub type Reached = (Offset, &'static str);

/// `reached`: what other files tell of the log.
///
/// # Errors
/// [`QuorumError::Damaged`] with the segment's name when valid batches follow a bad one, or records are missing at the end.
pub(super) fn check(
    disk: &dyn Disk,
    dir: &Path,
    reached: Option<Reached>,
) -> Result<(), QuorumError> {
    let files = disk.list(dir).map_err(QuorumError::io("list", dir))?;
    let snapshots = files.iter().filter_map(|file| SnapshotId::from_file_name(&file.name));
    let snapshot = snapshots.map(|id| id.offset).max().unwrap_or(Offset::ZERO);
    let mut segments: Vec<(Offset, PathBuf)> = files
        .iter()
        .filter_map(|file| {
            let base = file.name.strip_suffix(".log")?.parse().ok()?;
            Some((Offset(base), dir.join(&file.name)))
        })
        .collect();
    segments.sort_unstable();
    // What lies before the newest snapshot is not read any more.
    let used = segments.iter().rposition(|(base, _)| *base <= snapshot).unwrap_or(0);
    let mut walk = Walk { epoch: LeaderEpoch(0), fault: None };
    let mut end = snapshot;
    for (base, path) in segments.get(used..).unwrap_or_default() {
        let next = walk.segment(disk, *base, path)?;
        end = end.max(next);
    }
    let first = dir.join(format!("{:020}.log", snapshot.get()));
    let last = segments.last().map_or(first.as_path(), |(_, path)| path.as_path());
    let epochs = EpochCache::load(disk, dir)?;
    let begun = epochs.latest().filter(|entry| entry.start_offset > end);
    if let Some(entry) = begun {
        let (epoch, start) = (entry.epoch, entry.start_offset);
        let reason = format!("it ends at offset {end}, but epoch {epoch} began at {start}");
        return Err(QuorumError::damaged(last, reason));
    }
    match reached.filter(|(reached, _)| *reached >= end) {
        Some((reached, why)) => {
            let reason = format!("it ends at offset {end}, but must hold offset {reached}: {why}");
            Err(QuorumError::damaged(last, reason))
        }
        None => Ok(()),
    }
}

struct Walk {
    epoch: LeaderEpoch,
    /// The first bad batch: file and what is wrong.
    fault: Option<(PathBuf, String)>,
}

impl Walk {
    /// Reads a segment to its end or first bad batch. Returns the offset after the last good one.
    fn segment(
        &mut self,
        disk: &dyn Disk,
        base: Offset,
        path: &Path,
    ) -> Result<Offset, QuorumError> {
        let io = |source| QuorumError::io("read", path)(source);
        let file = disk.open(path, OpenMode::ReadOnly).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut next = base;
        let mut position = 0;
        let mut window = Vec::new();
        while position < len && self.fault.is_none() {
            read(&*file, position, WINDOW_BYTES, &mut window).map_err(io)?;
            if let Some(size) = announced(&window).filter(|size| *size > window.len()) {
                read(&*file, position, size, &mut window).map_err(io)?;
            }
            let mut at = 0;
            let fault = loop {
                let rest = window.get(at..).unwrap_or_default();
                match self.batch(rest, next) {
                    Ok(None) => break None,
                    Ok(Some(size)) => {
                        next =
                            AnyBatch::parse(rest).ok().flatten().map_or(next, |b| b.next_offset());
                        at += size;
                    }
                    Err(reason) => break Some(reason),
                }
            };
            position += at as u64;
            if let Some(reason) = fault.or_else(|| (at == 0).then(|| "a batch cut off".to_owned()))
            {
                let reason = format!("at byte {position} (offset {next}): {reason}");
                self.fault = Some((path.to_path_buf(), reason));
            }
        }
        let Some((place, reason)) = &self.fault else { return Ok(next) };
        let from = if place == path { position + 1 } else { 0 };
        if follows(&*file, from, len, next).map_err(io)? {
            let reason = format!("{reason}; whole batches follow, so this is no torn write");
            return Err(QuorumError::damaged(place, reason));
        }
        Ok(next)
    }

    /// The size of the good batch that `bytes` begin with; `None` when more bytes are needed.
    fn batch(&mut self, bytes: &[u8], next: Offset) -> Result<Option<usize>, String> {
        let batch = AnyBatch::parse(bytes).map_err(|error| error.to_string())?;
        let Some(batch) = batch else { return Ok(None) };
        batch.check_crc().map_err(|error| error.to_string())?;
        let header = batch.v2().ok_or("a batch of an old format")?;
        if header.base_offset != next {
            return Err(format!("a batch says offset {}", header.base_offset));
        }
        if header.partition_leader_epoch < self.epoch {
            let (epoch, before) = (header.partition_leader_epoch, self.epoch);
            return Err(format!("a batch says epoch {epoch} after {before}"));
        }
        self.epoch = header.partition_leader_epoch;
        Ok(Some(batch.size()))
    }
}

/// Whether a good batch begins anywhere in `from..len`.
fn follows(file: &dyn DiskFile, from: u64, len: u64, next: Offset) -> std::io::Result<bool> {
    let mut window = Vec::new();
    let mut whole = Vec::new();
    let mut start = from;
    while start < len {
        read(file, start, WINDOW_BYTES, &mut window)?;
        let starts = window.len().saturating_sub(HEADER_LEN - 1);
        for at in 0..starts {
            let Some(head) = window.get(at..at + HEADER_LEN) else { break };
            let Some(size) = announced(head).filter(|_| head.get(MAGIC_AT) == Some(&2)) else {
                continue;
            };
            let position = start + at as u64;
            if size <= HEADER_LEN || position + size as u64 > len {
                continue;
            }
            read(file, position, size, &mut whole)?;
            let batch = AnyBatch::parse(&whole).ok().flatten();
            if batch.is_some_and(|b| b.check_crc().is_ok() && b.last_offset() >= next) {
                return Ok(true);
            }
        }
        if starts == 0 {
            break;
        }
        start += starts as u64;
    }
    Ok(false)
}

/// The whole size of the batch that begins here, as it says itself, when that is possible.
fn announced(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(LENGTH_AT..)?.first_chunk::<4>().map(|b| i32::from_be_bytes(*b))?;
    let size = usize::try_from(length).ok()?.checked_add(LENGTH_AT + 4)?;
    (size <= BATCH_BYTES_MAX).then_some(size)
}

fn read(
    file: &dyn DiskFile,
    position: u64,
    bytes: usize,
    window: &mut Vec<u8>,
) -> std::io::Result<()> {
    window.resize(bytes, 0);
    let count = file.read_at(window, position)?;
    window.truncate(count);
    Ok(())
}
