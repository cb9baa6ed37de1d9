//! DeleteGroups (42), versions 0-3: groups without members go, with their offsets.

use std::collections::BTreeSet;

use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DeleteGroups, DeleteGroupsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DeleteGroupsRequest<'_>,
) -> DeleteGroupsResponse<'static> {
    let mut seen = BTreeSet::new();
    let mut response = DeleteGroupsResponse::default();
    for group in request.groups_names.iter().filter(|group| seen.insert(&***group)) {
        response.results.push(delete(context, group).await);
    }
    response
}

async fn delete(context: &RequestContext, group: &str) -> DeletableGroupResult<'static> {
    let failed = |error: ErrorCode| DeletableGroupResult {
        group_id: group.to_owned().into(),
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::Delete, Resource::Group(group)) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let delete = Request::DeleteGroups(vec![group.to_owned()]);
    match context.node.coordinators.request(&context.node, group, delete).await {
        Ok(Reply::DeleteGroups(mut rows)) => {
            rows.pop().unwrap_or_else(|| failed(ErrorCode::UnknownServerError))
        }
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
