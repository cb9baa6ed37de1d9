//! What every message can do.

use crate::writer::{Counter, Put};
use crate::{DecodeError, EncodeError, ErrorCode, Part, Reader, Writer};

/// A message of the schemas.
pub trait Message {
    const NAME: &'static str;
    /// The API's key for requests and responses, the type for records.
    const API_KEY: Option<i16>;
    const MIN_VERSION: i16;
    const MAX_VERSION: i16;
    /// The first version with compact types and tagged fields.
    const FIRST_FLEXIBLE: Option<i16>;
}

/// Reads itself from bytes; strings and bytes stay borrowed.
pub trait Decode<'a>: Sized {
    /// No value takes fewer bytes, in any version.
    const MIN_LEN: usize;

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;
}

/// Writes itself.
pub trait Encode {
    /// Exactly the bytes that [`Self::encode`] writes, external records included.
    fn encoded_len(&self, version: i16) -> Result<usize, EncodeError>;

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// What answers a request.
pub trait ResponseMessage: Message + Encode + Sized {
    /// The answer that says only that the request as a whole failed. `None` where the answer has no place for that in this version,
    /// and would be taken for one that something is in.
    fn of_error(error: ErrorCode, version: i16) -> Option<Self>;
}

pub(crate) fn check_decodable<M: Message>(version: i16) -> Result<(), DecodeError> {
    if (M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
        return Ok(());
    }
    let (name, low, high) = (M::NAME, M::MIN_VERSION, M::MAX_VERSION);
    Err(DecodeError::UnsupportedVersion { name, version, low, high })
}

fn check_encodable<M: Message>(version: i16) -> Result<(), EncodeError> {
    if (M::MIN_VERSION..=M::MAX_VERSION).contains(&version) {
        return Ok(());
    }
    let (name, low, high) = (M::NAME, M::MIN_VERSION, M::MAX_VERSION);
    Err(EncodeError::UnsupportedVersion { name, version, low, high })
}

pub(crate) fn encoded_len<M: Message + Put>(m: &M, version: i16) -> Result<usize, EncodeError> {
    check_encodable::<M>(version)?;
    let mut counter = Counter::default();
    m.put(&mut counter, version)?;
    Ok(counter.len())
}

pub(crate) fn encode<M: Message + Put>(
    m: &M,
    w: &mut Writer,
    version: i16,
) -> Result<(), EncodeError> {
    check_encodable::<M>(version)?;
    m.put(w, version)
}

/// Reads a message that fills `bytes` to the end.
pub fn decode_exact<'a, T: Decode<'a>>(bytes: &'a [u8], version: i16) -> Result<T, DecodeError> {
    let mut r = Reader::new(bytes);
    let message = T::decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}

/// The message as contiguous bytes; an error when it holds external records.
pub fn encode_to_vec<T: Encode + ?Sized>(m: &T, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::with_capacity(m.encoded_len(version)?);
    m.encode(&mut w, version)?;
    w.into_vec()
}

/// The message in parts, split where external records belong.
pub fn encode_to_parts<T: Encode + ?Sized>(m: &T, version: i16) -> Result<Vec<Part>, EncodeError> {
    let mut w = Writer::new();
    m.encode(&mut w, version)?;
    Ok(w.into_parts())
}

/// A frame as it travels: four bytes of length, the header, the body, in parts.
pub fn encode_frame<H: Encode + ?Sized, B: Encode + ?Sized>(
    header: &H,
    header_version: i16,
    body: &B,
    version: i16,
) -> Result<Vec<Part>, EncodeError> {
    let len = header.encoded_len(header_version)? + body.encoded_len(version)?;
    let size = i32::try_from(len).map_err(|_| EncodeError::TooLong { len })?;
    let mut w = Writer::with_capacity(4 + len.min(64 * 1024));
    w.raw(&size.to_be_bytes());
    header.encode(&mut w, header_version)?;
    body.encode(&mut w, version)?;
    Ok(w.into_parts())
}
