//! ConsumerGroupDescribe: a group and its members as they are committed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;
use protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};

use super::member::Member;
use super::refusal::Refusal;
use super::state::Consumer;
use super::subscribe::preferred_assignor;
use crate::java::{string_hash, timeline_order};
use crate::view::View;

const MEMBER_TYPE_CLASSIC: i8 = 0;
const MEMBER_TYPE_CONSUMER: i8 = 1;

pub(crate) fn describe(id: &str, group: &Consumer, view: &View) -> DescribedGroup<'static> {
    let assignor = preferred_assignor(group).unwrap_or_else(|| view.consumer.default_assignor());
    DescribedGroup {
        group_id: Cow::Owned(id.to_owned()),
        group_state: Cow::Borrowed(group.state()),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: Cow::Borrowed(assignor.name()),
        members: in_kafkas_order(group)
            .into_iter()
            .map(|member| describe_member(member, group, view))
            .collect(),
        ..Default::default()
    }
}

/// As Kafka comes across them.
fn in_kafkas_order(group: &Consumer) -> Vec<&Member> {
    timeline_order(group.members().map(|member| (string_hash(&member.id), member)).collect())
}

/// A group that cannot be described.
pub(crate) fn undescribed(id: &str, refusal: Refusal) -> DescribedGroup<'static> {
    let (error_code, error_message) = refusal.told();
    let group_id = Cow::Owned(id.to_owned());
    DescribedGroup { group_id, error_code, error_message, ..Default::default() }
}

fn describe_member(member: &Member, group: &Consumer, view: &View) -> DescribedMember<'static> {
    let subscription = &member.subscription;
    let owned = |text: &Arc<str>| Cow::Owned(text.to_string());
    let mut assigned: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, epochs) in member.assigned.iter().chain(member.revoking.iter()) {
        assigned.entry(*topic).or_default().extend(epochs.keys());
    }
    let target = group.target(&member.id);
    let target = target.iter().map(|(topic, set)| (*topic, set.iter().copied().collect()));
    let classic = member.uses_classic_protocol();
    DescribedMember {
        member_id: owned(&member.id),
        instance_id: subscription.instance_id.as_ref().map(owned),
        rack_id: subscription.rack_id.as_ref().map(owned),
        member_epoch: member.epoch,
        client_id: owned(&subscription.client_id),
        client_host: owned(&subscription.client_host),
        subscribed_topic_names: subscription.topics.iter().map(owned).collect(),
        subscribed_topic_regex: subscription.regex.as_ref().map(owned),
        assignment: named(assigned, view),
        target_assignment: named(target, view),
        member_type: if classic { MEMBER_TYPE_CLASSIC } else { MEMBER_TYPE_CONSUMER },
        ..Default::default()
    }
}

/// Topics that are gone are not shown.
fn named(topics: impl IntoIterator<Item = (Uuid, Vec<i32>)>, view: &View) -> Assignment<'static> {
    let known = topics.into_iter().filter_map(|(topic_id, partitions)| {
        let topic = view.metadata.topic_by_id(topic_id)?;
        let topic_name = Cow::Owned(topic.name.to_string());
        Some(TopicPartitions { topic_id, topic_name, partitions, ..Default::default() })
    });
    Assignment { topic_partitions: known.collect(), ..Default::default() }
}
