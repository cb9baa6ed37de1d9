//! ListGroups (16), versions 0-5: the groups that this node coordinates. v4 asks for states, v5 for types.

use group::{Query, Reply};
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::list_groups_response::ListGroupsResponse;

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(ListGroups, ListGroupsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: ListGroupsRequest<'_>,
) -> ListGroupsResponse<'static> {
    let owned = |texts: Vec<std::borrow::Cow<'_, str>>| {
        texts.into_iter().map(|text| text.into_owned()).collect()
    };
    let query = Query::ListGroups {
        states: owned(request.states_filter),
        types: owned(request.types_filter),
    };
    let replies = match context.node.coordinators.query_all(&query).await {
        Ok(replies) => replies,
        Err(error) => {
            return ListGroupsResponse { error_code: error.code(), ..Default::default() };
        }
    };
    let mut response = ListGroupsResponse::default();
    for reply in replies {
        if let Reply::ListGroups(groups) = reply {
            response.groups.extend(groups);
        }
    }
    if !context.allows(Operation::Describe, Resource::Cluster) {
        let may_see = |id: &str| context.allows(Operation::Describe, Resource::Group(id));
        response.groups.retain(|group| may_see(&group.group_id));
    }
    response
}
