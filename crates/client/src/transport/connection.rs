//! One connection: a task that writes, a task that reads, and the requests between them in order.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::{
    ApiKey, Decode, DecodeError, Encode, EncodeError, Message, Offer, OfferedVersions, Reader,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::options::{Address, ClientOptions};

/// Bytes asked for ahead of a long frame: memory follows what has arrived, not what a size field claims.
const READ_AHEAD: usize = 256 * 1024;

/// The body of a response, with what is needed to decode it.
#[derive(Clone, Debug)]
pub struct Reply {
    pub version: i16,
    body: Bytes,
    address: Arc<str>,
}

impl Reply {
    /// The message; bytes that are left over are an error.
    pub fn decode<'a, M: Message + Decode<'a>>(&'a self) -> Result<M> {
        protocol::decode_exact(&self.body, self.version)
            .map_err(|source| self.unreadable(M::NAME, source))
    }

    fn unreadable(&self, what: &'static str, source: DecodeError) -> Error {
        Error::Decode { what, address: self.address.to_string(), source }
    }

    /// The whole body, of which slices can be shared.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

struct Pending {
    correlation_id: i32,
    reply: oneshot::Sender<Result<Bytes>>,
}

struct Outgoing {
    frame: Vec<u8>,
    /// None for a request that the server does not answer (Produce with acks=0).
    reply: Option<oneshot::Sender<Result<Bytes>>>,
}

struct Shared {
    address: Arc<str>,
    pending: Mutex<VecDeque<Pending>>,
    reason: Mutex<Option<Error>>,
    /// Turns true once, for both tasks and all callers.
    closed: watch::Sender<bool>,
}

impl Shared {
    /// Ends the connection and everyone who waits on it; only the first reason counts.
    fn close(&self, reason: &str) {
        let error = self
            .reason
            .lock()
            .get_or_insert_with(|| Error::Disconnected {
                address: self.address.to_string(),
                reason: reason.into(),
            })
            .clone();
        self.closed.send_replace(true);
        for pending in std::mem::take(&mut *self.pending.lock()) {
            let _ = pending.reply.send(Err(error.clone()));
        }
    }

    async fn until_closed(&self) {
        // The sender lives in `self`, so the wait ends only by the value.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn error(&self) -> Error {
        self.reason.lock().clone().unwrap_or(Error::Closed)
    }
}

/// A connection after its handshake. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    versions: Arc<OfferedVersions>,
    client_id: Arc<str>,
    request_timeout_ms: u64,
}

/// A request under way.
pub struct InFlight {
    answer: oneshot::Receiver<Result<Bytes>>,
    deadline: Instant,
    what: &'static str,
    api: ApiKey,
    version: i16,
    connection: Connection,
}

