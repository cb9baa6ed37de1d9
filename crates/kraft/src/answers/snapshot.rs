//! The answer to FetchSnapshot: a piece of the file, and with the last one a new beginning of the log.

use base::time::Now;

use super::Verdict;
use crate::state::{Download, State};
use crate::{ControlRecord, Effect, Effects, FetchedSnapshot, Raft, RaftError, SnapshotId};

/// No snapshot is larger: Kafka reads the files by positions of 32 bits.
const SNAPSHOT_BYTES_MAX: u64 = i32::MAX as u64;
/// One that is refused is not fetched again before this.
const REFUSED_MS: u64 = 1_000;

impl Raft {
    /// The snapshot of which pieces are fetched, or that is being installed.
    pub fn fetching_snapshot(&self) -> Option<SnapshotId> {
        let download = match &self.state {
            State::Follower(state) => state.download.map(|download| download.id),
            _ => None,
        };
        self.installing.or(download)
    }

    pub(super) fn hear_fetched_snapshot(
        &mut self,
        now: Now,
        answer: &FetchedSnapshot,
        effects: &mut Effects,
    ) -> Verdict {
        let common = self.hear_common(now, &answer.leader, effects);
        let (data, id) = (answer.data, answer.id);
        let fetch_timeout_ms = self.config.times.fetch_timeout_ms;
        let download = match &mut self.state {
            State::Follower(state) if common.is_none() => state.download.take().map(|d| (state, d)),
            _ => None,
        };
        let Some((state, download)) = download else {
            effects.push(Effect::DropFetched { data });
            return common.unwrap_or(Verdict::BackOff);
        };
        if answer.leader.error.is_some() {
            effects.push(Effect::DropFetched { data });
            // The leader has none of that name any more: its answer to the next fetch names another.
            if answer.leader.error == Some(RaftError::SnapshotNotFound) {
                state.heard(now.mono, fetch_timeout_ms);
            } else {
                state.download = Some(download);
            }
            return Verdict::BackOff;
        }
        let next = download.position.checked_add(answer.len);
        let next = next.filter(|end| {
            id == download.id
                && answer.position == download.position
                && answer.len > 0
                && *end <= answer.size
                && answer.size <= SNAPSHOT_BYTES_MAX
                && download.size.is_none_or(|size| size == answer.size)
        });
        let Some(position) = next else {
            // Pieces that do not fit: begin again from what the leader says next.
            effects.push(Effect::DropFetched { data });
            return Verdict::BackOff;
        };
        state.heard(now.mono, fetch_timeout_ms);
        effects.push(Effect::WriteSnapshot { id, position: download.position, data });
        if position == answer.size {
            self.installing = Some(id);
            effects.push(Effect::InstallSnapshot { id });
        } else {
            state.download = Some(Download { id, position, size: Some(answer.size) });
        }
        Verdict::Well
    }

    /// The log is empty behind the snapshot now, which holds only what is committed.
    pub(crate) fn on_snapshot_installed(
        &mut self,
        now: Now,
        id: SnapshotId,
        control: &[ControlRecord],
        effects: &mut Effects,
    ) {
        if self.installing.take() != Some(id) {
            return;
        }
        self.log.restart_at(id);
        self.voters.replace(id.offset, control);
        if self.high_watermark < Some(id.offset) {
            self.high_watermark = Some(id.offset);
            effects.push(Effect::CommitAdvanced { high_watermark: id.offset });
        }
        let fetch_timeout_ms = self.config.times.fetch_timeout_ms;
        if let State::Follower(state) = &mut self.state {
            state.heard(now.mono, fetch_timeout_ms);
        }
    }

    pub(crate) fn on_snapshot_refused(&mut self, now: Now, id: SnapshotId) {
        if self.installing == Some(id) {
            self.installing = None;
            self.refused = Some((id, now.mono.plus_ms(REFUSED_MS)));
        }
    }
}
