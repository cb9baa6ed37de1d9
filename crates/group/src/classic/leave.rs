//! LeaveGroup: members go, or are sent away by their instance ids.

use std::sync::Arc;

use base::machine::ReplyId;
use protocol::ErrorCode;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use super::Reply;
use super::group::State;
use super::turn::Turn;

impl Turn<'_> {
    pub fn leave(&mut self, id: ReplyId, request: &LeaveGroupRequest<'_>) {
        let mut response = LeaveGroupResponse::default();
        let mut left = false;
        for member in &request.members {
            let gone = self.leaves(member);
            left |= gone.is_ok();
            response.members.push(row(member, gone.err().unwrap_or(ErrorCode::None)));
        }
        self.replies.push((id, Reply::LeaveGroup(response)));
        if !left {
            return;
        }
        match self.group.state() {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(),
            State::PreparingRebalance => self.complete_if_all_joined(),
            State::Empty => {}
        }
    }

    fn leaves(&mut self, member: &MemberIdentity<'_>) -> Result<(), ErrorCode> {
        let instance_id = member.group_instance_id.as_deref();
        let id = if member.member_id.is_empty() {
            // An administrator names only the instance.
            let owner = instance_id.and_then(|instance_id| self.group.statics.get(instance_id));
            Arc::clone(owner.ok_or(ErrorCode::UnknownMemberId)?)
        } else if self.group.pending_joins.contains(&*member.member_id) {
            Arc::from(&*member.member_id)
        } else {
            Arc::clone(&self.group.check_member(&member.member_id, instance_id)?.id)
        };
        self.group.pending_joins.remove_mut(&id);
        self.drop_member(&id);
        self.cancel(self.session_timer(&id));
        Ok(())
    }
}

/// How it went for one of them.
pub(crate) fn row(member: &MemberIdentity<'_>, error: ErrorCode) -> MemberResponse<'static> {
    MemberResponse {
        member_id: member.member_id.to_string().into(),
        group_instance_id: member.group_instance_id.as_ref().map(|id| id.to_string().into()),
        error_code: error.code(),
        ..Default::default()
    }
}
