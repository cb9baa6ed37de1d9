//! The five codecs of record batches: compression with levels, and decompression as a stream with a bounded window.
//!
//! A decompressed batch is never as large as its compressed bytes pretend: [`decompress`] stops at the caller's cap,
//! and a [`Decompressor`] holds one window at a time. Contexts and windows are pooled per thread, because a fresh zstd
//! context costs more than the work on a small batch.

use std::fmt;
use std::str::FromStr;

use crate::error::RecordsError;

mod gzip;
mod lz4;
mod pool;
mod snappy;
mod xxh32;
mod zstd;

/// How a batch is compressed: the low three bits of its attributes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The attribute bits.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Fails on 5, 6 and 7.
    pub fn from_id(id: u8) -> Result<Self, RecordsError> {
        Self::ALL.get(usize::from(id)).copied().ok_or(RecordsError::UnknownCompression { id })
    }

    /// Kafka's name in `compression.type`, where no compression is "none".
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no compression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Unknown compression name: {name}")]
pub struct UnknownCompressionName {
    pub name: String,
}

impl FromStr for Compression {
    type Err = UnknownCompressionName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| UnknownCompressionName { name: name.chars().take(64).collect() })
    }
}

/// A compression with its level, to compress with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    #[default]
    None,
    /// -1 (the default, which is 6) or 1 to 9.
    Gzip {
        level: i32,
    },
    Snappy,
    /// 1 to 17. The format is the same at every level and so is what we write: the fast compressor.
    Lz4 {
        level: i32,
    },
    /// -131072 to 22.
    Zstd {
        level: i32,
    },
}

impl Codec {
    pub const GZIP_DEFAULT_LEVEL: i32 = -1;
    pub const LZ4_DEFAULT_LEVEL: i32 = 9;
    pub const ZSTD_DEFAULT_LEVEL: i32 = 3;

    pub const fn compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip { .. } => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 { .. } => Compression::Lz4,
            Self::Zstd { .. } => Compression::Zstd,
        }
    }
}

impl From<Compression> for Codec {
    /// With Kafka's default level.
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip { level: Self::GZIP_DEFAULT_LEVEL },
            Compression::Snappy => Self::Snappy,
            Compression::Lz4 => Self::Lz4 { level: Self::LZ4_DEFAULT_LEVEL },
            Compression::Zstd => Self::Zstd { level: Self::ZSTD_DEFAULT_LEVEL },
        }
    }
}

/// Appends `input`, compressed, to `out`.
pub fn compress(codec: Codec, input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordsError> {
    match codec {
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Gzip { level } => gzip::compress(level, input, out),
        Codec::Snappy => snappy::compress(input, out),
        Codec::Lz4 { .. } => lz4::compress(input, out, lz4::HeaderChecksum::Correct),
        Codec::Zstd { level } => zstd::compress(level, input, out),
    }
}

/// Appends the decompressed `input` to `out`, which grows by at most `max_bytes`.
pub fn decompress(
    compression: Compression,
    input: &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), RecordsError> {
    drain(Decompressor::new(compression, input)?, out, max_bytes)
}

/// As [`decompress`] for the wrapper records of magic 0 and 1, whose LZ4 frames may carry Kafka's old, wrong header
/// checksum (KAFKA-3160).
pub fn decompress_legacy(
    compression: Compression,
    input: &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), RecordsError> {
    let source = match compression {
        Compression::Lz4 => Decompressor {
            source: Source::Lz4(lz4::Reader::new(input, lz4::HeaderChecksum::Ignored)?),
        },
        other => Decompressor::new(other, input)?,
    };
    drain(source, out, max_bytes)
}

fn drain(
    mut source: Decompressor<'_>,
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), RecordsError> {
    let mut left = max_bytes;
    loop {
        let window = source.fill()?;
        if window.is_empty() {
            return Ok(());
        }
        let taken = window.len();
        left =
            left.checked_sub(taken).ok_or(RecordsError::DecompressedTooLarge { max: max_bytes })?;
        out.extend_from_slice(window);
        source.consume(taken);
    }
}

/// Decompresses piece by piece: [`Self::fill`], use some of it, [`Self::consume`].
pub struct Decompressor<'a> {
    source: Source<'a>,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(gzip::Reader<'a>),
    Snappy(snappy::Reader<'a>),
    Lz4(lz4::Reader<'a>),
    Zstd(zstd::Reader<'a>),
}

impl<'a> Decompressor<'a> {
    /// Fails when the codec's header is already wrong.
    pub fn new(compression: Compression, input: &'a [u8]) -> Result<Self, RecordsError> {
        let source = match compression {
            Compression::None => Source::Plain(input),
            Compression::Gzip => Source::Gzip(gzip::Reader::new(input)?),
            Compression::Snappy => Source::Snappy(snappy::Reader::new(input)?),
            Compression::Lz4 => Source::Lz4(lz4::Reader::new(input, lz4::HeaderChecksum::Correct)?),
            Compression::Zstd => Source::Zstd(zstd::Reader::new(input)?),
        };
        Ok(Self { source })
    }

    /// The next decompressed bytes; empty only at the end.
    pub fn fill(&mut self) -> Result<&[u8], RecordsError> {
        match &mut self.source {
            Source::Plain(rest) => Ok(rest),
            Source::Gzip(reader) => reader.fill(),
            Source::Snappy(reader) => reader.fill(),
            Source::Lz4(reader) => reader.fill(),
            Source::Zstd(reader) => reader.fill(),
        }
    }

    /// Marks the first `count` of the bytes that [`Self::fill`] gave as used.
    pub fn consume(&mut self, count: usize) {
        match &mut self.source {
            Source::Plain(rest) => *rest = rest.get(count..).unwrap_or_default(),
            Source::Gzip(reader) => reader.window.consume(count),
            Source::Snappy(reader) => reader.window.consume(count),
            Source::Lz4(reader) => reader.window.consume(count),
            Source::Zstd(reader) => reader.window.consume(count),
        }
    }
}
