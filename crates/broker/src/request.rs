//! A request's life between the socket and its handler: header, version, decoding; and the way back.
//!
//! A frame that is not a request that Kafka would read ends its connection with one log line, as Kafka does.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use net::{Chunk, Connection, Frame, Handled, Response, Service};
use protocol::messages::request_header::RequestHeader;
use protocol::messages::response_header::ResponseHeader;
use protocol::{
    ApiKey, Decode, Encode, EncodeError, ErrorCode, Listener, Part, Reader, ResponseMessage, Writer,
};
use tracing::{debug, info, warn};

use crate::authorizer::{Operation, Principal, Resource};
use crate::forward;
use crate::handlers;
use crate::node::Node;
use crate::quorum::Asker;

/// What a handler knows of the request besides its body.
pub struct RequestContext {
    pub node: Arc<Node>,
    pub connection: Arc<Connection>,
    /// Whether it came to a broker's or a controller's listener.
    pub side: Listener,
    /// A broker looked at it and passed it on.
    pub forwarded: bool,
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Box<str>>,
    pub principal: Principal,
    /// Where the body begins in the frame.
    body_at: usize,
    /// Why the active controller cannot be asked, when that is known already.
    submit_failure: OnceLock<ErrorCode>,
    /// The controller that was asked is not the active one.
    not_controller: AtomicBool,
}

pub type HandlerFuture = Pin<Box<dyn Future<Output = Handled> + Send>>;

/// One API: what is announced, and the function behind it.
pub struct Handler {
    pub api: ApiKey,
    pub run: Run,
}

/// A function behind an API, by what it does with the bytes of a request.
#[derive(Clone, Copy)]
pub enum Run {
    /// Takes them over: they are written as they are, or given back before a long wait.
    Takes(fn(Arc<RequestContext>, Frame) -> HandlerFuture),
    Reads(Reading),
}

/// Only reads them: whoever calls may need them again.
pub type Reading = fn(Arc<RequestContext>, Arc<Frame>) -> HandlerFuture;

impl Handler {
    pub fn run(&self, context: Arc<RequestContext>, frame: Frame) -> HandlerFuture {
        match self.run {
            Run::Takes(run) => run(context, frame),
            Run::Reads(run) => run(context, Arc::new(frame)),
        }
    }

    /// The versions served: all stable ones of Kafka 4.4; the unstable, too, with `unstable.api.versions.enable`.
    pub fn versions(&self, unstable: bool) -> RangeInclusive<i16> {
        if unstable { self.api.versions() } else { self.api.stable_versions() }
    }
}

/// Makes a [`Handler`] of `async fn handle(&RequestContext, Request<'_>) -> Response`.
#[macro_export]
macro_rules! handler {
    ($api:ident, $request:ty, $handle:path) => {
        pub const HANDLER: $crate::request::Handler = $crate::request::Handler {
            api: protocol::ApiKey::$api,
            run: $crate::request::Run::Reads(|context, frame| {
                Box::pin(async move {
                    let request: $request = match context.decode(&frame) {
                        Ok(request) => request,
                        Err(closing) => return closing,
                    };
                    let response = $handle(&context, request).await;
                    context.respond(&response)
                })
            }),
        };
    };
}

impl RequestContext {
    /// Reads the header of a request.
    pub(crate) fn read(
        node: &Arc<Node>,
        connection: &Arc<Connection>,
        side: Listener,
        principal: Principal,
        bytes: &[u8],
    ) -> Result<Self, String> {
        let short = |at: usize| {
            let field = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
            field.map(i16::from_be_bytes).ok_or_else(|| "a frame without header".to_owned())
        };
        let (key, version) = (short(0)?, short(2)?);
        let api = ApiKey::from_i16(key).ok_or_else(|| format!("unknown API key {key}"))?;
        // The header of an ApiVersions request of unknown version is read as that of the newest one (KIP-511).
        let known = api.versions().contains(&version);
        if !known && api != ApiKey::ApiVersions {
            return Err(format!("{} has no version {version}", api.name()));
        }
        let header_version =
            api.request_header_version(if known { version } else { *api.versions().end() });
        let mut reader = Reader::new(bytes);
        let header = RequestHeader::decode(&mut reader, header_version)
            .map_err(|error| format!("the request's header cannot be read: {error}"))?;
        Ok(Self {
            node: Arc::clone(node),
            connection: Arc::clone(connection),
            side,
            forwarded: false,
            api,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.map(|id| id.into_owned().into_boxed_str()),
            principal,
            body_at: reader.position(),
            submit_failure: OnceLock::new(),
            not_controller: AtomicBool::new(false),
        })
    }

    /// From now on asking the controller fails with this.
    pub(crate) fn fail_submit(&self, error: ErrorCode) {
        let _ = self.submit_failure.set(error);
    }

    pub(crate) fn submit_failure(&self) -> Option<ErrorCode> {
        self.submit_failure.get().copied()
    }

    pub(crate) fn note_not_controller(&self) {
        self.not_controller.store(true, Ordering::Relaxed);
    }

    /// Whether the answer says that this node's controller is not the active one.
    pub(crate) fn take_not_controller(&self) -> bool {
        self.not_controller.swap(false, Ordering::Relaxed)
    }

    pub fn allows(&self, operation: Operation, resource: Resource<'_>) -> bool {
        self.node.authorizer.allows(&self.principal, operation, resource)
    }

