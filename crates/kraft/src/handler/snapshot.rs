//! FetchSnapshot (59): another replica copies a snapshot file, piece by piece.

use base::time::Now;

use crate::state::State;
use crate::{FetchSnapshotAnswer, FetchSnapshotRequest, Raft, RaftError, SnapshotId};

impl Raft {
    pub(crate) fn on_fetch_snapshot(
        &mut self,
        now: Now,
        request: &FetchSnapshotRequest,
    ) -> FetchSnapshotAnswer {
        match self.snapshot_slice(request) {
            Ok(slice) => {
                if let State::Leader(leader) = &mut self.state
                    && request.replica.id != self.config.local.key.id
                {
                    leader.heard_of(now.mono, request.replica);
                }
                let leader = self.answer(None);
                FetchSnapshotAnswer { leader, id: request.id, slice: Some(slice) }
            }
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
