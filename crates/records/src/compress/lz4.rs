//! LZ4 frames as Kafka uses them: one frame, independent blocks, no dictionary; anything after the frame is ignored.

use super::Compression;
use super::pool::{Shelf, Window, give, take};
use super::xxh32::xxh32;
use crate::error::RecordsError;
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};
use std::cell::RefCell;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// Version 1, independent blocks, no checksums, no content size: what Kafka's producers write.
const FLAGS: u8 = 0x60;
/// Blocks of 64 KiB.
const BLOCK_DESCRIPTOR: u8 = 0x40;
const BLOCK_LEN: usize = 1 << 16;
const STORED: u32 = 1 << 31;
/// An LZ4 block expands at most this much: a byte of a match length stands for 255 bytes.
const MAX_EXPANSION: usize = 255;

/// What to do about the header checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderChecksum {
    Correct,
    /// Reading magic 0 and 1, where it was computed over the wrong bytes (KAFKA-3160).
    Ignored,
}

thread_local! {
    static TABLES: Shelf<CompressTable> = const { RefCell::new(Vec::new()) };
}

fn fault(reason: &'static str) -> RecordsError {
    RecordsError::Decompress { compression: Compression::Lz4, reason }
}

pub(super) fn compress(
    input: &[u8],
    out: &mut Vec<u8>,
    checksum: HeaderChecksum,
) -> Result<(), RecordsError> {
    let mut table = TABLES.with(take).unwrap_or_else(CompressTable::large);
    let descriptor = [FLAGS, BLOCK_DESCRIPTOR];
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    let hash = match checksum {
        HeaderChecksum::Correct => xxh32(&descriptor),
        HeaderChecksum::Ignored => {
            xxh32(&[MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], FLAGS, BLOCK_DESCRIPTOR])
        }
    };
    out.push((hash >> 8) as u8);
    for block in input.chunks(BLOCK_LEN) {
        let size_at = out.len();
        let start = size_at + 4;
        out.resize(start + get_maximum_output_size(block.len()), 0);
        let target = out.get_mut(start..).unwrap_or_default();
        let written = compress_into_with_table(block, target, &mut table)
            .ok()
            .filter(|written| *written < block.len());
        out.truncate(start + written.unwrap_or(0));
        let size = match written {
            Some(written) => written as u32,
            None => {
                out.extend_from_slice(block);
                block.len() as u32 | STORED
            }
        };
        if let Some(place) = out.get_mut(size_at..start) {
            place.copy_from_slice(&size.to_le_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    TABLES.with(|shelf| give(shelf, table));
    Ok(())
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    block_len: usize,
    block_checksums: bool,
    content_checksum: bool,
    ended: bool,
    pub(super) window: Window,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], checksum: HeaderChecksum) -> Result<Self, RecordsError> {
        let [magic @ .., flags, descriptor] =
            input.first_chunk::<6>().ok_or(fault("Stream ended prematurely"))?;
        if *magic != MAGIC {
            return Err(fault("Stream unsupported (invalid magic bytes)"));
        }
        if flags >> 6 != 1 {
            return Err(fault("Version is unsupported"));
        }
        if flags & 0x03 != 0 || descriptor & 0x8f != 0 {
            return Err(fault("Reserved bits must be 0"));
        }
        if flags & 0x20 == 0 {
            return Err(fault("Dependent block stream is unsupported"));
        }
        let block_len = match descriptor >> 4 {
            size @ 4..=7 => 1usize << (2 * size + 8),
            _ => return Err(fault("Block size value is unsupported")),
        };
        let header_len = if flags & 0x08 != 0 { 14 } else { 6 };
        let (header, rest) =
            input.split_at_checked(header_len).ok_or(fault("Stream ended prematurely"))?;
        let [stored, rest @ ..] = rest else {
            return Err(fault("Stream ended prematurely"));
        };
        let hash = xxh32(header.get(MAGIC.len()..).unwrap_or_default());
        if checksum == HeaderChecksum::Correct && *stored != (hash >> 8) as u8 {
            return Err(fault("Stream frame descriptor corrupted"));
        }
        Ok(Self {
            rest,
            block_len,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
            ended: false,
            window: Window::new(),
        })
    }

    pub(super) fn fill(&mut self) -> Result<&[u8], RecordsError> {
        while self.window.is_empty() && !self.ended {
            self.next_block()?;
        }
        Ok(self.window.content())
    }

    fn next_block(&mut self) -> Result<(), RecordsError> {
        let size = self.take_u32()?;
        if size == 0 {
            // Kafka reads the content checksum and does not compare it either.
            if self.content_checksum {
                self.take_u32()?;
            }
            self.ended = true;
            return Ok(());
        }
        let len = (size & !STORED) as usize;
        if len > self.block_len {
            return Err(fault("Block size exceeds the frame's maximum"));
        }
        let (block, rest) =
            self.rest.split_at_checked(len).ok_or(fault("Stream ended prematurely"))?;
        self.rest = rest;
        if self.block_checksums && self.take_u32()? != xxh32(block) {
            return Err(fault("Block checksum mismatch"));
        }
        let written = if size & STORED != 0 {
            self.window.space(len).copy_from_slice(block);
            len
        } else {
            let bound = self.block_len.min(len.saturating_mul(MAX_EXPANSION));
            decompress_into(block, self.window.space(bound))
                .map_err(|_| fault("Malformed block"))?
        };
        self.window.filled(written);
        Ok(())
    }

    fn take_u32(&mut self) -> Result<u32, RecordsError> {
        let (word, rest) =
            self.rest.split_first_chunk::<4>().ok_or(fault("Stream ended prematurely"))?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*word))
    }
}
