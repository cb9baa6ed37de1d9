//! FetchSnapshot (59): an observer copies a snapshot file, piece by piece.

use crate::{FetchSnapshotAnswer, FetchSnapshotRequest, Raft, RaftError, SnapshotId};

impl Raft {
    pub(crate) fn on_fetch_snapshot(&self, request: &FetchSnapshotRequest) -> FetchSnapshotAnswer {
        match self.snapshot_slice(request) {
            Ok(slice) => FetchSnapshotAnswer {
                leader: self.answer(None),
                id: request.id,
                slice: Some(slice),
            },
            Err(error) => FetchSnapshotAnswer {
                leader: self.answer(Some(error)),
                id: request.id,
                slice: None,
            },
        }
    }

    fn snapshot_slice(&self, request: &FetchSnapshotRequest) -> Result<(u64, u64, u64), RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        self.check_leader_request(request.leader_epoch)?;
        let known = request.id != SnapshotId::BOOTSTRAP && self.log.snapshots.contains(&request.id);
        let size = request.size.filter(|_| known).ok_or(RaftError::SnapshotNotFound)?;
        let position =
            u64::try_from(request.position).map_err(|_| RaftError::PositionOutOfRange)?;
        if position >= size {
            return Err(RaftError::PositionOutOfRange);
        }
        let wanted = u64::try_from(request.max_bytes).unwrap_or(0);
        Ok((position, wanted.min(size - position), size))
    }
}
