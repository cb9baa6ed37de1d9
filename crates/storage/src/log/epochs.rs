//! The leader epochs of a log with their first offsets (KIP-101, KIP-279), and `leader-epoch-checkpoint`.

use std::path::Path;

use base::{LeaderEpoch, Offset};

use super::error::{LogError, Result};
use super::names::EPOCH_CHECKPOINT;
use crate::disk::{Disk, OpenMode};

/// The only version of the file.
const VERSION: &str = "0";
/// A checkpoint larger than this is no checkpoint: 1.5 million epochs.
const MAX_FILE_LEN: u64 = 32 << 20;

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// Epochs and start offsets, both strictly rising.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
    /// Entries in the file.
    in_file: usize,
    /// So many of the first entries are those of the file.
    same_as_file: usize,
    /// Counts what a file that is being written does not know of: entries that went, and other files.
    changes: u64,
    /// A file is being written without the lock.
    writing: bool,
    /// The file took its place so, and the name may not be durable yet.
    unnamed: bool,
}

/// What a file that was written without the lock holds: so many entries, as they were after so many changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Written {
    entries: usize,
    changes: u64,
}

impl EpochCache {
    /// Reads the checkpoint of a log; a missing or empty file holds no epochs.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let mut cache = Self::default();
        for entry in read_entries(disk, dir)?.unwrap_or_default() {
            cache.insert(entry);
        }
        cache.stored();
        Ok(cache)
    }

    /// Writes the checkpoint beside the old one and takes its place; `sync` makes it durable.
    pub fn store(&mut self, disk: &dyn Disk, dir: &Path, sync: bool) -> Result<()> {
        let path = dir.join(EPOCH_CHECKPOINT);
        let temporary = dir.join(format!("{EPOCH_CHECKPOINT}.tmp"));
        let file = disk
            .open(&temporary, OpenMode::CreateEmpty)
            .map_err(LogError::io("create", &temporary))?;
        let written = file.write_at(self.to_text().as_bytes(), 0);
        if written.is_err() {
            // What it is, the error says. A part of the file only takes space.
            let _ = disk.remove_file(&temporary);
        }
        written.map_err(LogError::io("write", &temporary))?;
        if sync {
            file.sync_data().map_err(LogError::io("sync", &temporary))?;
        }
        disk.rename(&temporary, &path).map_err(LogError::io("replace", &path))?;
        if sync {
            disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        }
        self.stored();
        Ok(())
    }

    /// Version, number of entries, then one entry a line.
    pub fn to_text(&self) -> String {
        let mut text = format!("{VERSION}\n{}\n", self.entries.len());
        for entry in &self.entries {
            text.push_str(&format!("{} {}\n", entry.epoch, entry.start_offset));
        }
        text
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    fn stored(&mut self) {
        (self.in_file, self.same_as_file) = (self.entries.len(), self.entries.len());
        self.changes += 1;
        self.unnamed = false;
    }

    /// Somebody is about to write what is here now; `None` when somebody else is at it.
    pub(super) fn begin_write(&mut self) -> Option<Written> {
        let written = Written { entries: self.entries.len(), changes: self.changes };
        (!std::mem::replace(&mut self.writing, true)).then_some(written)
    }

    pub(super) fn end_write(&mut self) {
        self.writing = false;
    }

    /// Nothing has changed since but for entries that came.
    pub(super) fn is_current(&self, written: Written) -> bool {
        self.changes == written.changes
    }

    /// The file has taken its place; gives what it is known by from now on.
    pub(super) fn placed(&mut self, written: Written) -> Written {
        (self.in_file, self.same_as_file) = (written.entries, written.entries);
        self.changes += 1;
        self.unnamed = true;
        Written { changes: self.changes, ..written }
    }

    /// And its name is durable, if it is still the one.
    pub(super) fn named(&mut self, written: Written) {
        self.unnamed &= !self.is_current(written);
    }

    /// The file does not hold just the epochs that begin before `end`. An epoch without a record yet may be missing:
    /// loading a log forgets it anyway, and a stop of many idle logs would write nothing else.
    pub(crate) fn needs_store(&self, end: Offset) -> bool {
        let matter = self.entries.partition_point(|entry| entry.start_offset < end);
        let all = self.entries.len();
        self.unnamed
            || !(self.in_file == self.same_as_file && (matter..=all).contains(&self.in_file))
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// Records that `epoch` begins at `start`. An epoch once recorded stays; contradicting later ones go. Tells whether
    /// anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> Result<bool> {
        if !epoch.is_some() || !start.is_some() {
            return Err(LogError::InvalidEpoch { epoch, start });
        }
        Ok(self.insert(EpochEntry { epoch, start_offset: start }))
    }

    fn insert(&mut self, new: EpochEntry) -> bool {
        if let Some(latest) = self.latest()
            && latest.epoch == new.epoch
            && latest.start_offset <= new.start_offset
        {
            return false;
        }
        let keep = self.entries.partition_point(|entry| {
            entry.epoch < new.epoch && entry.start_offset < new.start_offset
        });
        self.truncate(keep);
        self.entries.push(new);
        true
    }

    /// The largest epoch up to the requested one and where it ends: the start of the next, or the log's end for the
    /// latest. `None` when the epoch is unknown: none, newer than all, or there are no epochs.
    pub fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if requested == LeaderEpoch::NONE {
            return None;
        }
        let latest = self.latest()?;
        if latest.epoch == requested {
            return Some((requested, log_end));
        }
        let after = self.entries.partition_point(|entry| entry.epoch <= requested);
        let next = self.entries.get(after)?;
        // An epoch before all known ones: its records are gone, the log begins with the next.
        let found = after.checked_sub(1).and_then(|slot| self.entries.get(slot));
        Some((found.map_or(requested, |entry| entry.epoch), next.start_offset))
    }

    /// The epoch of the record at `offset`.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).and_then(|slot| self.entries.get(slot)).map(|entry| entry.epoch)
    }

    /// Drops the epochs that begin at or after `end`. Tells whether anything changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end);
        let changed = end.is_some() && keep < self.entries.len();
        if changed {
            self.truncate(keep);
        }
        changed
    }

    /// A batch of `epoch` ends with the offset `last`: later epochs that are said to begin before it or within it do not. They
    /// were written down before their records reached the disk, and what they had replaced is there again.
    pub(crate) fn drop_contradicting(&mut self, epoch: LeaderEpoch, last: Offset) {
        let later = self.entries.partition_point(|entry| entry.epoch <= epoch);
        if self.entries.get(later).is_some_and(|entry| entry.start_offset <= last) {
            self.truncate(later);
        }
    }

    /// Lets the log begin at `start`: the epoch there begins at it, earlier ones go. Tells whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let after = self.entries.partition_point(|entry| entry.start_offset <= start);
        let Some(first) = after.checked_sub(1) else { return false };
        let changed =
            first > 0 || self.entries.first().is_some_and(|entry| entry.start_offset != start);
        if changed {
            self.entries.drain(..first);
            if let Some(entry) = self.entries.first_mut() {
                entry.start_offset = start;
            }
            // The file has entries that these do not begin with: it is written even if none is left.
            (self.in_file, self.same_as_file) = (usize::MAX, 0);
            self.changes += 1;
        }
        changed
    }

    /// Forgets all epochs.
    pub fn clear(&mut self) -> bool {
        let changed = !self.entries.is_empty();
        self.truncate(0);
        changed
    }

    fn truncate(&mut self, keep: usize) {
        self.changes += u64::from(keep < self.entries.len());
        self.entries.truncate(keep);
        self.same_as_file = self.same_as_file.min(keep);
    }
}

