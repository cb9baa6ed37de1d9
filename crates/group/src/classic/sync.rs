//! SyncGroup: the leader brings the assignment, everybody takes its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::machine::ReplyId;
use protocol::ErrorCode;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::Reply;
use super::group::State;
use super::member::Member;
use super::turn::Turn;
use crate::record::GroupRecord;

/// What the format of batches adds to a record, at most.
const BATCH_OVERHEAD_BYTES: usize = 128;

impl Turn<'_> {
    pub fn sync(&mut self, id: ReplyId, request: &SyncGroupRequest<'_>) {
        let member = match self.may_sync(request) {
            Ok(member) => member,
            Err(error) => return self.refuse_sync(id, error),
        };
        match self.group.state() {
            State::Empty => self.refuse_sync(id, ErrorCode::UnknownMemberId),
            State::PreparingRebalance => self.refuse_sync(id, ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                if let Some(earlier) = self.group.take_sync(&member.id) {
                    self.refuse_sync(earlier, ErrorCode::RebalanceInProgress);
                }
                self.group.update(&member.id, |member| member.sync = Some(id));
                self.sync_came(&member.id);
                if self.group.is_leader(&member.id) {
                    self.assign(request);
                }
            }
            State::Stable => {
                self.sync_came(&member.id);
                let response = self.assignment(&member);
                self.replies.push((id, Reply::SyncGroup(response)));
            }
        }
    }

    fn may_sync(&self, request: &SyncGroupRequest<'_>) -> Result<Arc<Member>, ErrorCode> {
        if self.group.state() == State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        let instance_id = request.group_instance_id.as_deref();
        let member = self.group.check_member(&request.member_id, instance_id)?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |said: Option<&str>, is: Option<&str>| {
            said.zip(is).is_some_and(|(said, is)| said != is)
        };
        if differs(request.protocol_type.as_deref(), self.group.protocol_type())
            || differs(request.protocol_name.as_deref(), self.group.protocol())
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(Arc::clone(member))
    }

    fn sync_came(&mut self, member: &Arc<str>) {
        self.group.pending_syncs.remove_mut(member);
        if self.group.pending_syncs.is_empty() {
            self.cancel(self.sync_timer());
        }
    }

    /// The leader's assignment holds; who is not in it has nothing.
    fn assign(&mut self, request: &SyncGroupRequest<'_>) {
        let assignments = request.assignments.iter();
        let by_member: BTreeMap<&str, &[u8]> =
            assignments.map(|one| (&*one.member_id, &*one.assignment)).collect();
        let members: Vec<Arc<str>> = self.group.members.keys().cloned().collect();
        for id in &members {
            let own = by_member.get(&**id).copied().unwrap_or_default();
            self.group.update(id, |member| member.assignment = Arc::from(own));
        }
        if !self.fits_into_a_record() {
            self.take_back_assignments(ErrorCode::UnknownServerError);
            return self.prepare_rebalance();
        }
        for id in &members {
            let Some(member) = self.group.member(id).cloned() else { continue };
            if let Some(waiting) = self.group.take_sync(id) {
                let response = self.assignment(&member);
                self.replies.push((waiting, Reply::SyncGroup(response)));
                self.renew_session(&member);
            }
        }
        self.group.enter(State::Stable, self.now.wall.0);
        self.write = true;
    }

    fn fits_into_a_record(&self) -> bool {
        let len = GroupRecord::classic_len(self.name, &self.group);
        len.is_some_and(|len| {
            len.saturating_add(BATCH_OVERHEAD_BYTES) <= self.config.record_bytes_max
        })
    }

    fn assignment(&self, member: &Member) -> SyncGroupResponse<'static> {
        let owned = |text: &str| text.to_owned().into();
        SyncGroupResponse {
            protocol_type: self.group.protocol_type().map(owned),
            protocol_name: self.group.protocol().map(owned),
            assignment: member.assignment.to_vec().into(),
            ..Default::default()
        }
    }
}
