//! CreateTopics (19), versions 2-7: forwarded to the controller.
//!
//! v4 takes -1 for the default number of partitions and replicas, v5 answers them and the configuration, v7 the topic's id.

use protocol::ErrorCode;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(CreateTopics, CreateTopicsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: CreateTopicsRequest<'_>,
) -> CreateTopicsResponse<'static> {
    let mut request = request.into_owned();
    let all = context.allows(Operation::Create, Resource::Cluster);
    let mut refused = Vec::new();
    request.topics.retain(|topic| {
        let allowed = all || context.allows(Operation::Create, Resource::Topic(&topic.name));
        if !allowed {
            refused.push(failed(topic.name.to_string(), ErrorCode::TopicAuthorizationFailed));
        }
        allowed
    });
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let mut response = match ask!(context, CreateTopics(request)) {
        Ok(response) => response,
        Err(error) => CreateTopicsResponse {
            topics: names.into_iter().map(|name| failed(name, error)).collect(),
            ..Default::default()
        },
    };
    response.topics.extend(refused);
    response
}

fn failed(name: String, error: ErrorCode) -> CreatableTopicResult<'static> {
    CreatableTopicResult {
        name: name.into(),
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    }
}
