//! One connection to a server, on which requests are messages in a version that both sides speak.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::{Awaited, Budget, Link, LinkError, LinkLimits};
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::{
    ApiKey, Decode, DecodeError, Encode, EncodeError, Message, Offer, OfferedVersions, Reader,
};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::options::{Address, ClientOptions};

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

/// A connection after its handshake. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct Connection {
    link: Link,
    address: Arc<str>,
    versions: Arc<OfferedVersions>,
    client_id: Arc<str>,
    request_timeout_ms: u64,
}

/// A request under way.
pub struct InFlight {
    answer: Awaited,
    deadline: Instant,
    what: &'static str,
    api: ApiKey,
    version: i16,
    connection: Connection,
}

impl Connection {
    /// Connects and asks for the server's versions.
    pub async fn open(address: &Address, options: &ClientOptions) -> Result<Self> {
        let limits = LinkLimits {
            answer_bytes_max: options.max_response_bytes,
            budget: Budget::new(options.max_response_bytes.saturating_mul(2)),
            in_flight_max: options.max_in_flight,
            connect_timeout_ms: options.connection_setup_timeout_ms,
            // Servers close what is idle.
            idle_ms_max: u64::MAX,
        };
        let name = address.to_string();
        let link = Link::connect(&address.host, address.port, &limits).await;
        let link = link.map_err(|error| failed(&name, error))?;
        let mut connection = Self {
            link,
            address: name.into(),
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
        &self.address
    }

    /// How long a request may take that says nothing else.
    pub fn request_timeout_ms(&self) -> u64 {
        self.request_timeout_ms
    }

    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
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
        let started = self.link.start(frame).await;
        Ok(InFlight {
            answer: started.map_err(|error| failed(&self.address, error))?,
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
        self.link.send_only(frame).await.map_err(|error| failed(&self.address, error))
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
        let address = self.connection.address;
        let bytes = match self.answer.until(self.deadline).await {
            Ok(answer) => answer.bytes,
            Err(LinkError::TimedOut) => {
                return Err(Error::RequestTimeout {
                    what: self.what,
                    address: address.to_string(),
                    after_ms: self.connection.request_timeout_ms,
                });
            }
            Err(error) => return Err(failed(&address, error)),
        };
        let mut reader = Reader::new(&bytes);
        let header_version = self.api.response_header_version(self.version);
        let header = protocol::messages::response_header::ResponseHeader::decode(
            &mut reader,
            header_version,
        );
        header.map_err(|source| Error::Decode {
            what: "response header",
            address: address.to_string(),
            source,
        })?;
        let body = bytes.slice(reader.position()..);
        Ok(Reply { version: self.version, body, address })
    }
}

fn failed(address: &str, error: LinkError) -> Error {
    let address = address.to_owned();
    match error {
        LinkError::Connect(reason) => {
            Error::Connect { address, source: Arc::new(io::Error::other(reason.to_string())) }
        }
        LinkError::Disconnected(reason) => Error::Disconnected { address, reason },
        error @ LinkError::TimedOut => {
            Error::Disconnected { address, reason: error.to_string().into() }
        }
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
