//! OffsetCommit (8), versions 2-10: how far a group has come.
//!
//! v2-4 may say how long to keep it, v6 adds leader epochs, v7 static members, v10 names topics by id.

use std::borrow::Cow;
use std::collections::HashMap;

use base::Uuid;
use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(OffsetCommit, OffsetCommitRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: OffsetCommitRequest<'_>,
) -> OffsetCommitResponse<'static> {
    let mut request = request.into_owned();
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return all_failed(request.topics, ErrorCode::GroupAuthorizationFailed);
    }
    let mut rows = Rows::default();
    let mut asked = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        asked.extend(sort_out(context, topic, &mut rows));
    }
    if asked.is_empty() {
        return rows.response;
    }
    let group = request.group_id.to_string();
    let back = asked.clone();
    request.topics = asked;
    let commit = Request::OffsetCommit { version: context.version, request };
    let committed = match context.node.coordinators.request(&context.node, &group, commit).await {
        Ok(Reply::OffsetCommit(Ok(committed))) => committed,
        Ok(Reply::OffsetCommit(Err(error))) | Err(error) => all_failed(back, error),
        Ok(_) => all_failed(back, ErrorCode::UnknownServerError),
    };
    if rows.response.topics.is_empty() {
        return committed;
    }
    for topic in committed.topics {
        rows.add(topic);
    }
    rows.response
}

/// What of a topic goes to the coordinator; the rest is answered here.
fn sort_out(
    context: &RequestContext,
    mut topic: OffsetCommitRequestTopic<'static>,
    rows: &mut Rows,
) -> Option<OffsetCommitRequestTopic<'static>> {
    let image = context.node.image();
    let by_id = context.version >= 10;
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
struct Rows {
    response: OffsetCommitResponse<'static>,
    at: HashMap<(Uuid, Cow<'static, str>), usize>,
}

impl Rows {
    fn add(&mut self, topic: OffsetCommitResponseTopic<'static>) {
        let topics = &mut self.response.topics;
        let at = *self.at.entry((topic.topic_id, topic.name.clone())).or_insert(topics.len());
        match topics.get_mut(at) {
            Some(row) => row.partitions.extend(topic.partitions),
            None => topics.push(topic),
        }
    }
}

fn failed(
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

fn all_failed(
    topics: Vec<OffsetCommitRequestTopic<'static>>,
    error: ErrorCode,
) -> OffsetCommitResponse<'static> {
    let topics = topics.into_iter().map(|topic| failed(topic, error)).collect();
    OffsetCommitResponse { topics, ..Default::default() }
}
