//! What consensus promises, as named functions: checked at every step, and by the simulation.

use base::Offset;

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
    let promises: [(&'static str, bool); 7] = [
        ("the epoch never goes back", epoch_is_monotonic(before, after)),
        (
            "a leader of an epoch leads until the epoch ends, and is not elected twice",
            leads_once(before, after),
        ),
        ("one vote per epoch", votes_once(before, after)),
        ("the high watermark never goes back", high_watermark_is_monotonic(before, after)),
        ("only what is on stable storage is committed", committed_is_flushed(after)),
        ("start <= flushed <= end of the log", log_is_ordered(after)),
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
