//! From a handler, or past it, to the active controller and back. The answer comes after its records are committed.
//!
//! A client's request that only the controller can answer is run by this node's own handler when its controller is active, and
//! passed on as it came when another node's is. The two ways meet where a controller resigns in between.

use std::sync::Arc;

use bytes::Bytes;
use controller::{ControllerReply, ControllerRequest};
use net::{Frame, Handled, Response};
use protocol::messages::alter_configs_response::AlterConfigsResponse;
use protocol::messages::create_topics_request::CreateTopicsRequest;
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::messages::response_header::ResponseHeader;
use protocol::{ApiKey, Decode, Encode, ErrorCode, Listener, Message, Reader, Writer};
use tracing::info;

use crate::authorizer::{Operation, Resource};
use crate::peers::Channel;
use crate::quorum::{QuorumRequest, QuorumResponse, SubmitError};
use crate::request::{Reading, RequestContext};
use crate::road::{Envelope, ForwardError};

/// Whether a broker passes a client's request on unread. Changes of configurations are looked at first: what they mean for
/// this broker only it can tell.
pub fn passes_unread(side: Listener, api: ApiKey) -> bool {
    let read_first = matches!(api, ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs);
    side == Listener::Broker && api.forwarded_to_controller() && !read_first
}

/// A client's request for the active controller, wherever that is.
pub async fn pass(context: Arc<RequestContext>, frame: Arc<Frame>, run: Reading) -> Handled {
    loop {
        if context.node.controller.is_here() {
            let handled = run(Arc::clone(&context), Arc::clone(&frame)).await;
            if !context.take_not_controller() {
                return handled;
            }
        }
        match send(&context, &frame.bytes).await {
            Err(ForwardError::Here) => {}
            Ok(answer) => return Handled::Now(Some(Response::bytes(answer))),
            Err(ForwardError::UnsupportedVersion) => {
                info!(
                    peer = %context.connection.peer, api = context.api.name(),
                    "connection closed: the controller does not serve this version any more"
                );
                return Handled::Close;
            }
            Err(ForwardError::Failed(error)) => {
                // The handler knows how its API says so.
                context.fail_submit(error);
                return run(context, frame).await;
            }
        }
    }
}

/// Sends a request with its header in the client's name; the answer, header included, belongs to this request.
async fn send(context: &RequestContext, request: &[u8]) -> Result<Bytes, ForwardError> {
    let envelope =
        Envelope { request, principal: &context.principal, client: context.connection.peer.ip() };
    let answer = context.node.controller.forward(&envelope).await?;
    let mut reader = Reader::new(&answer);
    match reader.i32() {
        Ok(id) if id == context.correlation_id => Ok(answer),
        _ => Err(ForwardError::Failed(ErrorCode::UnknownServerError)),
    }
}

/// Asks the controller; an error is that of the road (no leader, shutting down), not of the request.
pub async fn submit(
    context: &RequestContext,
    request: ControllerRequest,
) -> Result<ControllerReply, ErrorCode> {
    if let Some(error) = context.submit_failure() {
        return Err(error);
    }
    let sent_again =
        context.side == Listener::Controller || passes_unread(context.side, context.api);
    if sent_again || !travels(&request) {
        // Whoever called this tries elsewhere, with the request as it came.
        return submit_here(context, request).await;
    }
    if context.node.controller.is_here() {
        let answered = submit_here(context, request.clone()).await;
        if !context.take_not_controller() {
            return answered;
        }
    }
    travel(context, request).await
}

/// Asks this node's own controller.
async fn submit_here(
    context: &RequestContext,
    request: ControllerRequest,
) -> Result<ControllerReply, ErrorCode> {
    context.node.quorum.submit(request).await.map_err(|error| match error {
        SubmitError::NotController => {
            context.note_not_controller();
            ErrorCode::NotController
        }
        SubmitError::Refused(_) => ErrorCode::UnknownServerError,
        SubmitError::NoAnswer(_) => ErrorCode::RequestTimedOut,
        SubmitError::Stopped => ErrorCode::BrokerNotAvailable,
    })
}

/// Whether a broker's handler makes such requests, or changes them, before they go to the controller.
fn travels(request: &ControllerRequest) -> bool {
    matches!(
        request,
        ControllerRequest::AlterConfigs(_)
            | ControllerRequest::IncrementalAlterConfigs(_)
            | ControllerRequest::CreateTopics(_)
    )
}

