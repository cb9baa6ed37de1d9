//! What members of consumer groups may do with committed offsets.

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::OffsetCommitRequest;

use super::member::Member;
use super::state::Consumer;

/// What producers say that know nothing of members.
const NO_GENERATION: i32 = -1;

/// Commits by members of the consumer protocol need this version: older ones do not know its errors.
const COMMIT_VERSION_MIN: i16 = 9;

/// What is left to be checked at each partition of a commit.
#[derive(Clone, Copy, Debug)]
pub enum CommitCheck<'a> {
    None,
    /// The commit names an older epoch: the partition must have been the member's by then.
    AssignedBy {
        member: &'a Member,
        epoch: i32,
    },
}

impl CommitCheck<'_> {
    /// # Errors
    /// When the member did not own the partition at the epoch that it names.
    pub fn check(self, topic: Uuid, partition: i32) -> Result<(), ErrorCode> {
        match self {
            Self::AssignedBy { member, epoch }
                if member.assignment_epoch(topic, partition).is_none_or(|since| epoch < since) =>
            {
                Err(stale(member))
            }
            _ => Ok(()),
        }
    }
}

impl Consumer {
    /// Whether a commit with this member and epoch may be made; transactional ones have their own way in.
    ///
    /// # Errors
    /// Kafka's, by what is wrong with the member.
    pub fn check_commit(
        &self,
        member_id: &str,
        epoch: i32,
        version: i16,
    ) -> Result<CommitCheck<'_>, ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(CommitCheck::None);
        }
        let member = self.member(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.uses_classic_protocol() && version < COMMIT_VERSION_MIN {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if epoch == member.epoch {
            return Ok(CommitCheck::None);
        }
        if epoch > member.epoch {
            return Err(stale(member));
        }
        Ok(CommitCheck::AssignedBy { member, epoch })
    }

    /// The same for a commit in a transaction, where the member need not be told.
    ///
    /// # Errors
    /// Kafka's, by what is wrong with the member.
    pub fn check_commit_in_transaction(
        &self,
        request: &OffsetCommitRequest<'_>,
    ) -> Result<CommitCheck<'_>, ErrorCode> {
        let epoch = request.generation_id_or_member_epoch;
        let nobody = request.member_id.is_empty() && request.group_instance_id.is_none();
        if epoch == NO_GENERATION && nobody {
            return Ok(CommitCheck::None);
        }
        self.check_commit(&request.member_id, epoch, COMMIT_VERSION_MIN)
    }

    /// Whether a fetch with this member and epoch may see the offsets.
    ///
    /// # Errors
    /// Kafka's, by what is wrong with the member.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.member(id)).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.epoch { Ok(()) } else { Err(stale(member)) }
    }
}

/// What a member is told that is behind, or ahead.
fn stale(member: &Member) -> ErrorCode {
    if member.uses_classic_protocol() {
        ErrorCode::IllegalGeneration
    } else {
        ErrorCode::StaleMemberEpoch
    }
}
