//! Fetch (1) of the metadata log by voters and observers: a long poll, and the news of how far they are.

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, Offset};

use crate::state::State;
use crate::{
    Effect, Effects, FetchAnswer, FetchOutcome, FetchPosition, FetchRequest, Raft, RaftError,
    Reply, SnapshotId,
};

/// Requests that wait for news. Beyond this many, a request is answered at once with what there is.
const PARKED_MAX: usize = 1_000;

/// A fetch that found nothing new and may wait until `deadline`.
#[derive(Clone, Debug)]
pub(crate) struct ParkedFetch {
    pub(crate) reply: ReplyId,
    pub(crate) request: FetchRequest,
    pub(crate) deadline: MonoMs,
}

impl Raft {
    pub(crate) fn on_fetch(
        &mut self,
        now: Now,
        reply: ReplyId,
        request: FetchRequest,
        effects: &mut Effects,
    ) {
        let answer = match self.check_fetch(&request) {
            Ok(()) => {
                self.hear_fetch(now, &request, effects);
                self.try_fetch(&request)
            }
            Err(error) => self.empty_answer(Some(error)),
        };
        let news = answer.leader.error.is_some()
            || answer.outcome != FetchOutcome::Nothing
            || request.high_watermark < answer.high_watermark;
        let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
        if news || wait_ms == 0 || self.parked.len() >= PARKED_MAX {
            effects.push(Effect::Reply { reply, body: Reply::Fetch(answer) });
        } else {
            self.parked.push(ParkedFetch { reply, request, deadline: now.mono.plus_ms(wait_ms) });
        }
    }

    /// A voter's fetch says that it is alive and how much it has; it may be what a commit was waiting for.
    fn hear_fetch(&mut self, now: Now, request: &FetchRequest, effects: &mut Effects) {
        if self.observe(now, request)
            && let State::Leader(leader) = &mut self.state
        {
            leader.heard_of(now.mono, request.replica);
            self.advance_high_watermark(now, effects);
        }
    }

    /// False when the request is not one to this leader, or not from a position in its log.
    fn observe(&mut self, now: Now, request: &FetchRequest) -> bool {
        let meant = self.check_leader_request(request.leader_epoch).is_ok()
            && request.replica.id != self.local_id()
            && self.position(request) == FetchPosition::Valid;
        let end = self.log.end;
        if let State::Leader(leader) = &mut self.state
            && meant
        {
            leader.observed(now, request.replica, request.offset, end);
        }
        meant
    }

    fn position(&self, request: &FetchRequest) -> FetchPosition {
        let newest = self.log.latest_snapshot().filter(|id| *id != SnapshotId::BOOTSTRAP);
        match newest {
            // A replica that has nothing yet takes the snapshot instead of the whole log.
            Some(id) if request.offset == Offset::ZERO => FetchPosition::Snapshot(id),
            _ => self.log.check_position(request.offset, request.last_fetched_epoch),
        }
    }

    /// Answers all who wait: the log grew, the high watermark moved, or leadership changed.
    pub(crate) fn wake_parked(&mut self, now: Now, effects: &mut Effects) {
        for parked in std::mem::take(&mut self.parked) {
            self.observe(now, &parked.request);
            self.complete(&parked, effects);
        }
    }

    pub(crate) fn expire_parked(&mut self, now: Now, effects: &mut Effects) {
        let expired = |parked: &mut ParkedFetch| parked.deadline <= now.mono;
        let due: Vec<ParkedFetch> = self.parked.extract_if(.., expired).collect();
        for parked in due {
            self.complete(&parked, effects);
        }
    }

    fn complete(&self, parked: &ParkedFetch, effects: &mut Effects) {
        let body = Reply::Fetch(self.try_fetch(&parked.request));
        effects.push(Effect::Reply { reply: parked.reply, body });
    }

    fn check_fetch(&self, request: &FetchRequest) -> Result<(), RaftError> {
        if !self.knows_cluster(request.cluster_id.as_deref()) {
            return Err(RaftError::InconsistentClusterId);
        }
        let invalid = request.max_wait_ms < 0
            || !request.offset.is_some()
            || request.last_fetched_epoch < 0
            || request.last_fetched_epoch > request.leader_epoch;
        if invalid { Err(RaftError::InvalidRequest) } else { Ok(()) }
    }

    fn try_fetch(&self, request: &FetchRequest) -> FetchAnswer {
        if let Err(error) = self.check_leader_request(request.leader_epoch) {
            return self.empty_answer(Some(error));
        }
        if request.replica.id == self.local_id() {
            return self.empty_answer(Some(RaftError::UnknownServerError));
        }
        let outcome = match self.position(request) {
            FetchPosition::Valid if request.offset < self.log.end => {
                FetchOutcome::Read { offset: request.offset, max_bytes: request.max_bytes }
            }
            FetchPosition::Valid => FetchOutcome::Nothing,
            elsewhere => FetchOutcome::Redirect(elsewhere),
        };
        FetchAnswer { outcome, ..self.empty_answer(None) }
    }

    fn empty_answer(&self, error: Option<RaftError>) -> FetchAnswer {
        let high_watermark = match &self.state {
            State::Leader(leader) if error.is_none() => leader.high_watermark,
            _ => None,
        };
        FetchAnswer {
            leader: self.answer(error),
            high_watermark: high_watermark.unwrap_or(Offset::NONE),
            log_start: self.log.start,
            outcome: FetchOutcome::Nothing,
        }
    }
}
