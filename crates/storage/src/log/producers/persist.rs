//! The producers' state on disk: snapshots taken, chosen and read, and what is left when the log is cut.

use std::collections::BTreeMap;
use std::path::Path;

use base::WallMs;

use super::{ProducerEntry, ProducerState, Txn, is_expired, snapshot};
use crate::disk::{Disk, OpenMode};
use crate::log::error::{LogError, Result};
use crate::log::files::LogFiles;
use crate::log::names;

/// A snapshot larger than this is none: 5 million producers.
const MAX_SNAPSHOT_LEN: u64 = 256 << 20;

impl ProducerState {
    pub fn latest_snapshot(&self) -> Option<i64> {
        self.snapshots.last().copied()
    }

    /// Snapshots that are not durable, up to an offset.
    pub fn unsynced_snapshots(&self, upto: i64) -> impl Iterator<Item = i64> + '_ {
        self.unsynced.range(..=upto).copied()
    }

    pub fn has_unsynced_snapshot(&self) -> bool {
        !self.unsynced.is_empty() || self.end_offset > self.last_snapshot
    }

    /// The snapshots up to this offset are durable.
    pub fn synced_snapshots(&mut self, upto: Option<i64>) {
        self.unsynced.retain(|offset| Some(*offset) > upto);
    }

    /// Writes the state at the end offset unless that is written already. Not synced: a lost one is rebuilt from the
    /// log, and the flush that moves the recovery point past it syncs it. For the same reason a full disk does without.
    pub fn take_snapshot(&mut self, files: &LogFiles) -> Result<Option<i64>> {
        match self.write_snapshot(files) {
            Err(error) if error.is_full() => {
                tracing::warn!(log = %self.name, "no snapshot of the producers: {error}");
                Ok(None)
            }
            taken => taken,
        }
    }

    /// The same, but it must be there afterwards: the start after a clean stop trusts that it is.
    pub fn write_snapshot(&mut self, files: &LogFiles) -> Result<Option<i64>> {
        if self.end_offset <= self.last_snapshot {
            return Ok(None);
        }
        let path = files.dir().join(names::snapshot_file(self.end_offset));
        let bytes = snapshot::encode(self.producers.iter().map(|(id, entry)| (*id, entry)));
        let written = write_file(files.disk().as_ref(), &path, &bytes);
        if let Err(error) = &written
            && error.is_full()
        {
            // A part of it helps nobody and takes space.
            files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        written?;
        self.snapshots.insert(self.end_offset);
        self.unsynced.insert(self.end_offset);
        self.last_snapshot = self.end_offset;
        Ok(Some(self.end_offset))
    }

    /// Removes a snapshot from the list; the file is the caller's.
    pub fn forget_snapshot(&mut self, offset: i64) -> bool {
        self.unsynced.remove(&offset);
        self.snapshots.remove(&offset)
    }

    pub fn remove_snapshot(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        if self.forget_snapshot(offset) {
            let path = files.dir().join(names::snapshot_file(offset));
            files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Removes the snapshots that belong to no segment, but for the newest of them when it lies beyond all segments: a
    /// clean stop leaves that one.
    pub fn remove_stray_snapshots(
        &mut self,
        files: &LogFiles,
        base_offsets: impl Fn(i64) -> bool,
        last_base_offset: i64,
    ) -> Result<()> {
        let strays: Vec<i64> =
            self.snapshots.iter().copied().filter(|offset| !base_offsets(*offset)).collect();
        let keep = strays.last().copied().filter(|offset| *offset >= last_base_offset);
        for stray in strays.into_iter().filter(|offset| Some(*offset) != keep) {
            self.remove_snapshot(files, stray)?;
        }
        Ok(())
    }

    /// Removes the snapshots outside the files of the log and, unless the state is that of `log_end` already, starts over from
    /// the newest one that is left. That of the very first file stays: it alone knows the producers whose records are all
    /// deleted, and a second recovery must find what the first one found. (Kafka removes what is not beyond the log's start.)
    pub fn truncate_and_reload(
        &mut self,
        files: &LogFiles,
        first_offset: i64,
        log_end: i64,
        now: WallMs,
    ) -> Result<()> {
        let outside: Vec<i64> = self
            .snapshots
            .iter()
            .copied()
            .filter(|offset| *offset > log_end || *offset < first_offset)
            .collect();
        for offset in outside {
            self.remove_snapshot(files, offset)?;
        }
        if log_end == self.end_offset {
            self.on_log_start(first_offset);
            return Ok(());
        }
        self.clear();
        self.load_newest_snapshot(files, first_offset, now)
    }

    fn load_newest_snapshot(
        &mut self,
        files: &LogFiles,
        first_offset: i64,
        now: WallMs,
    ) -> Result<()> {
        while let Some(offset) = self.latest_snapshot() {
            let bytes = read_snapshot(files, offset)?;
            match bytes.and_then(|bytes| self.load_snapshot(&bytes, now)) {
                Ok(()) => {
                    self.last_snapshot = offset;
                    self.end_offset = offset;
                    return Ok(());
                }
                Err(reason) => {
                    tracing::warn!(log = %self.name, offset, reason, "producer snapshot is corrupt, removing it");
                    self.remove_snapshot(files, offset)?;
                }
            }
        }
        self.last_snapshot = first_offset;
        self.end_offset = first_offset;
        Ok(())
    }

    fn load_snapshot(&mut self, bytes: &[u8], now: WallMs) -> Result<(), String> {
        for (producer_id, entry) in snapshot::decode(bytes)? {
            self.load_entry(producer_id, entry, now);
        }
        Ok(())
    }

    pub fn load_entry(&mut self, producer_id: i64, entry: ProducerEntry, now: WallMs) {
        if is_expired(&entry, now, self.config.id_expiration_ms) {
            return;
        }
        if let Some(first_offset) = entry.txn_first_offset {
            self.ongoing.insert(first_offset, Txn { producer_id, last_offset: None });
        }
        self.producers.insert(producer_id, entry);
    }

    fn clear(&mut self) {
        self.producers = BTreeMap::new();
        self.ongoing = BTreeMap::new();
        self.unreplicated = BTreeMap::new();
    }

    /// Forgets everything and goes on from `offset`.
    pub fn reset(&mut self, files: &LogFiles, offset: i64) -> Result<()> {
        self.clear();
        for snapshot in std::mem::take(&mut self.snapshots) {
            let path = files.dir().join(names::snapshot_file(snapshot));
            files.disk().remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        self.unsynced.clear();
        self.last_snapshot = 0;
        self.end_offset = offset;
        Ok(())
    }
}

fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let file = disk.open(path, OpenMode::CreateIfMissing).map_err(LogError::io("create", path))?;
    file.write_at(bytes, 0).map_err(LogError::io("write", path))?;
    if file.len().map_err(LogError::io("look at", path))? > bytes.len() as u64 {
        file.set_len(bytes.len() as u64).map_err(LogError::io("truncate", path))?;
    }
    Ok(())
}

/// The bytes of a snapshot, or why there are none.
fn read_snapshot(files: &LogFiles, offset: i64) -> Result<Result<Vec<u8>, String>> {
    let path = files.dir().join(names::snapshot_file(offset));
    let file = match files.disk().open(&path, OpenMode::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Err("it is gone".into()));
        }
        Err(error) => return Err(LogError::io("open", &path)(error)),
    };
    let len = file.len().map_err(LogError::io("look at", &path))?;
    if len > MAX_SNAPSHOT_LEN {
        return Ok(Err(format!("{len} bytes are too many")));
    }
    let mut bytes = vec![0; len as usize];
    let read = file.read_at(&mut bytes, 0).map_err(LogError::io("read", &path))?;
    bytes.truncate(read);
    Ok(Ok(bytes))
}
