//! Opening a connection: connect, (later: encrypt and authenticate), ask for the peer's versions; and one exchange on it.

use std::sync::Arc;

use net::{Link, LinkError};
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::response_header::ResponseHeader;
use protocol::{
    ApiKey, Decode, DecodeError, Encode, EncodeError, Message, Offer, OfferedVersions, Reader,
};
use tokio::time::Instant;

use super::{Address, Answered, PeerError, PeersConfig};

/// A connection whose peer has told its versions.
#[derive(Clone)]
pub(super) struct OpenPeer {
    pub(super) link: Link,
    pub(super) versions: Arc<OfferedVersions>,
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

/// Offers the newest version first.
async fn ask_versions(
    link: &Link,
    address: &Address,
    client_id: &str,
    deadline: Instant,
) -> Result<OfferedVersions, PeerError> {
    let api = ApiKey::ApiVersions;
    let request = OfferedVersions::request();
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
        let unreadable = |source| PeerError::Unreadable { what: ApiVersionsResponse::NAME, source };
        match Offer::read(answered.body(), version).map_err(unreadable)? {
            Offer::Versions(offered) => return Ok(offered),
            Offer::Again(older) => version = older,
            Offer::Refused(code) => {
                return Err(PeerError::Handshake { address: address.to_string(), code });
            }
        }
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
    let frame = protocol::encode_request(api, version, client_id, request);
    let frame = frame.map_err(ExchangeError::Unwritable)?;
    let answer = link.exchange(frame, deadline).await.map_err(ExchangeError::Link)?;
    let mut reader = Reader::new(&answer.bytes);
    ResponseHeader::decode(&mut reader, api.response_header_version(version))
        .map_err(ExchangeError::Header)?;
    let body = answer.bytes.slice(reader.position()..);
    Ok(Answered { version, body, _permit: answer.permit })
}
