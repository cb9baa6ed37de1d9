//! BrokerRegistration (62), versions 0-4: a broker joins; controllers only.

use protocol::ErrorCode;
use protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(BrokerRegistration, BrokerRegistrationRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: BrokerRegistrationRequest<'_>,
) -> BrokerRegistrationResponse {
    let failed = |error: ErrorCode| BrokerRegistrationResponse {
        error_code: error.code(),
        broker_epoch: -1,
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, BrokerRegistration(request.into_owned(), context.version)).unwrap_or_else(failed)
}
