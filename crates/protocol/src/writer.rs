//! Writes primitive values, into bytes or into a mere count of them.

use std::borrow::Cow;

use base::Uuid;

use crate::reader::MAX_STRING_LEN;
use crate::tags::Iter;
use crate::{EncodeError, Records, UnknownTags, varint};

/// A piece of a message that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    Bytes(bytes::Bytes),
    /// The place of [`Records::External`].
    External {
        slot: u32,
        len: u32,
    },
}

impl Part {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { len, .. } => *len as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Collects the bytes of messages.
#[derive(Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Parts that were closed by external records.
    parts: Vec<Part>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// With room for `len` bytes.
    pub fn with_capacity(len: usize) -> Self {
        Self { bytes: Vec::with_capacity(len), parts: Vec::new() }
    }

    /// Bytes written so far, external ones included.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Part::len).sum::<usize>() + self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        Sink::varint(self, value);
    }

    /// Everything as contiguous bytes; an error when there are external records.
    pub fn into_vec(self) -> Result<Vec<u8>, EncodeError> {
        if self.parts.is_empty() { Ok(self.bytes) } else { Err(EncodeError::ExternalRecords) }
    }

    pub fn into_parts(mut self) -> Vec<Part> {
        self.close();
        self.parts
    }

    fn close(&mut self) {
        if !self.bytes.is_empty() {
            self.parts.push(Part::Bytes(std::mem::take(&mut self.bytes).into()));
        }
    }
}

/// Counts instead of writing.
#[derive(Default)]
pub struct Counter {
    len: usize,
}

impl Counter {
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Something that goes into a [`Sink`]: messages, their structures, elements of arrays.
pub trait Put {
    fn put<S: Sink>(&self, s: &mut S, version: i16) -> Result<(), EncodeError>;
}

/// Where tagged fields are being written.
pub struct Tags<'t> {
    unknown: Iter<'t>,
    /// One more than the last tag written.
    next: u64,
}

/// Takes bytes. [`Writer`] keeps them, [`Counter`] counts them.
pub trait Sink: Sized {
    fn put_raw(&mut self, bytes: &[u8]);
    fn put_external(&mut self, slot: u32, len: u32);
    /// Where the value of a tagged field starts.
    fn tag_start(&self) -> usize;
    /// Puts the length of what was written since `start` before it.
    fn tag_end(&mut self, start: usize);

    fn bool(&mut self, x: bool) {
        self.put_raw(&[u8::from(x)]);
    }
    fn i8(&mut self, x: i8) {
        self.put_raw(&x.to_be_bytes());
    }
    fn i16(&mut self, x: i16) {
        self.put_raw(&x.to_be_bytes());
    }
    fn u16(&mut self, x: u16) {
        self.put_raw(&x.to_be_bytes());
    }
    fn i32(&mut self, x: i32) {
        self.put_raw(&x.to_be_bytes());
    }
    fn u32(&mut self, x: u32) {
        self.put_raw(&x.to_be_bytes());
    }
    fn i64(&mut self, x: i64) {
        self.put_raw(&x.to_be_bytes());
    }
    fn f64(&mut self, x: f64) {
        self.put_raw(&x.to_be_bytes());
    }
    fn uuid(&mut self, x: Uuid) {
        self.put_raw(&x.0);
    }

    fn varint(&mut self, x: u32) {
        if x < 0x80 {
            return self.put_raw(&[x as u8]);
        }
        let mut bytes = [0; 5];
        let len = varint::write_unsigned(x, &mut bytes);
        self.put_raw(&bytes[..len]);
    }

    /// A length of 2 or (`wide`) 4 bytes or a varint; negative or zero for null.
    fn length(&mut self, flex: bool, wide: bool, len: Option<usize>) -> Result<(), EncodeError> {
        let length = match len {
            None => -1,
            Some(len) if len < i32::MAX as usize => len as i32,
            Some(len) => return Err(EncodeError::TooLong { len }),
        };
        match (flex, wide) {
            (true, _) => self.varint((length + 1).unsigned_abs()),
            (false, true) => self.i32(length),
            (false, false) => self.i16(length as i16), // strings: at most 0x7fff
        }
        Ok(())
    }

    fn opt_string(&mut self, flex: bool, x: Option<&str>) -> Result<(), EncodeError> {
        if let Some(len) = x.map(str::len).filter(|len| *len > MAX_STRING_LEN) {
            return Err(EncodeError::StringTooLong { len });
        }
        self.length(flex, false, x.map(str::len))?;
        self.put_raw(x.unwrap_or_default().as_bytes());
        Ok(())
    }
    fn string(&mut self, flex: bool, x: &str) -> Result<(), EncodeError> {
        self.opt_string(flex, Some(x))
    }
    fn opt_bytes(&mut self, flex: bool, x: Option<&[u8]>) -> Result<(), EncodeError> {
        self.length(flex, true, x.map(<[u8]>::len))?;
        self.put_raw(x.unwrap_or_default());
        Ok(())
    }
    fn bytes(&mut self, flex: bool, x: &[u8]) -> Result<(), EncodeError> {
        self.opt_bytes(flex, Some(x))
    }
    fn records(&mut self, flex: bool, x: Option<&Records<'_>>) -> Result<(), EncodeError> {
        self.length(flex, true, x.map(Records::len))?;
        match x {
            Some(Records::Bytes(bytes)) => self.put_raw(bytes),
            Some(Records::External { slot, len }) => self.put_external(*slot, *len),
            None => {}
        }
        Ok(())
    }

