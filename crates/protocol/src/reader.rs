//! Reads primitive values from untrusted bytes: every length is checked against what is there before it is believed.

use std::borrow::Cow;

use base::Uuid;

use crate::message::Decode;
use crate::{DecodeError, Records, UnknownTags, varint};

/// More elements in one array are refused, as by Kafka.
pub const MAX_ARRAY_LEN: usize = 1_000_000;
/// More tagged fields in one structure are refused, as by Kafka.
pub const MAX_TAGS: u32 = 10_000;
/// Longer strings are refused, as by Kafka.
pub const MAX_STRING_LEN: usize = 0x7fff;
/// At most so many bytes are reserved for an array before its elements have been seen.
const RESERVED_BYTES: usize = 16 * 1024;

/// A position in bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Length of all bytes, to tell positions.
    total: usize,
}

macro_rules! number {
    ($($name:ident: $ty:ty),*) => {$(
        pub fn $name(&mut self) -> Result<$ty, DecodeError> {
            Ok(<$ty>::from_be_bytes(self.fixed()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Refuses bytes after the end.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.truncated(N)),
        }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.truncated(len)),
        }
    }

    number!(i8: i8, i16: i16, u16: u16, i32: i32, u32: u32, i64: i64, f64: f64);

    /// Any byte but zero is true, as for Kafka.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.fixed()?))
    }

    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u32::from(byte));
        }
        match varint::read_unsigned(self.rest) {
            Some((value, len)) => {
                self.take(len)?;
                Ok(value)
            }
            None if self.rest.len() < 5 && self.rest.iter().all(|b| *b >= 0x80) => {
                Err(self.truncated(self.rest.len() + 1))
            }
            None => Err(DecodeError::InvalidVarint { at: self.position() }),
        }
    }

    /// A length that may be null. Compact: one more than the length as a varint, 0 for null. Else `wide`: 4 bytes, or
    /// 2 bytes; negative for null.
    fn length(&mut self, compact: bool, wide: bool) -> Result<Option<usize>, DecodeError> {
        if compact {
            return Ok(self.unsigned_varint()?.checked_sub(1).map(|n| n as usize));
        }
        let length = if wide { self.i32()? } else { i32::from(self.i16()?) };
        Ok(usize::try_from(length).ok())
    }

    pub fn opt_string(&mut self, flex: bool) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let Some(len) = self.length(flex, false)? else { return Ok(None) };
        if len > MAX_STRING_LEN {
            return Err(self.invalid_length(len));
        }
        // Kafka reads malformed UTF-8 as replacement characters, and so do we; well-formed text stays borrowed.
        Ok(Some(String::from_utf8_lossy(self.take(len)?)))
    }

    pub fn string(&mut self, flex: bool) -> Result<Cow<'a, str>, DecodeError> {
        self.opt_string(flex)?.ok_or_else(|| self.null())
    }

    fn opt_slice(&mut self, flex: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length(flex, true)? {
            Some(len) => Ok(Some(self.take(len)?)),
            None => Ok(None),
        }
    }

    pub fn opt_bytes(&mut self, flex: bool) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        Ok(self.opt_slice(flex)?.map(Cow::Borrowed))
    }

    pub fn bytes(&mut self, flex: bool) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.opt_bytes(flex)?.ok_or_else(|| self.null())
    }

    pub fn records(&mut self, flex: bool) -> Result<Option<Records<'a>>, DecodeError> {
        Ok(self.opt_slice(flex)?.map(Records::borrowed))
    }

    /// A structure behind a byte that is negative for null.
    pub fn opt_structure<T: Decode<'a>>(&mut self, version: i16) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 {
            return Ok(None);
        }
        T::decode(self, version).map(Some)
    }

    /// The same as the value of a tagged field: the mark is a varint, zero for null.
    pub fn opt_tagged_structure<T: Decode<'a>>(
        &mut self,
        version: i16,
    ) -> Result<Option<T>, DecodeError> {
        if self.unsigned_varint()? == 0 {
            return Ok(None);
        }
        T::decode(self, version).map(Some)
    }

    /// The number of elements of an array whose elements take `min_len` bytes at least.
    fn count(&mut self, flex: bool, min_len: usize) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(flex, true)? else { return Ok(None) };
        let needed = count.saturating_mul(min_len.max(1));
        if needed > self.rest.len() {
            return Err(self.truncated(needed));
        }
        if count > MAX_ARRAY_LEN {
            return Err(self.invalid_length(count));
        }
        Ok(Some(count))
    }

    pub fn opt_array<T: Decode<'a>>(
        &mut self,
        flex: bool,
        version: i16,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.count(flex, T::MIN_LEN)? else { return Ok(None) };
        let mut array = Vec::with_capacity(reserve::<T>(count));
        for _ in 0..count {
            grow(&mut array, count);
            array.push(T::decode(self, version)?);
        }
        Ok(Some(array))
    }

    pub fn array<T: Decode<'a>>(
        &mut self,
        flex: bool,
        version: i16,
    ) -> Result<Vec<T>, DecodeError> {
        self.opt_array(flex, version)?.ok_or_else(|| self.null())
    }

    pub fn opt_strings(&mut self, flex: bool) -> Result<Option<Vec<Cow<'a, str>>>, DecodeError> {
        let min_len = if flex { 1 } else { 2 };
        let Some(count) = self.count(flex, min_len)? else { return Ok(None) };
        let mut array = Vec::with_capacity(reserve::<Cow<'_, str>>(count));
        for _ in 0..count {
            grow(&mut array, count);
            array.push(self.string(flex)?);
        }
        Ok(Some(array))
    }

    pub fn strings(&mut self, flex: bool) -> Result<Vec<Cow<'a, str>>, DecodeError> {
        self.opt_strings(flex)?.ok_or_else(|| self.null())
    }

    /// The tagged fields at the end of a structure. `known` reads the value of a tag that it knows and returns true;
    /// the others are kept.
    pub fn tags(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<UnknownTags, DecodeError> {
        let mut unknown = UnknownTags::default();
        let count = self.unsigned_varint()?;
        if count > MAX_TAGS || count as usize > self.rest.len() {
            return Err(self.invalid_length(count as usize));
        }
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let value = self.take(size)?;
            let mut inner = Reader { rest: value, total: self.position() };
            if !known(&mut inner, tag)? {
                unknown.push(tag, value);
            } else if !inner.rest.is_empty() {
                return Err(self.invalid_tag(tag));
            }
        }
        Ok(unknown)
    }

    /// The tagged fields of a structure that knows none.
    pub fn unknown_tags(&mut self) -> Result<UnknownTags, DecodeError> {
        if self.rest.first() == Some(&0) {
            self.rest = &self.rest[1..];
            return Ok(UnknownTags::default());
        }
        self.tags(|_, _| Ok(false))
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated { at: self.position(), needed, remaining: self.rest.len() }
    }

    #[cold]
    fn invalid_length(&self, length: usize) -> DecodeError {
        DecodeError::InvalidLength { at: self.position(), length: length as i64 }
    }

    #[cold]
    pub(crate) fn null(&self) -> DecodeError {
        DecodeError::UnexpectedNull { at: self.position() }
    }

    #[cold]
    pub(crate) fn invalid_tag(&self, tag: u32) -> DecodeError {
        DecodeError::InvalidTag { at: self.position(), tag }
    }

    #[cold]
    pub(crate) fn unknown_record_type(&self, key: i16) -> DecodeError {
        DecodeError::UnknownRecordType { key }
    }
}

/// How many elements to make room for at first.
fn reserve<T>(count: usize) -> usize {
    count.min((RESERVED_BYTES / size_of::<T>().max(1)).max(1))
}

/// Makes room for one more of `count` elements. The room doubles until all of them would fit into three times of it:
/// never more than is needed, and moving to the last room never takes more than 5/3 of it.
fn grow<T>(array: &mut Vec<T>, count: usize) {
    let len = array.len();
    if len == array.capacity() {
        let more = if count / 3 <= len { count - len } else { len };
        array.reserve_exact(more.max(1));
    }
}

macro_rules! element {
    ($($ty:ty: $read:ident),*) => {$(
        impl Decode<'_> for $ty {
            const MIN_LEN: usize = size_of::<$ty>();
            fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
                r.$read()
            }
        }
    )*};
}

element!(i8: i8, i16: i16, i32: i32, i64: i64, Uuid: uuid);
