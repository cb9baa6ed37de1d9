//! Ways to break the machine on purpose.

use coordinator::LogRecord;
use group::{GroupShard, Kind, Request, classic};

use super::turn::Ask;

/// Each must be noticed by the checker: a rule that never fires is no rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tamper {
    /// Some records never reach the log.
    LoseRecords,
    /// The coordinator's timers stop.
    StopTimers,
    /// Some answers are never given.
    ForgetAnswers,
    /// Commits of old generations and epochs are taken for new ones.
    TrustCommits,
    /// A leader gives one partition to all members.
    AssignTwice,
    /// A coordinator moves and finds the wrong records removed.
    CompactWrongly,
    /// A coordinator that does not know that it is none any more writes what it wrote before.
    RepeatRecords,
    /// A classic member of a consumer group is told what another one owns.
    TellAnother,
}

impl Tamper {
    pub const ALL: [Self; 8] = [
        Self::LoseRecords,
        Self::StopTimers,
        Self::ForgetAnswers,
        Self::TrustCommits,
        Self::AssignTwice,
        Self::CompactWrongly,
        Self::RepeatRecords,
        Self::TellAnother,
    ];

    /// The request, a commit being one of a member that there is.
    pub(crate) fn trusted(request: Request, shard: &GroupShard) -> Request {
        let mut ask = Ask::Request(request.clone());
        Self::trust(&mut ask, shard);
        match ask {
            Ask::Request(request) => request,
            Ask::Query(_) => request,
        }
    }

    /// Makes a commit one of a member that there is.
    pub fn trust(ask: &mut Ask, shard: &GroupShard) {
        let Ask::Request(Request::OffsetCommit { request, .. }) = ask else { return };
        let somebody = match shard.groups().get(&*request.group_id) {
            Some(Kind::Classic(group)) => {
                let member = group.members().next();
                member.map(|member| (member.id.to_string(), group.generation()))
            }
            Some(Kind::Consumer(group)) => {
                let member = group.members().next();
                member.map(|member| (member.id.to_string(), member.epoch))
            }
            _ => None,
        };
        let (member_id, epoch) = somebody.unwrap_or((String::new(), -1));
        request.generation_id_or_member_epoch = epoch;
        request.member_id = member_id.into();
        request.group_instance_id = None;
    }

    /// Makes a leader give the same to all.
    pub fn assign_twice(ask: &mut Ask) {
        let Ask::Request(Request::Classic(classic::Request::SyncGroup { request, .. })) = ask
        else {
            return;
        };
        let most = request.assignments.iter().max_by_key(|one| one.assignment.len());
        let Some(most) = most.map(|one| one.assignment.clone()) else { return };
        for one in &mut request.assignments {
            one.assignment = most.clone();
        }
    }

    /// Drops a record of the newest batch.
    pub fn lose(log: &mut Vec<Vec<LogRecord>>) {
        if let Some(batch) = log.last_mut() {
            batch.pop();
        }
        // There are no empty batches.
        log.retain(|batch| !batch.is_empty());
    }
}
