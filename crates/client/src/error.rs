//! What can go wrong, and what a user can do about it.

use std::io;
use std::sync::Arc;

use protocol::{DecodeError, EncodeError, ErrorCode};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant per failed operation. Cloneable, since a lost connection or batch fails many callers at once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot connect to {address}: {source}; check the address and that a server listens there"
    )]
    Connect { address: String, source: Arc<io::Error> },

    #[error("the connection to {address} was lost: {reason}")]
    Disconnected { address: String, reason: Arc<str> },

    #[error("{what} got no answer from {address} within {after_ms} ms (request.timeout.ms)")]
    RequestTimeout { what: &'static str, address: String, after_ms: u64 },

    /// The whole call, with its retries, took too long; `last` is what the last try ran into.
    #[error("{what} did not succeed within {after_ms} ms{}", .last.as_ref().map(|e| format!("; last: {e}")).unwrap_or_default())]
    Expired { what: &'static str, after_ms: u64, last: Option<Box<Error>> },

    #[error(
        "{address} does not support {api} in a version that this client speaks ({ours_min} to {ours_max}); \
         it offers {theirs}"
    )]
    UnsupportedVersion {
        address: String,
        api: &'static str,
        ours_min: i16,
        ours_max: i16,
        theirs: String,
    },

    #[error("{address} sent a {what} of {bytes} bytes, more than the limit of {limit}")]
    Oversized { address: String, what: &'static str, bytes: u64, limit: u64 },

    #[error("cannot read the {what} from {address}: {source}")]
    Decode { what: &'static str, address: String, source: DecodeError },

    #[error("cannot write {what}: {source}")]
    Encode { what: &'static str, source: EncodeError },

    /// The server's own answer: its message, or the standing text of the code.
    #[error("{message}")]
    Api { code: ErrorCode, message: Arc<str> },

    #[error("the answer of {address} lacks {what}")]
    Incomplete { what: String, address: String },

    #[error("the records at offset {offset} of {partition} are corrupt: {reason}")]
    CorruptRecords { partition: base::TopicPartition, offset: i64, reason: String },

    #[error("Invalid value {value} for configuration {key}: {expected}")]
    InvalidOption { key: &'static str, value: String, expected: String },

    #[error(
        "The message is {bytes} bytes when serialized which is larger than {limit}, which is the value of the {key} \
         configuration."
    )]
    RecordTooLarge { bytes: usize, limit: usize, key: &'static str },

    #[error(
        "no room for the record within {after_ms} ms (max.block.ms): {bytes} bytes are waiting (buffer.memory)"
    )]
    BufferFull { after_ms: u64, bytes: usize },

    #[error("topic {topic} has {count} partitions: there is no partition {partition}")]
    NoSuchPartition { topic: Arc<str>, partition: i32, count: usize },

    #[error("{count} record(s) for {partition} expired after {after_ms} ms (delivery.timeout.ms){}",
        .last.as_ref().map(|e| format!("; last: {e}")).unwrap_or_default())]
    DeliveryTimeout {
        partition: base::TopicPartition,
        count: usize,
        after_ms: u64,
        last: Option<Box<Error>>,
    },

    #[error("the client is closed")]
    Closed,

    /// A call that does not fit the state of the producer; it changed nothing.
    #[error("{0}")]
    IllegalState(Arc<str>),

    #[error("Failing batch since transaction was aborted")]
    TransactionAborted,

    #[error("Cannot execute transactional method because we are in an error state: {source}")]
    Transaction { fault: TransactionFault, source: Box<Error> },
}

/// How bad it is for a transactional producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionFault {
    /// The transaction must be aborted; then the next one can begin.
    Abortable,
    /// The producer must be closed: another one took over, or nobody knows what its transaction became.
    Fatal,
}

impl Error {
    /// From a code and the message that came with it; an empty message is none.
    pub fn api(code: ErrorCode, message: Option<&str>) -> Self {
        let text = message.filter(|text| !text.is_empty()).unwrap_or_else(|| code.message());
        Self::Api { code, message: text.into() }
    }

    /// `Ok` for code 0.
    pub fn check(code: i16, message: Option<&str>) -> Result<()> {
        match ErrorCode::from_code(code) {
            ErrorCode::None => Ok(()),
            code => Err(Self::api(code, message)),
        }
    }

    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api { code, .. } => Some(*code),
            Self::Transaction { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether a transaction must be aborted, or the producer closed. None: neither; a call that took too long can be
    /// repeated.
    pub fn fault(&self) -> Option<TransactionFault> {
        match self {
            Self::Transaction { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    /// Whether the same request may succeed later or at another node.
    pub fn retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Disconnected { .. } | Self::RequestTimeout { .. } => true,
            Self::Api { code, .. } => code.retriable(),
            _ => false,
        }
    }
}
