//! A request as it leaves, and how its answer is known: what every asking side does alike.

use std::ops::Range;

use crate::messages::request_header::RequestHeader;
use crate::{ApiKey, Encode, EncodeError, Writer};

/// Where the correlation id stands in a request's frame: after the size, the key and the version.
const CORRELATION_AT: Range<usize> = 8..12;

/// Size, header and body; the correlation id is filled in when it leaves.
pub fn encode_request<R: Encode + ?Sized>(
    api: ApiKey,
    version: i16,
    client_id: &str,
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

/// Fills in the id by which the answer will be known.
pub fn set_correlation_id(frame: &mut [u8], id: i32) {
    if let Some(place) = frame.get_mut(CORRELATION_AT) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// The correlation id of an answer: its first four bytes.
pub fn correlation_id(answer: &[u8]) -> Option<i32> {
    answer.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes))
}
