//! WriteTxnMarkers (27), versions 1-2: a transaction's coordinator ends it in the partitions that this node leads.
//!
//! v2 tells the transactions' version, by which epochs are checked (KIP-1228). Answered when all markers are committed.

use base::{ProducerEpoch, ProducerId};
use protocol::ErrorCode;
use protocol::messages::write_txn_markers_request::{WritableTxnMarker, WriteTxnMarkersRequest};
use protocol::messages::write_txn_markers_response::WriteTxnMarkersResponse;

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;
use crate::transactions::{mark, marks_failed};

crate::handler!(WriteTxnMarkers, WriteTxnMarkersRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: WriteTxnMarkersRequest<'_>,
) -> WriteTxnMarkersResponse<'static> {
    let allowed = context.allows(Operation::Alter, Resource::Cluster)
        || context.allows(Operation::ClusterAction, Resource::Cluster);
    if !allowed {
        return marks_failed(&request, ErrorCode::ClusterAuthorizationFailed);
    }
    if !request.markers.iter().all(can_be_written) {
        return marks_failed(&request, ErrorCode::UnknownServerError);
    }
    mark(&context.node, &request).await
}

/// A marker is some producer's. Kafka has no other answer when it cannot write one, and fails at all of the request.
fn can_be_written(marker: &WritableTxnMarker<'_>) -> bool {
    ProducerId(marker.producer_id) != ProducerId::NONE
        && ProducerEpoch(marker.producer_epoch) != ProducerEpoch::NONE
        && marker.transaction_version >= 0
}
