//! What can be told of a heartbeat without knowing its group.

use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};

use super::config::Config;
use super::member::{LEAVE_EPOCH, LEAVE_STATIC_EPOCH, Member, Owned};
use super::refusal::Refusal;
use crate::assignor::Assignor;

/// From this version on the client makes the member id.
const VERSION_OF_OWN_MEMBER_ID: i16 = 1;

/// # Errors
/// Kafka's words on a request that no group can serve.
pub fn validate(
    request: &ConsumerGroupHeartbeatRequest<'_>,
    version: i16,
    config: &Config,
) -> Result<(), Refusal> {
    let epoch = request.member_epoch;
    if version >= VERSION_OF_OWN_MEMBER_ID || epoch > 0 || epoch == LEAVE_EPOCH {
        not_blank(Some(&request.member_id), "MemberId can't be empty.")?;
    }
    not_blank(Some(&request.group_id), "GroupId can't be empty.")?;
    not_blank(request.instance_id.as_deref(), "InstanceId can't be empty.")?;
    not_blank(request.rack_id.as_deref(), "RackId can't be empty.")?;
    if epoch == 0 {
        validate_join(request)?;
    } else if epoch == LEAVE_STATIC_EPOCH {
        if request.instance_id.is_none() {
            return Err(invalid("InstanceId can't be null."));
        }
    } else if epoch < LEAVE_STATIC_EPOCH {
        return Err(invalid("MemberEpoch is invalid."));
    }
    let Some(asked) = &request.server_assignor else { return Ok(()) };
    let known = Assignor::from_name(asked).is_some_and(|asked| config.assignors.contains(&asked));
    if known {
        return Ok(());
    }
    let names: Vec<&str> = config.assignors.iter().map(|assignor| assignor.name()).collect();
    let names = names.join(", ");
    let message = format!("ServerAssignor {asked} is not supported. Supported assignors: {names}.");
    Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
}

fn validate_join(request: &ConsumerGroupHeartbeatRequest<'_>) -> Result<(), Refusal> {
    if request.rebalance_timeout_ms == -1 {
        return Err(invalid("RebalanceTimeoutMs must be provided in first request."));
    }
    if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return Err(invalid("TopicPartitions must be empty when (re-)joining."));
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        let message = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when \
                       (re-)joining.";
        return Err(invalid(message));
    }
    Ok(())
}

/// Blank as Java's `trim` has it.
fn not_blank(text: Option<&str>, message: &str) -> Result<(), Refusal> {
    match text {
        Some(text) if text.chars().all(|c| c <= ' ') => Err(invalid(message)),
        _ => Ok(()),
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// Whether the member may go on from the epoch that it names.
pub(super) fn check_epoch(
    member: &Member,
    epoch: i32,
    owned: Option<&[TopicPartitions]>,
) -> Result<(), Refusal> {
    if epoch == 0 || epoch == member.epoch {
        return Ok(());
    }
    // The answer that told the epoch may have been lost.
    if epoch == member.previous_epoch
        && epoch < member.epoch
        && owned.is_some_and(|owned| is_part_of(owned, &member.assigned))
    {
        return Ok(());
    }
    let size = if epoch > member.epoch { "greater" } else { "smaller" };
    let message = format!(
        "The consumer group member has a {size} member epoch ({epoch}) than the one known by the \
         group coordinator ({}). The member must abandon all its partitions and rejoin.",
        member.epoch
    );
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

fn is_part_of(owned: &[TopicPartitions], assigned: &Owned) -> bool {
    owned.iter().all(|topic| {
        let known = assigned.get(&topic.topic_id);
        known.is_some_and(|known| topic.partitions.iter().all(|one| known.contains_key(one)))
    })
}
