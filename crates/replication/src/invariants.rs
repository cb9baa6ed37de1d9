//! What must hold of replicas at every moment: shared by assertions, tests and simulation.

use base::{LeaderEpoch, NodeId, Offset};

use crate::Leader;

/// What an invariant needs to see of a replica: its records as (epoch, content) by offset from `start` on.
#[derive(Clone, Debug)]
pub struct ReplicaView<'a, Content> {
    pub id: NodeId,
    pub start: Offset,
    pub records: &'a [(LeaderEpoch, Content)],
}

impl<Content> ReplicaView<'_, Content> {
    pub fn end(&self) -> Offset {
        self.start.plus(self.records.len() as i64)
    }

    fn get(&self, offset: Offset) -> Option<&(LeaderEpoch, Content)> {
        let index = usize::try_from(offset.get() - self.start.get()).ok()?;
        self.records.get(index)
    }
}

/// 0 ≤ high watermark ≤ log end.
pub fn high_watermark_within_log(leader: &Leader) -> Result<(), String> {
    let (hw, end) = (leader.high_watermark(), leader.log_end());
    if Offset::ZERO <= hw && hw <= end {
        return Ok(());
    }
    Err(format!("high watermark {hw} is not within 0 and the log end {end}"))
}

/// The watermark that a leader shows never goes back while it leads.
pub fn high_watermark_monotonic(before: &Leader, after: &Leader) -> Result<(), String> {
    if before.high_watermark() <= after.high_watermark() {
        return Ok(());
    }
    Err(format!(
        "high watermark went from {} to {}",
        before.high_watermark(),
        after.high_watermark()
    ))
}

/// LeaderInIsr: who leads is in sync.
pub fn leader_in_isr(leader: NodeId, isr: &[NodeId]) -> Result<(), String> {
    if isr.contains(&leader) {
        return Ok(());
    }
    Err(format!("leader {leader} is not among the in-sync replicas {isr:?}"))
}

/// WeakIsr: who a leader takes to be (or become) in sync has everything up to the leader's watermark. `end` tells the true
/// end of a replica's log.
pub fn maximal_isr_holds_committed(
    leader: &Leader,
    end: impl Fn(NodeId) -> Offset,
) -> Result<(), String> {
    let members = leader.followers().filter(|(id, _)| leader.may_be_in_sync(*id));
    for (id, _) in members {
        if end(id) < leader.high_watermark() {
            return Err(format!(
                "replica {id} counts as in sync with a log to {} below the watermark {}",
                end(id),
                leader.high_watermark()
            ));
        }
    }
    Ok(())
}

/// ReplicationQuorumSuperset: the leader waits for everyone whom the controller takes to be in sync, as long as both speak of the
/// same leader epoch.
pub fn maximal_isr_covers(leader: &Leader, committed_isr: &[NodeId]) -> Result<(), String> {
    for id in committed_isr {
        if !leader.may_be_in_sync(*id) {
            return Err(format!(
                "replica {id} is in sync for the controller, the leader does not wait for it"
            ));
        }
    }
    Ok(())
}

/// StrongIsr, LeaderCandidateCompleteness: a replica holds everything below `committed`, with the content it was committed with.
pub fn holds_committed<Content: PartialEq + std::fmt::Debug>(
    replica: &ReplicaView<'_, Content>,
    committed: &[(LeaderEpoch, Content)],
) -> Result<(), String> {
    for (offset, was) in (0i64..).map(Offset).zip(committed) {
        if offset < replica.start {
            continue;
        }
        let is = replica.get(offset);
        if is != Some(was) {
            return Err(format!(
                "replica {} has {is:?} at {offset}, committed is {was:?}",
                replica.id
            ));
        }
    }
    Ok(())
}

/// LogMatching: where two logs have a record of the same epoch, they are the same up to it.
pub fn logs_match<Content: PartialEq + std::fmt::Debug>(
    one: &ReplicaView<'_, Content>,
    other: &ReplicaView<'_, Content>,
) -> Result<(), String> {
    let from = one.start.max(other.start).get();
    let to = one.end().min(other.end()).get();
    let mut differs: Option<i64> = None;
    for offset in from..to {
        let (a, b) = (one.get(Offset(offset)), other.get(Offset(offset)));
        if let Some(before) = differs.filter(|_| a.map(|r| r.0) == b.map(|r| r.0)) {
            return Err(format!(
                "replicas {} and {} agree on the epoch at {offset} but differ at {before}",
                one.id, other.id
            ));
        }
        if a != b {
            differs.get_or_insert(offset);
            if a.map(|r| r.0) == b.map(|r| r.0) {
                return Err(format!(
                    "replicas {} and {} have different records of one epoch at {offset}: {a:?}, {b:?}",
                    one.id, other.id
                ));
            }
        }
    }
    Ok(())
}
