//! The order in which Java's hash tables hand out their elements, as far as Kafka's decisions depend on it.
//!
//! Must not know: groups, topics. Reproduced for Java 17: `HashMap` and `HashSet` whose buckets did not become trees (that takes nine
//! colliding elements in a table of 64), and Kafka's own `TimelineHashMap` that never held more than it holds now.

use std::cmp::Ordering;

use base::Uuid;
pub(crate) use coordinator::string_hash;

/// `String.compareTo`: by UTF-16 units.
pub(crate) fn string_cmp(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The two halves of an id as Java's signed longs.
pub(crate) fn longs(id: Uuid) -> (i64, i64) {
    let bits = id.0.map(u64::from);
    let half = |bytes: &[u64]| bytes.iter().fold(0u64, |long, byte| long << 8 | byte);
    let (high, low) = bits.split_at(8);
    (half(high).cast_signed(), half(low).cast_signed())
}

/// `Uuid.hashCode` of Kafka.
pub(crate) fn uuid_hash(id: Uuid) -> i32 {
    let (high, low) = longs(id);
    let folded = high ^ low;
    let [a, b, c, d, e, f, g, h] = folded.to_be_bytes();
    i32::from_be_bytes([a, b, c, d]) ^ i32::from_be_bytes([e, f, g, h])
}

/// `Uuid.compareTo` of Kafka: signed.
pub(crate) fn uuid_cmp(a: Uuid, b: Uuid) -> Ordering {
    longs(a).cmp(&longs(b))
}

/// How large a `HashMap` or `HashSet` was made.
#[derive(Clone, Copy)]
pub(crate) enum Made {
    /// Without a word about its size.
    Default,
    /// As a copy of a collection of so many elements.
    CopyOf(usize),
}

/// `inserted`, each with its hash and in the order of insertion, in the order in which a `HashMap` or `HashSet` iterates.
pub(crate) fn hash_order<T>(inserted: Vec<(i32, T)>, made: Made) -> Vec<T> {
    let mut spread: Vec<(u32, T)> =
        inserted.into_iter().map(|(hash, item)| (spread(hash), item)).collect();
    let mask = table_len(&spread, made) - 1;
    // Stable: within a bucket, and over every growth, the order of insertion stays.
    spread.sort_by_key(|(hash, _)| hash & mask);
    spread.into_iter().map(|(_, item)| item).collect()
}

fn spread(hash: i32) -> u32 {
    let hash = hash.cast_unsigned();
    hash ^ (hash >> 16)
}

const DEFAULT_LEN: u32 = 16;
/// A bucket with so many elements makes a small table grow early.
const LONG_BUCKET: usize = 8;
const SMALL_TABLE: u32 = 64;

fn table_len<T>(inserted: &[(u32, T)], made: Made) -> u32 {
    let count = u32::try_from(inserted.len()).unwrap_or(u32::MAX).min(1 << 29);
    let mut len = match made {
        Made::Default => DEFAULT_LEN,
        // One more than the count at three quarters, rounded up to a power of two.
        Made::CopyOf(of) => {
            let of = u32::try_from(of).unwrap_or(u32::MAX).min(1 << 29);
            (of / 3 * 4 + of % 3 * 4 / 3 + 1).next_power_of_two().max(DEFAULT_LEN)
        }
    };
    while count > len / 4 * 3 {
        len *= 2;
    }
    while len < SMALL_TABLE && has_long_bucket(inserted, len) {
        len *= 2;
    }
    len
}

fn has_long_bucket<T>(inserted: &[(u32, T)], len: u32) -> bool {
    let mut sizes = vec![0usize; usize::try_from(len).unwrap_or(0)];
    inserted.iter().any(|(hash, _)| {
        let size = usize::try_from(hash & (len - 1)).ok().and_then(|slot| sizes.get_mut(slot));
        size.is_some_and(|size| {
            *size += 1;
            *size > LONG_BUCKET
        })
    })
}

/// `inserted`, each with its hash, in the order in which a `TimelineHashMap` iterates that was made empty.
pub(crate) fn timeline_order<T>(inserted: Vec<(i32, T)>) -> Vec<T> {
    let mut bits: u32 = 1;
    while inserted.len().saturating_mul(3) > 4 << bits {
        bits += 1;
    }
    let slot = |hash: i32| (i64::from(hash).wrapping_mul(FIBONACCI)).cast_unsigned() >> (64 - bits);
    let mut slots: Vec<(u64, T)> =
        inserted.into_iter().rev().map(|(hash, item)| (slot(hash), item)).collect();
    slots.sort_by_key(|(slot, _)| *slot);
    slots.into_iter().map(|(_, item)| item).collect()
}

const FIBONACCI: i64 = -7_046_029_254_386_353_131;

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(inserted: &[i32], made: Made) -> Vec<i32> {
        hash_order(inserted.iter().map(|value| (*value, *value)).collect(), made)
    }

    #[test]
    fn hashes_are_javas() {
        assert_eq!(string_hash("polygenelubricants"), i32::MIN);
        assert_eq!(string_hash("\u{1f600}"), 0xd83d * 31 + 0xde00);
        assert_eq!(uuid_hash(Uuid::ONE), 1);
        assert_eq!(uuid_hash(Uuid([0xff; 16])), 0);
    }

    #[test]
    fn a_set_iterates_by_bucket_and_within_one_by_insertion() {
        assert_eq!(ints(&[35, 3, 16, 19], Made::Default), [16, 35, 3, 19]);
        // 13 elements: the table grew to 32.
        let many: Vec<i32> = (20..33).collect();
        assert_eq!(ints(&many, Made::Default).first(), Some(&32));
        // A copy of 12 is made for 17.
        let many: Vec<i32> = (20..32).collect();
        assert_eq!(ints(&many, Made::CopyOf(12)), many);
        // Without that, 12 fit into 16.
        let many: Vec<i32> = (10..22).collect();
        assert_eq!(ints(&many, Made::Default)[..6], [16, 17, 18, 19, 20, 21]);
    }

    #[test]
    fn a_long_bucket_makes_a_small_table_grow() {
        let multiples: Vec<i32> = (0..9).rev().map(|n| n * 16).collect();
        assert_eq!(ints(&multiples, Made::Default), [128, 96, 64, 32, 0, 112, 80, 48, 16]);
    }
}
