//! Groups: list, describe, delete, and take members out of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::TopicPartition;
use protocol::messages::consumer_group_describe_request::ConsumerGroupDescribeRequest;
use protocol::messages::consumer_group_describe_response::{
    Assignment, ConsumerGroupDescribeResponse,
};
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_groups_response::DeleteGroupsResponse;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::leave_group_response::LeaveGroupResponse;
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::list_groups_response::ListGroupsResponse;
use protocol::{Encode, ErrorCode, Message};

use super::{Admin, PerItem};
use crate::cluster::{Target, Topics};
use crate::error::{Error, Result};
use crate::group::blob;
use crate::group::coordinator::{self, CoordinatorKind};
use crate::metadata::Node;
use crate::transport::{Connection, Reply};

/// A group as a broker lists it. State and type are empty from servers that do not tell them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupListing {
    pub id: String,
    /// `consumer`, `connect`, ...; empty for a group that only has offsets.
    pub protocol_type: String,
    pub state: String,
    pub group_type: String,
}

/// A consumer group of either protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroup {
    pub id: String,
    pub state: String,
    /// None for a classic group.
    pub epochs: Option<GroupEpochs>,
    pub assignor: String,
    pub coordinator: Node,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupEpochs {
    pub group: i32,
    pub assignment: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    pub assignment: Vec<TopicPartition>,
    /// What the next three say is known of members of a consumer group only.
    pub target: Vec<TopicPartition>,
    pub epoch: Option<i32>,
    /// Whether it speaks the consumer protocol.
    pub upgraded: Option<bool>,
}

/// A member to take out of its group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberToRemove {
    pub member_id: String,
    pub instance_id: Option<String>,
}

impl Admin {
    /// The groups of all brokers by their ids, those in one of these states and of one of these types (all when empty).
    pub async fn list_groups(&self, states: &[&str], types: &[&str]) -> Result<Vec<GroupListing>> {
        let client = &self.client;
        let metadata = client.refresh(Topics::None, false).await?;
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|state| (*state).into()).collect(),
            types_filter: types.iter().map(|group_type| (*group_type).into()).collect(),
            ..Default::default()
        };
        let mut groups = BTreeMap::new();
        for node in metadata.nodes.keys() {
            let listed = self
                .ask("listGroups", Target::Node(*node), &request, |reply| {
                    let response: ListGroupsResponse<'_> = reply.decode()?;
                    Error::check(response.error_code, None)?;
                    let listing =
                        |g: &protocol::messages::list_groups_response::ListedGroup<'_>| {
                            GroupListing {
                                id: g.group_id.to_string(),
                                protocol_type: g.protocol_type.to_string(),
                                state: g.group_state.to_string(),
                                group_type: g.group_type.to_string(),
                            }
                        };
                    Ok(response.groups.iter().map(listing).collect::<Vec<_>>())
                })
                .await?;
            groups.extend(listed.into_iter().map(|group| (group.id.clone(), group)));
        }
        Ok(groups.into_values().collect())
    }

    /// Describes groups of both protocols.
    pub async fn describe_consumer_groups(
        &self,
        ids: &[String],
    ) -> Result<PerItem<String, ConsumerGroup>> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push((id.clone(), self.describe_consumer_group(id).await));
        }
        Ok(found)
    }

    async fn describe_consumer_group(&self, id: &str) -> Result<ConsumerGroup> {
        let request =
            ConsumerGroupDescribeRequest { group_ids: vec![id.into()], ..Default::default() };
        let described = self.ask_coordinator("describeGroups", id, &request, |reply, node| {
            let response: ConsumerGroupDescribeResponse<'_> = reply.decode()?;
            let group = response.groups.iter().find(|group| group.group_id == id);
            let group = group.ok_or_else(|| missing(id, reply))?;
            Error::check(group.error_code, group.error_message.as_deref())?;
            let member = |m: &protocol::messages::consumer_group_describe_response::Member<'_>| {
                GroupMember {
                    id: m.member_id.to_string(),
                    instance_id: m.instance_id.as_ref().map(ToString::to_string),
                    client_id: m.client_id.to_string(),
                    host: m.client_host.to_string(),
                    assignment: partitions(&m.assignment),
                    target: partitions(&m.target_assignment),
                    epoch: Some(m.member_epoch),
                    upgraded: (m.member_type >= 0).then_some(m.member_type == 1),
                }
            };
            Ok(ConsumerGroup {
                id: id.to_owned(),
                state: group.group_state.to_string(),
                epochs: Some(GroupEpochs {
                    group: group.group_epoch,
                    assignment: group.assignment_epoch,
                }),
                assignor: group.assignor_name.to_string(),
                coordinator: node.clone(),
                members: group.members.iter().map(member).collect(),
            })
        });
        match described.await {
            // A classic group, or a server that only knows those. The first answer says more than the second.
            Err(Error::UnsupportedVersion { .. }) => self.describe_classic_group(id).await,
            Err(error) if error.code() == Some(ErrorCode::UnsupportedVersion) => {
                self.describe_classic_group(id).await
            }
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {
                match self.describe_classic_group(id).await {
                    Err(classic) if classic.code() == Some(ErrorCode::GroupIdNotFound) => {
                        Err(error)
                    }
                    result => result,
                }
            }
            result => result,
        }
    }

    async fn describe_classic_group(&self, id: &str) -> Result<ConsumerGroup> {
        let request = DescribeGroupsRequest { groups: vec![id.into()], ..Default::default() };
        self.ask_coordinator("describeGroups", id, &request, |reply, node| {
            let response: DescribeGroupsResponse<'_> = reply.decode()?;
            let group = response.groups.iter().find(|group| group.group_id == id);
            let group = group.ok_or_else(|| missing(id, reply))?;
            Error::check(group.error_code, group.error_message.as_deref())?;
            classic_group(group, node, reply)
        })
        .await
    }

    /// Deletes groups without members, with their offsets.
    pub async fn delete_groups(&self, ids: &[String]) -> Result<PerItem<String, ()>> {
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let request = DeleteGroupsRequest {
                groups_names: vec![id.as_str().into()],
                ..Default::default()
            };
            let deleted = self.ask_coordinator("deleteGroups", id, &request, |reply, _| {
                let response: DeleteGroupsResponse<'_> = reply.decode()?;
                let group = response.results.iter().find(|group| group.group_id == *id);
                let group = group.ok_or_else(|| missing(id, reply))?;
                Error::check(group.error_code, group.error_message.as_deref())
            });
            results.push((id.clone(), deleted.await));
        }
        Ok(results)
    }

    /// Takes members out of a classic group; the others rebalance.
    pub async fn remove_members(
        &self,
        group: &str,
        members: &[MemberToRemove],
        reason: &str,
    ) -> Result<PerItem<MemberToRemove, ()>> {
        let identity = |member: &MemberToRemove| MemberIdentity {
            member_id: member.member_id.clone().into(),
            group_instance_id: member.instance_id.clone().map(Into::into),
            reason: Some(reason.to_owned().into()),
            ..Default::default()
        };
        let request = LeaveGroupRequest {
            group_id: group.into(),
            members: members.iter().map(identity).collect(),
            ..Default::default()
        };
        self.ask_coordinator("removeMembers", group, &request, |reply, _| {
            let response: LeaveGroupResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let result = |m: &protocol::messages::leave_group_response::MemberResponse<'_>| {
                let member = MemberToRemove {
                    member_id: m.member_id.to_string(),
                    instance_id: m.group_instance_id.as_ref().map(ToString::to_string),
                };
                (member, Error::check(m.error_code, None))
            };
            Ok(response.members.iter().map(result).collect())
        })
        .await
    }

    /// Finds the coordinator and asks it, until it is answered.
    async fn ask_coordinator<R, T>(
        &self,
        what: &'static str,
        group: &str,
        request: &R,
        accept: impl Fn(&Reply, &Node) -> Result<T>,
    ) -> Result<T>
    where
        R: Message + Encode,
    {
        let accept = &accept;
        let attempt = || async move {
            let (connection, node) = self.coordinator(group).await?;
            accept(&connection.call(request).await?, &node)
        };
        self.client.retry(what, self.client.deadline(), attempt).await
    }

    /// A connection to the coordinator of a group.
    pub(super) async fn coordinator(&self, group: &str) -> Result<(Connection, Node)> {
        let (id, address) = coordinator::find(&self.client, CoordinatorKind::Group, group).await?;
        let connection = self.client.connection_at(id, &address).await?;
        Ok((connection, Node { id, address, rack: None }))
    }
}

