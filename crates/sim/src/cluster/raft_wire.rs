//! Words of consensus between nodes: requests become events, replies become answers.

use base::Offset;
use base::machine::ReplyId;
use kraft::{
    Answer, DataId, Event, FetchOutcome, FetchPosition, Fetched, FetchedBatch, FetchedOutcome,
    FetchedRecords, FetchedSnapshot, Reply, Request, RequestId, SendFailure, VersionRange,
};

use super::context::Context;
use super::message::{CallId, FetchTell, RaftTell, Tell};
use super::meta_log::{MetaLog, SNAPSHOT_BYTES};
use super::quorum::{Done, Kept, Quorum};

/// Batches in an answer to a fetch.
const FETCH_BATCHES_MAX: u64 = 6;

impl Quorum {
    /// Another node asks.
    pub fn asked(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut MetaLog,
        call: CallId,
        request: Request,
    ) -> Done {
        let reply = ReplyId(self.fresh_id());
        let event = match request {
            Request::Vote(request) => Event::Vote { reply, request },
            Request::BeginQuorumEpoch(request) => Event::BeginQuorumEpoch { reply, request },
            Request::EndQuorumEpoch(request) => Event::EndQuorumEpoch { reply, request },
            Request::Fetch(request) => Event::Fetch { reply, request },
            Request::FetchSnapshot(mut request) => {
                request.size = log.snapshots.contains_key(&request.id).then_some(SNAPSHOT_BYTES);
                Event::FetchSnapshot { reply, request }
            }
            Request::AddVoter(request) => Event::AddVoter { reply, request },
            Request::RemoveVoter(request) => Event::RemoveVoter { reply, request },
            Request::UpdateVoter(request) => Event::UpdateVoter { reply, request },
            Request::ApiVersions => {
                let range = VersionRange { min: 0, max: 1 };
                cx.reply(call, Tell::Raft(RaftTell::ApiVersions(range)));
                return Ok(());
            }
        };
        self.asked.insert(reply, call);
        self.event(cx, log, event)
    }

    pub(super) fn reply(
        &mut self,
        cx: &mut Context<'_>,
        log: &MetaLog,
        reply: ReplyId,
        body: Reply,
    ) -> Done {
        let Some(call) = self.asked.remove(&reply) else {
            return Err(format!("{reply:?} is answered twice"));
        };
        let tell = match body {
            Reply::Vote(answer) => RaftTell::Vote(answer),
            Reply::BeginQuorumEpoch(answer) => RaftTell::BeginQuorumEpoch(answer),
            Reply::EndQuorumEpoch(answer) => RaftTell::EndQuorumEpoch(answer),
            Reply::Fetch(answer) => {
                let outcome = match answer.outcome {
                    FetchOutcome::Nothing | FetchOutcome::Redirect(FetchPosition::Valid) => {
                        FetchTell::Records(Vec::new())
                    }
                    FetchOutcome::Read { offset, .. } => {
                        let count = 1 + cx.rng.below(FETCH_BATCHES_MAX);
                        let batches = log.read(offset, log.end()).iter();
                        let batches = batches.take(usize::try_from(count).unwrap_or(1));
                        FetchTell::Records(batches.cloned().collect())
                    }
                    FetchOutcome::Redirect(FetchPosition::Diverging { epoch, end }) => {
                        FetchTell::Diverging { epoch, end }
                    }
                    FetchOutcome::Redirect(FetchPosition::Snapshot(id)) => FetchTell::Snapshot(id),
                };
                RaftTell::Fetch {
                    leader: answer.leader,
                    high_watermark: answer.high_watermark,
                    log_start: answer.log_start,
                    outcome,
                }
            }
            Reply::FetchSnapshot(answer) => {
                let slice = answer.slice.and_then(|(position, len, _)| {
                    let file = log.snapshots.get(&answer.id)?;
                    Some((position, len, std::rc::Rc::clone(file)))
                });
                RaftTell::FetchSnapshot { leader: answer.leader, id: answer.id, slice }
            }
            Reply::AddVoter(done) => RaftTell::AddVoter(done.err().map(|refusal| refusal.error)),
            Reply::RemoveVoter(done) => {
                RaftTell::RemoveVoter(done.err().map(|refusal| refusal.error))
            }
            Reply::UpdateVoter(answer) => RaftTell::UpdateVoter(answer),
            Reply::DescribeQuorum(_) | Reply::UpgradeKRaftVersion(_) => return Ok(()),
        };
        cx.reply(call, Tell::Raft(tell));
        Ok(())
    }

    /// What came of a request that consensus sent.
    pub fn answered(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut MetaLog,
        id: RequestId,
        tell: Tell,
    ) -> Done {
        let answer = match tell {
            Tell::Raft(tell) => Ok(self.answer(tell)),
            Tell::TimedOut => Err(SendFailure::TimedOut),
            _ => Err(SendFailure::Unreachable),
        };
        self.event(cx, log, Event::Response { id, answer })
    }

    fn answer(&mut self, tell: RaftTell) -> Answer {
        match tell {
            RaftTell::Vote(answer) => Answer::Vote(answer),
            RaftTell::BeginQuorumEpoch(answer) => Answer::BeginQuorumEpoch(answer),
            RaftTell::EndQuorumEpoch(answer) => Answer::EndQuorumEpoch(answer),
            RaftTell::AddVoter(error) => Answer::AddVoter(error),
            RaftTell::RemoveVoter(error) => Answer::RemoveVoter(error),
            RaftTell::UpdateVoter(answer) => Answer::UpdateVoter(answer),
            RaftTell::ApiVersions(range) => Answer::ApiVersions(Ok(Some(range))),
            RaftTell::Fetch { leader, high_watermark, log_start, outcome } => {
                let outcome = match outcome {
                    FetchTell::Records(batches) => {
                        let data = DataId(self.fresh_id());
                        let heads = batches.iter().map(|batch| FetchedBatch {
                            base: batch.base,
                            next: batch.next,
                            epoch: batch.epoch,
                            control: batch.control(),
                        });
                        let heads = heads.collect();
                        self.kept.insert(data, Kept::Batches(batches));
                        FetchedOutcome::Records(FetchedRecords { data, batches: heads })
                    }
                    FetchTell::Diverging { epoch, end } => FetchedOutcome::Diverging { epoch, end },
                    FetchTell::Snapshot(id) => FetchedOutcome::Snapshot(id),
                };
                Answer::Fetch(Fetched { leader, high_watermark, log_start, outcome })
            }
            RaftTell::FetchSnapshot { leader, id, slice } => {
                let data = DataId(self.fresh_id());
                let (position, len) = match slice {
                    Some((position, len, file)) => {
                        self.kept.insert(data, Kept::Piece { len, file });
                        (position, len)
                    }
                    None => (0, 0),
                };
                let size = SNAPSHOT_BYTES;
                Answer::FetchSnapshot(FetchedSnapshot { leader, id, size, position, data, len })
            }
        }
    }

    /// The end of the log that is known to be committed.
    pub fn committed(&self) -> Offset {
        self.next_commit
    }
}
