//! JoinGroup: a member comes, or comes again.

use std::fmt::Write as _;
use std::sync::Arc;

use base::Uuid;
use base::machine::ReplyId;
use protocol::ErrorCode;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};

use super::group::State;
use super::member::{Member, Protocol};
use super::turn::Turn;
use super::{METADATA_FACTOR_MAX, Reply};
use crate::TEXT_BYTES_MAX;
use crate::caller::Caller;

/// From this version on a member without an id is given one first (KIP-394).
const VERSION_OF_MEMBER_ID_REQUIRED: i16 = 4;
/// How long a new member may wait for its first answer: it cannot send heartbeats meanwhile.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 300_000;

impl Turn<'_> {
    pub fn join(&mut self, id: ReplyId, caller: &Caller, request: &JoinGroupRequest<'_>) {
        let member_id = &*request.member_id;
        let mut names = request.protocols.iter().map(|protocol| &*protocol.name);
        if !self.accepts(member_id) {
            self.group.remove(member_id);
            self.refuse_join(id, "", ErrorCode::GroupMaxSizeReached);
        } else if !self.has_memory(request) {
            self.refuse_join(id, "", ErrorCode::GroupMaxSizeReached);
        } else if !self.group.supports(&request.protocol_type, &mut names) {
            self.refuse_join(id, member_id, ErrorCode::InconsistentGroupProtocol);
        } else if member_id.is_empty() {
            self.join_new(id, caller, request);
        } else if self.group.pending_joins.contains(member_id) {
            if request.group_instance_id.is_some() {
                // Static members are never asked to come again.
                self.refuse_join(id, "", ErrorCode::UnknownServerError);
            } else {
                self.add_member(id, caller, request, Arc::from(member_id));
            }
        } else {
            self.join_again(id, request);
        }
    }

    /// There is room, or it is a member already. While members are awaited those count who have come.
    fn accepts(&self, member_id: &str) -> bool {
        let member = self.group.member(member_id);
        let room = |count| i32::try_from(count).is_ok_and(|count| count < self.config.members_max);
        match self.group.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.join.is_some()) || room(self.group.joins_waiting)
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || room(self.group.members.size())
            }
        }
    }

    /// A group that says many times what can ever be written of it is not kept.
    fn has_memory(&self, request: &JoinGroupRequest<'_>) -> bool {
        let max = self.config.record_bytes_max.saturating_mul(METADATA_FACTOR_MAX);
        let known = self.group.member(&request.member_id);
        let known = known.iter().flat_map(|member| member.protocols.iter());
        let known: usize = known.map(Protocol::bytes).sum();
        let new: usize = protocols(request).iter().map(Protocol::bytes).sum();
        self.group.metadata_bytes.saturating_sub(known).saturating_add(new) <= max
    }

    fn join_new(&mut self, id: ReplyId, caller: &Caller, request: &JoinGroupRequest<'_>) {
        let instance_id = request.group_instance_id.as_deref();
        let new_id = new_member_id(instance_id.unwrap_or(&caller.client_id), caller.fresh_id);
        let replaced = instance_id.and_then(|instance| self.group.statics.get(instance)).cloned();
        if new_id.len() > TEXT_BYTES_MAX {
            // Kafka takes the member, and fails to tell it so.
            self.refuse_join(id, "", ErrorCode::UnknownServerError);
        } else if let Some(old_id) = replaced {
            self.replace_static(id, caller, request, &old_id, new_id);
        } else if instance_id.is_none() && caller.version >= VERSION_OF_MEMBER_ID_REQUIRED {
            self.group.pending_joins.insert_mut(Arc::clone(&new_id));
            self.set(self.session_timer(&new_id), request.session_timeout_ms);
            self.refuse_join(id, &new_id, ErrorCode::MemberIdRequired);
        } else {
            self.add_member(id, caller, request, new_id);
        }
    }

    fn add_member(
        &mut self,
        id: ReplyId,
        caller: &Caller,
        request: &JoinGroupRequest<'_>,
        member_id: Arc<str>,
    ) {
        if self.group.initial.is_some() {
            self.group.member_added = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(Arc::from(&*request.protocol_type));
        }
        self.set(self.session_timer(&member_id), NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.group.add(Member {
            id: member_id,
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
            client_id: Arc::clone(&caller.client_id),
            client_host: Arc::clone(&caller.client_host),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols(request),
            assignment: Arc::from([]),
            is_new: true,
            join: Some(id),
            sync: None,
        });
        self.rebalance_or_complete();
    }

    /// A member that has an id.
    fn join_again(&mut self, id: ReplyId, request: &JoinGroupRequest<'_>) {
        let instance_id = request.group_instance_id.as_deref();
        let member = match self.group.check_member(&request.member_id, instance_id) {
            Ok(member) => Arc::clone(member),
            Err(error) => {
                let response = JoinGroupResponse {
                    error_code: error.code(),
                    member_id: request.member_id.to_string().into(),
                    protocol_name: None,
                    ..Default::default()
                };
                return self.replies.push((id, Reply::JoinGroup(response)));
            }
        };
        let is_leader = self.group.is_leader(&member.id);
        let same = *member.protocols == *protocols(request);
        match self.group.state() {
            // It may have missed the answer: nothing changes for the others.
            State::CompletingRebalance if same => self.tell_generation(id, &member.id, is_leader),
            State::Stable if same && !is_leader => self.tell_generation(id, &member.id, false),
            State::Empty => self.refuse_join(id, &member.id, ErrorCode::UnknownMemberId),
            // A leader that joins again wants a rebalance: it may have seen other metadata.
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.take_over(&member.id, id, request);
                self.rebalance_or_complete();
            }
        }
    }

    /// A member has new protocols and timeouts, and waits.
    pub(super) fn take_over(
        &mut self,
        member_id: &Arc<str>,
        id: ReplyId,
        request: &JoinGroupRequest<'_>,
    ) {
        if let Some(earlier) = self.group.take_join(member_id) {
            // Nobody reads that answer any more; it must not be owed for ever.
            self.refuse_join(earlier, member_id, ErrorCode::RebalanceInProgress);
        }
        self.group.update(member_id, |member| {
            member.protocols = protocols(request);
            member.rebalance_timeout_ms = request.rebalance_timeout_ms;
            member.session_timeout_ms = request.session_timeout_ms;
            member.join = Some(id);
        });
    }

    fn tell_generation(&mut self, id: ReplyId, member_id: &Arc<str>, with_members: bool) {
        let response = self.generation(member_id, with_members);
        self.replies.push((id, Reply::JoinGroup(response)));
    }

    /// The generation as its members see it.
    pub(super) fn generation(
        &self,
        member_id: &Arc<str>,
        with_members: bool,
    ) -> JoinGroupResponse<'static> {
        let group = &self.group;
        let owned = |text: &Arc<str>| text.to_string().into();
        JoinGroupResponse {
            generation_id: group.generation,
            protocol_type: group.protocol_type.as_ref().map(owned),
            protocol_name: group.protocol.as_ref().map(owned),
            leader: group.leader().unwrap_or_default().to_owned().into(),
            member_id: owned(member_id),
            members: if with_members { self.members() } else { Vec::new() },
            ..Default::default()
        }
    }

    fn members(&self) -> Vec<JoinGroupResponseMember<'static>> {
        let protocol = self.group.protocol().unwrap_or_default();
        let members = self.group.members().map(|member| JoinGroupResponseMember {
            member_id: member.id.to_string().into(),
            group_instance_id: member.instance_id.as_ref().map(|id| id.to_string().into()),
            metadata: member.metadata(protocol).to_vec().into(),
            ..Default::default()
        });
        members.collect()
    }
}

fn protocols(request: &JoinGroupRequest<'_>) -> Arc<[Protocol]> {
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: Arc::from(&*protocol.name),
        metadata: Arc::from(&*protocol.metadata),
    });
    protocols.collect()
}

/// Who it is, and a random UUID as Java prints it.
fn new_member_id(prefix: &str, fresh: Uuid) -> Arc<str> {
    let mut id = prefix.to_owned();
    for (at, byte) in fresh.0.iter().enumerate() {
        if [0, 4, 6, 8, 10].contains(&at) {
            id.push('-');
        }
        let _never_fails = write!(id, "{byte:02x}");
    }
    id.into()
}
