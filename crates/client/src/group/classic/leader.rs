//! What the leader of a classic group does: reads what the members want, assigns, writes it down. No I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;

use super::super::assignor::{Assignor, GroupMember, PartitionCounts};
use super::super::blob::{self, MemberSubscription};
use crate::error::{Error, Result};

/// The members with their subscriptions. One that cannot be read ends the rebalance with an error, as in Kafka.
pub(super) fn members(response: &JoinGroupResponse<'_>) -> Result<Vec<GroupMember>> {
    let member = |m: &protocol::messages::join_group_response::JoinGroupResponseMember<'_>| {
        let subscription = MemberSubscription::decode(&m.metadata).map_err(|error| {
            let text =
                format!("the subscription of the member {} cannot be read: {error}", m.member_id);
            Error::api(ErrorCode::InconsistentGroupProtocol, Some(&text))
        })?;
        Ok(GroupMember {
            id: m.member_id.to_string(),
            instance_id: m.group_instance_id.as_ref().map(ToString::to_string),
            subscription,
        })
    };
    response.members.iter().map(member).collect()
}

/// All topics that some member wants.
pub(super) fn topics_of(members: &[GroupMember]) -> Vec<Arc<str>> {
    let topics: BTreeSet<&Arc<str>> = members.iter().flat_map(|m| &m.subscription.topics).collect();
    topics.into_iter().cloned().collect()
}

pub(super) fn assign(
    assignor: Assignor,
    members: &[GroupMember],
    counts: &PartitionCounts,
) -> Result<Vec<SyncGroupRequestAssignment<'static>>> {
    let assigned = assignor.assign(members, counts).into_iter().map(|(member_id, partitions)| {
        let bytes = blob::encode_assignment(&partitions)
            .map_err(|source| Error::Encode { what: "an assignment", source })?;
        Ok(SyncGroupRequestAssignment {
            member_id: member_id.into(),
            assignment: bytes.into(),
            ..Default::default()
        })
    });
    assigned.collect()
}
