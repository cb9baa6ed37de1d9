//! Which member a heartbeat is from: known, new, or come back for another.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::member::{LEAVE_STATIC_EPOCH, Member};
use super::refusal::Refusal;
use super::validate::check_epoch;
use super::work::Work;
use crate::record::ConsumerRecord;

/// How a member presents itself.
pub(super) struct Joining<'a> {
    pub member_id: &'a Arc<str>,
    pub instance_id: Option<&'a str>,
    /// A member that does not exist yet may come into being.
    pub create: bool,
    /// Of the consumer protocol; there are none in the classic one.
    pub epoch: Option<(i32, Option<&'a [TopicPartitions]>)>,
}

impl Work<'_> {
    pub fn check_room(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), Refusal> {
        let group = &self.group;
        if instance_id.is_some_and(|id| group.static_members.contains_key(id)) {
            return Ok(());
        }
        let max = self.view.consumer.members_max;
        let full = usize::try_from(max).is_ok_and(|max| group.members.size() >= max);
        if full && !group.members.contains_key(member_id) {
            let message =
                format!("The consumer group has reached its maximum capacity of {max} members.");
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message));
        }
        Ok(())
    }

    pub(super) fn member_for(&mut self, joining: &Joining<'_>) -> Result<Member, Refusal> {
        match joining.instance_id {
            None => self.dynamic_member(joining),
            Some(instance_id) => self.static_member(joining, instance_id),
        }
    }

    fn dynamic_member(&self, joining: &Joining<'_>) -> Result<Member, Refusal> {
        let member = match self.group.member(joining.member_id) {
            Some(member) => (**member).clone(),
            None if joining.create => Member::new(Arc::clone(joining.member_id)),
            None => return Err(Refusal::unknown_member(joining.member_id, &self.id)),
        };
        check(joining, &member)?;
        Ok(member)
    }

    fn static_member(
        &mut self,
        joining: &Joining<'_>,
        instance_id: &str,
    ) -> Result<Member, Refusal> {
        let known = self.group.static_member(instance_id).cloned();
        if !joining.create {
            let known = known.ok_or_else(|| unknown_instance(instance_id))?;
            check_instance(&known, joining.member_id, instance_id)?;
            check(joining, &known)?;
            return Ok((*known).clone());
        }
        let Some(known) = known else {
            let member = self.group.member(joining.member_id).map(|member| (**member).clone());
            return Ok(member.unwrap_or_else(|| Member::new(Arc::clone(joining.member_id))));
        };
        let both_modern = joining.epoch.is_some() && !known.uses_classic_protocol();
        if both_modern && known.epoch != LEAVE_STATIC_EPOCH {
            let message = format!(
                "Static member {} with instance id {instance_id} cannot join the group because the \
                 instance id is owned by {} member.",
                joining.member_id, known.id
            );
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
        }
        Ok(self.replace(&known, joining.member_id))
    }

    /// A static member comes back under another id and takes over all that it had.
    fn replace(&mut self, old: &Member, id: &Arc<str>) -> Member {
        let new = Member { id: Arc::clone(id), epoch: 0, previous_epoch: 0, ..old.clone() };
        let target = self.group.target(&old.id);
        self.write_removal(&old.id);
        self.write_subscription(&new);
        self.write(ConsumerRecord::Target { member: Arc::clone(id), value: Some(target) });
        self.write_current(&new);
        new
    }
}

fn check(joining: &Joining<'_>, member: &Member) -> Result<(), Refusal> {
    match joining.epoch {
        Some((epoch, owned)) => check_epoch(member, epoch, owned),
        None => Ok(()),
    }
}

pub(super) fn unknown_instance(instance_id: &str) -> Refusal {
    let message = format!("Instance id {instance_id} is unknown.");
    Refusal::new(ErrorCode::UnknownMemberId, message)
}

/// The instance belongs to this member.
pub(super) fn check_instance(
    member: &Member,
    member_id: &str,
    instance_id: &str,
) -> Result<(), Refusal> {
    if *member.id == *member_id {
        return Ok(());
    }
    let message = format!(
        "Static member {member_id} with instance id {instance_id} was fenced by member {}.",
        member.id
    );
    Err(Refusal::new(ErrorCode::FencedInstanceId, message))
}
