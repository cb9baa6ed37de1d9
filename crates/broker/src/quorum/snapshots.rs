//! When a snapshot is due, and writing it beside the quorum's thread.

use std::sync::Arc;
use std::thread::JoinHandle;

use base::{MonoMs, Offset};
use kraft::{Event, SnapshotId};
use metadata::record_version;

use super::QuorumError;
use super::driver::Driver;
use super::handle::Command;
use super::machine::Machine;
use super::snapshot::{self, SnapshotHead};
use crate::clock::random_bytes;

/// What has happened since the last snapshot.
pub(super) struct Snapshots {
    bytes: u64,
    since: MonoMs,
    writer: Option<JoinHandle<()>>,
    /// Records were left out of the image: what it says must not take their place.
    pub(super) incomplete: bool,
}

impl Snapshots {
    pub(super) fn new(now: MonoMs) -> Self {
        Self { bytes: 0, since: now, writer: None, incomplete: false }
    }

    pub(super) fn replayed(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Waits for the snapshot that is being written.
    pub(super) fn wait(&mut self) {
        if let Some(writer) = self.writer.take() {
            // A panic of the writer leaves a file that the next start removes.
            let _ = writer.join();
        }
    }
}

impl<M: Machine> Driver<M> {
    /// Begins a snapshot of the committed image when enough bytes were replayed or enough time has passed.
    pub(super) fn maybe_snapshot(&mut self) {
        let now = self.clock.now();
        let by_time = self.config.snapshot_interval_ms > 0
            && now.mono.since(self.snapshots.since) >= self.config.snapshot_interval_ms;
        let due = self.snapshots.bytes >= self.config.snapshot_bytes || by_time;
        let can = self.snapshots.writer.is_none() && !self.snapshots.incomplete;
        if !due || !can || self.loader.in_transaction() {
            return;
        }
        let image = self.loader.image().clone();
        let provenance = image.provenance;
        let id = SnapshotId {
            epoch: provenance.epoch.get(),
            offset: Offset(provenance.offset.get() + 1),
        };
        if id.offset != self.next_commit || !self.raft.may_snapshot(id) {
            return;
        }
        self.snapshots.bytes = 0;
        self.snapshots.since = now.mono;
        tracing::info!(file = id.file_name(), "writing a metadata snapshot");
        let voters = self.raft.voters().voters_before(id.offset).cloned();
        let kraft_version = self.raft.voters().kraft_version_before(id.offset);
        let (disk, dir) = (Arc::clone(self.log.disk()), self.log.dir().to_path_buf());
        let commands = self.commands.clone();
        let unique = u64::from_le_bytes(random_bytes());
        let write = move || {
            let head = SnapshotHead {
                id,
                last_contained: provenance.time,
                kraft_version,
                voters: voters.as_ref(),
            };
            let version = image.features.metadata_version_or_minimum();
            let records = image.to_records().map(|record| {
                let version = record_version(&record, version);
                (record, version)
            });
            let result = snapshot::write(&*disk, &dir, head, records, now.wall, unique);
            let result = result.map_err(|error| error.to_string());
            // Without a driver there is nobody to tell.
            let _ = commands.send(Command::SnapshotWritten { id, result });
        };
        let thread = std::thread::Builder::new().name("metadata-snapshot".into());
        match thread.spawn(write) {
            Ok(writer) => self.snapshots.writer = Some(writer),
            Err(error) => tracing::error!(%error, "no thread for a metadata snapshot"),
        }
    }

    pub(super) fn snapshot_written(
        &mut self,
        id: SnapshotId,
        result: Result<u64, String>,
    ) -> Result<(), QuorumError> {
        self.snapshots.wait();
        match result {
            // A snapshot of the leader has taken the log's place meanwhile, and this one with it.
            Ok(_) if self.log.snapshot_size(id).is_none() => Ok(()),
            Ok(bytes) => {
                tracing::info!(file = id.file_name(), bytes, "wrote a metadata snapshot");
                self.event(Event::SnapshotWritten { id })
            }
            Err(error) => {
                // The log still holds everything; the next trigger tries again.
                tracing::error!(file = id.file_name(), error, "cannot write a metadata snapshot");
                Ok(())
            }
        }
    }

    /// Deletes snapshots and segments out of retention.
    pub(super) fn clean(&mut self) -> Result<(), QuorumError> {
        let now = self.clock.now();
        self.log.remove_due(now.mono)?;
        if let Some((start, oldest)) =
            self.log.clean(&self.raft.log().snapshots, self.config.retention, now)?
        {
            tracing::info!(%start, oldest = oldest.file_name(), "the metadata log was shortened");
            self.event(Event::Cleaned { start, oldest })?;
        }
        Ok(())
    }
}
