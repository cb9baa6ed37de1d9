//! Messages that Apache Kafka encoded (`golden/` wrote them), and our codecs by name.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(elided_lifetimes_in_paths, reason = "some messages have a lifetime, some have none")]

use std::collections::BTreeMap;
use std::io::Read as _;

use protocol::{Decode as _, DecodeError, Encode as _, EncodeError, Message as _, Reader};

/// How Kafka's instance was filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    Defaults,
    /// Everything set, with unknown tagged fields.
    Full,
    /// Null wherever it is allowed.
    Nulls,
    Mixed,
    MixedAgain,
}

pub struct Vector {
    pub name: String,
    pub version: i16,
    pub fill: Fill,
    pub bytes: Vec<u8>,
}

pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("the fixture is gzip");
    out
}

/// All vectors, under our names.
pub fn vectors() -> Vec<Vector> {
    let bytes = gunzip(include_bytes!("../golden/vectors.bin.gz"));
    let codecs = codecs();
    let mut r = Reader::new(&bytes);
    let mut vectors = Vec::new();
    while r.remaining() > 0 {
        let name = name(&mut r, &codecs);
        let version = r.i16().expect("version");
        let fill = match r.i8().expect("fill") {
            0 => Fill::Defaults,
            1 => Fill::Full,
            2 => Fill::Nulls,
            3 => Fill::Mixed,
            4 => Fill::MixedAgain,
            other => panic!("fill {other}"),
        };
        let bytes = r.bytes(false).expect("message").into_owned();
        vectors.push(Vector { name, version, fill, bytes });
    }
    vectors
}

/// Our name for Kafka's class: classes of requests and responses end with `Data`.
fn name(r: &mut Reader<'_>, codecs: &BTreeMap<&'static str, Codec>) -> String {
    let class = r.string(false).expect("name");
    match class.strip_suffix("Data") {
        Some(short) if !codecs.contains_key(&*class) => short.to_owned(),
        _ => class.into_owned(),
    }
}

/// A message with one field set.
pub struct Single {
    pub name: String,
    pub version: i16,
    pub bytes: Vec<u8>,
    /// Every version, and how Kafka writes it there; `None` when it refuses.
    pub others: Vec<(i16, Option<Vec<u8>>)>,
}

pub fn singles() -> Vec<Single> {
    let bytes = gunzip(include_bytes!("../golden/singles.bin.gz"));
    let codecs = codecs();
    let mut r = Reader::new(&bytes);
    let mut singles = Vec::new();
    while r.remaining() > 0 {
        let name = name(&mut r, &codecs);
        let version = r.i16().expect("version");
        let bytes = r.bytes(false).expect("message").into_owned();
        let others = (0..r.i16().expect("versions")).map(|_| {
            let version = r.i16().expect("version");
            (version, r.opt_bytes(false).expect("message").map(|b| b.into_owned()))
        });
        let others = others.collect();
        singles.push(Single { name, version, bytes, others });
    }
    singles
}

/// One message's codec without its type.
pub struct Codec {
    pub versions: std::ops::RangeInclusive<i16>,
    pub flexible: Option<i16>,
    /// Decodes all bytes, encodes again; also checks `encoded_len`.
    pub round_trip: fn(&[u8], i16) -> Result<Vec<u8>, DecodeError>,
    /// Decodes in the first version, encodes in the second.
    pub convert: fn(&[u8], i16, i16) -> Result<Vec<u8>, EncodeError>,
    /// The default value, encoded.
    pub default: fn(i16) -> Result<Vec<u8>, EncodeError>,
    /// Decodes and drops.
    pub decode: fn(&[u8], i16) -> bool,
    /// Bytes in memory for each byte on the wire, at most, by the size of the type.
    pub size: usize,
    pub min_len: usize,
}

macro_rules! table {
    ($($path:path,)*) => {
        /// All codecs by the names of their messages.
        pub fn codecs() -> BTreeMap<&'static str, Codec> {
            let mut codecs = BTreeMap::new();
            $({
                use $path as M;
                let codec = Codec {
                    versions: M::MIN_VERSION..=M::MAX_VERSION,
                    flexible: M::FIRST_FLEXIBLE,
                    round_trip: |bytes, version| {
                        let m: M = protocol::decode_exact(bytes, version)?;
                        let out = protocol::encode_to_vec(&m, version).expect("encodes again");
                        assert_eq!(m.encoded_len(version).expect("length"), out.len());
                        Ok(out)
                    },
                    convert: |bytes, from, to| {
                        let m: M = protocol::decode_exact(bytes, from).expect("a message");
                        protocol::encode_to_vec(&m, to)
                    },
                    default: |version| protocol::encode_to_vec(&M::default(), version),
                    decode: |bytes, version| M::decode(&mut Reader::new(bytes), version).is_ok(),
                    size: size_of::<M>(),
                    min_len: M::MIN_LEN,
                };
                assert!(codecs.insert(M::NAME, codec).is_none(), "two {}", M::NAME);
            })*
            codecs
        }
    };
}

protocol::for_each_message!(table);
