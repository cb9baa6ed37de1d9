//! Members of groups that say what they like: raw requests, and what was answered.

use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;

use crate::common::{Node, Peer, Place, decoded};
use crate::groups;

/// From this version on members may be static.
const STATIC_VERSION: i16 = 5;
/// The last version that makes members without asking them to come again with their id.
const DIRECT_VERSION: i16 = 3;
/// A subscription to the topic "t".
pub const SUBSCRIPTION: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];

/// A node with a coordinator, and a topic "t" of two partitions.
pub fn node(place: &Place, more: &[(&str, &str)]) -> Node {
    let mut settings =
        vec![("offsets.topic.num.partitions", "1"), ("group.initial.rebalance.delay.ms", "0")];
    settings.extend(more);
    let node = Node::start_with(&place.data, &settings);
    assert_eq!(node.create_topic("t", 2, &[]), 0);
    assert_eq!(groups::commit(&node, "other", "t"), 0);
    node
}

/// A group that nobody attacks goes on.
pub fn assert_other_goes_on(node: &mut Node, after: &str) {
    assert_eq!(groups::commit(node, "other", "t"), 0, "after {after}");
    node.assert_alive(after);
}

pub fn join_request<'a>(group: &'a str, blob: &'a [u8]) -> JoinGroupRequest<'a> {
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: blob.into(),
        ..Default::default()
    };
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

/// A dynamic member that is in at once, or the error.
pub fn join(peer: &mut Peer, group: &str, blob: &[u8]) -> Result<(String, i32), ErrorCode> {
    called_join(peer, &join_request(group, blob), DIRECT_VERSION)
}

pub fn join_static(
    peer: &mut Peer,
    group: &str,
    member: &str,
    instance: &str,
) -> Result<(String, i32), ErrorCode> {
    let mut request = join_request(group, SUBSCRIPTION);
    request.member_id = member.into();
    request.group_instance_id = Some(instance.into());
    called_join(peer, &request, STATIC_VERSION)
}

fn called_join(
    peer: &mut Peer,
    request: &JoinGroupRequest<'_>,
    version: i16,
) -> Result<(String, i32), ErrorCode> {
    let body = peer.call(request, version);
    let response: JoinGroupResponse<'_> = decoded(&body, version);
    passed(response.error_code)?;
    Ok((response.member_id.to_string(), response.generation_id))
}

/// The leader's SyncGroup: what itself is assigned.
pub fn sync(
    peer: &mut Peer,
    group: &str,
    (member, generation): (&str, i32),
    instance: Option<&str>,
    assignments: &[(&str, &[u8])],
) -> Result<Vec<u8>, ErrorCode> {
    let assignments = assignments.iter().map(|&(member, blob)| SyncGroupRequestAssignment {
        member_id: member.into(),
        assignment: blob.into(),
        ..Default::default()
    });
    let request = SyncGroupRequest {
        group_id: group.into(),
        generation_id: generation,
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        assignments: assignments.collect(),
        ..Default::default()
    };
    let body = peer.call(&request, 3);
    let response: SyncGroupResponse<'_> = decoded(&body, 3);
    passed(response.error_code)?;
    Ok(response.assignment.to_vec())
}

pub fn heartbeat(
    peer: &mut Peer,
    group: &str,
    (member, generation): (&str, i32),
    instance: Option<&str>,
) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: group.into(),
        generation_id: generation,
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        ..Default::default()
    };
    let body = peer.call(&request, 3);
    let response: HeartbeatResponse = decoded(&body, 3);
    ErrorCode::from_code(response.error_code)
}

/// A ConsumerGroupHeartbeat that joins, or goes on.
pub fn consumer<'a>(
    group: &'a str,
    (member, epoch): (&'a str, i32),
    instance: Option<&'a str>,
) -> ConsumerGroupHeartbeatRequest<'a> {
    ConsumerGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: epoch,
        instance_id: instance.map(Into::into),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: (epoch == 0).then(Vec::new),
        ..Default::default()
    }
}

/// The member's epoch.
pub fn beat(
    peer: &mut Peer,
    request: &ConsumerGroupHeartbeatRequest<'_>,
) -> Result<i32, ErrorCode> {
    let body = peer.call(request, 1);
    let response: ConsumerGroupHeartbeatResponse<'_> = decoded(&body, 1);
    passed(response.error_code)?;
    Ok(response.member_epoch)
}

/// A commit of one offset by a member.
pub fn commit(
    peer: &mut Peer,
    group: &str,
    (member, epoch): (&str, i32),
    instance: Option<&str>,
    (topic, partition, offset): (&str, i32, i64),
) -> ErrorCode {
    let row = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    let topics = vec![OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![row],
        ..Default::default()
    }];
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: epoch,
        member_id: member.into(),
        group_instance_id: instance.map(Into::into),
        topics,
        ..Default::default()
    };
    let body = peer.call(&request, 9);
    let response: OffsetCommitResponse<'_> = decoded(&body, 9);
    ErrorCode::from_code(response.topics[0].partitions[0].error_code)
}

/// The first of the described groups, as `seen` takes it.
pub fn described<T>(node: &Node, group: &str, seen: impl Fn(&DescribedGroup<'_>) -> T) -> T {
    let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
    let body = node.connect().call(&request, 6);
    let response: DescribeGroupsResponse<'_> = decoded(&body, 6);
    seen(&response.groups[0])
}

fn passed(error: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_code(error) {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}