fn missing(group: &str, reply: &Reply) -> Error {
    Error::Incomplete { what: format!("the group {group}"), address: reply.address().to_owned() }
}

fn partitions(assignment: &Assignment<'_>) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.iter();
    let all = topics.flat_map(|topic| {
        let name: Arc<str> = topic.topic_name.as_ref().into();
        topic.partitions.iter().map(move |index| TopicPartition::new(Arc::clone(&name), *index))
    });
    all.collect()
}

fn classic_group(group: &DescribedGroup<'_>, node: &Node, reply: &Reply) -> Result<ConsumerGroup> {
    if !matches!(group.protocol_type.as_ref(), "" | "consumer") {
        let (id, kind) = (&group.group_id, &group.protocol_type);
        let text = format!("GroupId {id} is not a consumer group ({kind}).");
        return Err(Error::api(ErrorCode::InconsistentGroupProtocol, Some(&text)));
    }
    let mut members = Vec::with_capacity(group.members.len());
    for m in &group.members {
        let assignment = blob::decode_assignment(&m.member_assignment).map_err(|source| {
            Error::Decode { what: "assignment", address: reply.address().to_owned(), source }
        })?;
        members.push(GroupMember {
            id: m.member_id.to_string(),
            instance_id: m.group_instance_id.as_ref().map(ToString::to_string),
            client_id: m.client_id.to_string(),
            host: m.client_host.to_string(),
            assignment,
            target: Vec::new(),
            epoch: None,
            upgraded: None,
        });
    }
    Ok(ConsumerGroup {
        id: group.group_id.to_string(),
        state: group.group_state.to_string(),
        epochs: None,
        assignor: group.protocol_data.to_string(),
        coordinator: node.clone(),
        members,
    })
}
