//! The records of the coordinators: keys start with the type of the record, values with their version (both int16).

use crate::{Decode, DecodeError, Encode, EncodeError, Message, Reader, Writer};

include!(concat!(env!("OUT_DIR"), "/coordinator_records.rs"));

/// The type of the record with this key.
pub fn key_type(key: &[u8]) -> Result<i16, DecodeError> {
    Reader::new(key).i16()
}

/// Reads a key whose type ([`key_type`]) is that of `K`.
pub fn decode_key<'a, K: Decode<'a> + Message>(key: &'a [u8]) -> Result<K, DecodeError> {
    let mut r = Reader::new(key);
    let found = r.i16()?;
    if K::API_KEY != Some(found) {
        return Err(DecodeError::UnknownRecordType { key: found });
    }
    let decoded = K::decode(&mut r, 0)?;
    r.finish()?;
    Ok(decoded)
}

/// Reads a value, in the version that it starts with.
pub fn decode_value<'a, V: Decode<'a> + Message>(value: &'a [u8]) -> Result<V, DecodeError> {
    let mut r = Reader::new(value);
    let version = r.i16()?;
    let decoded = V::decode(&mut r, version)?;
    r.finish()?;
    Ok(decoded)
}

/// A key behind its type.
pub fn encode_key<K: Encode + Message>(key: &K) -> Result<Vec<u8>, EncodeError> {
    prefixed(K::API_KEY.unwrap_or_default(), key, 0)
}

/// A value behind its version.
pub fn encode_value<V: Encode + Message>(value: &V, version: i16) -> Result<Vec<u8>, EncodeError> {
    prefixed(version, value, version)
}

fn prefixed<T: Encode>(prefix: i16, body: &T, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::with_capacity(2 + body.encoded_len(version)?);
    w.raw(&prefix.to_be_bytes());
    body.encode(&mut w, version)?;
    w.into_vec()
}
