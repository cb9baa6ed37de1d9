//! Snappy in the framing of snappy-java ("xerial"), which Kafka writes; a bare Snappy block is accepted too.

use super::Compression;
use super::pool::Window;
use crate::error::RecordsError;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Magic, version, compatible version.
const HEADER_LEN: usize = 16;
const VERSION: u32 = 1;
/// Bytes compressed at a time.
const BLOCK_LEN: usize = 32 * 1024;
/// A Snappy copy of 3 bytes yields at most 64: no block expands more, whatever length it declares.
const MAX_EXPANSION: usize = 32;

fn fault(reason: &'static str) -> RecordsError {
    RecordsError::Decompress { compression: Compression::Snappy, reason }
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordsError> {
    let failed = || RecordsError::Compress {
        compression: Compression::Snappy,
        reason: "the block does not fit its bound",
    };
    let mut encoder = snap::raw::Encoder::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    for block in input.chunks(BLOCK_LEN) {
        let size_at = out.len();
        let start = size_at + 4;
        out.resize(start + snap::raw::max_compress_len(block.len()), 0);
        let target = out.get_mut(start..).ok_or_else(failed)?;
        let written = encoder.compress(block, target).map_err(|_| failed())?;
        out.truncate(start + written);
        let place = out.get_mut(size_at..start).ok_or_else(failed)?;
        place.copy_from_slice(&(written as u32).to_be_bytes());
    }
    Ok(())
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    decoder: snap::raw::Decoder,
    pub(super) window: Window,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, RecordsError> {
        let framed = input.starts_with(&MAGIC);
        let rest = if framed { after_header(input)? } else { input };
        Ok(Self { rest, framed, decoder: snap::raw::Decoder::new(), window: Window::new() })
    }

    pub(super) fn fill(&mut self) -> Result<&[u8], RecordsError> {
        while self.window.is_empty() {
            let Some(block) = self.next_block()? else {
                break;
            };
            let len = snap::raw::decompress_len(block).map_err(|_| fault("Malformed block"))?;
            if len > block.len().saturating_mul(MAX_EXPANSION) {
                return Err(fault("A block declares more than it can hold"));
            }
            let space = self.window.space(len);
            let written =
                self.decoder.decompress(block, space).map_err(|_| fault("Malformed block"))?;
            self.window.filled(written);
        }
        Ok(self.window.content())
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, RecordsError> {
        if !self.framed {
            return Ok(Some(std::mem::take(&mut self.rest)).filter(|block| !block.is_empty()));
        }
        // Frames may be joined one after the other.
        while self.rest.starts_with(&MAGIC[..4]) {
            self.rest = after_header(self.rest)?;
        }
        let Some((size, rest)) = self.rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let size = usize::try_from(i32::from_be_bytes(*size))
            .map_err(|_| fault("A chunk's size is negative"))?;
        let (block, rest) = rest.split_at_checked(size).ok_or(fault("Failed to read chunk"))?;
        self.rest = rest;
        Ok(Some(block))
    }
}

fn after_header(input: &[u8]) -> Result<&[u8], RecordsError> {
    let (header, rest) =
        input.split_at_checked(HEADER_LEN).ok_or(fault("Stream ended prematurely"))?;
    let version = header.get(MAGIC.len()..).and_then(|rest| rest.first_chunk::<4>());
    match version.map(|version| i32::from_be_bytes(*version)) {
        Some(1..) => Ok(rest),
        _ => Err(fault("Compressed with an incompatible codec version")),
    }
}
