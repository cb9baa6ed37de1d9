//! The road from a handler to the active controller and back. The answer comes after its records are committed and this node has
//! taken over the new metadata.

use controller::{ControllerReply, ControllerRequest};
use protocol::ErrorCode;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::CreateTopicsResponse;

use crate::producer_ids::Block;
use crate::quorum::SubmitError;
use crate::request::RequestContext;

/// Asks the controller; an error is that of the road (no leader, shutting down), not of the request.
pub async fn submit(
    context: &RequestContext,
    request: ControllerRequest,
) -> Result<ControllerReply, ErrorCode> {
    context.node.quorum.submit(request).await.map_err(|error| match error {
        SubmitError::NotController => ErrorCode::NotController,
        SubmitError::Refused(_) => ErrorCode::UnknownServerError,
        SubmitError::Stopped => ErrorCode::BrokerNotAvailable,
    })
}

/// Asks the controller with one kind of request and takes its kind of reply.
#[macro_export]
macro_rules! ask {
    ($context:expr, $kind:ident ( $($request:expr),+ )) => {{
        let request = controller::ControllerRequest::$kind($($request),+);
        match $crate::forward::submit($context, request).await {
            Ok(controller::ControllerReply::$kind(reply)) => Ok(reply),
            Ok(_) => Err(protocol::ErrorCode::UnknownServerError),
            Err(error) => Err(error),
        }
    }};
}

pub async fn create_topics(
    context: &RequestContext,
    request: CreateTopicsRequest<'static>,
) -> Result<CreateTopicsResponse<'static>, ErrorCode> {
    ask!(context, CreateTopics(request))
}

/// A block of producer ids for this broker.
pub async fn allocate_producer_ids(context: &RequestContext) -> Result<Block, ErrorCode> {
    let image = context.node.image();
    let id = context.node.config().node_id;
    let broker = image.cluster.broker(id).ok_or(ErrorCode::CoordinatorLoadInProgress)?;
    let request = AllocateProducerIdsRequest {
        broker_id: id.get(),
        broker_epoch: broker.epoch.get(),
        ..Default::default()
    };
    let reply = ask!(context, AllocateProducerIds(request))
        .map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
    match ErrorCode::from_code(reply.error_code) {
        ErrorCode::None => Ok(Block { first: reply.producer_id_start, len: reply.producer_id_len }),
        // Clients try again on this one; the controller's own reasons mean nothing to them.
        _ => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
