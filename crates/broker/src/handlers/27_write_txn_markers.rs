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
    match refusal(&request, |operation, resource| context.allows(operation, resource)) {
        Some(error) => marks_failed(&request, error),
        None => mark(&context.node, &request).await,
    }
}

/// Why nothing of the request is written. Brokers come with CLUSTER_ACTION, administrators who end what hangs with ALTER.
fn refusal(
    request: &WriteTxnMarkersRequest<'_>,
    allows: impl Fn(Operation, Resource<'_>) -> bool,
) -> Option<ErrorCode> {
    let may = |operation| allows(operation, Resource::Cluster);
    if !may(Operation::Alter) && !may(Operation::ClusterAction) {
        return Some(ErrorCode::ClusterAuthorizationFailed);
    }
    let all_can = request.markers.iter().all(can_be_written);
    (!all_can).then_some(ErrorCode::UnknownServerError)
}

/// A marker is some producer's. Kafka has no other answer when it cannot write one, and fails at all of the request.
fn can_be_written(marker: &WritableTxnMarker<'_>) -> bool {
    ProducerId(marker.producer_id) != ProducerId::NONE
        && ProducerEpoch(marker.producer_epoch) != ProducerEpoch::NONE
        && marker.transaction_version >= 0
}

#[cfg(test)]
mod tests {
    use protocol::messages::write_txn_markers_request::WritableTxnMarkerTopic;

    use super::*;

    fn request(producer_id: i64) -> WriteTxnMarkersRequest<'static> {
        let topic = WritableTxnMarkerTopic {
            name: "t".into(),
            partition_indexes: vec![0, 1],
            ..Default::default()
        };
        let marker = WritableTxnMarker {
            producer_id,
            producer_epoch: 3,
            topics: vec![topic],
            ..Default::default()
        };
        WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() }
    }

    #[test]
    fn whoever_may_neither_alter_the_cluster_nor_act_for_it_is_refused() {
        let denied = Some(ErrorCode::ClusterAuthorizationFailed);
        let others = [Operation::Read, Operation::Write, Operation::IdempotentWrite];
        for (allowed, expected) in [
            (&[][..], denied),
            (&others[..], denied),
            (&[Operation::Alter][..], None),
            (&[Operation::ClusterAction][..], None),
        ] {
            let allows = |operation, resource: Resource<'_>| {
                resource == Resource::Cluster && allowed.contains(&operation)
            };
            assert_eq!(refusal(&request(7), allows), expected, "{allowed:?}");
            // What is wrong with a marker is nobody's business who may not write any.
            let of_nobody = expected.or(Some(ErrorCode::UnknownServerError));
            assert_eq!(refusal(&request(-1), allows), of_nobody, "{allowed:?}");
        }
        let answer = marks_failed(&request(7), ErrorCode::ClusterAuthorizationFailed);
        let partitions = &answer.markers[0].topics[0].partitions;
        let told: Vec<_> =
            partitions.iter().map(|one| (one.partition_index, one.error_code)).collect();
        assert_eq!(told, [(0, 31), (1, 31)]);
    }
}
