//! What consensus promises, as named functions: of one step, checked at every step; of a whole cluster, for simulations.

use base::{NodeId, Offset};

use crate::Raft;

/// The part of a node's state that promises are about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    pub epoch: i32,
    pub is_leader: bool,
    pub voted: Option<crate::ReplicaKey>,
    pub high_watermark: Option<Offset>,
    pub log_start: Offset,
    pub flushed: Offset,
    pub log_end: Offset,
    pub last_epoch: i32,
}

impl Summary {
    pub fn of(raft: &Raft) -> Self {
        Self {
            epoch: raft.epoch(),
            is_leader: raft.is_leader(),
            voted: raft.state.voted(),
            high_watermark: raft.high_watermark(),
            log_start: raft.log.start,
            flushed: raft.log.flushed,
            log_end: raft.log.end,
            last_epoch: raft.log.last_epoch(),
        }
    }
}

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{promise}: {before:?} -> {after:?}")]
pub struct Violation {
    pub promise: &'static str,
    pub before: Summary,
    pub after: Summary,
}

/// All promises about one step.
///
/// # Errors
/// Names the first one that is broken.
pub fn check_step(before: &Summary, after: &Summary) -> Result<(), Box<Violation>> {
    let promises: [(&'static str, bool); 9] = [
        ("the epoch never goes back", epoch_is_monotonic(before, after)),
        (
            "a leader of an epoch leads until the epoch ends, and is not elected twice",
            leads_once(before, after),
        ),
        ("one vote per epoch", votes_once(before, after)),
        ("the high watermark never goes back", high_watermark_is_monotonic(before, after)),
        ("only what is on stable storage is committed", committed_is_flushed(after)),
        ("start <= flushed <= end of the log", log_is_ordered(after)),
        ("what is committed stays in the log", committed_stays(after)),
        ("a leader only appends", leader_appends_only(before, after)),
        ("no record is of a later epoch than the node's", log_is_not_ahead(after)),
    ];
    match promises.into_iter().find(|(_, kept)| !kept) {
        Some((promise, _)) => {
            Err(Box::new(Violation { promise, before: before.clone(), after: after.clone() }))
        }
        None => Ok(()),
    }
}

pub fn epoch_is_monotonic(before: &Summary, after: &Summary) -> bool {
    before.epoch <= after.epoch
}

pub fn leads_once(before: &Summary, after: &Summary) -> bool {
    // Becoming leader without a new epoch happens once: from the vote for itself that a restart found.
    let elected = after.is_leader && !before.is_leader;
    !elected || after.epoch > before.epoch || before.voted.is_some()
}

pub fn votes_once(before: &Summary, after: &Summary) -> bool {
    let changed = before.voted.is_some() && after.voted.is_some() && before.voted != after.voted;
    !(changed && before.epoch == after.epoch)
}

pub fn high_watermark_is_monotonic(before: &Summary, after: &Summary) -> bool {
    before.high_watermark <= after.high_watermark
}

pub fn committed_is_flushed(state: &Summary) -> bool {
    state.high_watermark.is_none_or(|offset| offset <= state.flushed)
}

pub fn log_is_ordered(state: &Summary) -> bool {
    state.log_start <= state.flushed && state.flushed <= state.log_end
}

pub fn log_is_not_ahead(state: &Summary) -> bool {
    state.last_epoch <= state.epoch
}

pub fn committed_stays(state: &Summary) -> bool {
    state.high_watermark.is_none_or(|offset| offset <= state.log_end)
}

pub fn leader_appends_only(before: &Summary, after: &Summary) -> bool {
    let leads = before.is_leader && after.is_leader && before.epoch == after.epoch;
    !leads || before.log_end <= after.log_end
}

/// Never two leaders in one epoch, of all nodes at one moment.
pub fn one_leader_per_epoch(nodes: &[(NodeId, Summary)]) -> bool {
    let leaders: Vec<_> = nodes.iter().filter(|(_, node)| node.is_leader).collect();
    leaders.iter().enumerate().all(|(index, (id, node))| {
        leaders[..index].iter().all(|(other, led)| other == id || led.epoch != node.epoch)
    })
}

/// Records of a log from its start on: the epoch of each, and what it holds.
#[derive(Clone, Copy, Debug)]
pub struct LogImage<'a, T> {
    pub start: Offset,
    pub records: &'a [(i32, T)],
}

impl<'a, T> LogImage<'a, T> {
    fn get(&self, offset: Offset) -> Option<&'a (i32, T)> {
        let index = offset.get().checked_sub(self.start.get())?;
        self.records.get(usize::try_from(index).ok()?)
    }

    fn end(&self) -> Offset {
        self.start.plus(i64::try_from(self.records.len()).unwrap_or(i64::MAX))
    }
}

/// When two logs have a record of the same offset and epoch, they are the same up to there.
pub fn logs_match<T: PartialEq>(one: &LogImage<'_, T>, other: &LogImage<'_, T>) -> bool {
    let start = one.start.max(other.start);
    let mut common = (start.get()..one.end().min(other.end()).get()).map(Offset).rev();
    let epoch = |log: &LogImage<'_, T>, at| log.get(at).map(|(epoch, _)| *epoch);
    let Some(last) = common.find(|at| epoch(one, *at) == epoch(other, *at)) else { return true };
    one.get(last) == other.get(last) && common.all(|at| one.get(at) == other.get(at))
}

/// The log holds all that is committed from its start on: what a leader must (leader completeness), and what no
/// majority may lose.
pub fn holds_committed<T: PartialEq>(log: &LogImage<'_, T>, committed: &[(i32, T)]) -> bool {
    let end = Offset(i64::try_from(committed.len()).unwrap_or(i64::MAX));
    log.start <= end && agrees_before(log, committed, end) && end <= log.end()
}

/// What a node takes as committed is what all others do at the same offset (state machine safety).
pub fn committed_agrees<T: PartialEq>(
    log: &LogImage<'_, T>,
    committed: &[(i32, T)],
    high_watermark: Offset,
) -> bool {
    high_watermark <= log.end() && agrees_before(log, committed, high_watermark)
}

fn agrees_before<T: PartialEq>(log: &LogImage<'_, T>, committed: &[(i32, T)], end: Offset) -> bool {
    let from = usize::try_from(log.start.get()).unwrap_or(usize::MAX);
    let count = usize::try_from(end.get().saturating_sub(log.start.get())).unwrap_or(0);
    let committed = committed.iter().skip(from).take(count);
    committed.zip(log.records).all(|(one, other)| one == other)
}
