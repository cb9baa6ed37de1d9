//! Members that go: by themselves, for a while, or because they were not heard of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::counts::name_removed;
use super::heartbeat::empty_response;
use super::join::{check_instance, unknown_instance};
use super::member::{LEAVE_STATIC_EPOCH, Member, Owned};
use super::refusal::Refusal;
use super::subscribe::remove_matches;
use super::work::Work;
use crate::record::ConsumerRecord;

impl Work<'_> {
    pub(crate) fn leave(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse<'static>, Refusal> {
        let member_id = &*request.member_id;
        let member = match request.instance_id.as_deref() {
            None => {
                let member = self.group.member(member_id).cloned();
                member.ok_or_else(|| Refusal::unknown_member(member_id, &self.id))?
            }
            Some(instance_id) => {
                let member = self.group.static_member(instance_id).cloned();
                let member = member.ok_or_else(|| unknown_instance(instance_id))?;
                check_instance(&member, member_id, instance_id)?;
                member
            }
        };
        if request.instance_id.is_some() && request.member_epoch == LEAVE_STATIC_EPOCH {
            self.write_away(&member);
        } else {
            self.fence(&[member]);
        }
        Ok(ConsumerGroupHeartbeatResponse {
            member_id: Some(Cow::Owned(member_id.to_owned())),
            member_epoch: request.member_epoch,
            ..empty_response()
        })
    }

    /// A static member that will come back keeps its partitions.
    fn write_away(&mut self, member: &Member) {
        let mut away = member.clone();
        away.epoch = LEAVE_STATIC_EPOCH;
        away.revoking = Arc::default();
        let zero = |epochs: &BTreeMap<i32, i32>| epochs.keys().map(|one| (*one, 0)).collect();
        let assigned: Owned =
            member.assigned.iter().map(|(topic, epochs)| (*topic, zero(epochs))).collect();
        away.assigned = Arc::new(assigned);
        self.write_current(&away);
    }

    /// Removes members, and bumps the group's epoch for those that stay; a group of which only classic members stay becomes a
    /// classic one.
    pub(super) fn fence(&mut self, members: &[Arc<Member>]) {
        if members.is_empty() {
            return;
        }
        if self.may_downgrade_without(members) && self.downgrade(members, None, true) {
            return;
        }
        let mut topics = self.group.topics.clone();
        let mut patterns: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        for member in members {
            self.write_removal(&member.id);
            for name in member.subscription.topics.iter() {
                name_removed(&mut topics, name);
            }
            if let Some(regex) = member.subscription.pattern() {
                *patterns.entry(regex).or_default() += 1;
            }
        }
        for (regex, count) in patterns {
            if self.group.patterns.get(regex) == Some(&count) {
                self.write(ConsumerRecord::Regex { regex: Arc::clone(regex), value: None });
                remove_matches(&mut topics, &self.group, regex);
            }
        }
        let metadata_hash = self.shared.hash(&topics, self.view);
        let epoch = self.group.epoch.saturating_add(1);
        self.write(ConsumerRecord::Epoch { epoch, metadata_hash });
        if self.group.members.size() == members.len() {
            // Nobody is left to assign to: the next one need not wait.
            self.write(ConsumerRecord::TargetMetadata { value: Some((epoch, 0)) });
        }
        for member in members {
            self.cancel_timers(&member.id);
        }
    }
}
