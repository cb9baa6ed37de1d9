//! The target assignment: who is to own what, once the group's epoch has moved on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;
use protocol::ErrorCode;

use super::config;
use super::member::{Member, Subscription};
use super::refusal::Refusal;
use super::state::Consumer;
use super::subscribe::preferred_assignor_after;
use super::work::Work;
use crate::assignor::{GroupSpec, MemberSpec, Partitions, Topics, assign};
use crate::record::ConsumerRecord;
use crate::view::{Metadata, View};

/// A member's target, and the epoch it was made for.
pub(super) struct Target {
    pub epoch: i32,
    pub partitions: Arc<Partitions>,
}

impl Work<'_> {
    /// A new target assignment if the group's epoch asks for one and the last is old enough; the member's share.
    pub(super) fn update_target(
        &mut self,
        group_epoch: i32,
        old: &Member,
        new: &Member,
    ) -> Result<Target, Refusal> {
        if self.group.assignment_epoch >= group_epoch || !self.may_assign() {
            return Ok(self.last_target(new));
        }
        let assignor = preferred_assignor_after(&self.group, old, new)
            .unwrap_or_else(|| self.view.consumer.default_assignor());
        let mut spec = specify(&self.group, new, self.view);
        spec.subscription_type = self.subscription_type(old, new);
        let described = Described(&*self.view.metadata);
        // The client is told no more than that; nothing of it comes from what it sent.
        let mut targets = assign(assignor, &spec, &described)
            .map_err(|_fault| Refusal::plain(ErrorCode::UnknownServerError))?;
        let mut own = Arc::default();
        for (id, member) in &spec.members {
            let target = targets.remove(id).unwrap_or_default();
            if *id == new.id {
                own = Arc::clone(&target);
            }
            let known = self.target_before(id, new).is_some();
            if !known || *target != *member.assigned {
                self.write(ConsumerRecord::Target { member: Arc::clone(id), value: Some(target) });
            }
        }
        let value = Some((group_epoch, self.now_ms()));
        self.write(ConsumerRecord::TargetMetadata { value });
        Ok(Target { epoch: group_epoch, partitions: own })
    }

    fn may_assign(&self) -> bool {
        let interval_ms = config::assignment_interval_ms(self.view, &self.id);
        let last_ms = self.group.assignment_ms;
        let now_ms = self.now_ms();
        // The time is another coordinator's, perhaps: nobody waits for a clock that went ahead.
        last_ms == 0
            || interval_ms == 0
            || now_ms < last_ms
            || now_ms >= last_ms.saturating_add(i64::from(interval_ms))
    }

    pub(super) fn last_target(&self, member: &Member) -> Target {
        let partitions = match &member.subscription.instance_id {
            None => self.group.target(&member.id),
            Some(instance) => self
                .group
                .static_members
                .get(instance)
                .map(|id| self.group.target(id))
                .unwrap_or_default(),
        };
        Target { epoch: self.group.assignment_epoch, partitions }
    }

    /// What a member was to own; one that takes over for another has its target.
    fn target_before(&self, id: &Arc<str>, new: &Member) -> Option<&Arc<Partitions>> {
        target_before(&self.group, id, new)
    }
}

fn target_before<'a>(
    group: &'a Consumer,
    id: &Arc<str>,
    new: &Member,
) -> Option<&'a Arc<Partitions>> {
    let taken_over = replaced_by(group, new).filter(|_| *id == new.id);
    group.targets.get(taken_over.unwrap_or(id))
}

/// The member whose instance id this one has now.
fn replaced_by<'a>(group: &'a Consumer, new: &Member) -> Option<&'a Arc<str>> {
    let instance_id = new.subscription.instance_id.as_ref()?;
    group.static_members.get(instance_id).filter(|id| **id != new.id)
}

/// The group as an assignor sees it, with one member as it will be.
fn specify(group: &Consumer, new: &Member, view: &View) -> GroupSpec {
    let mut sets = TopicSets { group, view, known: BTreeMap::new() };
    let replaced = replaced_by(group, new);
    let mut spec = GroupSpec::default();
    for (id, member) in group.members.iter() {
        if *id != new.id && Some(id) != replaced {
            spec.members.insert(Arc::clone(id), member_spec(group, member, new, &mut sets));
        }
    }
    spec.members.insert(Arc::clone(&new.id), member_spec(group, new, new, &mut sets));
    if !group.members.contains_key(&new.id) {
        spec.joining = Some(Arc::clone(&new.id));
    }
    spec
}

fn member_spec<'a>(
    group: &Consumer,
    member: &'a Member,
    new: &Member,
    sets: &mut TopicSets<'a>,
) -> MemberSpec {
    MemberSpec {
        instance_id: member.subscription.instance_id.clone(),
        topics: sets.of(&member.subscription),
        assigned: target_before(group, &member.id, new).cloned().unwrap_or_default(),
    }
}

/// Looks up each distinct subscription once.
struct TopicSets<'a> {
    group: &'a Consumer,
    view: &'a View,
    /// By where the set of names lies, and the pattern.
    known: BTreeMap<(usize, Option<&'a Arc<str>>), Arc<BTreeSet<Uuid>>>,
}

impl<'a> TopicSets<'a> {
    fn of(&mut self, subscription: &'a Subscription) -> Arc<BTreeSet<Uuid>> {
        let key = (Arc::as_ptr(&subscription.topics).addr(), subscription.pattern());
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let resolved = subscription.pattern().and_then(|regex| self.group.resolved.get(regex));
        let matched = resolved.iter().flat_map(|resolved| resolved.topics.iter());
        let names = subscription.topics.iter().chain(matched);
        let ids = names.filter_map(|name| self.view.metadata.topic(name)).map(|topic| topic.id);
        let ids = Arc::new(ids.collect());
        self.known.insert(key, Arc::clone(&ids));
        ids
    }
}

/// The cluster's topics as an assignor sees them.
struct Described<'a>(&'a dyn Metadata);

impl Topics for Described<'_> {
    fn partitions(&self, topic: Uuid) -> Option<i32> {
        self.0.topic_by_id(topic).map(|topic| topic.partitions)
    }

    fn name(&self, topic: Uuid) -> Option<Arc<str>> {
        self.0.topic_by_id(topic).map(|topic| topic.name)
    }
}