impl Connection {
    /// Connects and asks for the server's versions.
    pub async fn open(address: &Address, options: &ClientOptions) -> Result<Self> {
        let name = address.to_string();
        let setup = Duration::from_millis(options.connection_setup_timeout_ms);
        let failed =
            |source: io::Error| Error::Connect { address: name.clone(), source: Arc::new(source) };
        let connect = TcpStream::connect((address.host.as_str(), address.port));
        let stream = match tokio::time::timeout(setup, connect).await {
            Ok(result) => result.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(failed)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            address: name.into(),
            pending: Mutex::default(),
            reason: Mutex::default(),
            closed: watch::Sender::new(false),
        });
        let (outgoing, queue) = mpsc::channel(options.max_in_flight.max(1));
        tokio::spawn(write_requests(write, queue, Arc::clone(&shared)));
        tokio::spawn(read_responses(read, Arc::clone(&shared), options.max_response_bytes));
        let mut connection = Self {
            shared,
            outgoing,
            versions: Arc::default(),
            client_id: options.client_id.as_str().into(),
            request_timeout_ms: options.request_timeout_ms,
        };
        connection.versions = Arc::new(connection.ask_versions().await?);
        Ok(connection)
    }

    pub fn versions(&self) -> &OfferedVersions {
        &self.versions
    }

    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// How long a request may take that says nothing else.
    pub fn request_timeout_ms(&self) -> u64 {
        self.request_timeout_ms
    }

    pub fn is_closed(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Sends and waits; the version is the highest that both sides speak.
    pub async fn call<R: Message + Encode>(&self, request: &R) -> Result<Reply> {
        self.call_within(request, i16::MAX, self.request_timeout_ms).await
    }

    /// As [`Self::call`], at most at version `cap` and with a limit of its own in milliseconds.
    pub async fn call_within<R: Message + Encode>(
        &self,
        request: &R,
        cap: i16,
        timeout_ms: u64,
    ) -> Result<Reply> {
        let api = api_of::<R>()?;
        let version = self.choose::<R>(api, cap)?;
        self.start(request, api, version, timeout_ms).await?.answer().await
    }

    /// The version that [`Self::call`] would choose.
    pub fn version_for<R: Message>(&self) -> Result<i16> {
        self.choose::<R>(api_of::<R>()?, i16::MAX)
    }

    /// The highest version that both sides speak, at most `cap`.
    fn choose<R: Message>(&self, api: ApiKey, cap: i16) -> Result<i16> {
        self.versions.choose(api, cap, true).ok_or_else(|| {
            let theirs = self.versions.range(api);
            Error::UnsupportedVersion {
                address: self.address().to_owned(),
                api: api.name(),
                ours_min: R::MIN_VERSION,
                ours_max: R::MAX_VERSION.min(cap),
                theirs: theirs.map_or(String::from("none"), |(min, max)| format!("{min} to {max}")),
            }
        })
    }

    /// Puts the request in line; requests leave in the order of these calls.
    pub async fn start<R: Message + Encode>(
        &self,
        request: &R,
        api: ApiKey,
        version: i16,
        timeout_ms: u64,
    ) -> Result<InFlight> {
        let frame = encode(api, request, version, &self.client_id)?;
        let (reply, answer) = oneshot::channel();
        self.put(Outgoing { frame, reply: Some(reply) }).await?;
        Ok(InFlight {
            answer,
            deadline: Instant::now() + Duration::from_millis(timeout_ms),
            what: R::NAME,
            api,
            version,
            connection: self.clone(),
        })
    }

    /// Puts a request in line that gets no answer (Produce with acks=0).
    pub async fn send_only<R: Message + Encode>(
        &self,
        request: &R,
        api: ApiKey,
        version: i16,
    ) -> Result<()> {
        let frame = encode(api, request, version, &self.client_id)?;
        self.put(Outgoing { frame, reply: None }).await
    }

    async fn put(&self, outgoing: Outgoing) -> Result<()> {
        if self.is_closed() {
            return Err(self.shared.error());
        }
        self.outgoing.send(outgoing).await.map_err(|_| self.shared.error())
    }

    /// Offers the newest version first.
    async fn ask_versions(&self) -> Result<OfferedVersions> {
        let api = ApiKey::ApiVersions;
        let request = OfferedVersions::request();
        let mut version = *api.versions().end();
        loop {
            let asked = self.start(&request, api, version, self.request_timeout_ms).await?;
            let reply = asked.answer().await?;
            let offer = Offer::read(&reply.body, version);
            match offer.map_err(|source| reply.unreadable(ApiVersionsResponse::NAME, source))? {
                Offer::Versions(offered) => return Ok(offered),
                Offer::Again(older) => version = older,
                Offer::Refused(code) => Error::check(code, None)?,
            }
        }
    }
}

impl InFlight {
    /// Waits for the answer. A server that does not answer in time loses the connection, as its order is lost.
    pub async fn answer(self) -> Result<Reply> {
        let shared = &self.connection.shared;
        let body = match tokio::time::timeout_at(self.deadline, self.answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(shared.error()),
            Err(_) => {
                shared.close("a request was not answered in time");
                return Err(Error::RequestTimeout {
                    what: self.what,
                    address: shared.address.to_string(),
                    after_ms: self.connection.request_timeout_ms,
                });
            }
        };
        let mut reader = Reader::new(&body);
        let header_version = self.api.response_header_version(self.version);
        let header = protocol::messages::response_header::ResponseHeader::decode(
            &mut reader,
            header_version,
        );
        header.map_err(|source| Error::Decode {
            what: "response header",
            address: shared.address.to_string(),
            source,
        })?;
        let header_len = body.len() - reader.remaining();
        Ok(Reply {
            version: self.version,
            body: body.slice(header_len..),
            address: Arc::clone(&shared.address),
        })
    }
}

