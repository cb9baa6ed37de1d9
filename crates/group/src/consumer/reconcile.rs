//! How a member gets from what it owns to its target: give up first, then take what others gave up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::member::{Member, MemberState, Owned};
use super::refusal::Refusal;
use super::state::{Consumer, Resolved};
use super::target::Target;
use super::work::Work;
use crate::view::Metadata;

impl Work<'_> {
    /// The member after one step towards its target; the step is written.
    pub(super) fn reconcile(
        &mut self,
        member: Member,
        target: &Target,
        subscription_changed: bool,
        owned: Option<&[TopicPartitions]>,
    ) -> Result<Member, Refusal> {
        if !subscription_changed && member.is_reconciled_to(target.epoch) {
            return Ok(member);
        }
        let regex = member.subscription.pattern();
        let resolved = regex.and_then(|regex| self.group.resolved.get(regex)).cloned();
        let step = Step {
            member: &member,
            group: &self.group,
            metadata: &*self.view.metadata,
            resolved: resolved.as_deref(),
            target,
            owned,
        };
        let next = step.next(subscription_changed)?;
        if next == member {
            return Ok(member);
        }
        self.write_current(&next);
        if !next.uses_classic_protocol() {
            self.set_rebalance(&next);
        }
        Ok(next)
    }
}

/// What a step depends on.
struct Step<'a> {
    member: &'a Member,
    group: &'a Consumer,
    metadata: &'a dyn Metadata,
    /// What the member's pattern matches.
    resolved: Option<&'a Resolved>,
    target: &'a Target,
    /// What the member says that it owns; `None` if it says nothing.
    owned: Option<&'a [TopicPartitions]>,
}

impl Step<'_> {
    fn next(&self, subscription_changed: bool) -> Result<Member, Refusal> {
        let member = self.member;
        let next =
            match member.state {
                MemberState::Stable if member.epoch != self.target.epoch => {
                    self.advance(member.epoch)
                }
                MemberState::Unrevoked if self.owns_any(&member.revoking) => {
                    if subscription_changed { self.drop_unsubscribed() } else { member.clone() }
                }
                MemberState::Stable if subscription_changed => self.drop_unsubscribed(),
                MemberState::Stable => member.clone(),
                MemberState::Unrevoked | MemberState::Unreleased => self.advance(member.epoch),
                MemberState::Unknown => {
                    if self.owned.is_none_or(|owned| !owned.is_empty()) {
                        let message = "The consumer group member is in a unknown state. The member \
                                   must abandon all its partitions and rejoin.";
                        return Err(Refusal::new(ErrorCode::FencedMemberEpoch, message));
                    }
                    self.advance(self.target.epoch)
                }
            };
        Ok(next)
    }

    /// The member has not said that it gave up all of these.
    fn owns_any(&self, revoking: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            let revoked = revoking.get(&topic.topic_id);
            revoked
                .is_some_and(|revoked| topic.partitions.iter().any(|one| revoked.contains_key(one)))
        })
    }

    fn subscribes_to_nothing(&self) -> bool {
        self.member.subscription.topics.is_empty()
            && self.resolved.is_none_or(|resolved| resolved.topics.is_empty())
    }

    fn subscribes_to(&self, topic: Uuid) -> bool {
        let Some(topic) = self.metadata.topic_by_id(topic) else { return false };
        self.member.subscription.topics.contains(&topic.name)
            || self.resolved.is_some_and(|resolved| resolved.topics.contains(&topic.name))
    }

    /// Gives up topics that it does not subscribe to any more, without waiting for a new target.
    fn drop_unsubscribed(&self) -> Member {
        let member = self.member;
        let (mut assigned, mut revoking) = (Owned::new(), (*member.revoking).clone());
        if self.subscribes_to_nothing() && revoking.is_empty() {
            if member.assigned.is_empty() {
                return self.moved_or_same(assigned, revoking);
            }
            revoking = (*member.assigned).clone();
            return self.moved(assigned, revoking);
        }
        for (topic, partitions) in member.assigned.iter() {
            if self.subscribes_to(*topic) {
                assigned.insert(*topic, partitions.clone());
            } else {
                revoking.entry(*topic).or_default().extend(partitions);
            }
        }
        self.moved_or_same(assigned, revoking)
    }

    fn moved_or_same(&self, assigned: Owned, revoking: Owned) -> Member {
        if assigned == *self.member.assigned {
            return self.member.clone();
        }
        self.moved(assigned, revoking)
    }

    /// The same epoch with less; what was given up has to be confirmed.
    fn moved(&self, assigned: Owned, revoking: Owned) -> Member {
        let mut next = self.member.clone().at(self.member.epoch);
        next.assigned = Arc::new(assigned);
        if !revoking.is_empty() && self.owns_any(&revoking) {
            next.state = MemberState::Unrevoked;
            next.revoking = Arc::new(revoking);
        }
        next
    }

    /// Towards the target: `epoch` is kept while there is something to give up.
    fn advance(&self, epoch: i32) -> Member {
        let Plan { mut assigned, revoking, assigning, unreleased } = self.plan();
        let mut next = self.member.clone();
        if !revoking.is_empty() && self.owns_any(&revoking) {
            next = next.at(epoch);
            next.state = MemberState::Unrevoked;
            next.assigned = Arc::new(assigned);
            next.revoking = Arc::new(revoking);
            return next;
        }
        for (topic, partitions) in assigning {
            let epochs = partitions.into_iter().map(|partition| (partition, self.target.epoch));
            assigned.entry(topic).or_default().extend(epochs);
        }
        next = next.at(self.target.epoch);
        next.state = if unreleased { MemberState::Unreleased } else { MemberState::Stable };
        if assigned != *next.assigned {
            next.assigned = Arc::new(assigned);
        }
        next.revoking = Arc::default();
        next
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let (target, current) = (&*self.target.partitions, &*self.member.assigned);
        let topics: BTreeSet<Uuid> = target.keys().chain(current.keys()).copied().collect();
        let (no_target, no_current) = (BTreeSet::new(), BTreeMap::new());
        for topic in topics {
            let wanted = target.get(&topic).filter(|_| self.subscribes_to(topic));
            let wanted = wanted.unwrap_or(&no_target);
            let has = current.get(&topic).unwrap_or(&no_current);
            for (partition, epoch) in has {
                let to = if wanted.contains(partition) {
                    &mut plan.assigned
                } else {
                    &mut plan.revoking
                };
                to.entry(topic).or_default().insert(*partition, *epoch);
            }
            for partition in wanted.iter().filter(|partition| !has.contains_key(*partition)) {
                if self.is_free(topic, *partition) {
                    plan.assigning.entry(topic).or_default().insert(*partition);
                } else {
                    plan.unreleased = true;
                }
            }
        }
        plan
    }

    /// Nobody else holds it.
    fn is_free(&self, topic: Uuid, partition: i32) -> bool {
        let own = self.member.revoking.get(&topic);
        self.group.partition_epoch(topic, partition).is_none()
            || own.is_some_and(|own| own.contains_key(&partition))
    }
}

/// What separates a member from its target.
#[derive(Default)]
struct Plan {
    /// It has and keeps.
    assigned: Owned,
    /// It has and is to give up.
    revoking: Owned,
    /// It lacks, and can have.
    assigning: BTreeMap<Uuid, BTreeSet<i32>>,
    /// It lacks some that others hold.
    unreleased: bool,
}
