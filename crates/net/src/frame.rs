//! Frames: four bytes of length, then as many bytes of request.
//!
//! The buffer grows as bytes arrive, to at most [`GROWTH_FACTOR`] times what came so far: a peer that declares 100 MiB and
//! sends nothing costs [`GROWTH_BYTES_MIN`].

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::net::TcpStream;

use crate::budget::{Budget, BudgetPermit};

/// The first step of a frame's buffer.
const GROWTH_BYTES_MIN: usize = 64 * 1024;
/// Large enough that a frame of a usual producer (1 MiB) is moved once only, while it is small.
const GROWTH_FACTOR: usize = 16;
/// First allocation of a connection that has something to read.
const READ_BYTES_MIN: usize = 4096;
/// How long a frame waits for the budget before its connection is closed: overload must not become a queue without end.
const BUDGET_WAIT_MAX: Duration = Duration::from_secs(10);

/// One request as it came, without its length prefix, and the budget that it holds.
#[derive(Debug)]
pub struct Frame {
    pub bytes: BytesMut,
    pub permit: BudgetPermit,
}

impl Frame {
    /// Where `part` lies in this frame, if it is a slice of it.
    pub fn place_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let start = (part.as_ptr() as usize).checked_sub(self.bytes.as_ptr() as usize)?;
        let place = start..start.checked_add(part.len())?;
        (place.end <= self.bytes.len()).then_some(place)
    }

    /// Leaves only the bytes of `place`, without moving them.
    #[must_use]
    pub fn cut(mut self, place: Range<usize>) -> Self {
        self.bytes.truncate(place.end);
        self.bytes.advance(place.start.min(self.bytes.len()));
        self
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the frame's length {length} is not within 0 and socket.request.max.bytes={bytes_max}")]
    Length { length: i32, bytes_max: usize },
    #[error("the peer closed the connection within a frame ({got} of {length} bytes)")]
    Truncated { got: usize, length: usize },
    #[error("no memory budget for a frame of {length} bytes within {}s", BUDGET_WAIT_MAX.as_secs())]
    OverBudget { length: usize },
    #[error("reading failed")]
    Io(#[from] io::Error),
}

/// Reads frames; keeps what is read so far, so that [`Self::next`] may be dropped and called again at any await.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    permit: BudgetPermit,
    charged_bytes: usize,
    bytes_max: usize,
    budget: Budget,
}

impl FrameReader {
    pub fn new(bytes_max: usize, budget: Budget) -> Self {
        let permit = BudgetPermit::default();
        Self { buffer: BytesMut::new(), permit, charged_bytes: 0, bytes_max, budget }
    }

    /// The next whole frame, or `None` when the peer closed between two frames.
    pub async fn next(&mut self, stream: &TcpStream) -> Result<Option<Frame>, FrameError> {
        loop {
            let missing = match self.frame_length()? {
                Some(length) if self.buffer.len() >= 4 + length => {
                    return Ok(Some(self.take(length)));
                }
                Some(length) => 4 + length - self.buffer.len(),
                None => READ_BYTES_MIN,
            };
            self.make_room(missing).await?;
            if self.fill(stream).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let length = self.frame_length()?.unwrap_or(0);
                return Err(FrameError::Truncated { got: self.buffer.len(), length });
            }
        }
    }

    fn frame_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.bytes_max => Ok(Some(bytes)),
            _ => Err(FrameError::Length { length, bytes_max: self.bytes_max }),
        }
    }

    /// Room for some more bytes, charged before it is allocated.
    async fn make_room(&mut self, missing: usize) -> Result<(), FrameError> {
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare > 0 && spare >= missing.min(READ_BYTES_MIN) {
            return Ok(());
        }
        let step = missing.min((self.buffer.len() * GROWTH_FACTOR).max(GROWTH_BYTES_MIN));
        let capacity = self.buffer.len() + step;
        if capacity > READ_BYTES_MIN && capacity > self.charged_bytes {
            let more = capacity - self.charged_bytes;
            if !self.budget.grow(&mut self.permit, more, BUDGET_WAIT_MAX).await {
                return Err(FrameError::OverBudget { length: self.buffer.len() + missing });
            }
            self.charged_bytes = capacity;
        }
        self.buffer.reserve(step);
        Ok(())
    }

    async fn fill(&mut self, stream: &TcpStream) -> Result<usize, FrameError> {
        loop {
            match stream.try_read_buf(&mut self.buffer) {
                Ok(read) => return Ok(read),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new(); // an idle connection holds no buffer
                        stream.readable().await?;
                        self.buffer.reserve(READ_BYTES_MIN);
                    } else {
                        stream.readable().await?;
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn take(&mut self, length: usize) -> Frame {
        let mut bytes = self.buffer.split_to(4 + length);
        bytes.advance(4);
        self.charged_bytes = 0;
        Frame { bytes, permit: std::mem::take(&mut self.permit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_a_frame_is_cut_out_without_a_copy() {
        let frame =
            Frame { bytes: BytesMut::from(&b"headbodytail"[..]), permit: Default::default() };
        let address = frame.bytes.as_ptr() as usize;
        let place = frame.place_of(&frame.bytes[4..8]).expect("it lies within");
        assert_eq!(place, 4..8);
        let elsewhere = *b"body";
        assert_eq!(frame.place_of(&elsewhere), None);
        assert_eq!(frame.place_of(&frame.bytes[..0]), Some(0..0));
        let body = frame.cut(place);
        assert_eq!(&body.bytes[..], b"body");
        assert_eq!(body.bytes.as_ptr() as usize, address + 4);
        assert!(body.cut(9..12).bytes.is_empty());
    }
}