fn api_of<R: Message>() -> Result<ApiKey> {
    R::API_KEY.and_then(ApiKey::from_i16).ok_or_else(|| Error::UnsupportedVersion {
        address: String::from("this client"),
        api: R::NAME,
        ours_min: R::MIN_VERSION,
        ours_max: R::MAX_VERSION,
        theirs: String::from("nothing: it is no request"),
    })
}

fn encode<R: Message + Encode>(
    api: ApiKey,
    request: &R,
    version: i16,
    client_id: &str,
) -> Result<Vec<u8>> {
    protocol::encode_request(api, version, client_id, request).map_err(|source| match source {
        EncodeError::TooLong { len } => {
            let key = "the size of a frame";
            Error::RecordTooLarge { bytes: len, limit: i32::MAX as usize, key }
        }
        source => Error::Encode { what: R::NAME, source },
    })
}

async fn write_requests(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
) {
    let mut next_id = 0i32;
    loop {
        let outgoing = tokio::select! {
            outgoing = queue.recv() => outgoing,
            () = shared.until_closed() => None,
        };
        let Some(Outgoing { mut frame, reply }) = outgoing else { break };
        let correlation_id = next_id;
        next_id = next_id.wrapping_add(1) & i32::MAX;
        protocol::set_correlation_id(&mut frame, correlation_id);
        if let Some(reply) = reply {
            let mut pending = shared.pending.lock();
            if *shared.closed.borrow() {
                let _ = reply.send(Err(shared.error()));
                break;
            }
            pending.push_back(Pending { correlation_id, reply });
        }
        let written = tokio::select! {
            written = socket.write_all(&frame) => written,
            () = shared.until_closed() => break,
        };
        if let Err(error) = written {
            shared.close(&error.to_string());
            break;
        }
    }
    // Nobody sends any more, or the reader gave up: what still waits in the queue gets the reason.
    queue.close();
    while let Ok(outgoing) = queue.try_recv() {
        if let Some(reply) = outgoing.reply {
            let _ = reply.send(Err(shared.error()));
        }
    }
    shared.close("closed by this client");
}

async fn read_responses(mut socket: OwnedReadHalf, shared: Arc<Shared>, limit: usize) {
    let mut buffer = BytesMut::new();
    loop {
        let frame = tokio::select! {
            frame = read_frame(&mut socket, &mut buffer, limit) => frame,
            () = shared.until_closed() => break,
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(reason) => {
                shared.close(&reason);
                break;
            }
        };
        let expected = shared.pending.lock().pop_front();
        let correlation_id = protocol::correlation_id(&frame);
        match expected {
            Some(pending) if Some(pending.correlation_id) == correlation_id => {
                // The caller may have given up; the answer is then for nobody.
                let _ = pending.reply.send(Ok(frame));
            }
            Some(pending) => {
                shared.close("the server answered out of order");
                let _ = pending.reply.send(Err(shared.error()));
                break;
            }
            None => {
                shared.close("the server sent an answer that nobody asked for");
                break;
            }
        }
    }
}

/// One frame without its size. The buffer grows with what arrives.
async fn read_frame(
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Bytes, String> {
    while buffer.len() < 4 {
        fill(socket, buffer, READ_AHEAD / 4).await?;
    }
    let size = buffer.get_i32();
    let size =
        usize::try_from(size).map_err(|_| format!("the server sent a frame of size {size}"))?;
    if size > limit {
        return Err(format!(
            "the server sent a frame of {size} bytes, more than the limit of {limit}"
        ));
    }
    while buffer.len() < size {
        let missing = size - buffer.len();
        fill(socket, buffer, missing.min(READ_AHEAD.max(buffer.len()))).await?;
    }
    Ok(buffer.split_to(size).freeze())
}

async fn fill(
    socket: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    room: usize,
) -> Result<(), String> {
    buffer.reserve(room);
    match socket.read_buf(buffer).await {
        Ok(0) => Err(String::from("the server closed it")),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
