//! Requests of clients on their way to the active controller: the bytes as they came, with who sent them (KIP-590).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use protocol::messages::default_principal_data::DefaultPrincipalData;
use protocol::messages::envelope_request::EnvelopeRequest;
use protocol::messages::envelope_response::EnvelopeResponse;
use protocol::{DecodeError, EncodeError, ErrorCode, Reader};
use tokio::time::Instant;

use super::{ControllerRoad, Outcome, TRY_MS_MAX, Target};
use crate::authorizer::Principal;
use crate::peers::{Address, Channel, PeerError};

/// The version of the principal's form; it stands before its bytes.
const PRINCIPAL_VERSION: i16 = 0;

/// A request with header, and who sent it.
pub(crate) struct Envelope<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) principal: &'a Principal,
    pub(crate) client: IpAddr,
}

/// Why a forwarded request got no answer of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForwardError {
    /// The controller does not serve this version of the API any more: the client has to ask for versions again.
    UnsupportedVersion,
    /// What the client is told instead.
    Failed(ErrorCode),
    /// The active controller is this node now.
    Here,
}

impl ControllerRoad {
    /// Sends a client's request to the active controller; the answer has its header.
    pub(crate) async fn forward(&self, envelope: &Envelope<'_>) -> Result<Bytes, ForwardError> {
        let Ok(principal) = principal_bytes(envelope.principal) else {
            return Err(ForwardError::Failed(ErrorCode::UnknownServerError));
        };
        let address = match envelope.client.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let message = EnvelopeRequest {
            request_data: envelope.request.into(),
            request_principal: Some(principal.into()),
            client_host_address: address.into(),
            ..Default::default()
        };
        let within = Duration::from_millis(TRY_MS_MAX);
        let message = &message;
        let tried = self.until(within, |target, deadline| async move {
            match target {
                Target::Nowhere => Outcome::Again("no active controller is known".into()),
                Target::Here => Outcome::Done(Err(ForwardError::Here)),
                Target::There(address) => self.forward_to(&address, message, deadline).await,
            }
        });
        tried.await.unwrap_or(Err(ForwardError::Failed(ErrorCode::RequestTimedOut)))
    }

    async fn forward_to(
        &self,
        address: &Address,
        message: &EnvelopeRequest<'_>,
        deadline: Instant,
    ) -> Outcome<Result<Bytes, ForwardError>> {
        let failed = |error| Outcome::Done(Err(ForwardError::Failed(error)));
        let sent = self
            .peers
            .send(address, Channel::Forward, self.one_try(deadline), |_| Ok(message.clone()))
            .await;
        let answered = match sent {
            Ok(answered) => answered,
            Err(error) if error.is_final() => return failed(ErrorCode::UnknownServerError),
            Err(error) => return Outcome::Again(error.to_string()),
        };
        let response: EnvelopeResponse<'_> = match answered.decode() {
            Ok(response) => response,
            Err(_) => return failed(ErrorCode::UnknownServerError),
        };
        match (ErrorCode::from_code(response.error_code), &response.response_data) {
            (ErrorCode::NotController, _) => {
                Outcome::Again(format!("{address} is not the active controller"))
            }
            (ErrorCode::UnsupportedVersion, _) => {
                Outcome::Done(Err(ForwardError::UnsupportedVersion))
            }
            (ErrorCode::None, Some(Cow::Borrowed(data))) => {
                Outcome::Done(Ok(answered.body().slice_ref(data)))
            }
            _ => failed(ErrorCode::UnknownServerError),
        }
    }
}

impl PeerError {
    /// Whether asking again cannot help.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::UnsupportedVersion { .. }
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::Unsayable(_) => true,
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Handshake { .. } => false,
        }
    }
}

/// A principal as Kafka's own builder of principals writes it.
fn principal_bytes(principal: &Principal) -> Result<Vec<u8>, EncodeError> {
    let data = DefaultPrincipalData {
        r#type: principal.kind.to_string().into(),
        name: principal.name.to_string().into(),
        token_authenticated: false,
        ..Default::default()
    };
    let mut bytes = PRINCIPAL_VERSION.to_be_bytes().to_vec();
    bytes.extend(protocol::encode_to_vec(&data, PRINCIPAL_VERSION)?);
    Ok(bytes)
}

/// Reads what [`principal_bytes`], or Kafka, wrote.
pub(crate) fn read_principal(bytes: &[u8]) -> Result<Principal, DecodeError> {
    use protocol::Decode as _;
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    let data = DefaultPrincipalData::decode(&mut reader, version)?;
    Ok(Principal { kind: data.r#type.as_ref().into(), name: data.name.as_ref().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_comes_back_as_it_was_and_nothing_else_does() {
        let alice = Principal { kind: "User".into(), name: "CN=alice".into() };
        let bytes = principal_bytes(&alice).expect("it can be written");
        assert_eq!(bytes, b"\0\0\x05User\x09CN=alice\0\0");
        assert_eq!(read_principal(&bytes), Ok(alice));
        assert!(read_principal(&bytes[..bytes.len() - 3]).is_err());
        assert!(read_principal(b"\0\x01\x05User\x02a\0\0").is_err());
        assert!(read_principal(b"").is_err());
    }
}
