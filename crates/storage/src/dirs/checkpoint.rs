//! Offset checkpoints: a version, a count, and one `topic partition offset` a line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use base::{Offset, TopicPartition};

use super::error::{DirError, Result};
use super::small_file;
use crate::disk::Disk;

/// Up to where each log is known to be on the disk.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Where logs start that were cut by DeleteRecords.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Up to where compaction has come.
pub const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";

const VERSION: i32 = 0;
/// A quarter of a million partitions with the longest names.
const MAX_BYTES: usize = 64 << 20;
const WHAT: &str = "offset checkpoint";

pub type Offsets = HashMap<TopicPartition, Offset>;

/// Reads a checkpoint; one that is missing or empty holds nothing.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<Offsets> {
    let text = small_file::read_text(disk, path, WHAT, MAX_BYTES)?.unwrap_or_default();
    parse(&text).map_err(|reason| DirError::invalid(path, WHAT, reason))
}

/// Writes a checkpoint, sorted so that the same offsets give the same file.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &Offsets) -> Result<()> {
    let mut entries: Vec<_> = offsets.iter().collect();
    entries.sort_unstable();
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for (partition, offset) in entries {
        // Writing to a string cannot fail.
        let _never = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    small_file::write(disk, path, text.as_bytes())
}

fn parse(text: &str) -> Result<Offsets, String> {
    let mut lines = text.lines();
    let malformed = |line: &str| format!("malformed line {:?}", head(line));
    let Some(version) = lines.next() else { return Ok(Offsets::new()) };
    let version: i32 = version.parse().map_err(|_| malformed(version))?;
    if version != VERSION {
        return Err(format!("version {version} is not {VERSION}"));
    }
    let Some(count) = lines.next() else { return Ok(Offsets::new()) };
    let count: usize = count.parse().map_err(|_| malformed(count))?;
    let mut offsets = Offsets::new();
    let mut found = 0;
    for line in lines {
        let mut words = line.split_whitespace();
        let (Some(topic), Some(partition), Some(offset), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed(line));
        };
        let (Ok(partition), Ok(offset)) = (partition.parse::<i32>(), offset.parse::<i64>()) else {
            return Err(malformed(line));
        };
        offsets.insert(TopicPartition::new(topic, partition), Offset(offset));
        found += 1;
    }
    if found != count {
        return Err(format!("{count} entries are announced, {found} are there"));
    }
    Ok(offsets)
}

fn head(line: &str) -> String {
    line.chars().take(200).collect()
}
