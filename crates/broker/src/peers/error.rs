//! Why a peer did not answer.

use net::LinkError;
use protocol::{DecodeError, EncodeError};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection; the request was not sent.
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: String, reason: String },
    /// The connection was lost while the answer was awaited.
    #[error("lost {address}: {reason}")]
    Lost { address: String, reason: String },
    #[error("{address} did not answer in time")]
    TimedOut { address: String },
    /// No version of the API is spoken by both sides; the request was not sent.
    #[error("{address} does not serve {api} in a version that this node speaks")]
    UnsupportedVersion { address: String, api: &'static str },
    #[error("{what} cannot be read: {source}")]
    Unreadable { what: &'static str, source: DecodeError },
    /// The request cannot be written in the version that the peer speaks; it was not sent.
    #[error("{what} cannot be written: {source}")]
    Unwritable { what: &'static str, source: EncodeError },
    /// What is asked cannot be said in the version that the peer speaks; it was not sent.
    #[error("{0}")]
    Unsayable(&'static str),
    /// The peer answered the question for its versions with this error.
    #[error("{address} does not tell its versions: error {code}")]
    Handshake { address: String, code: i16 },
}

impl PeerError {
    /// Whether the request surely never reached the peer.
    pub fn unsent(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::UnsupportedVersion { .. }
            | Self::Unwritable { .. }
            | Self::Unsayable(_)
            | Self::Handshake { .. } => true,
            Self::Lost { .. } | Self::TimedOut { .. } | Self::Unreadable { .. } => false,
        }
    }

    pub(super) fn of_link(address: &super::Address, error: LinkError) -> Self {
        let address = address.to_string();
        match error {
            LinkError::Connect(reason) => Self::Unreachable { address, reason: reason.to_string() },
            LinkError::Disconnected(reason) => Self::Lost { address, reason: reason.to_string() },
            LinkError::TimedOut => Self::TimedOut { address },
        }
    }
}
