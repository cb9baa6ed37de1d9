//! Why a message could not be read or written.

/// Bytes that are not a message of the expected kind and version. `at` counts from the start of the reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{name} has versions {low} to {high}, not {version}")]
    UnsupportedVersion { name: &'static str, version: i16, low: i16, high: i16 },
    #[error("at byte {at}: {needed} bytes needed, {remaining} there")]
    Truncated { at: usize, needed: usize, remaining: usize },
    #[error("at byte {at}: invalid length {length}")]
    InvalidLength { at: usize, length: i64 },
    #[error("before byte {at}: null where a value is required")]
    UnexpectedNull { at: usize },
    #[error("at byte {at}: a variable-length integer that is too long")]
    InvalidVarint { at: usize },
    /// Its value is shorter than its length says, or this version does not have it.
    #[error("before byte {at}: invalid tagged field {tag}")]
    InvalidTag { at: usize, tag: u32 },
    #[error("{count} bytes after the end")]
    TrailingBytes { count: usize },
    #[error("frame version {version}, expected 1")]
    UnknownFrameVersion { version: u32 },
    #[error("unknown type of record {key}")]
    UnknownRecordType { key: i16 },
}

/// A value that cannot be written in the wanted version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("{name} has versions {low} to {high}, not {version}")]
    UnsupportedVersion { name: &'static str, version: i16, low: i16, high: i16 },
    #[error("{field} is not in version {version} and has no default value")]
    UnsupportedField { field: &'static str, version: i16 },
    #[error("{field} must not be null in this version")]
    UnexpectedNull { field: &'static str },
    #[error("a string of {len} bytes; 32767 are the most")]
    StringTooLong { len: usize },
    #[error("{len} elements or bytes; 2147483647 are the most")]
    TooLong { len: usize },
    #[error("unknown tag {tag} is out of order or is a known one")]
    InvalidTag { tag: u32 },
    #[error("records outside of the message cannot be put into contiguous bytes")]
    ExternalRecords,
}

#[cold]
pub(crate) fn null(field: &'static str) -> EncodeError {
    EncodeError::UnexpectedNull { field }
}

#[cold]
pub(crate) fn unsupported(field: &'static str, version: i16) -> EncodeError {
    EncodeError::UnsupportedField { field, version }
}
