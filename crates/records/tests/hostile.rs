//! Hostile bytes: no panic, and never more memory than the input or a named limit justifies.
#![allow(clippy::unwrap_used, unsafe_code)] // helpers of tests; an allocator that counts is unsafe to write

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use base::WallMs;
use records::compress::{compress, decompress, decompress_legacy};
use records::validate::{check_produce, prepare};
use records::{
    AppendFault, AppendOrigin, BatchBuilder, Batches, Codec, Compression, RecordsError,
    ValidationConfig, batch,
};

/// Counts the bytes this thread holds, and their peak.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _gone = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _gone = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak bytes that `work` held beyond what was held before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = work();
    (result, (PEAK.get() - before) as usize)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn golden() -> Vec<Vec<u8>> {
    let text = include_str!("golden/batches.txt");
    let hex = text.lines().filter_map(|line| line.strip_prefix("bytes ")?.split_once(' '));
    hex.map(|(_, hex)| {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    })
    .collect()
}

/// A window of each codec (4 MiB is LZ4's largest block), its context, and the output cap.
const CAP: usize = 1 << 20;
const ALLOWED: usize = CAP * 2 + (5 << 20);

#[test]
fn mutants_neither_panic_nor_take_memory() {
    let mut random = Random(99);
    let configs = [None, Some(Codec::None), Some(Codec::from(Compression::Lz4))].map(|codec| {
        let mut config = ValidationConfig::new(AppendOrigin::Client);
        config.compression = codec;
        config
    });
    let mut outcomes = [0usize; 2];
    for original in golden() {
        for round in 0..300 {
            let mut mutant = original.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(mutant.len());
                match random.below(4) {
                    0 => mutant.truncate(at.max(1)),
                    1 => mutant[at] ^= 1 << random.below(8),
                    2 => mutant[at] = random.next() as u8,
                    _ => {
                        let end = mutant.len().min(at + 4);
                        mutant[at..end].fill(if random.below(2) == 0 { 0xff } else { 0x7f });
                    }
                }
            }
            if round % 2 == 0 && mutant.len() > 61 {
                mutant[..8].fill(0);
                batch::write_crc(&mut mutant).unwrap();
            }
            let ((), used) = peak(|| {
                let mut buffer = Vec::new();
                for batch in Batches::new(&mutant).flatten() {
                    let _offset = batch.base_offset();
                    if let Ok(records) = batch.records(&mut buffer, CAP) {
                        outcomes[0] += records.filter(|record| record.is_ok()).count();
                    }
                }
                let _refused = check_produce(9, &mutant);
            });
            assert!(used <= ALLOWED + mutant.len() * 8, "{used} bytes for {}", mutant.len());
            let config = &configs[round % 3];
            let (result, used) = peak(|| prepare(&mutant[..], config, WallMs(1_700_000_000_000)));
            outcomes[1] += usize::from(result.is_ok());
            let rebuilt = result.as_ref().map_or(0, |prepared| prepared.bytes().len());
            assert!(used <= ALLOWED + (mutant.len() + rebuilt) * 8, "{used}: {result:?}");
        }
    }
    // The mutants were not all refused at the first byte.
    assert!(outcomes.iter().all(|count| *count > 500), "{outcomes:?}");
}

#[test]
fn raw_mutants_of_every_codec() {
    let mut random = Random(5);
    let input: Vec<u8> = (0..5000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    for compression in Compression::ALL {
        let mut packed = Vec::new();
        compress(compression.into(), &input, &mut packed).unwrap();
        for _ in 0..1500 {
            let mut mutant = packed.clone();
            for _ in 0..=random.below(4) {
                let bound = if random.below(2) == 0 { 40 } else { mutant.len() };
                let at = random.below(bound);
                mutant[at] = random.next() as u8;
            }
            for decompress in [decompress, decompress_legacy] {
                let mut out = Vec::new();
                let (_, used) = peak(|| decompress(compression, &mutant, &mut out, CAP));
                assert!(out.len() <= CAP && used <= ALLOWED, "{compression} {used}");
            }
        }
    }
}

#[test]
fn bombs_are_walked_in_a_window() {
    // 64 MiB of one record, a few kilobytes compressed.
    let value = vec![0u8; 64 << 20];
    for compression in [Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd]
    {
        let mut builder = BatchBuilder::new(compression);
        builder.append(-1, None, Some(&value), &[]).unwrap();
        let bomb = builder.build().unwrap();
        drop(builder);
        let mut config = ValidationConfig::new(AppendOrigin::Client);
        config.max_message_bytes = 8 << 20;
        let size = bomb.len();
        assert!(size < 4 << 20, "{compression} {size}");
        let (result, used) = peak(|| prepare(&bomb[..], &config, WallMs(0)));
        assert!(result.is_ok(), "{compression} {result:?}");
        assert!(used < size + (1 << 20), "{compression} {used}");

        config.max_decompressed_message_bytes = 1 << 20;
        let refused = prepare(&bomb[..], &config, WallMs(0)).unwrap_err();
        assert!(matches!(refused, AppendFault::RecordTooLarge { .. }), "{refused:?}");

        let batch = records::AnyBatch::parse(&bomb).unwrap().unwrap();
        let mut buffer = Vec::new();
        let (refused, used) = peak(|| batch.records(&mut buffer, CAP).err());
        assert_eq!(refused, Some(RecordsError::DecompressedTooLarge { max: CAP }));
        assert!(used <= ALLOWED, "{compression} {used}");
    }
}

#[test]
fn a_million_faulty_records_answer_in_little_memory() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    for _ in 0..1_000_000 {
        builder.append(5, None, None, &[]).unwrap();
    }
    let bytes = builder.build().unwrap();
    drop(builder);
    let mut config = ValidationConfig::new(AppendOrigin::Client);
    config.compacted = true;
    config.max_message_bytes = 64 << 20;
    let size = bytes.len();
    let (result, used) = peak(|| prepare(&bytes[..], &config, WallMs(5)));
    let fault = result.unwrap_err();
    assert!(used < size + (1 << 20), "{used}");
    let AppendFault::Records(faults) = &fault else { panic!("{fault:?}") };
    assert_eq!(
        (faults.total, faults.listed.len()),
        (1_000_000, records::validate::MAX_LISTED_ERRORS)
    );
    assert!(fault.response_message(&"t-0").unwrap().contains("due to 1000000 record errors"));
}
