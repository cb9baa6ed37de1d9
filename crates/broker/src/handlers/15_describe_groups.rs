//! DescribeGroups (15), versions 0-6: classic groups with their members. v3 tells operations, v4 instance ids, v6 errors for groups
//! that are not there.

use group::{Query, Reply};
use protocol::ErrorCode;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DescribeGroups, DescribeGroupsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DescribeGroupsRequest<'_>,
) -> DescribeGroupsResponse<'static> {
    let mut response = DescribeGroupsResponse::default();
    for group in &request.groups {
        let mut row = describe(context, group).await;
        if request.include_authorized_operations && row.error_code == 0 {
            let (authorizer, resource) = (context.node.authorizer, Resource::Group(group));
            row.authorized_operations = authorizer.allowed_operations(&context.principal, resource);
        }
        response.groups.push(row);
    }
    response
}

async fn describe(context: &RequestContext, group: &str) -> DescribedGroup<'static> {
    let failed = |error: ErrorCode| DescribedGroup {
        group_id: group.to_owned().into(),
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::Describe, Resource::Group(group)) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let query = Query::DescribeGroups { version: context.version, groups: vec![group.to_owned()] };
    match context.node.coordinators.query(&context.node, group, query).await {
        Ok(Reply::DescribeGroups(mut rows)) => {
            rows.pop().unwrap_or_else(|| failed(ErrorCode::UnknownServerError))
        }
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    }
}
