//! OffsetCommit (8), versions 2-10: how far a group has come.
//!
//! v2-4 may say how long to keep it, v6 adds leader epochs, v7 static members, v10 names topics by id.

use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::OffsetCommitRequest;
use protocol::messages::offset_commit_response::OffsetCommitResponse;

use crate::authorizer::{Operation, Resource};
use crate::commits::{Rows, all_failed, sort_out};
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
    let by_id = context.version >= 10;
    let mut rows = Rows::default();
    let mut asked = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        asked.extend(sort_out(context, by_id, topic, &mut rows));
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
