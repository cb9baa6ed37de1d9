//! What OffsetCommit and TxnOffsetCommit have in common: the broker sorts out topics before the group's coordinator is asked.

use std::borrow::Cow;
use std::collections::HashMap;

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

/// What of a topic goes to the coordinator; the rest is answered here.
pub fn sort_out(
    context: &RequestContext,
    by_id: bool,
    mut topic: OffsetCommitRequestTopic<'static>,
    rows: &mut Rows,
) -> Option<OffsetCommitRequestTopic<'static>> {
    let image = context.node.image();
    let known =
        if by_id { image.topics.by_id(topic.topic_id) } else { image.topics.by_name(&topic.name) };
    let error = match known {
        None if by_id => Some(ErrorCode::UnknownTopicId),
        _ => {
            let name = known.map_or(&*topic.name, |known| &*known.name);
            match context.allows(Operation::Read, Resource::Topic(name)) {
                false => Some(ErrorCode::TopicAuthorizationFailed),
                true if known.is_none() => Some(ErrorCode::UnknownTopicOrPartition),
                true => None,
            }
        }
    };
    let (Some(known), None) = (known, error) else {
        let error = error.unwrap_or(ErrorCode::UnknownTopicOrPartition);
        rows.add(failed(topic, error));
        return None;
    };
    topic.name = known.name.to_string().into();
    topic.topic_id = known.id;
    let exists = |index: i32| image.topics.partition(known.id, index.into()).is_some();
    let (there, missing) =
        topic.partitions.drain(..).partition(|partition| exists(partition.partition_index));
    let unknown = OffsetCommitRequestTopic { partitions: missing, ..topic.clone() };
    if !unknown.partitions.is_empty() {
        rows.add(failed(unknown, ErrorCode::UnknownTopicOrPartition));
    }
    topic.partitions = there;
    (!topic.partitions.is_empty()).then_some(topic)
}

/// An answer with one row per topic, found by its id and name.
#[derive(Default)]
pub struct Rows {
    pub response: OffsetCommitResponse<'static>,
    at: HashMap<(Uuid, Cow<'static, str>), usize>,
}

impl Rows {
    pub fn add(&mut self, topic: OffsetCommitResponseTopic<'static>) {
        let topics = &mut self.response.topics;
        let at = *self.at.entry((topic.topic_id, topic.name.clone())).or_insert(topics.len());
        match topics.get_mut(at) {
            Some(row) => row.partitions.extend(topic.partitions),
            None => topics.push(topic),
        }
    }
}

pub fn failed(
    topic: OffsetCommitRequestTopic<'static>,
    error: ErrorCode,
) -> OffsetCommitResponseTopic<'static> {
    let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
        partition_index: partition.partition_index,
        error_code: error.code(),
        ..Default::default()
    });
    OffsetCommitResponseTopic {
        partitions: partitions.collect(),
        name: topic.name,
        topic_id: topic.topic_id,
        ..Default::default()
    }
}

pub fn all_failed(
    topics: Vec<OffsetCommitRequestTopic<'static>>,
    error: ErrorCode,
) -> OffsetCommitResponse<'static> {
    let topics = topics.into_iter().map(|topic| failed(topic, error)).collect();
    OffsetCommitResponse { topics, ..Default::default() }
}
