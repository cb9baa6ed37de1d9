//! What consensus asks of a follower's driver: its log and snapshots, and the state that a snapshot brings.

use std::collections::HashMap;

use base::{LeaderEpoch, Offset};
use kraft::{DataId, Event, SnapshotId};
use metadata::{Image, Provenance};

use super::QuorumError;
use super::driver::Driver;
use super::machine::Machine;

/// Bytes that answers brought, until consensus says what to do with them.
#[derive(Default)]
pub(super) struct Arrived {
    data: HashMap<DataId, Vec<u8>>,
}

impl Arrived {
    pub(super) fn keep(&mut self, id: DataId, bytes: Vec<u8>) {
        self.data.insert(id, bytes);
    }

    pub(super) fn take(&mut self, id: DataId) -> Vec<u8> {
        self.data.remove(&id).unwrap_or_default()
    }
}

impl<M: Machine> Driver<M> {
    pub(super) fn append_fetched(
        &mut self,
        data: DataId,
        until: Offset,
    ) -> Result<(), QuorumError> {
        let bytes = self.arrived.take(data);
        let epoch = LeaderEpoch(self.raft.epoch());
        self.log.append_fetched(&bytes, until, epoch, self.clock.now())
    }

    pub(super) fn truncate(&mut self, end: Offset) -> Result<(), QuorumError> {
        tracing::info!(%end, "the metadata log is cut to what the leader has");
        if end < self.next_commit {
            let reason = format!("a leader wants it cut to {end}, before what is committed");
            return Err(QuorumError::damaged(self.log.dir(), reason));
        }
        self.log.truncate(end, self.clock.now())
    }

    pub(super) fn write_snapshot(
        &mut self,
        id: SnapshotId,
        position: u64,
        data: DataId,
    ) -> Result<(), QuorumError> {
        let bytes = self.arrived.take(data);
        self.log.write_snapshot(id, position, &bytes)
    }

    /// The snapshot is fetched: it becomes the log's start and, when it is news, the committed state.
    pub(super) fn install_snapshot(&mut self, id: SnapshotId) -> Result<(), QuorumError> {
        let Some((head, image)) = self.log.fetched_snapshot(id)? else {
            self.later.push_back(Event::SnapshotRefused { id });
            return Ok(());
        };
        // One that is written meanwhile would stand before the log's new start.
        self.snapshots.wait();
        self.log.install_snapshot(id, self.clock.now())?;
        tracing::info!(file = id.file_name(), "a snapshot of the leader takes the log's place");
        if id.offset > self.next_commit {
            let provenance = Provenance {
                offset: Offset(id.offset.get() - 1),
                epoch: LeaderEpoch(id.epoch),
                time: head.last_contained,
            };
            let update = self.loader.replace(Image { provenance, ..image });
            self.next_commit = id.offset;
            self.snapshots.incomplete = false;
            self.machine.reset(self.loader.committed(self.last_committed()));
            self.publishing.tell(update, self.next_commit);
        }
        self.later.push_back(Event::SnapshotInstalled { id, control: head.control });
        Ok(())
    }
}
