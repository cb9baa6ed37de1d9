//! Envelope (58), version 0: a request of a client that a broker passes on, with the client's principal and address (KIP-590);
//! controllers only.
//!
//! The request inside is handled as if the client had sent it here. NOT_CONTROLLER anywhere in its answer becomes the envelope's
//! own error, so that the broker looks for the active controller.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use net::{Chunk, Connection, Frame, Handled, Response};
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use protocol::{ApiKey, ErrorCode};
use tracing::debug;

use crate::authorizer::{Operation, Resource};
use crate::request::{Handler, HandlerFuture, RequestContext, Run};
use crate::road::read_principal;

pub const HANDLER: Handler = Handler { api: ApiKey::Envelope, run: Run::Takes(run) };

fn run(context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
    Box::pin(async move {
        let request: EnvelopeRequest<'_> = match context.decode(&frame) {
            Ok(request) => request,
            Err(closing) => return closing,
        };
        let opened = open(&context, &request);
        let place = frame.place_of(&request.request_data).unwrap_or_default();
        drop(request);
        match opened {
            Err((error, reason)) => {
                debug!(peer = %context.connection.peer, "an envelope is refused: {reason}");
                refuse(&context, error)
            }
            // The next envelope of this broker is somebody else's: it need not wait for this one.
            Ok((inside, handler)) => Handled::Later(Box::pin(async move {
                let handled = handler.run(Arc::clone(&inside), frame.cut(place)).await;
                answer(&context, &inside, handled).await
            })),
        }
    })
}

type Opened = (Arc<RequestContext>, &'static Handler);

/// The request inside, in the order in which Kafka looks at its parts.
fn open(
    context: &RequestContext,
    request: &EnvelopeRequest<'_>,
) -> Result<Opened, (ErrorCode, String)> {
    if !context.allows(Operation::ClusterAction, Resource::Cluster) {
        return Err((ErrorCode::ClusterAuthorizationFailed, "not allowed".into()));
    }
    let principal = read_principal(request.request_principal.as_deref().unwrap_or_default())
        .map_err(|error| (ErrorCode::PrincipalDeserializationFailure, error.to_string()))?;
    let client = address(&request.client_host_address)
        .ok_or((ErrorCode::InvalidRequest, "not a client's address".to_owned()))?;
    let connection = Connection {
        id: context.connection.id,
        listener: Arc::clone(&context.connection.listener),
        peer: SocketAddr::new(client, 0),
        local: context.connection.local,
        state: OnceLock::new(),
    };
    let mut inside = RequestContext::read(
        &context.node,
        &Arc::new(connection),
        context.side,
        principal,
        &request.request_data,
    )
    .map_err(|reason| (ErrorCode::UnsupportedVersion, reason))?;
    inside.forwarded = true;
    if !inside.api.forwarded_to_controller() {
        let reason = format!("{} is not forwarded", inside.api.name());
        return Err((ErrorCode::InvalidRequest, reason));
    }
    let unstable = context.node.config().node.unstable_api_versions_enable;
    let handler = super::find(inside.api, context.side)
        .filter(|handler| handler.versions(unstable).contains(&inside.version))
        .ok_or((ErrorCode::UnsupportedVersion, format!("{} is not served", inside.api.name())))?;
    Ok((Arc::new(inside), handler))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        16 => bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

async fn answer(
    context: &RequestContext,
    inside: &RequestContext,
    handled: Handled,
) -> Option<Response> {
    let response = match handled {
        Handled::Now(response) => response,
        Handled::Later(reply) | Handled::Waiting(reply) => reply.await,
        // What cannot be read inside is the client's mistake, not the broker's.
        Handled::Close => return refused(context, ErrorCode::UnsupportedVersion),
    };
    if inside.take_not_controller() {
        return refused(context, ErrorCode::NotController);
    }
    let mut bytes = Vec::new();
    for chunk in response?.chunks {
        match chunk {
            Chunk::Bytes(chunk) => bytes.extend_from_slice(&chunk),
            Chunk::File { .. } => return refused(context, ErrorCode::UnknownServerError),
        }
    }
    let response = EnvelopeResponse { response_data: Some(bytes.into()), ..Default::default() };
    context.encode(&response, &mut [])
}

fn refuse(context: &RequestContext, error: ErrorCode) -> Handled {
    refused(context, error).map_or(Handled::Close, |response| Handled::Now(Some(response)))
}

fn refused(context: &RequestContext, error: ErrorCode) -> Option<Response> {
    let response = EnvelopeResponse { error_code: error.code(), ..Default::default() };
    context.encode(&response, &mut [])
}