    /// How the request came in, for the quorum.
    pub fn asker(&self) -> Asker {
        Asker { version: self.version, listener: Arc::clone(&self.connection.listener) }
    }

    /// The bytes after the header.
    pub fn body<'a>(&self, frame: &'a Frame) -> &'a [u8] {
        frame.bytes.get(self.body_at..).unwrap_or_default()
    }

    /// Where the body begins in the frame.
    pub fn body_at(&self) -> usize {
        self.body_at
    }

    /// The body, or the end of the connection: Kafka closes on a request it cannot read. Bytes behind the body are ignored, as
    /// Kafka does.
    pub fn decode<'a, T: Decode<'a>>(&self, frame: &'a Frame) -> Result<T, Handled> {
        T::decode(&mut Reader::new(self.body(frame)), self.version).map_err(|error| {
            info!(
                peer = %self.connection.peer, api = self.api.name(), version = self.version,
                "connection closed: the request cannot be read: {error}"
            );
            Handled::Close
        })
    }

    pub fn respond<T: ResponseMessage>(&self, body: &T) -> Handled {
        match self.encode(body, &mut Vec::new()) {
            Some(response) => Handled::Now(Some(response)),
            None => Handled::Close,
        }
    }

    /// The response; `regions` are what the body's external records stand for, by slot. What cannot be written in the request's
    /// version is a mistake of ours: it is logged, and the client is told of it, as Kafka tells. `None` where the answer has no place
    /// for that.
    pub fn encode<T: ResponseMessage>(
        &self,
        body: &T,
        regions: &mut [Option<Chunk>],
    ) -> Option<Response> {
        self.encode_version(body, self.version, regions)
    }

    pub(crate) fn encode_version<T: ResponseMessage>(
        &self,
        body: &T,
        version: i16,
        regions: &mut [Option<Chunk>],
    ) -> Option<Response> {
        match written(self.api, self.correlation_id, body, version, regions) {
            Ok(response) => Some(response),
            Err(error) => {
                warn!(api = self.api.name(), version, "a response cannot be written: {error}");
                mistaken::<T>(self.api, self.correlation_id, error, version)
            }
        }
    }
}

/// A response with its header.
fn written<T: Encode>(
    api: ApiKey,
    correlation_id: i32,
    body: &T,
    version: i16,
    regions: &mut [Option<Chunk>],
) -> Result<Response, EncodeError> {
    let header = ResponseHeader { correlation_id, ..Default::default() };
    let mut writer = Writer::with_capacity(256);
    header.encode(&mut writer, api.response_header_version(version))?;
    body.encode(&mut writer, version)?;
    let mut chunks = Vec::new();
    for part in writer.into_parts() {
        chunks.push(match part {
            Part::Bytes(bytes) => Chunk::Bytes(bytes),
            Part::External { slot, len } => {
                let region = regions.get_mut(slot as usize).and_then(Option::take);
                let region = region.filter(|region| region.len() == len as usize);
                region.ok_or(EncodeError::ExternalRecords)?
            }
        });
    }
    Ok(Response { chunks })
}

/// The answer in place of one that could not be written, by Kafka's codes for its exceptions.
fn mistaken<T: ResponseMessage>(
    api: ApiKey,
    correlation_id: i32,
    error: EncodeError,
    version: i16,
) -> Option<Response> {
    let code = match error {
        EncodeError::UnsupportedVersion { .. } | EncodeError::UnsupportedField { .. } => {
            ErrorCode::UnsupportedVersion
        }
        _ => ErrorCode::UnknownServerError,
    };
    let body = T::of_error(code, version)?;
    written(api, correlation_id, &body, version, &mut []).ok()
}

/// The service behind the listeners of one side.
pub struct NodeService {
    pub node: Arc<Node>,
    pub side: Listener,
}

impl Service for NodeService {
    async fn call(self: Arc<Self>, connection: Arc<Connection>, frame: Frame) -> Handled {
        let read = RequestContext::read(
            &self.node,
            &connection,
            self.side,
            Principal::anonymous(),
            &frame.bytes,
        );
        let context = match read {
            Ok(context) => Arc::new(context),
            Err(reason) => {
                info!(peer = %connection.peer, listener = %connection.listener, "connection closed: {reason}");
                return Handled::Close;
            }
        };
        debug!(
            peer = %connection.peer, api = context.api.name(), version = context.version,
            client = context.client_id.as_deref().unwrap_or(""), "request"
        );
        let Some(handler) = handlers::find(context.api, self.side) else {
            info!(peer = %connection.peer, api = context.api.name(), "connection closed: the API is not served here");
            return Handled::Close;
        };
        let unstable = self.node.config().node.unstable_api_versions_enable;
        if !handler.versions(unstable).contains(&context.version) {
            if context.api == ApiKey::ApiVersions {
                return handlers::api_versions::unsupported_version(&context);
            }
            info!(
                peer = %connection.peer, api = context.api.name(), version = context.version,
                "connection closed: the version is not served"
            );
            return Handled::Close;
        }
        match handler.run {
            Run::Reads(run) if forward::passes_unread(self.side, context.api) => {
                forward::pass(context, Arc::new(frame), run).await
            }
            _ => handler.run(context, frame).await,
        }
    }
}

#[cfg(test)]
mod tests;
