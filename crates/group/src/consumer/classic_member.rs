//! Members of consumer groups that speak the classic protocol: JoinGroup takes in, SyncGroup tells, Heartbeat calls to join
//! again.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::Timer;
use super::convert::{told, topic_id};
use super::join::{Joining, check_instance, unknown_instance};
use super::member::{ClassicMember, ClassicProtocol, Member, MemberState};
use super::refusal::Refusal;
use super::regex::PatternChange;
use super::subscribe::names_of;
use super::work::Work;
use crate::assignor::Partitions;
use crate::caller::Caller;
use crate::embedded;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";
/// From this version on a member without an id is given one first.
const VERSION_OF_MEMBER_ID_REQUIRED: i16 = 4;

impl Work<'_> {
    pub(crate) fn classic_join(
        &mut self,
        caller: &Caller,
        request: &JoinGroupRequest<'_>,
    ) -> Result<JoinGroupResponse<'static>, Refusal> {
        let policy = self.view.consumer.migration;
        if !policy.upgrade && !policy.downgrade {
            return Err(Refusal::plain(ErrorCode::InconsistentGroupProtocol));
        }
        let unknown = request.member_id.is_empty();
        let instance_id = request.group_instance_id.as_deref();
        let member_id: Arc<str> = if unknown {
            Arc::from(caller.fresh_id.to_string())
        } else {
            Arc::from(&*request.member_id)
        };
        self.check_room(&member_id, instance_id)?;
        if !self.supports(request) {
            return Err(Refusal::plain(ErrorCode::InconsistentGroupProtocol));
        }
        if unknown && instance_id.is_none() && caller.version >= VERSION_OF_MEMBER_ID_REQUIRED {
            return Ok(JoinGroupResponse {
                error_code: ErrorCode::MemberIdRequired.code(),
                member_id: Cow::Owned(member_id.to_string()),
                protocol_name: None,
                ..Default::default()
            });
        }
        let create = instance_id.is_none() || unknown;
        let known_static = instance_id.and_then(|id| self.group.static_member(id)).cloned();
        let joining = Joining { member_id: &member_id, instance_id, create, epoch: None };
        let member = self.member_for(&joining)?;
        let downgrade = known_static.is_some_and(|known| self.may_downgrade_with(&known));
        let first = request.protocols.first();
        let said = first.and_then(|protocol| embedded::subscription(&protocol.metadata));
        let said = said.ok_or(Refusal::plain(ErrorCode::InconsistentGroupProtocol))?;
        let new = self.with_classic(&member, caller, request, &said)?;
        let new = self.place(&member, new, &said, downgrade)?;
        if !downgrade {
            self.memory.joining.remove_mut(&new.id);
            self.cancel(self.join_timer(&new.id));
            self.set_session_of(&new.id, request.session_timeout_ms);
            let (group, member) = (Arc::clone(&self.id), Arc::clone(&new.id));
            self.set(Timer::Sync { group, member }, request.rebalance_timeout_ms);
        }
        let name = first.map(|protocol| protocol.name.to_string());
        Ok(JoinGroupResponse {
            generation_id: new.epoch,
            protocol_type: Some(Cow::Borrowed(CONSUMER)),
            protocol_name: name.map(Cow::Owned),
            member_id: Cow::Owned(new.id.to_string()),
            ..Default::default()
        })
    }

    /// All classic members of the group know one of the protocols.
    fn supports(&self, request: &JoinGroupRequest<'_>) -> bool {
        let everybody = |name: &str| {
            let count = self.group.classic_protocols.get(name).copied().unwrap_or(0);
            usize::try_from(count).is_ok_and(|count| count == self.group.classic_members)
        };
        request.protocol_type == CONSUMER
            && request.protocols.iter().any(|protocol| everybody(&protocol.name))
    }

    /// The member with what it says of itself.
    fn with_classic(
        &self,
        old: &Member,
        caller: &Caller,
        request: &JoinGroupRequest<'_>,
        said: &ConsumerProtocolSubscription<'_>,
    ) -> Result<Member, Refusal> {
        let mut new = (*old.subscription).clone();
        if let Some(instance_id) = request.group_instance_id.as_deref() {
            new.instance_id = Some(Arc::from(instance_id));
        }
        if let Some(rack_id) = said.rack_id.as_deref().filter(|rack| !rack.is_empty()) {
            new.rack_id = Some(Arc::from(rack_id));
        }
        if request.rebalance_timeout_ms != -1 {
            new.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        new.topics = names_of(&new.topics, &said.topics, &self.group)?;
        new.regex = Some(Arc::from(""));
        let protocols = request.protocols.iter().map(|protocol| ClassicProtocol {
            name: Arc::from(&*protocol.name),
            metadata: Arc::from(&*protocol.metadata),
        });
        new.classic = Some(Arc::new(ClassicMember {
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols.collect(),
        }));
        let new = new.with_client(caller);
        let mut member = old.clone();
        if new != *old.subscription {
            member.subscription = Arc::new(new);
        }
        Ok(member)
    }

    /// Finds what the member is to own, or ends the consumer group with it.
    fn place(
        &mut self,
        old: &Member,
        new: Member,
        said: &ConsumerProtocolSubscription<'_>,
        downgrade: bool,
    ) -> Result<Member, Refusal> {
        let names_changed = self.write_changed(old, &new);
        let pattern = self.update_pattern(old, &new)?;
        let changed = names_changed || pattern != PatternChange::None;
        let mut epoch = self.group.epoch;
        if changed || self.memory.is_stale() {
            epoch = self.update_epoch(changed, old, &new);
        }
        let owned = said.owned_partitions.iter().filter_map(|topic| {
            let topic_id = topic_id(self.view, &topic.topic)?;
            let partitions = topic.partitions.clone();
            Some(TopicPartitions { topic_id, partitions, ..Default::default() })
        });
        let owned: Vec<TopicPartitions> = owned.collect();
        if !downgrade {
            let target = self.update_target(epoch, old, &new)?;
            return self.reconcile(new, &target, changed, Some(&owned));
        }
        let rebalance = self.group.assignment_epoch < epoch;
        let mut new = new;
        if !rebalance {
            let target = self.last_target(&new);
            new = self.reconcile(new, &target, changed, Some(&owned))?;
        }
        if self.downgrade(&[], Some(&new), rebalance) {
            return Ok(new);
        }
        let message = format!("Cannot downgrade the classic group {}.", self.id);
        Err(Refusal::group_not_found(message))
    }

    pub(crate) fn classic_sync(
        &mut self,
        request: &SyncGroupRequest<'_>,
    ) -> Result<SyncGroupResponse<'static>, Refusal> {
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id)?;
        check_generation(&member, request.generation_id)?;
        let classic = classic_of(&member)?;
        let protocol = classic.protocols.first();
        let other_type = request.protocol_type.as_deref().is_some_and(|kind| kind != CONSUMER);
        let other_name = request
            .protocol_name
            .as_deref()
            .is_some_and(|name| protocol.is_none_or(|protocol| *protocol.name != *name));
        if other_type || other_name {
            return Err(Refusal::plain(ErrorCode::InconsistentGroupProtocol));
        }
        if self.group.assignment_epoch > member.epoch && member.state != MemberState::Unrevoked {
            self.await_join(&member);
            let error_code = ErrorCode::RebalanceInProgress.code();
            return Ok(SyncGroupResponse { error_code, ..Default::default() });
        }
        let (group, id) = (Arc::clone(&self.id), Arc::clone(&member.id));
        self.cancel(Timer::Sync { group, member: id });
        self.set_session_of(&member.id, classic.session_timeout_ms);
        let owns = member.assigned.iter();
        let owns: Partitions =
            owns.map(|(topic, epochs)| (*topic, epochs.keys().copied().collect())).collect();
        let version = protocol.and_then(|protocol| embedded::version(&protocol.metadata));
        let told = told(&owns, &*self.view.metadata);
        let assignment = version.and_then(|version| embedded::write_assignment(&told, version));
        let assignment = assignment.ok_or(Refusal::plain(ErrorCode::UnknownServerError))?;
        let owned = |text: &Option<Cow<'_, str>>| text.as_ref().map(|text| text.to_string().into());
        Ok(SyncGroupResponse {
            protocol_type: owned(&request.protocol_type),
            protocol_name: owned(&request.protocol_name),
            assignment: Cow::Owned(assignment),
            ..Default::default()
        })
    }

    pub(crate) fn classic_heartbeat(
        &mut self,
        request: &HeartbeatRequest<'_>,
    ) -> Result<HeartbeatResponse, Refusal> {
        let instance_id = request.group_instance_id.as_deref();
        let member = self.classic_member(&request.member_id, instance_id)?;
        check_generation(&member, request.generation_id)?;
        self.set_session_of(&member.id, classic_of(&member)?.session_timeout_ms);
        let behind = member.epoch < self.group.assignment_epoch
            || member.state == MemberState::Unrevoked
            || (member.state == MemberState::Unreleased && !self.waits_for_others(&member));
        if !behind {
            return Ok(HeartbeatResponse::default());
        }
        self.await_join(&member);
        let error_code = ErrorCode::RebalanceInProgress.code();
        Ok(HeartbeatResponse { error_code, ..Default::default() })
    }

    /// Others still hold what it is to get.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.group.target(&member.id);
        let mut lacking = target.iter().flat_map(|(topic, partitions)| {
            let has = member.assigned.get(topic);
            let lacks = move |one: &&i32| has.is_none_or(|has| !has.contains_key(*one));
            partitions.iter().filter(lacks).map(|one| (*topic, *one))
        });
        lacking.any(|(topic, partition)| self.group.partition_epoch(topic, partition).is_some())
    }

    /// The member has its rebalance timeout to join again; the time runs from the first call on.
    fn await_join(&mut self, member: &Member) {
        if !self.memory.joining.contains(&member.id) {
            self.memory.joining.insert_mut(Arc::clone(&member.id));
            self.set(self.join_timer(&member.id), member.subscription.rebalance_timeout_ms);
        }
    }

    pub(super) fn join_timer(&self, member: &Arc<str>) -> Timer {
        Timer::Join { group: Arc::clone(&self.id), member: Arc::clone(member) }
    }

    pub(crate) fn classic_leave(
        &mut self,
        request: &LeaveGroupRequest<'_>,
    ) -> LeaveGroupResponse<'static> {
        let mut leaving: Vec<Arc<Member>> = Vec::new();
        let mut response = LeaveGroupResponse::default();
        for identity in &request.members {
            let error = match self.leaving_member(identity) {
                Ok(member) => {
                    if leaving.iter().all(|one| one.id != member.id) {
                        leaving.push(member);
                    }
                    ErrorCode::None
                }
                Err(refusal) => refusal.error,
            };
            response.members.push(MemberResponse {
                member_id: identity.member_id.to_string().into(),
                group_instance_id: identity
                    .group_instance_id
                    .as_ref()
                    .map(|id| id.to_string().into()),
                error_code: error.code(),
                ..Default::default()
            });
        }
        self.fence(&leaving);
        response
    }

    fn leaving_member(&self, identity: &MemberIdentity<'_>) -> Result<Arc<Member>, Refusal> {
        let id = &*identity.member_id;
        let Some(instance_id) = identity.group_instance_id.as_deref() else {
            let member = self.group.member(id).cloned();
            return member.ok_or_else(|| Refusal::unknown_member(id, &self.id));
        };
        let member = self.group.static_member(instance_id).cloned();
        let member = member.ok_or_else(|| unknown_instance(instance_id))?;
        if !id.is_empty() {
            check_instance(&member, id, instance_id)?;
        }
        Ok(member)
    }

    /// A member that speaks the classic protocol.
    fn classic_member(&self, id: &str, instance_id: Option<&str>) -> Result<Arc<Member>, Refusal> {
        let member = match instance_id {
            None => self.group.member(id),
            Some(instance_id) => self.group.static_member(instance_id),
        };
        let member = member.cloned().ok_or_else(|| Refusal::unknown_member(id, &self.id))?;
        if let Some(instance_id) = instance_id {
            check_instance(&member, id, instance_id)?;
        }
        classic_of(&member)?;
        Ok(member)
    }
}

fn classic_of(member: &Member) -> Result<Arc<ClassicMember>, Refusal> {
    let classic = member.subscription.classic.clone();
    classic.ok_or(Refusal::plain(ErrorCode::UnknownMemberId))
}

fn check_generation(member: &Member, generation: i32) -> Result<(), Refusal> {
    if member.epoch == generation {
        Ok(())
    } else {
        Err(Refusal::plain(ErrorCode::IllegalGeneration))
    }
}
