//! The wire and the persistent records of Kafka 4.4: codecs generated at build time from our own schema text.
//!
//! Must not know: sockets, files, brokers, what is inside a record batch.

mod api_key;
pub mod coordinator_records;
mod error;
mod error_code;
mod exchange;
mod message;
pub mod metadata_records;
mod offered_versions;
mod reader;
mod records;
mod tags;
mod to_static;
pub mod varint;
mod writer;

pub use api_key::{ApiKey, Listener};
pub use error::{DecodeError, EncodeError};
pub use error_code::ErrorCode;
pub use exchange::{correlation_id, encode_request, set_correlation_id};
pub use message::{
    Decode, Encode, Message, ResponseMessage, decode_exact, encode_frame, encode_to_parts,
    encode_to_vec,
};
pub use offered_versions::{FinalizedFeatures, Offer, OfferedVersions};
pub use reader::Reader;
pub use records::Records;
pub use tags::UnknownTags;
pub use writer::{Part, Writer};

/// Requests, responses, their headers, and the data in control records and subscriptions.
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

/// Files of the log directories and records of `__remote_log_metadata`.
pub mod storage_records {
    include!(concat!(env!("OUT_DIR"), "/storage_records.rs"));
}

/// The tables made from `schemas/apis.txt` and `schemas/errors.txt`.
mod tables {
    use crate::api_key::{ApiRow, Listener};

    include!(concat!(env!("OUT_DIR"), "/tables.rs"));

    pub(crate) fn apis() -> &'static [ApiRow] {
        &APIS
    }

    pub(crate) fn errors() -> &'static [(ErrorCode, &'static str, bool, &'static str)] {
        &ERRORS
    }
}

/// What generated code uses.
mod generated {
    pub(crate) use std::borrow::Cow;

    pub(crate) use base::Uuid;

    pub(crate) use crate::error::{null, unsupported};
    pub(crate) use crate::message::{
        Decode, Encode, Message, ResponseMessage, check_decodable, encode, encoded_len,
    };
    pub(crate) use crate::to_static::ToStatic;
    pub(crate) use crate::writer::{Put, Sink};
    pub(crate) use crate::{
        DecodeError, EncodeError, ErrorCode, Reader, Records, UnknownTags, Writer,
    };
}
