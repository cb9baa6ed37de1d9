//! ConsumerGroupHeartbeat: how a member joins, tells what it owns, and learns what it is to own.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::{
    Assignment, ConsumerGroupHeartbeatResponse, TopicPartitions,
};

use super::config;
use super::join::Joining;
use super::member::{LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member, Owned};
use super::refusal::Refusal;
use super::regex::PatternChange;
use super::subscribe::{preferred_assignor, preferred_assignor_after, updated};
use super::work::Work;
use crate::caller::Caller;

/// The member says goodbye.
pub(crate) fn is_leave(request: &ConsumerGroupHeartbeatRequest<'_>) -> bool {
    [LEAVE_EPOCH, LEAVE_STATIC_EPOCH].contains(&request.member_epoch)
}

impl Work<'_> {
    pub(crate) fn heartbeat(
        &mut self,
        caller: &Caller,
        request: &ConsumerGroupHeartbeatRequest<'_>,
    ) -> Result<ConsumerGroupHeartbeatResponse<'static>, Refusal> {
        let instance_id = request.instance_id.as_deref();
        self.check_room(&request.member_id, instance_id)?;
        let member_id = self.member_id(&request.member_id, caller);
        let owned = request.topic_partitions.as_deref();
        let member = self.member_for(&Joining {
            member_id: &member_id,
            instance_id,
            create: request.member_epoch == 0,
            epoch: Some((request.member_epoch, owned)),
        })?;
        let mut new = member.clone();
        new.subscription = updated(&member.subscription, caller, request, &self.group)?;
        let names_changed = self.write_changed(&member, &new);
        let pattern = self.update_pattern(&member, &new)?;
        let bump = names_changed
            || pattern == PatternChange::ChangedAndResolved
            || self.preferred_assignor_changes(&member, &new);
        let mut epoch = self.group.epoch;
        if bump || self.memory.is_stale() {
            epoch = self.update_epoch(bump, &member, &new);
        }
        let target = self.update_target(epoch, &member, &new)?;
        let subscription_changed = names_changed || pattern != PatternChange::None;
        let new = self.reconcile(new, &target, subscription_changed, owned)?;
        self.set_session(&member_id);
        Ok(self.answer(request, &member, &new))
    }

    /// The id that is known already, or the client's, or for old clients a fresh one.
    fn member_id(&self, given: &str, caller: &Caller) -> Arc<str> {
        if given.is_empty() {
            return Arc::from(caller.fresh_id.to_string());
        }
        let known = self.group.member(given).map(|member| Arc::clone(&member.id));
        known.unwrap_or_else(|| Arc::from(given))
    }

    fn preferred_assignor_changes(&self, old: &Member, new: &Member) -> bool {
        if old.subscription.assignor == new.subscription.assignor
            && self.group.members.contains_key(&old.id)
        {
            return false;
        }
        let default = self.view.consumer.default_assignor();
        let before = preferred_assignor(&self.group).unwrap_or(default);
        before != preferred_assignor_after(&self.group, old, new).unwrap_or(default)
    }

    fn answer(
        &self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        old: &Member,
        new: &Member,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        let subscribes =
            request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let tells_all =
            request.rebalance_timeout_ms != -1 && subscribes && request.topic_partitions.is_some();
        let tell = request.member_epoch == 0 || tells_all || old.assigned != new.assigned;
        ConsumerGroupHeartbeatResponse {
            member_id: Some(Cow::Owned(new.id.to_string())),
            member_epoch: new.epoch,
            heartbeat_interval_ms: config::heartbeat_interval_ms(self.view, &self.id),
            assignment: tell.then(|| assignment(&new.assigned)),
            ..empty_response()
        }
    }
}

fn assignment(owned: &Owned) -> Assignment {
    let topics = owned.iter().map(|(topic_id, epochs)| TopicPartitions {
        topic_id: *topic_id,
        partitions: epochs.keys().copied().collect(),
        ..Default::default()
    });
    Assignment { topic_partitions: topics.collect(), ..Default::default() }
}

pub(super) fn empty_response() -> ConsumerGroupHeartbeatResponse<'static> {
    ConsumerGroupHeartbeatResponse {
        error_message: None,
        member_id: None,
        assignment: None,
        ..Default::default()
    }
}

/// The answer to a request that is refused.
pub fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse<'static> {
    let (error_code, error_message) = refusal.told();
    ConsumerGroupHeartbeatResponse { error_code, error_message, ..empty_response() }
}
