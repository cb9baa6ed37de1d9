//! What is done to files that a node finds damaged.

use crate::common::Numbers;

pub const HALF: &str = "cut in half";

/// What was done to a file.
pub const DAMAGES: &[(&str, fn(&mut Vec<u8>))] = &[
    ("first byte flipped", |bytes| flip(bytes, 0)),
    ("flipped within the first batch or line", |bytes| flip(bytes, 30)),
    ("flipped in the middle", |bytes| flip_at(bytes, |len| len / 2)),
    ("last byte flipped", |bytes| flip_at(bytes, |len| len.saturating_sub(1))),
    (HALF, |bytes| bytes.truncate(bytes.len() / 2)),
    ("emptied", Vec::clear),
    ("zeroed", |bytes| bytes.fill(0)),
    ("overwritten", |bytes| {
        let mut numbers = Numbers(3);
        bytes.iter_mut().for_each(|byte| *byte = numbers.next() as u8);
    }),
    ("the last number is the largest there is", |bytes| {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let Some(end) = text.rfind(|c: char| c.is_ascii_digit()) else { return };
        let number = text[..=end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        bytes.splice(number..=end, i64::MAX.to_string().into_bytes());
    }),
    ("garbage behind the end", |bytes| {
        let mut numbers = Numbers(4);
        bytes.extend((0..100).map(|_| numbers.next() as u8));
    }),
];

fn flip_at(bytes: &mut [u8], at: fn(usize) -> usize) {
    flip(bytes, at(bytes.len()));
}

fn flip(bytes: &mut [u8], at: usize) {
    let at = at.min(bytes.len().saturating_sub(1));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x81;
    }
}
