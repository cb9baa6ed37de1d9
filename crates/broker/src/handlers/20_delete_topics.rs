//! DeleteTopics (20), versions 1-6: forwarded to the controller. v5 adds a message, v6 takes topic ids.

use protocol::ErrorCode;
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DeleteTopics, DeleteTopicsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: DeleteTopicsRequest<'_>,
) -> DeleteTopicsResponse<'static> {
    let mut request = request.into_owned();
    let image = context.node.image();
    let mut refused = Vec::new();
    let mut allowed = |name: &str, shown: DeletableTopicResult<'static>| {
        let allowed = context.allows(Operation::Delete, Resource::Topic(name));
        if !allowed {
            let error = ErrorCode::TopicAuthorizationFailed;
            refused.push(DeletableTopicResult { error_code: error.code(), ..shown });
        }
        allowed
    };
    let named = |name: &str| DeletableTopicResult {
        name: Some(name.to_owned().into()),
        ..Default::default()
    };
    request.topic_names.retain(|name| allowed(name, named(name)));
    request.topics.retain(|topic| match (&topic.name, image.topics.by_id(topic.topic_id)) {
        (Some(name), _) => allowed(name, named(name)),
        (None, Some(known)) => {
            let shown = DeletableTopicResult { topic_id: topic.topic_id, ..Default::default() };
            allowed(&known.name, shown)
        }
        (None, None) => true,
    });
    let failed = failures(&request);
    let mut response = match ask!(context, DeleteTopics(request)) {
        Ok(response) => response,
        Err(error) => {
            let error_code = error.code();
            let failed = failed.into_iter();
            let responses = failed.map(|row| DeletableTopicResult { error_code, ..row }).collect();
            DeleteTopicsResponse { responses, ..Default::default() }
        }
    };
    response.responses.extend(refused);
    response
}

/// A row for each topic of the request, for the case that the controller is out of reach.
fn failures(request: &DeleteTopicsRequest<'static>) -> Vec<DeletableTopicResult<'static>> {
    let named = request
        .topic_names
        .iter()
        .map(|name| DeletableTopicResult { name: Some(name.clone()), ..Default::default() });
    let states = request.topics.iter().map(|topic| DeletableTopicResult {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        ..Default::default()
    });
    named.chain(states).collect()
}
