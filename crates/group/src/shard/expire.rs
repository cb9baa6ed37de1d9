//! Which offsets are no longer kept: Kafka's rules by the state of their group (KIP-211).

use base::time::Now;

use super::GroupShard;
use crate::groups::Kind;
use crate::offsets::Committed;
use crate::record::GroupRecord;
use crate::view::View;

impl GroupShard {
    /// Tombstones of expired offsets, and of the groups that then hold nothing.
    pub(super) fn expired(&self, now: Now, view: &View) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for (group, kind) in self.groups.iter() {
            let mut all = true;
            for (place, committed) in self.offsets.of_group(group) {
                let over =
                    !kind.is_subscribed(&place.1) && is_over(kind, committed, now.wall.0, view);
                if over && !self.offsets.is_pending(place) {
                    records.push(GroupRecord::Offset { place: place.clone(), value: None });
                } else {
                    all = false;
                }
            }
            if all && kind.is_empty() && self.offsets.pending_of_group(group).next().is_none() {
                records.extend(kind.tombstones(group));
            }
        }
        records
    }
}

/// An offset is kept for a while from when nobody uses it on.
fn is_over(kind: &Kind, committed: &Committed, now_ms: i64, view: &View) -> bool {
    let since_ms = match kind {
        Kind::Classic(classic) => classic.ages_since_ms(committed),
        Kind::Consumer(_) => Some(committed.commit_ms),
        Kind::Other => None,
    };
    let Some(since_ms) = since_ms else { return false };
    if let Some(expire_ms) = committed.expire_ms {
        return now_ms >= expire_ms;
    }
    let kept_ms = now_ms.saturating_sub(since_ms);
    u64::try_from(kept_ms).is_ok_and(|kept_ms| kept_ms >= view.offsets.retention_ms)
}
