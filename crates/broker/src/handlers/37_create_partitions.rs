//! CreatePartitions (37), versions 0-3: forwarded to the controller.

use protocol::ErrorCode;
use protocol::messages::create_partitions_request::CreatePartitionsRequest;
use protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(CreatePartitions, CreatePartitionsRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: CreatePartitionsRequest<'_>,
) -> CreatePartitionsResponse<'static> {
    let mut request = request.into_owned();
    let mut refused = Vec::new();
    request.topics.retain(|topic| {
        let allowed = context.allows(Operation::Alter, Resource::Topic(&topic.name));
        if !allowed {
            refused.push(failed(topic.name.to_string(), ErrorCode::TopicAuthorizationFailed));
        }
        allowed
    });
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let mut response = match ask!(context, CreatePartitions(request)) {
        Ok(response) => response,
        Err(error) => CreatePartitionsResponse {
            results: names.into_iter().map(|name| failed(name, error)).collect(),
            ..Default::default()
        },
    };
    response.results.extend(refused);
    response
}

fn failed(name: String, error: ErrorCode) -> CreatePartitionsTopicResult<'static> {
    CreatePartitionsTopicResult {
        name: name.into(),
        error_code: error.code(),
        error_message: Some(error.message().into()),
        ..Default::default()
    }
}
