//! Frames: a length and as many bytes, and what the proxy reads at the front of them.

use std::io;

use protocol::ApiKey;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Larger than `socket.request.max.bytes` is by default, and than a fetch response.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// How much is made ready for a frame of which nothing came yet.
const FIRST_BYTES: usize = 64 << 10;
pub const LENGTH_BYTES: usize = 4;

/// The front of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// `None` for an API that is not Kafka's.
    pub api: Option<ApiKey>,
    pub correlation_id: i32,
    pub client_id: String,
}

impl Header {
    /// Reads the header of a request's frame, length included. What is too short has no API.
    pub fn of_request(frame: &[u8]) -> Self {
        let client_id = number::<2>(frame, 12)
            .and_then(|n| usize::try_from(i16::from_be_bytes(n)).ok())
            .and_then(|len| frame.get(14..14 + len))
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default();
        Self {
            api: number(frame, 4).and_then(|n| ApiKey::from_i16(i16::from_be_bytes(n))),
            correlation_id: number(frame, 8).map_or(0, i32::from_be_bytes),
            client_id,
        }
    }
}

impl Header {
    /// For a response that answers nothing that was asked.
    pub(crate) fn of_response(frame: &[u8]) -> Self {
        let correlation_id = correlation_id(frame).unwrap_or_default();
        Self { api: None, correlation_id, client_id: String::new() }
    }
}

/// The correlation id of a response's frame.
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    number(frame, LENGTH_BYTES).map(i32::from_be_bytes)
}

fn number<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

/// The next frame with its length, `None` at the end. What a peer announced but did not send takes no memory.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH_BYTES];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let bytes = usize::try_from(i32::from_be_bytes(length))
        .ok()
        .filter(|bytes| *bytes <= FRAME_BYTES_MAX)
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut frame = Vec::with_capacity(LENGTH_BYTES + bytes.min(FIRST_BYTES));
    frame.extend_from_slice(&length);
    let got = from.take(bytes as u64).read_to_end(&mut frame).await?;
    if got < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(frame)) }
}
