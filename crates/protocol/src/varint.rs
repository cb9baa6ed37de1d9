//! Kafka's variable-length integers: seven bits per byte, the lowest first.

/// Bytes that `value` takes as an unsigned varint, 1 to 5.
pub const fn unsigned_len(value: u32) -> usize {
    (38 - value.leading_zeros() as usize) / 7 + (value == 0) as usize
}

/// Writes `value` to the front of `out` and returns the number of bytes.
pub fn write_unsigned(mut value: u32, out: &mut [u8; 5]) -> usize {
    let mut n = 0;
    while value >= 0x80 {
        out[n] = value as u8 | 0x80;
        value >>= 7;
        n += 1;
    }
    out[n] = value as u8;
    n + 1
}

/// Reads an unsigned varint from the front: its value and length. `None` when the bytes end early or the number does
/// not fit into 32 bits, as Kafka refuses it.
pub fn read_unsigned(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0u32;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        if i == 4 && byte > 0x0f {
            return None;
        }
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((value, i + 1));
        }
    }
    None
}
