//! Which topics the members of a classic group of consumers subscribe to.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::{Decode, Reader};

use super::group::Classic;

/// All topics; `None` when the group is not one of consumers, or when a member's words cannot be read.
pub(super) fn topics(group: &Classic) -> Option<Arc<BTreeSet<Arc<str>>>> {
    if !group.is_of_consumers() {
        return None;
    }
    let mut all = BTreeSet::new();
    if group.members.is_empty() {
        return Some(Arc::new(all));
    }
    let protocol = group.protocol.as_deref()?;
    for member in group.members() {
        read(member.metadata(protocol), &mut all)?;
    }
    Some(Arc::new(all))
}

/// Every version of a subscription begins as version 0 does.
fn read(blob: &[u8], all: &mut BTreeSet<Arc<str>>) -> Option<()> {
    let mut reader = Reader::new(blob);
    reader.i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?;
    for topic in &subscription.topics {
        if !all.contains(&**topic) {
            all.insert(Arc::from(&**topic));
        }
    }
    Some(())
}
