//! The only place where a consumer group changes: its records, in any order that a compacted log can have.

use std::sync::Arc;

use base::Uuid;

use super::counts::{added, match_added, match_removed, name_added, name_removed, removed};
use super::member::Member;
use super::state::{Consumer, Resolved};
use crate::assignor::Partitions;
use crate::record::{ConsumerRecord, MemberAssignment};

/// The target assignment is gone.
const NO_ASSIGNMENT_EPOCH: i32 = -1;

impl Consumer {
    pub(crate) fn replay(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Epoch { epoch, metadata_hash } => {
                (self.epoch, self.metadata_hash) = (*epoch, *metadata_hash);
            }
            // The group itself goes, which its owner does.
            ConsumerRecord::EpochTombstone => {}
            ConsumerRecord::PartitionMetadata { present } => self.has_partition_metadata = *present,
            ConsumerRecord::Subscription { member, value: Some(subscription) } => {
                let mut new = self.member_or_new(member);
                new.subscription = Arc::clone(subscription);
                self.put_member(new);
            }
            ConsumerRecord::Subscription { member, value: None } => self.remove_member(member),
            ConsumerRecord::TargetMetadata { value } => {
                (self.assignment_epoch, self.assignment_ms) =
                    value.unwrap_or((NO_ASSIGNMENT_EPOCH, 0));
            }
            ConsumerRecord::Target { member, value } => self.put_target(member, value.as_ref()),
            ConsumerRecord::Current { member, value: Some(current) } => {
                let member = self.member_or_new(member);
                self.put_member(assigned(member, current));
            }
            ConsumerRecord::Current { member, value: None } => {
                if let Some(member) = self.members.get(member) {
                    let gone = MemberAssignment {
                        epoch: -1,
                        previous_epoch: -1,
                        state: member.state,
                        assigned: Arc::default(),
                        revoking: Arc::default(),
                    };
                    self.put_member(assigned((**member).clone(), &gone));
                }
            }
            ConsumerRecord::Regex { regex, value } => self.put_resolved(regex, value.as_ref()),
        }
    }

    fn member_or_new(&self, id: &Arc<str>) -> Member {
        self.members.get(id).map_or_else(|| Member::new(Arc::clone(id)), |old| (**old).clone())
    }

    fn put_target(&mut self, member: &Arc<str>, target: Option<&Arc<Partitions>>) {
        match target {
            Some(target) => self.targets.insert_mut(Arc::clone(member), Arc::clone(target)),
            None => {
                self.targets.remove_mut(member);
            }
        }
    }

    fn put_resolved(&mut self, regex: &Arc<str>, resolved: Option<&Arc<Resolved>>) {
        if let Some(old) = self.resolved.get(regex).cloned() {
            self.resolved.remove_mut(regex);
            for topic in &old.topics {
                match_removed(&mut self.topics, topic);
            }
        }
        if let Some(new) = resolved {
            self.resolved.insert_mut(Arc::clone(regex), Arc::clone(new));
            for topic in &new.topics {
                match_added(&mut self.topics, topic);
            }
        }
    }

    fn put_member(&mut self, mut member: Member) {
        let old = self.members.get(&member.id).cloned();
        let same = |old: &Arc<Member>| Arc::ptr_eq(&old.subscription, &member.subscription);
        if !old.as_ref().is_some_and(same) {
            self.share_topics(&mut member);
            if let Some(old) = &old {
                self.remove_subscription(old);
            }
            self.add_subscription(&member);
        }
        if let Some(old) = &old {
            self.remove_partition_epochs(old);
        }
        self.add_partition_epochs(&member);
        self.members.insert_mut(Arc::clone(&member.id), Arc::new(member));
    }

    /// Members mostly want the same: they share one set.
    fn share_topics(&self, member: &mut Member) {
        let Some((_, other)) = self.members.first() else { return };
        let shared = &other.subscription.topics;
        let own = &member.subscription.topics;
        if !Arc::ptr_eq(shared, own) && shared == own {
            let shared = Arc::clone(shared);
            Arc::make_mut(&mut member.subscription).topics = shared;
        }
    }

    fn remove_member(&mut self, id: &Arc<str>) {
        let Some(old) = self.members.get(id).cloned() else { return };
        self.remove_subscription(&old);
        self.remove_partition_epochs(&old);
        self.members.remove_mut(id);
    }

    fn add_subscription(&mut self, member: &Member) {
        let subscription = &member.subscription;
        for topic in subscription.topics.iter() {
            name_added(&mut self.topics, topic);
        }
        if let Some(regex) = subscription.pattern() {
            added(&mut self.patterns, regex);
        }
        if let Some(assignor) = &subscription.assignor {
            added(&mut self.assignors, assignor);
        }
        if let Some(instance_id) = &subscription.instance_id {
            self.static_members.insert_mut(Arc::clone(instance_id), Arc::clone(&member.id));
        }
        if let Some(classic) = &subscription.classic {
            self.classic_members = self.classic_members.saturating_add(1);
            for protocol in &classic.protocols {
                added(&mut self.classic_protocols, &protocol.name);
            }
        }
    }

    fn remove_subscription(&mut self, old: &Member) {
        let subscription = &old.subscription;
        for topic in subscription.topics.iter() {
            name_removed(&mut self.topics, topic);
        }
        if let Some(regex) = subscription.pattern() {
            removed(&mut self.patterns, regex);
        }
        if let Some(assignor) = &subscription.assignor {
            removed(&mut self.assignors, assignor);
        }
        if let Some(instance_id) = &subscription.instance_id
            && self.static_members.get(instance_id) == Some(&old.id)
        {
            self.static_members.remove_mut(instance_id);
        }
        if let Some(classic) = &subscription.classic {
            self.classic_members = self.classic_members.saturating_sub(1);
            for protocol in &classic.protocols {
                removed(&mut self.classic_protocols, &protocol.name);
            }
        }
    }

    /// The highest epoch holds a partition: a later owner goes before one whose record comes late.
    fn add_partition_epochs(&mut self, member: &Member) {
        for key in partitions(member) {
            if self.partition_epochs.get(&key).is_none_or(|held| *held < member.epoch) {
                self.partition_epochs.insert_mut(key, member.epoch);
            }
        }
    }

    fn remove_partition_epochs(&mut self, member: &Member) {
        for key in partitions(member) {
            if self.partition_epochs.get(&key) == Some(&member.epoch) {
                self.partition_epochs.remove_mut(&key);
            }
        }
    }
}

/// Those that it owns or has not given up.
fn partitions(member: &Member) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    let all = member.assigned.iter().chain(member.revoking.iter());
    all.flat_map(|(topic, epochs)| epochs.keys().map(|partition| (*topic, *partition)))
}

fn assigned(mut member: Member, current: &MemberAssignment) -> Member {
    member.epoch = current.epoch;
    member.previous_epoch = current.previous_epoch;
    member.state = current.state;
    member.assigned = Arc::clone(&current.assigned);
    member.revoking = Arc::clone(&current.revoking);
    member
}
