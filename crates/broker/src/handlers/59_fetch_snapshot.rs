//! FetchSnapshot (59), versions 0-1: a replica of the metadata log fetches a part of a snapshot; controllers only.

use protocol::ErrorCode;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::fetch_snapshot_response::FetchSnapshotResponse;

use crate::authorizer::{Operation, Resource};
use crate::quorum::{QuorumRequest, QuorumResponse};
use crate::request::RequestContext;

crate::handler!(FetchSnapshot, FetchSnapshotRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: FetchSnapshotRequest<'_>,
) -> FetchSnapshotResponse<'static> {
    let failed =
        |error: ErrorCode| FetchSnapshotResponse { error_code: error.code(), ..Default::default() };
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked = QuorumRequest::FetchSnapshot(request.into_owned());
    match context.node.quorum.ask(asked, context.asker()).await {
        Ok(QuorumResponse::FetchSnapshot(response)) => response,
        _ => failed(ErrorCode::UnknownServerError),
    }
}
