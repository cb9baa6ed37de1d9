//! What a follower does to its log: appends what the leader has, cuts what the leader has not, takes a snapshot in its place.

use std::path::PathBuf;

use base::time::Now;
use base::{LeaderEpoch, Offset};
use kraft::SnapshotId;
use metadata::{Image, Loader};
use storage::disk::OpenMode;

use super::MetadataLog;
use crate::quorum::snapshot::{self, Head};
use crate::quorum::{QuorumError, fetched};

impl MetadataLog {
    /// Appends the batches of `bytes` that lie before `until`. They were checked when they came in.
    pub(in crate::quorum) fn append_fetched(
        &mut self,
        bytes: &[u8],
        until: Offset,
        epoch: LeaderEpoch,
        now: Now,
    ) -> Result<(), QuorumError> {
        let bytes = fetched::before(bytes, until);
        if !bytes.is_empty() {
            self.log.append_as_follower(bytes, epoch, now.wall)?;
        }
        let end = self.log.end_offset();
        if end == until {
            return Ok(());
        }
        let reason = format!("it ends at offset {end} where consensus wanted {until}");
        Err(QuorumError::damaged(&self.dir, reason))
    }

    /// Cuts everything from `end` on.
    pub(in crate::quorum) fn truncate(&mut self, end: Offset, now: Now) -> Result<(), QuorumError> {
        self.log.truncate_to(end, now.wall)?;
        let cut = self.log.end_offset();
        if cut == end {
            return Ok(());
        }
        let reason = format!("it was cut to offset {cut} where consensus wanted {end}");
        Err(QuorumError::damaged(&self.dir, reason))
    }

    fn part(&self, id: SnapshotId) -> PathBuf {
        self.dir.join(format!("{}.part", id.file_name()))
    }

    /// Writes a piece of a snapshot that is being fetched.
    pub(in crate::quorum) fn write_snapshot(
        &mut self,
        id: SnapshotId,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), QuorumError> {
        let part = self.part(id);
        self.fetching = Some(id);
        let write = || {
            let mode = if position == 0 { OpenMode::CreateEmpty } else { OpenMode::Existing };
            self.disk.open(&part, mode)?.write_at(bytes, position)
        };
        write().map_err(QuorumError::io("write", &part))
    }

    /// Removes what there is of a snapshot, unless it is the one that is still `wanted`.
    pub(in crate::quorum) fn drop_abandoned(
        &mut self,
        wanted: Option<SnapshotId>,
    ) -> Result<(), QuorumError> {
        if let Some(id) = self.fetching.take_if(|id| Some(*id) != wanted) {
            let part = self.part(id);
            self.disk.remove_file(&part).map_err(QuorumError::io("remove", &part))?;
        }
        Ok(())
    }

    /// Reads the snapshot that was fetched, and what state it stands for; `None` when it is none.
    pub(in crate::quorum) fn fetched_snapshot(
        &self,
        id: SnapshotId,
    ) -> Result<Option<(Head, Image)>, QuorumError> {
        let part = self.part(id);
        let read = || {
            let mut reader = snapshot::Reader::open(&*self.disk, &part)?;
            let image = Loader::image_of::<QuorumError>(reader.by_ref())?;
            Ok((reader.into_head(), image))
        };
        match read() {
            Ok(read) => Ok(Some(read)),
            Err(error @ QuorumError::Io { .. }) => Err(error),
            Err(error) => {
                let file = id.file_name();
                tracing::error!(file, %error, "the snapshot that was fetched is refused");
                Ok(None)
            }
        }
    }

    /// Gives the fetched snapshot its name, durably, and lets the log go on at its end. A crash in between is repaired at the
    /// next start: a snapshot beyond the log replaces it.
    pub(in crate::quorum) fn install_snapshot(
        &mut self,
        id: SnapshotId,
        now: Now,
    ) -> Result<(), QuorumError> {
        let (part, path) = (self.part(id), snapshot::path(&self.dir, id));
        let finish = || {
            self.disk.open(&part, OpenMode::Existing)?.sync_data()?;
            self.disk.rename(&part, &path)?;
            self.disk.sync_dir(&self.dir)
        };
        finish().map_err(QuorumError::io("finish", &part))?;
        self.fetching = None;
        self.log.truncate_fully_and_start_at(id.offset, None, now.wall)?;
        for old in self.snapshots()?.into_iter().filter(|old| *old < id) {
            let path = snapshot::path(&self.dir, old);
            self.disk.remove_file(&path).map_err(QuorumError::io("remove", &path))?;
        }
        self.flush(now)?;
        Ok(())
    }
}
