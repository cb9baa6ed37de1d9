//! `range`: of each topic every subscriber gets one range of partitions; the members' order is the same for all topics, so that
//! equal subscriptions to topics of equal size get the same numbers. Nothing is sticky but that order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use super::{AssignError, GroupSpec, MemberId, MemberSpec, Partitions, Topics, settle};
use crate::java::string_cmp;

/// How far a topic is handed out.
struct Ranges {
    partitions: i32,
    subscribers: i32,
    next: i32,
    /// How many subscribers had their turn.
    served: i32,
}

impl Ranges {
    /// The next subscriber's range: the first ones get one more if it does not come out even.
    fn take(&mut self) -> BTreeSet<i32> {
        let quota = self.partitions / self.subscribers.max(1);
        let extra = i32::from(self.served < self.partitions % self.subscribers.max(1));
        let start = self.next;
        self.next = start.saturating_add(quota + extra).min(self.partitions);
        self.served += 1;
        (start..self.next).collect()
    }
}

pub(super) fn assign(
    spec: &GroupSpec,
    topics: &dyn Topics,
) -> Result<BTreeMap<MemberId, Arc<Partitions>>, AssignError> {
    let mut ranges: BTreeMap<Uuid, Ranges> = BTreeMap::new();
    for topic in spec.members.values().flat_map(|member| member.topics.iter()) {
        if let Some(known) = ranges.get_mut(topic) {
            known.subscribers += 1;
            continue;
        }
        let partitions = topics.partitions(*topic).ok_or(AssignError::UnknownTopicOfRange)?;
        ranges.insert(*topic, Ranges { partitions, subscribers: 1, next: 0, served: 0 });
    }
    let mut members: Vec<_> = spec.members.iter().collect();
    members.sort_by(|a, b| by_rank(*a, *b));
    let assigned = members.into_iter().map(|(id, member)| {
        let of_topic = |topic: &Uuid| Some((*topic, ranges.get_mut(topic)?.take()));
        let now = member.topics.iter().filter_map(of_topic);
        let now = now.filter(|(_, partitions)| !partitions.is_empty()).collect();
        (Arc::clone(id), settle(&member.assigned, now))
    });
    Ok(assigned.collect())
}

/// Static members by their instance ids, then the others by their member ids.
fn by_rank(a: (&MemberId, &MemberSpec), b: (&MemberId, &MemberSpec)) -> Ordering {
    match (&a.1.instance_id, &b.1.instance_id) {
        (Some(x), Some(y)) => string_cmp(x, y),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => string_cmp(a.0, b.0),
    }
}
