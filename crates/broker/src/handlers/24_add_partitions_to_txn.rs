//! AddPartitionsToTxn (24), versions 0-5: partitions that a transaction is about to write to.
//!
//! Up to v3 a client's one transaction; from v4 on many of them, as brokers send them: to be added, or only looked for (KIP-890). One
//! partition that cannot be added keeps all of its transaction out: OPERATION_NOT_ATTEMPTED.

use protocol::ErrorCode;
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction,
};
use protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;
use crate::topics::is_internal;
use crate::transactions::{add_partitions, all_refused, result, rows};

crate::handler!(AddPartitionsToTxn, AddPartitionsToTxnRequest<'_>, handle);

/// From this version on only brokers ask.
const BATCHED_VERSION: i16 = 4;

async fn handle(
    context: &RequestContext,
    request: AddPartitionsToTxnRequest<'_>,
) -> AddPartitionsToTxnResponse<'static> {
    if context.version < BATCHED_VERSION {
        return of_a_client(context, request).await;
    }
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return AddPartitionsToTxnResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..Default::default()
        };
    }
    let node = &context.node;
    let mut asked = Vec::with_capacity(request.transactions.len());
    for transaction in &request.transactions {
        let adding = add_partitions(node, context.version, transaction, |_| true).await;
        asked.push((&*transaction.transactional_id, adding));
    }
    let mut response = AddPartitionsToTxnResponse::default();
    for (id, adding) in asked {
        response.results_by_transaction.push(result(id, &adding.done().await));
    }
    response
}

async fn of_a_client(
    context: &RequestContext,
    request: AddPartitionsToTxnRequest<'_>,
) -> AddPartitionsToTxnResponse<'static> {
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        topics: request.v3_and_below_topics,
        ..Default::default()
    };
    let id = &transaction.transactional_id;
    let results = if context.allows(Operation::Write, Resource::TransactionalId(id)) {
        let may_write = |topic: &str| {
            !is_internal(topic) && context.allows(Operation::Write, Resource::Topic(topic))
        };
        add_partitions(&context.node, context.version, &transaction, may_write).await.done().await
    } else {
        all_refused(&transaction, ErrorCode::TransactionalIdAuthorizationFailed)
    };
    AddPartitionsToTxnResponse {
        results_by_topic_v3_and_below: rows(&results),
        ..Default::default()
    }
}
