//! `uniform` when all members subscribe to the same topics: everybody keeps what they had up to their quota, the rest fills up those
//! below it. Balance goes before stickiness; no two members differ by more than one partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use super::{
    AssignError, Draft, GroupSpec, MemberId, MemberSpec, Partitions, Topics, nothing, order,
};

/// A partition of a topic.
type Place = (Uuid, i32);

pub(super) fn assign(
    spec: &GroupSpec,
    describe: &dyn Topics,
) -> Result<BTreeMap<MemberId, Arc<Partitions>>, AssignError> {
    let members = order::members(spec);
    let Some((_, first)) = members.first() else { return Ok(BTreeMap::new()) };
    let topics = order::subscription(&first.topics, describe);
    if topics.is_empty() {
        return Ok(nothing(spec));
    }
    let mut unassigned = Vec::new();
    let mut total = 0usize;
    let mut owned = owned(spec);
    for topic in &topics {
        let count = describe.partitions(*topic).ok_or(AssignError::UnknownTopic(*topic))?;
        let taken = owned.remove(topic).unwrap_or_default();
        let free = (0..count).filter(|partition| taken.binary_search(partition).is_err());
        unassigned.extend(free.map(|partition| (*topic, partition)));
        total += usize::try_from(count).unwrap_or(0);
    }
    let ranks = topics.iter().enumerate().map(|(rank, topic)| (*topic, rank)).collect();
    let mut quotas = Quotas::new(total, members.len());
    let mut drafts = Vec::with_capacity(members.len());
    for (id, member) in members {
        let mut draft = Draft::of(member);
        let quota = quotas.quota();
        let left = revoke(&mut draft, member, &ranks, quota, &mut unassigned);
        drafts.push((id, draft, quotas.settle(left)));
    }
    let mut free = unassigned.into_iter();
    for (_, draft, missing) in &mut drafts {
        free.by_ref().take(*missing).for_each(|(topic, partition)| draft.add(topic, partition));
    }
    if free.next().is_some() {
        return Err(AssignError::LeftUnassigned);
    }
    Ok(drafts.into_iter().map(|(id, draft, _)| (Arc::clone(id), draft.finish())).collect())
}

/// By topic, the partitions that somebody has, ascending.
fn owned(spec: &GroupSpec) -> BTreeMap<Uuid, Vec<i32>> {
    let mut owned: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partitions) in spec.members.values().flat_map(|member| member.assigned.iter()) {
        owned.entry(*topic).or_default().extend(partitions);
    }
    owned.values_mut().for_each(|partitions| partitions.sort_unstable());
    owned
}

/// Takes from a member what it does not subscribe to any more and what goes beyond its quota; the latter is free for others. Returns
/// what the quota still allows.
fn revoke(
    draft: &mut Draft<'_>,
    member: &MemberSpec,
    ranks: &order::Ranks,
    quota: usize,
    unassigned: &mut Vec<Place>,
) -> usize {
    let mut left = quota;
    draft.keep_topics(|topic| ranks.contains_key(&topic));
    for topic in order::assigned_topics(&member.assigned, ranks) {
        let Some(partitions) = draft.now.get(&topic) else { continue };
        if partitions.len() <= left {
            left -= partitions.len();
            continue;
        }
        let beyond = order::partitions(partitions).split_off(left);
        for partition in beyond {
            draft.remove(topic, partition);
            unassigned.push((topic, partition));
        }
        left = 0;
    }
    left
}

/// How many partitions a member may have: so many, and the first ones that have them already one more.
struct Quotas {
    least: usize,
    /// Members that are still to get one more.
    extra: usize,
    /// Members that did not have their turn.
    members: usize,
}

impl Quotas {
    fn new(partitions: usize, members: usize) -> Self {
        Self { least: partitions / members, extra: partitions % members, members }
    }

    fn quota(&self) -> usize {
        self.least + usize::from(self.extra > 0)
    }

    /// What the member is missing, of which `left` was not used: it leaves the one more to others while there are enough of them.
    fn settle(&mut self, left: usize) -> usize {
        let has_extra = self.extra > 0;
        let gives_up = has_extra && left > 0 && self.members > self.extra;
        self.members -= 1;
        self.extra -= usize::from(has_extra && !gives_up);
        left - usize::from(gives_up)
    }
}
