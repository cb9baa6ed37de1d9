//! `uniform` when members subscribe to different topics: everybody keeps what they had, free partitions go to who has least, then
//! partitions move from who has most to who has least until each topic's subscribers are level or enough rounds were made.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use super::balancer::Balancer;
use super::{AssignError, Draft, GroupSpec, MemberId, Partitions, Topics, nothing, order};
use crate::java::uuid_cmp;

/// Rounds of moving partitions: subscriptions that overlap without being equal converge slowly.
const ROUNDS_MAX: usize = 16;

struct Topic {
    id: Uuid,
    /// By partition, the index of the member.
    owners: Vec<Option<usize>>,
    /// Indexes of members, ascending.
    subscribers: Vec<usize>,
}

struct Builder<'a> {
    members: Vec<(&'a MemberId, Draft<'a>)>,
    /// By member.
    sizes: Vec<i64>,
}

pub(super) fn assign(
    spec: &GroupSpec,
    describe: &dyn Topics,
) -> Result<BTreeMap<MemberId, Arc<Partitions>>, AssignError> {
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    let members = order::members(spec);
    for (index, (_, member)) in members.iter().enumerate() {
        for id in member.topics.iter() {
            let count = describe.partitions(*id).ok_or(AssignError::UnknownTopic(*id))?;
            let owners = || vec![None; usize::try_from(count).unwrap_or(0)];
            let unowned = || Topic { id: *id, owners: owners(), subscribers: Vec::new() };
            topics.entry(*id).or_insert_with(unowned).subscribers.push(index);
        }
    }
    if topics.is_empty() {
        return Ok(nothing(spec));
    }
    let drafts = members.iter().map(|(id, member)| (*id, Draft::of(member))).collect();
    let mut builder = Builder { members: drafts, sizes: vec![0; members.len()] };
    for (index, (_, member)) in members.iter().enumerate() {
        builder.keep(index, &member.assigned, |id| member.topics.contains(&id), &mut topics);
    }
    let mut topics: Vec<Topic> = topics.into_values().collect();
    topics.sort_by(by_need);
    for topic in &mut topics {
        builder.fill(topic);
    }
    builder.balance(&mut topics);
    Ok(builder.members.into_iter().map(|(id, draft)| (Arc::clone(id), draft.finish())).collect())
}

/// Topics with many partitions for each subscriber first, then those with few subscribers.
fn by_need(a: &Topic, b: &Topic) -> Ordering {
    // a/b against c/d is ad against cb.
    let cross = |x: &Topic, y: &Topic| x.owners.len().saturating_mul(y.subscribers.len());
    cross(b, a)
        .cmp(&cross(a, b))
        .then_with(|| a.subscribers.len().cmp(&b.subscribers.len()))
        .then_with(|| uuid_cmp(a.id, b.id))
}

impl Builder<'_> {
    /// A member keeps what it has of the topics it subscribes to.
    fn keep(
        &mut self,
        member: usize,
        assigned: &Partitions,
        subscribed: impl Fn(Uuid) -> bool,
        topics: &mut BTreeMap<Uuid, Topic>,
    ) {
        let Some((_, draft)) = self.members.get_mut(member) else { return };
        draft.keep_topics(&subscribed);
        let kept = assigned.iter().filter(|(id, _)| subscribed(**id));
        for (id, partition) in
            kept.flat_map(|(id, partitions)| partitions.iter().map(move |p| (*id, *p)))
        {
            let slot = topics.get_mut(&id).and_then(|topic| slot(topic, partition));
            let Some(owner) = slot else {
                // Only in an assignment that does not fit its topic.
                draft.remove(id, partition);
                continue;
            };
            *owner = Some(member);
            if let Some(size) = self.sizes.get_mut(member) {
                *size += 1;
            }
        }
    }

    /// Gives the partitions that nobody has to the subscribers that have least.
    fn fill(&mut self, topic: &mut Topic) {
        let mut balancer = Balancer::new(&topic.subscribers, &self.sizes);
        for partition in (0..).take(topic.owners.len()) {
            if slot(topic, partition).is_some_and(|owner| owner.is_none())
                && let Some(member) = balancer.least_loaded(&self.sizes)
            {
                self.hand_over(topic, partition, member);
            }
        }
    }

    /// Goes around the topics until a whole round moved nothing.
    fn balance(&mut self, topics: &mut Vec<Topic>) {
        topics.retain(|topic| topic.subscribers.len() >= 2);
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for (index, topic) in topics.iter_mut().enumerate() {
                if last_moved == Some(index) {
                    return;
                }
                if self.level(topic) || last_moved.is_none() {
                    last_moved = Some(index);
                }
            }
        }
    }

    /// Moves partitions of a topic from those that have most to those that have least; whether any moved.
    fn level(&mut self, topic: &mut Topic) -> bool {
        let mut balancer = Balancer::new(&topic.subscribers, &self.sizes);
        // Both levels start one outside.
        if balancer.imbalance() <= 1 + 2 {
            return false;
        }
        let mut held: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
        for (partition, owner) in (0..).zip(&topic.owners) {
            if let Some(owner) = owner {
                held.entry(*owner).or_default().push(partition);
            }
        }
        let mut moved = false;
        while balancer.imbalance() > 1
            && let Some(partition) = self.give(&mut balancer, &mut held)
            && let Some(member) = balancer.least_loaded(&self.sizes)
            && balancer.imbalance() > 1
        {
            self.hand_over(topic, partition, member);
            moved = true;
        }
        moved
    }

    /// The last partition of the member that has most and holds one of this topic.
    fn give(&self, balancer: &mut Balancer, held: &mut BTreeMap<usize, Vec<i32>>) -> Option<i32> {
        loop {
            let member = balancer.most_loaded(&self.sizes)?;
            match held.get_mut(&member).and_then(Vec::pop) {
                Some(partition) => return Some(partition),
                None => balancer.exclude_most_loaded(),
            }
        }
    }

    fn hand_over(&mut self, topic: &mut Topic, partition: i32, to: usize) {
        let id = topic.id;
        let Some(owner) = slot(topic, partition) else { return };
        if let Some(from) = owner.replace(to) {
            self.change(from, -1, |draft| draft.remove(id, partition));
        }
        self.change(to, 1, |draft| draft.add(id, partition));
    }

    fn change(&mut self, member: usize, by: i64, edit: impl FnOnce(&mut Draft<'_>)) {
        if let (Some((_, draft)), Some(size)) =
            (self.members.get_mut(member), self.sizes.get_mut(member))
        {
            edit(draft);
            *size += by;
        }
    }
}

fn slot(topic: &mut Topic, partition: i32) -> Option<&mut Option<usize>> {
    topic.owners.get_mut(usize::try_from(partition).ok()?)
}
