//! BrokerHeartbeat (63), versions 0-2: a broker lives, asks to be unfenced or to shut down; controllers only.

use protocol::ErrorCode;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;

use crate::ask;
use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(BrokerHeartbeat, BrokerHeartbeatRequest, handle);

async fn handle(
    context: &RequestContext,
    request: BrokerHeartbeatRequest,
) -> BrokerHeartbeatResponse {
    let failed = |error: ErrorCode| BrokerHeartbeatResponse {
        error_code: error.code(),
        ..Default::default()
    };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    ask!(context, BrokerHeartbeat(request)).unwrap_or_else(failed)
}
