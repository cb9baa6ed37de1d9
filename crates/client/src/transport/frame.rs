//! One request as bytes: size, header, body; the correlation id is filled in when it leaves.

use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Encode, Message, Writer};

use crate::error::{Error, Result};

/// Where the correlation id stands: after the size, the key and the version.
const CORRELATION_AT: std::ops::Range<usize> = 8..12;

pub(crate) fn encode<R: Message + Encode>(
    api: ApiKey,
    request: &R,
    version: i16,
    client_id: &str,
) -> Result<Vec<u8>> {
    let failed = |source| Error::Encode { what: R::NAME, source };
    let header = RequestHeader {
        request_api_key: api.code(),
        request_api_version: version,
        correlation_id: 0,
        client_id: Some(client_id.into()),
        ..Default::default()
    };
    let header_version = api.request_header_version(version);
    let length = header.encoded_len(header_version).map_err(failed)?
        + request.encoded_len(version).map_err(failed)?;
    let size = i32::try_from(length).map_err(|_| Error::RecordTooLarge {
        bytes: length,
        limit: i32::MAX as usize,
        key: "the size of a frame",
    })?;
    let mut writer = Writer::with_capacity(length + 4);
    writer.raw(&size.to_be_bytes());
    header.encode(&mut writer, header_version).map_err(failed)?;
    request.encode(&mut writer, version).map_err(failed)?;
    writer.into_vec().map_err(failed)
}

pub(crate) fn set_correlation_id(frame: &mut [u8], id: i32) {
    if let Some(place) = frame.get_mut(CORRELATION_AT) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// The correlation id of a response: its first four bytes.
pub(crate) fn correlation_id(frame: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(frame.get(..4)?.try_into().ok()?))
}