/// Sends such a request to the active controller, in the client's name.
async fn travel(
    context: &RequestContext,
    request: ControllerRequest,
) -> Result<ControllerReply, ErrorCode> {
    Ok(match request {
        ControllerRequest::AlterConfigs(request) => {
            let answer = sent(context, &request).await?;
            ControllerReply::AlterConfigs(answer.read::<AlterConfigsResponse<'_>>()?.into_owned())
        }
        ControllerRequest::IncrementalAlterConfigs(request) => {
            let answer = sent(context, &request).await?;
            let reply: IncrementalAlterConfigsResponse<'_> = answer.read()?;
            ControllerReply::IncrementalAlterConfigs(reply.into_owned())
        }
        ControllerRequest::CreateTopics(request) => {
            let answer = sent(context, &request).await?;
            ControllerReply::CreateTopics(answer.read::<CreateTopicsResponse<'_>>()?.into_owned())
        }
        _ => return Err(ErrorCode::NotController),
    })
}

/// An answer to a request that this node wrote in a client's name.
struct Travelled {
    api: ApiKey,
    version: i16,
    bytes: Bytes,
}

impl Travelled {
    fn read<'a, T: Decode<'a>>(&'a self) -> Result<T, ErrorCode> {
        let mut reader = Reader::new(&self.bytes);
        ResponseHeader::decode(&mut reader, self.api.response_header_version(self.version))
            .and_then(|_| T::decode(&mut reader, self.version))
            .map_err(|_| ErrorCode::UnknownServerError)
    }
}

async fn sent<R: Message + Encode>(
    context: &RequestContext,
    request: &R,
) -> Result<Travelled, ErrorCode> {
    let api = R::API_KEY.and_then(ApiKey::from_i16).ok_or(ErrorCode::UnknownServerError)?;
    // What the client asked goes on in its own version, what is made here in the newest that the controller is known to serve.
    let version = if api == context.api { context.version } else { newest(context, api) };
    let bytes = written(context, api, version, request).ok_or(ErrorCode::UnknownServerError)?;
    match send(context, &bytes).await {
        Ok(bytes) => Ok(Travelled { api, version, bytes }),
        Err(ForwardError::Failed(error)) => Err(error),
        Err(ForwardError::Here) => Err(ErrorCode::NotController),
        Err(ForwardError::UnsupportedVersion) => Err(ErrorCode::UnsupportedVersion),
    }
}

fn newest(context: &RequestContext, api: ApiKey) -> i16 {
    let node = &context.node;
    let address = node.controller.address();
    let known = address.and_then(|address| node.peers.known_versions(&address, Channel::Forward));
    known
        .and_then(|versions| versions.choose(api, i16::MAX, false))
        .unwrap_or(*api.stable_versions().end())
}

fn written<R: Encode>(
    context: &RequestContext,
    api: ApiKey,
    version: i16,
    request: &R,
) -> Option<Vec<u8>> {
    let header = RequestHeader {
        request_api_key: api.code(),
        request_api_version: version,
        correlation_id: context.correlation_id,
        client_id: context.client_id.as_deref().map(Into::into),
        ..Default::default()
    };
    let mut writer = Writer::with_capacity(256);
    header.encode(&mut writer, api.request_header_version(version)).ok()?;
    request.encode(&mut writer, version).ok()?;
    writer.into_vec().ok()
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

/// Asks this node's quorum what clients may ask of it.
pub async fn ask_quorum(
    context: &RequestContext,
    operation: Operation,
    request: QuorumRequest,
) -> Result<QuorumResponse, ErrorCode> {
    if !context.allows(operation, Resource::Cluster) {
        return Err(ErrorCode::ClusterAuthorizationFailed);
    }
    if let Some(error) = context.submit_failure() {
        return Err(error);
    }
    let answered = context.node.quorum.ask(request, context.asker()).await;
    answered.map_err(|_| ErrorCode::UnknownServerError)
}

pub async fn create_topics(
    context: &RequestContext,
    request: CreateTopicsRequest<'static>,
) -> Result<CreateTopicsResponse<'static>, ErrorCode> {
    ask!(context, CreateTopics(request))
}
