//! What a classic group says to commits, deletions and the end of offsets.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::offset_commit_request::OffsetCommitRequest;

use super::group::{Classic, State};
use super::member::Member;
use crate::offsets::Committed;

impl Classic {
    /// The member that commits, if its session is renewed by that; or why nothing is committed.
    pub(crate) fn may_commit(
        &self,
        request: &OffsetCommitRequest<'_>,
    ) -> Result<Option<Arc<Member>>, ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state() == State::Empty {
            return Ok(None);
        }
        if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        let member = self.check_member(&request.member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state() {
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Stable | State::PreparingRebalance => Ok(Some(Arc::clone(member))),
            State::Empty => Ok(None),
        }
    }

    /// Whether offsets may be committed in a transaction. Old producers tell nothing of a member.
    pub(crate) fn may_commit_in_transaction(
        &self,
        request: &OffsetCommitRequest<'_>,
    ) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        let anonymous = generation < 0 && request.member_id.is_empty() && instance_id.is_none();
        if anonymous || (generation < 0 && self.state() == State::Empty) {
            return Ok(());
        }
        self.check_member(&request.member_id, instance_id)?;
        (generation == self.generation).then_some(()).ok_or(ErrorCode::IllegalGeneration)
    }

    /// Offsets of the topic are in use. Nobody knows what consumers read whose words cannot be understood: anything.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Offsets of topics that are not in use may be deleted.
    pub(crate) fn may_delete_offsets(&self) -> Result<(), ErrorCode> {
        let allowed = self.state() == State::Empty || self.is_of_consumers();
        allowed.then_some(()).ok_or(ErrorCode::NonEmptyGroup)
    }

    /// From when on an offset grows old, in milliseconds; never while nothing is known of its use.
    pub(crate) fn ages_since_ms(&self, committed: &Committed) -> Option<i64> {
        match self.state() {
            _ if self.protocol_type.is_none() => Some(committed.commit_ms),
            State::Empty => Some(self.since_ms.unwrap_or(committed.commit_ms)),
            State::Stable if self.is_of_consumers() && self.subscribed.is_some() => {
                Some(committed.commit_ms)
            }
            State::Stable | State::PreparingRebalance | State::CompletingRebalance => None,
        }
    }
}
