//! The answer to Fetch: batches to append, or where to truncate, or a snapshot to take instead.

use base::Offset;
use base::time::Now;

use super::{Verdict, drop_data};
use crate::state::{Download, State};
use crate::{
    Answer, Effect, Effects, Fetched, FetchedBatch, FetchedOutcome, FetchedRecords, Raft,
    SnapshotId,
};

impl Raft {
    pub(super) fn hear_fetched(
        &mut self,
        now: Now,
        answer: &Fetched,
        effects: &mut Effects,
    ) -> Verdict {
        let common = self.hear_common(now, &answer.leader, effects);
        let named = answer.leader.leader;
        let usable = common.is_none()
            && answer.leader.error.is_none()
            && (named.is_none() || named == self.leader()) // an epoch has one leader
            && matches!(self.state, State::Follower(_));
        if !usable {
            drop_data(&Answer::Fetch(answer.clone()), effects);
            return Verdict::BackOff;
        }
        let done = match &answer.outcome {
            FetchedOutcome::Records(records) => self.append_fetched(records, effects),
            FetchedOutcome::Diverging { epoch, end } => self.diverge(*epoch, *end, effects),
            FetchedOutcome::Snapshot(id) => self.begin_download(now, *id),
        };
        if !done {
            return Verdict::BackOff;
        }
        let fetch_timeout_ms = self.config.times.fetch_timeout_ms;
        // Nothing is committed that is not there: what comes later may be of another leader.
        let committed = answer.high_watermark.min(self.log.end);
        if let State::Follower(state) = &mut self.state {
            state.heard(now.mono, fetch_timeout_ms);
            if matches!(answer.outcome, FetchedOutcome::Records(_)) {
                state.high_watermark = state.high_watermark.max(committed);
            }
        }
        self.follow_high_watermark(effects);
        Verdict::Well
    }

    /// The batches that continue this log and can be of this leader; false when there are some and none is.
    fn append_fetched(&mut self, records: &FetchedRecords, effects: &mut Effects) -> bool {
        let data = records.data;
        let (mut end, mut last_epoch) = (self.log.end, self.log.last_epoch());
        let epoch = self.epoch();
        let follows = |batch: &&FetchedBatch| {
            let right = batch.base == end
                && batch.next > batch.base
                && batch.epoch >= last_epoch
                && batch.epoch <= epoch;
            (end, last_epoch) = (batch.next, batch.epoch);
            right
        };
        let taken: Vec<&FetchedBatch> = records.batches.iter().take_while(follows).collect();
        let Some(last) = taken.last() else {
            effects.push(Effect::DropFetched { data });
            return records.batches.is_empty();
        };
        let until = last.next;
        for batch in taken {
            self.log.append(batch.epoch, batch.next.get().saturating_sub(batch.base.get()));
            for (at, record) in &batch.control {
                self.voters.add(*at, record);
            }
        }
        effects.push(Effect::AppendFetched { data, until });
        effects.push(Effect::Flush { end: until });
        true
    }

    /// Cuts off what the leader does not have. False when that cannot be: it would take away what is committed, or
    /// nothing.
    fn diverge(&mut self, epoch: i32, end: Offset, effects: &mut Effects) -> bool {
        let end = self.log.truncation(epoch, end);
        if end < self.committed_floor() || end >= self.log.end {
            return false;
        }
        self.log.truncate(end);
        self.voters.truncate(end);
        effects.push(Effect::Truncate { end });
        if self.log.flushed < end {
            effects.push(Effect::Flush { end });
        }
        true
    }

    /// Everything before this is known to be committed.
    pub(crate) fn committed_floor(&self) -> Offset {
        let snapshot = self.log.latest_snapshot().map_or(Offset::ZERO, |id| id.offset);
        self.high_watermark().unwrap_or(Offset::ZERO).max(snapshot).max(self.log.start)
    }

    /// False when the snapshot would bring nothing new, or was no good a moment ago.
    fn begin_download(&mut self, now: Now, id: SnapshotId) -> bool {
        if self.refused.is_some_and(|(refused, until)| refused == id && now.mono < until) {
            return false;
        }
        let own = (self.log.last_epoch(), self.log.end);
        let newer = (id.epoch, id.offset) > own && id.offset >= self.committed_floor();
        let possible =
            id.epoch >= 0 && id.epoch <= self.epoch() && !self.log.snapshots.contains(&id);
        let State::Follower(state) = &mut self.state else { return false };
        if newer && possible {
            state.download = Some(Download { id, position: 0, size: None });
        }
        newer && possible
    }
}
