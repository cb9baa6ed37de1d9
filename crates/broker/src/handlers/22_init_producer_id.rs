//! InitProducerId (22), versions 0-5 (6 is unstable): an id and an epoch for an idempotent or transactional producer.
//!
//! Without a transactional id every call gives a new id with epoch 0. With one its coordinator answers, which fences whoever had the
//! id before; from v3 on a producer can name what it has, to go on with it (KIP-360). v6 adds two-phase commit (KIP-939).

use base::ProducerEpoch;
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use transaction::{InitProducerId, Reply, Request};

use crate::authorizer::{Operation, Resource};
use crate::producer_ids;
use crate::request::RequestContext;

crate::handler!(InitProducerId, InitProducerIdRequest<'_>, handle);

async fn handle(
    context: &RequestContext,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    match init(context, request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.get(),
            producer_epoch: producer.epoch.get(),
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    }
}

async fn init(
    context: &RequestContext,
    request: InitProducerIdRequest<'_>,
) -> Result<Producer, ErrorCode> {
    match &request.transactional_id {
        Some(id) => {
            let id = Resource::TransactionalId(id);
            let allowed = context.allows(Operation::Write, id)
                && (!request.enable2_pc || context.allows(Operation::TwoPhaseCommit, id));
            if !allowed {
                return Err(ErrorCode::TransactionalIdAuthorizationFailed);
            }
        }
        None if !context.allows(Operation::IdempotentWrite, Resource::Cluster) => {
            return Err(ErrorCode::ClusterAuthorizationFailed);
        }
        None => {}
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.transactional_id.is_some() {
        return transactional(context, request.into_owned()).await;
    }
    let id = producer_ids::fresh(&context.node).await?;
    Ok(Producer { id, epoch: ProducerEpoch(0) })
}

async fn transactional(
    context: &RequestContext,
    request: InitProducerIdRequest<'static>,
) -> Result<Producer, ErrorCode> {
    let node = &context.node;
    let id = request.transactional_id.clone().unwrap_or_default();
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let mut init = InitProducerId { version: context.version, request, fresh: None };
    loop {
        let asked = Request::InitProducerId(init.clone());
        match node.transactions.request(node, &id, asked).await? {
            Reply::InitProducerId(answered) => return answered,
            Reply::NeedsProducerId if init.fresh.is_none() => {
                init.fresh = Some(producer_ids::fresh(node).await?);
            }
            _ => return Err(ErrorCode::UnknownServerError),
        }
    }
}
