//! Zigzag varints as Kafka writes them inside v2 records. Bits beyond the type's width are dropped, as Kafka does.

use crate::error::InvalidRecord;

/// Longest encoding of an `i32`.
pub const MAX_VARINT_LEN: usize = 5;
/// Longest encoding of an `i64`.
pub const MAX_VARLONG_LEN: usize = 10;

/// Reads a zigzag `i32` and what follows it.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<(i32, &[u8]), InvalidRecord> {
    if let [first, rest @ ..] = bytes
        && *first < 0x80
    {
        return Ok((unzigzag32(u32::from(*first)), rest));
    }
    let mut value = 0u32;
    for (index, byte) in bytes.iter().take(MAX_VARINT_LEN).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok((unzigzag32(value), bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() >= MAX_VARINT_LEN {
        InvalidRecord::VarintTooLong
    } else {
        InvalidRecord::EndOfBatch
    })
}

/// Reads a zigzag `i64` and what follows it.
#[inline]
pub fn read_varlong(bytes: &[u8]) -> Result<(i64, &[u8]), InvalidRecord> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(MAX_VARLONG_LEN).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Ok((unzigzag64(value), bytes.get(index + 1..).unwrap_or_default()));
        }
    }
    Err(if bytes.len() >= MAX_VARLONG_LEN {
        InvalidRecord::VarlongTooLong
    } else {
        InvalidRecord::EndOfBatch
    })
}

/// Appends a zigzag `i32`.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_varlong(out, i64::from(value));
}

/// Appends a zigzag `i64`.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`write_varlong`] (or [`write_varint`]) will take.
pub const fn varlong_len(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros() as usize;
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) const fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

pub(crate) const fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
