//! A static member comes back without its member id: it gets a new one, the old one is fenced (KIP-345, KIP-814).

use std::sync::Arc;

use base::machine::ReplyId;
use protocol::ErrorCode;
use protocol::messages::join_group_request::JoinGroupRequest;
use protocol::messages::join_group_response::JoinGroupResponse;

use super::Reply;
use super::group::State;
use super::turn::Turn;
use crate::caller::Caller;

/// From this version on a leader can be told that the assignment stays.
const VERSION_OF_SKIP_ASSIGNMENT: i16 = 9;

impl Turn<'_> {
    pub(super) fn replace_static(
        &mut self,
        id: ReplyId,
        caller: &Caller,
        request: &JoinGroupRequest<'_>,
        old_id: &Arc<str>,
        new_id: Arc<str>,
    ) {
        let leader_before = self.group.leader.clone();
        self.rename(old_id, &new_id);
        if let Some(member) = self.group.member(&new_id).cloned() {
            self.renew_session(&member);
        }
        self.take_over(&new_id, id, request);
        match self.group.state() {
            State::Stable if self.group.vote() == self.group.protocol => {
                // The others need not notice.
                self.write = true;
                let leads = self.group.is_leader(&new_id);
                let mut response = self.generation(&new_id, false);
                if caller.version >= VERSION_OF_SKIP_ASSIGNMENT {
                    response = self.generation(&new_id, leads);
                    response.skip_assignment = leads;
                } else if let Some(leader) = leader_before {
                    response.leader = leader.to_string().into();
                }
                let waiting = self.group.take_join(&new_id);
                self.replies.extend(waiting.map(|id| (id, Reply::JoinGroup(response))));
            }
            State::Stable => self.rebalance_or_complete(),
            // The old id may be with the leader already, who would assign to it.
            State::CompletingRebalance => self.prepare_rebalance(),
            State::PreparingRebalance | State::Empty => self.complete_if_all_joined(),
        }
    }

    /// The member goes on under another id; whoever waits under the old one is fenced.
    fn rename(&mut self, old_id: &Arc<str>, new_id: &Arc<str>) {
        let leads = self.group.is_leader(old_id);
        let Some(member) = self.group.remove(old_id) else { return };
        if let Some(waiting) = member.join {
            let response = JoinGroupResponse {
                error_code: ErrorCode::FencedInstanceId.code(),
                member_id: old_id.to_string().into(),
                protocol_name: None,
                ..Default::default()
            };
            self.replies.push((waiting, Reply::JoinGroup(response)));
        }
        if let Some(waiting) = member.sync {
            self.refuse_sync(waiting, ErrorCode::FencedInstanceId);
        }
        self.cancel(self.session_timer(old_id));
        let mut renamed = (*member).clone();
        renamed.id = Arc::clone(new_id);
        (renamed.is_new, renamed.join, renamed.sync) = (false, None, None);
        self.group.add(renamed);
        if leads {
            self.group.leader = Some(Arc::clone(new_id));
        }
    }
}
