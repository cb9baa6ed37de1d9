//! Heartbeat: a member is alive, and learns of rebalances.

use base::machine::ReplyId;
use protocol::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;

use super::group::State;
use super::turn::Turn;

impl Turn<'_> {
    pub fn heartbeat(&mut self, id: ReplyId, request: &HeartbeatRequest<'_>) {
        let instance_id = request.group_instance_id.as_deref();
        let member = match self.group.check_member(&request.member_id, instance_id) {
            Ok(member) => member.clone(),
            Err(error) => return self.answer_heartbeat(id, error),
        };
        if request.generation_id != self.group.generation {
            return self.answer_heartbeat(id, ErrorCode::IllegalGeneration);
        }
        let error = match self.group.state() {
            State::Empty => return self.answer_heartbeat(id, ErrorCode::UnknownMemberId),
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
        };
        self.renew_session(&member);
        self.answer_heartbeat(id, error);
    }
}
