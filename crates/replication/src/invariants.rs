//! What must hold of a leader at every moment: shared by assertions, tests and simulation.

use base::Offset;

use crate::Leader;

/// 0 ≤ high watermark ≤ log end.
pub fn high_watermark_within_log(leader: &Leader) -> Result<(), String> {
    let (hw, end) = (leader.high_watermark(), leader.log_end());
    if Offset::ZERO <= hw && hw <= end {
        return Ok(());
    }
    Err(format!("high watermark {hw} is not within 0 and the log end {end}"))
}

/// The watermark that consumers see never goes back within an epoch.
pub fn high_watermark_monotonic(before: &Leader, after: &Leader) -> Result<(), String> {
    if before.epoch() != after.epoch() || before.high_watermark() <= after.high_watermark() {
        return Ok(());
    }
    Err(format!(
        "high watermark went from {} to {}",
        before.high_watermark(),
        after.high_watermark()
    ))
}

/// Every in-sync replica holds everything that is committed in this epoch's time.
pub fn isr_holds_committed(
    leader: &Leader,
    committed_by_this_leader: Offset,
) -> Result<(), String> {
    for id in leader.isr() {
        if let Some(progress) = leader.follower(*id)
            && progress.log_end < committed_by_this_leader
        {
            return Err(format!(
                "replica {id} is in sync with log end {} below the committed {committed_by_this_leader}",
                progress.log_end
            ));
        }
    }
    Ok(())
}
