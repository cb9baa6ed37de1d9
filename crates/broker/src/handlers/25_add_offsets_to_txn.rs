//! AddOffsetsToTxn (25), versions 0-4: a transaction is about to commit offsets of a group (transactions v1; later ones need not
//! say so).

use std::sync::Arc;

use base::{ProducerEpoch, ProducerId, TopicPartition};
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use transaction::{AddPartitions, Added, Reply, Request};

use crate::authorizer::{Operation, Resource};
use crate::coordinators::{OFFSETS_TOPIC, group_partition};
use crate::request::RequestContext;

crate::handler!(AddOffsetsToTxn, AddOffsetsToTxnRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: AddOffsetsToTxnRequest<'_>,
) -> AddOffsetsToTxnResponse {
    let id = &*request.transactional_id;
    let error = if !context.allows(Operation::Write, Resource::TransactionalId(id)) {
        ErrorCode::TransactionalIdAuthorizationFailed
    } else if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        ErrorCode::GroupAuthorizationFailed
    } else {
        add(context, &request).await
    };
    AddOffsetsToTxnResponse { error_code: error.code(), ..Default::default() }
}

async fn add(context: &RequestContext, request: &AddOffsetsToTxnRequest<'_>) -> ErrorCode {
    let node = &context.node;
    let partition = group_partition(node, &request.group_id);
    let add = AddPartitions {
        transactional_id: Arc::from(&*request.transactional_id),
        producer: Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        partitions: vec![TopicPartition { topic: OFFSETS_TOPIC.into(), partition }],
        added: Added::Offsets { version: context.version },
    };
    let add = Request::AddPartitions(add);
    match node.transactions.request(node, &request.transactional_id, add).await {
        Ok(Reply::AddPartitions(error)) | Err(error) => error,
        Ok(_) => ErrorCode::UnknownServerError,
    }
}
