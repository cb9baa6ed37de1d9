//! gzip members around raw deflate; members may follow each other, and what is no member after the last is ignored.

use std::cell::RefCell;

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::Compression;
use super::pool::{Shelf, Window, give, take};
use crate::crc::crc32;
use crate::error::RecordsError;

/// Magic, deflate, no flags, no time, no extra flags, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const FLAG_HEADER_CRC: u8 = 0x02;
const FLAG_EXTRA: u8 = 0x04;
const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;
const WINDOW_LEN: usize = 1 << 16;
/// zlib's default level, which -1 stands for.
const DEFAULT_LEVEL: u32 = 6;

thread_local! {
    static COMPRESSORS: Shelf<(u32, Compress)> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSORS: Shelf<Decompress> = const { RefCell::new(Vec::new()) };
}

fn fault(reason: &'static str) -> RecordsError {
    RecordsError::Decompress { compression: Compression::Gzip, reason }
}

pub(super) fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordsError> {
    let failed = |reason| RecordsError::Compress { compression: Compression::Gzip, reason };
    let level = match level {
        -1 => DEFAULT_LEVEL,
        level => u32::try_from(level)
            .ok()
            .filter(|level| *level <= 9)
            .ok_or(failed("the level is not -1 or 1 to 9"))?,
    };
    let mut state = match COMPRESSORS.with(take) {
        Some((kept, state)) if kept == level => state,
        _ => Compress::new(flate2::Compression::new(level), false),
    };
    state.reset();
    out.extend_from_slice(&HEADER);
    out.reserve(input.len() / 2 + 64);
    loop {
        let used = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        let rest = input.get(used..).unwrap_or_default();
        let status = state
            .compress_vec(rest, out, FlushCompress::Finish)
            .map_err(|_| failed("deflate failed"))?;
        if status == Status::StreamEnd {
            break;
        }
        out.reserve(1 << 14);
    }
    COMPRESSORS.with(|shelf| give(shelf, (level, state)));
    out.extend_from_slice(&crc32(input).to_le_bytes());
    out.extend_from_slice(&(input.len() as u32).to_le_bytes());
    Ok(())
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    state: Option<Decompress>,
    checksum: Crc,
    /// The deflate data has ended, the trailer is yet to be checked: after its content was used.
    at_trailer: bool,
    ended: bool,
    pub(super) window: Window,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, RecordsError> {
        let rest = after_header(input)?;
        let mut state = DECOMPRESSORS.with(take).unwrap_or_else(|| Decompress::new(false));
        state.reset(false);
        Ok(Self {
            rest,
            state: Some(state),
            checksum: Crc::new(),
            at_trailer: false,
            ended: false,
            window: Window::new(),
        })
    }

    pub(super) fn fill(&mut self) -> Result<&[u8], RecordsError> {
        while self.window.is_empty() && !self.ended {
            if self.at_trailer {
                self.end_member()?;
                continue;
            }
            let Some(state) = &mut self.state else {
                return Err(fault("the stream has failed before"));
            };
            let (in_before, out_before) = (state.total_in(), state.total_out());
            let result =
                state.decompress(self.rest, self.window.space(WINDOW_LEN), FlushDecompress::None);
            let used = (state.total_in() - in_before) as usize;
            let written = (state.total_out() - out_before) as usize;
            self.rest = self.rest.get(used..).unwrap_or_default();
            self.window.filled(written);
            self.checksum.update(self.window.content());
            match result {
                Ok(Status::StreamEnd) => self.at_trailer = true,
                Ok(_) if used == 0 && written == 0 => {
                    return Err(fault("Unexpected end of ZLIB input stream"));
                }
                Ok(_) => {}
                Err(_) => {
                    self.state = None;
                    return Err(fault("invalid deflate data"));
                }
            }
        }
        Ok(self.window.content())
    }

    fn end_member(&mut self) -> Result<(), RecordsError> {
        let ([trailer @ .., a, b, c, d], rest) =
            self.rest.split_first_chunk::<8>().ok_or(fault("Corrupt GZIP trailer"))?;
        let checksum = u32::from_le_bytes(*trailer);
        let size = u32::from_le_bytes([*a, *b, *c, *d]);
        if checksum != self.checksum.sum() || size != self.checksum.amount() {
            return Err(fault("Corrupt GZIP trailer"));
        }
        match (after_header(rest), &mut self.state) {
            (Ok(rest), Some(state)) => {
                self.rest = rest;
                self.at_trailer = false;
                self.checksum.reset();
                state.reset(false);
            }
            _ => self.ended = true,
        }
        Ok(())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            let _gone = DECOMPRESSORS.try_with(|shelf| give(shelf, state));
        }
    }
}

fn after_header(input: &[u8]) -> Result<&[u8], RecordsError> {
    let short = fault("Unexpected end of the GZIP header");
    let ([magic @ .., method, flags, _, _, _, _, _, _], mut rest) =
        input.split_first_chunk::<10>().ok_or(short.clone())?;
    if *magic != [0x1f, 0x8b] {
        return Err(fault("Not in GZIP format"));
    }
    if *method != 8 {
        return Err(fault("Unsupported compression method"));
    }
    if flags & FLAG_EXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>().ok_or(short.clone())?;
        rest = after.get(usize::from(u16::from_le_bytes(*len))..).ok_or(short.clone())?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(short.clone())?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let (stored, after) = rest.split_first_chunk::<2>().ok_or(short)?;
        let header = input.get(..input.len() - rest.len()).unwrap_or_default();
        if u16::from_le_bytes(*stored) != crc32(header) as u16 {
            return Err(fault("Corrupt GZIP header"));
        }
        rest = after;
    }
    Ok(rest)
}
