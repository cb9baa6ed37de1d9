//! EndTxn (26), versions 0-5: a transaction commits or aborts.
//!
//! v5 is that of transactions v2: it answers the epoch, or the id and epoch, with which the producer goes on.

use std::sync::Arc;

use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::end_txn_request::EndTxnRequest;
use protocol::messages::end_txn_response::EndTxnResponse;
use transaction::{EndTxn, Reply, Request};

use crate::authorizer::{Operation, Resource};
use crate::producer_ids;
use crate::request::RequestContext;

crate::handler!(EndTxn, EndTxnRequest<'_>, handle);

async fn handle(context: &RequestContext, request: EndTxnRequest<'_>) -> EndTxnResponse {
    let id = &*request.transactional_id;
    let ended = match context.allows(Operation::Write, Resource::TransactionalId(id)) {
        true => end(context, &request).await,
        false => Err(ErrorCode::TransactionalIdAuthorizationFailed),
    };
    match ended {
        Ok(producer) => EndTxnResponse {
            producer_id: producer.id.get(),
            producer_epoch: producer.epoch.get(),
            ..Default::default()
        },
        Err(error) => EndTxnResponse { error_code: error.code(), ..Default::default() },
    }
}

async fn end(context: &RequestContext, request: &EndTxnRequest<'_>) -> Result<Producer, ErrorCode> {
    let node = &context.node;
    let mut end = EndTxn {
        version: context.version,
        transactional_id: Arc::from(&*request.transactional_id),
        producer: Producer {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        commit: request.committed,
        fresh: None,
    };
    loop {
        let asked = Request::EndTxn(end.clone());
        match node.transactions.request(node, &request.transactional_id, asked).await? {
            Reply::EndTxn(ended) => return ended,
            Reply::NeedsProducerId if end.fresh.is_none() => {
                end.fresh = Some(producer_ids::fresh(node).await?);
            }
            _ => return Err(ErrorCode::UnknownServerError),
        }
    }
}