    /// A mark before the structure: 1, or for null -1, or 0 if it is the value of a tagged field.
    fn opt_structure<T: Put>(
        &mut self,
        tagged: bool,
        x: Option<&T>,
        version: i16,
    ) -> Result<(), EncodeError> {
        match x {
            None => self.i8(if tagged { 0 } else { -1 }),
            Some(x) => {
                self.i8(1);
                x.put(self, version)?;
            }
        }
        Ok(())
    }

    fn opt_array<T: Put>(
        &mut self,
        flex: bool,
        x: Option<&[T]>,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.length(flex, true, x.map(<[T]>::len))?;
        for element in x.unwrap_or_default() {
            element.put(self, version)?;
        }
        Ok(())
    }
    fn array<T: Put>(&mut self, flex: bool, x: &[T], version: i16) -> Result<(), EncodeError> {
        self.opt_array(flex, Some(x), version)
    }
    fn opt_strings(&mut self, flex: bool, x: Option<&[Cow<'_, str>]>) -> Result<(), EncodeError> {
        self.length(flex, true, x.map(<[_]>::len))?;
        for element in x.unwrap_or_default() {
            self.string(flex, element)?;
        }
        Ok(())
    }
    fn strings(&mut self, flex: bool, x: &[Cow<'_, str>]) -> Result<(), EncodeError> {
        self.opt_strings(flex, Some(x))
    }

    /// The tagged fields of a structure that knows none.
    fn unknown_tags(&mut self, unknown: &UnknownTags) -> Result<(), EncodeError> {
        if unknown.is_empty() {
            self.varint(0);
            return Ok(());
        }
        let tags = self.tags_begin(unknown, 0);
        self.tags_end(tags)
    }
    /// `known` fields will follow, in ascending order, each between `tag_begin` and `tag_end`.
    fn tags_begin<'t>(&mut self, unknown: &'t UnknownTags, known: u32) -> Tags<'t> {
        self.varint(known + unknown.count());
        Tags { unknown: unknown.iter(), next: 0 }
    }
    fn tag_begin(&mut self, tags: &mut Tags<'_>, tag: u32) -> Result<usize, EncodeError> {
        self.unknown_before(tags, u64::from(tag))?;
        tags.next = u64::from(tag) + 1;
        self.varint(tag);
        Ok(self.tag_start())
    }
    fn tags_end(&mut self, mut tags: Tags<'_>) -> Result<(), EncodeError> {
        self.unknown_before(&mut tags, u64::MAX)
    }
    /// The unknown fields with tags below `end`.
    fn unknown_before(&mut self, tags: &mut Tags<'_>, end: u64) -> Result<(), EncodeError> {
        while !tags.unknown.is_at_end() {
            let mut ahead = tags.unknown.clone();
            let Some((tag, value)) = ahead.next() else { break };
            if u64::from(tag) < tags.next || u64::from(tag) == end {
                return Err(EncodeError::InvalidTag { tag });
            }
            if u64::from(tag) > end {
                return Ok(());
            }
            tags.next = u64::from(tag) + 1;
            tags.unknown = ahead;
            self.varint(tag);
            self.varint(value.len() as u32);
            self.put_raw(value);
        }
        Ok(())
    }
}

impl Sink for Writer {
    fn put_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn put_external(&mut self, slot: u32, len: u32) {
        self.close();
        self.parts.push(Part::External { slot, len });
    }

    fn tag_start(&self) -> usize {
        self.bytes.len()
    }

    fn tag_end(&mut self, start: usize) {
        // Tagged fields hold no records (the generator checks it), so that all of it is still in `bytes`.
        let mut size = [0; 5];
        let n = varint::write_unsigned((self.bytes.len() - start) as u32, &mut size);
        self.bytes.extend_from_slice(&size[..n]);
        self.bytes[start..].rotate_right(n);
    }
}

impl Sink for Counter {
    fn put_raw(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
    }

    fn put_external(&mut self, _slot: u32, len: u32) {
        self.len += len as usize;
    }

    fn tag_start(&self) -> usize {
        self.len
    }

    fn tag_end(&mut self, start: usize) {
        self.len += varint::unsigned_len((self.len - start) as u32);
    }

    fn varint(&mut self, x: u32) {
        self.len += varint::unsigned_len(x);
    }
}

macro_rules! element {
    ($($ty:ty: $write:ident),*) => {$(
        impl Put for $ty {
            fn put<S: Sink>(&self, s: &mut S, _version: i16) -> Result<(), EncodeError> {
                s.$write(*self);
                Ok(())
            }
        }
    )*};
}

element!(i8: i8, i16: i16, i32: i32, i64: i64, Uuid: uuid);
