//! Hostile bytes: no message panics on them, and none takes memory out of proportion to its input.

#![allow(unsafe_code, reason = "an allocator that counts")]

mod support;

#[path = "support/bloated.rs"]
mod bloated;
#[path = "support/schemas.rs"]
mod schemas;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use bloated::Bloated;
use schemas::schema::Type;
use support::{Codec, codecs, vectors};

/// At most so many bytes of memory for a byte of input.
const RATIO: usize = 56;
/// And so many on top: the first room of an array.
const BASE: usize = 128 * 1024;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn add(bytes: usize) {
    let now = NOW.get().wrapping_add(bytes);
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

// SAFETY: it passes everything on to the system's allocator; counting touches only thread-local cells without
// destructors, which do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.set(NOW.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        add(new); // old and new at once, as when it has to move
        NOW.set(NOW.get().wrapping_sub(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, new) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decodes and returns the peak of memory that it took, and whether it was a message.
fn measure(codec: &Codec, bytes: &[u8], version: i16) -> (usize, bool) {
    NOW.set(0);
    PEAK.set(0);
    let ok = (codec.decode)(bytes, version);
    (PEAK.get(), ok)
}

/// Xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(out.len());
        match random.below(7) {
            0 => out.truncate(at),
            1 if !out.is_empty() => out[at] ^= 1 << random.below(8),
            2 if !out.is_empty() => out[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => drop(out.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x07])), // a huge varint
            4 if out.len() >= at + 4 => {
                out[at..at + 4].copy_from_slice(&0x7fff_ffffi32.to_be_bytes())
            }
            5 => {
                let end = (at + random.below(20)).min(out.len());
                let piece = out[at..end].to_vec();
                out.splice(at..at, piece);
            }
            _ => out.push(random.next() as u8),
        }
    }
    out
}

#[test]
fn mutated_messages_neither_panic_nor_swell() {
    let codecs = codecs();
    let mut random = Random(0x6d6f_6e65_6475_6c61);
    let mut accepted = 0;
    for v in vectors() {
        let codec = &codecs[v.name.as_str()];
        for round in 0..24 {
            let bytes = mutate(&v.bytes, &mut random);
            let version = if round == 0 { v.version ^ 1 } else { v.version };
            let (peak, ok) = measure(codec, &bytes, version);
            accepted += usize::from(ok);
            assert!(
                peak <= RATIO * bytes.len() + BASE,
                "{} v{version}: {peak} for {bytes:?}",
                v.name
            );
        }
    }
    assert!(accepted > 1000, "mutations are too wild to reach deep: {accepted} accepted");
}

/// Lengths of bloated messages, so that arrays end at different stages of their growth.
const LENGTHS: [usize; 2] = [20_000, 34_000];

#[test]
fn arrays_of_the_smallest_elements_do_not_swell() {
    let codecs = codecs();
    let mut worst = BTreeMap::new();
    for (name, m) in schemas::messages() {
        let codec = &codecs[name.as_str()];
        let structures = m.structures.iter();
        let fields = structures.flat_map(|s| s.fields.iter().map(move |f| (s, f)));
        for (s, f) in fields.filter(|(_, f)| matches!(f.ty, Type::Array(_))) {
            let reach = f.versions.and(s.versions);
            for (version, tags) in [(reach.low, false), (reach.high, false), (reach.high, true)] {
                for len in LENGTHS {
                    let bytes = Bloated::message(&m, version, (&s.name, &f.name), tags, len);
                    let (peak, ok) = measure(codec, &bytes, version);
                    let place = format!("{name} v{version} {}.{}", s.name, f.name);
                    assert!(ok, "{place} is not a message: {:?}", &bytes[..bytes.len().min(40)]);
                    worst.insert((peak * 10 / bytes.len(), place), len);
                }
            }
        }
    }
    for ((ratio, place), len) in worst.iter().rev().take(12) {
        println!("{}.{} bytes of memory for each of {len}: {place}", ratio / 10, ratio % 10);
    }
    let ((ratio, place), _) = worst.last_key_value().expect("arrays");
    assert!(*ratio <= RATIO * 10, "{place}: {ratio} tenths");
}
