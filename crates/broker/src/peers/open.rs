//! Opening a connection: connect, (later: encrypt and authenticate), ask for the peer's versions; and one exchange on it.

use std::collections::HashMap;
use std::sync::Arc;

use net::{Link, LinkError};
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::request_header::RequestHeader;
use protocol::messages::response_header::ResponseHeader;
use protocol::{
    ApiKey, Decode, DecodeError, Encode, EncodeError, ErrorCode, Message, Reader, Writer,
};
use tokio::time::Instant;

use super::{Address, Answered, PeerError, PeersConfig};

/// APIs that a peer may name; Kafka has fewer than 100.
const APIS_MAX: usize = 1_000;

/// A connection whose peer has told its versions.
#[derive(Clone)]
pub(super) struct OpenPeer {
    pub(super) link: Link,
    pub(super) versions: Arc<PeerVersions>,
}

/// Which versions of each API a peer serves.
#[derive(Clone, Debug, Default)]
pub struct PeerVersions {
    ranges: HashMap<i16, (i16, i16)>,
}

impl PeerVersions {
    fn new(response: &ApiVersionsResponse<'_>) -> Self {
        let rows = response.api_keys.iter().take(APIS_MAX);
        Self { ranges: rows.map(|row| (row.api_key, (row.min_version, row.max_version))).collect() }
    }

    /// Lowest and highest version that the peer serves.
    pub fn range(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&api.code()).copied()
    }

    /// The highest version that both sides speak, at most `cap`.
    pub fn choose(&self, api: ApiKey, cap: i16, unstable: bool) -> Option<i16> {
        let ours = if unstable { api.versions() } else { api.stable_versions() };
        let (low, high) = self.range(api)?;
        let version = high.min(*ours.end()).min(cap);
        (version >= low && version >= *ours.start()).then_some(version)
    }
}

/// Why one exchange failed.
pub(super) enum ExchangeError {
    Link(LinkError),
    Unwritable(EncodeError),
    Header(DecodeError),
}

impl ExchangeError {
    pub(super) fn into_peer_error<R: Message>(self, address: &Address) -> PeerError {
        match self {
            Self::Link(error) => PeerError::of_link(address, error),
            Self::Unwritable(source) => PeerError::Unwritable { what: R::NAME, source },
            Self::Header(source) => PeerError::Unreadable { what: "response header", source },
        }
    }
}

pub(super) async fn open(
    address: &Address,
    client_id: &str,
    config: &PeersConfig,
    deadline: Instant,
) -> Result<OpenPeer, PeerError> {
    let link = Link::connect(&address.host, address.port, &config.limits).await;
    let link = link.map_err(|error| PeerError::of_link(address, error))?;
    let versions = Arc::new(ask_versions(&link, address, client_id, deadline).await?);
    Ok(OpenPeer { link, versions })
}

/// Offers the newest version first; a peer that does not know it answers in version 0 with its own range (KIP-511).
async fn ask_versions(
    link: &Link,
    address: &Address,
    client_id: &str,
    deadline: Instant,
) -> Result<PeerVersions, PeerError> {
    let api = ApiKey::ApiVersions;
    let request = ApiVersionsRequest {
        client_software_name: "monedula".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    };
    let mut version = *api.stable_versions().end();
    loop {
        let asked = exchange(link, client_id, api, version, &request, deadline).await;
        let answered = asked.map_err(|error| match error {
            // Nothing of the caller's was sent yet.
            ExchangeError::Link(error) => {
                PeerError::Unreachable { address: address.to_string(), reason: error.to_string() }
            }
            other => other.into_peer_error::<ApiVersionsRequest<'_>>(address),
        })?;
        // The code stands first in every version.
        let code = answered.body.first_chunk::<2>().map_or(-1, |bytes| i16::from_be_bytes(*bytes));
        if code == ErrorCode::UnsupportedVersion.code() && version > 0 {
            let oldest = Answered { version: 0, ..answered };
            let offered = PeerVersions::new(&oldest.decode()?);
            version = offered.choose(api, version - 1, false).unwrap_or(0);
            continue;
        }
        if code != ErrorCode::None.code() {
            return Err(PeerError::Handshake { address: address.to_string(), code });
        }
        return Ok(PeerVersions::new(&answered.decode()?));
    }
}

/// One request and its answer.
pub(super) async fn exchange<R: Encode>(
    link: &Link,
    client_id: &str,
    api: ApiKey,
    version: i16,
    request: &R,
    deadline: Instant,
) -> Result<Answered, ExchangeError> {
    let frame = frame(client_id, api, version, request).map_err(ExchangeError::Unwritable)?;
    let answer = link.exchange(frame, deadline).await.map_err(ExchangeError::Link)?;
    let mut reader = Reader::new(&answer.bytes);
    ResponseHeader::decode(&mut reader, api.response_header_version(version))
        .map_err(ExchangeError::Header)?;
    let body = answer.bytes.slice(reader.position()..);
    Ok(Answered { version, body, _permit: answer.permit })
}

/// Size, header and body; the correlation id is filled in when it leaves.
fn frame<R: Encode>(
    client_id: &str,
    api: ApiKey,
    version: i16,
    request: &R,
) -> Result<Vec<u8>, EncodeError> {
    let header = RequestHeader {
        request_api_key: api.code(),
        request_api_version: version,
        correlation_id: 0,
        client_id: Some(client_id.into()),
        ..Default::default()
    };
    let header_version = api.request_header_version(version);
    let len = header.encoded_len(header_version)? + request.encoded_len(version)?;
    let size = i32::try_from(len).map_err(|_| EncodeError::TooLong { len })?;
    let mut writer = Writer::with_capacity(len + 4);
    writer.raw(&size.to_be_bytes());
    header.encode(&mut writer, header_version)?;
    request.encode(&mut writer, version)?;
    writer.into_vec()
}