/// The entries of a log's checkpoint as they stand there; `None` when there is no such file.
pub(crate) fn read_entries(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<EpochEntry>>> {
    let path = dir.join(EPOCH_CHECKPOINT);
    let Some(info) = disk.stat(&path).map_err(LogError::io("look at", &path))? else {
        return Ok(None);
    };
    let invalid = |reason: String| LogError::InvalidFile {
        path: path.clone(),
        what: "leader epoch checkpoint",
        reason,
    };
    if info.len > MAX_FILE_LEN {
        return Err(invalid(format!("{} bytes are too many", info.len)));
    }
    let mut bytes = vec![0; info.len as usize];
    let file = disk.open(&path, OpenMode::ReadOnly).map_err(LogError::io("open", &path))?;
    let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
    bytes.truncate(read);
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("it is not text".into()))?;
    parse(text).map(Some).map_err(invalid)
}

fn parse(text: &str) -> Result<Vec<EpochEntry>, String> {
    let mut lines = text.lines();
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    if version.trim() != VERSION {
        return Err(format!("version {version:?} is not known"));
    }
    let count = lines.next().ok_or("the number of entries is missing")?;
    let count: usize =
        count.trim().parse().map_err(|_| format!("{count:?} is not a number of entries"))?;
    let mut entries = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let entry = match (words.next(), words.next(), words.next()) {
            (Some(epoch), Some(offset), None) => epoch.parse().ok().zip(offset.parse().ok()),
            _ => None,
        };
        let Some((epoch, offset)) =
            entry.filter(|(epoch, offset)| *epoch >= 0i32 && *offset >= 0i64)
        else {
            return Err(format!("line {line:?} is not an epoch and an offset"));
        };
        entries.push(EpochEntry { epoch: LeaderEpoch(epoch), start_offset: Offset(offset) });
    }
    if entries.len() != count {
        return Err(format!("{count} entries are announced, {} are there", entries.len()));
    }
    Ok(entries)
}
