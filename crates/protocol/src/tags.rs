//! Tagged fields that this version of the schemas does not know: kept, and written back in their order.

use crate::varint;

/// Unknown tagged fields of one structure. One word when there are none, else their bytes as on the wire.
#[derive(Clone, PartialEq, Default)]
pub struct UnknownTags(Option<Box<Raw>>);

#[derive(Clone, PartialEq, Default)]
struct Raw {
    count: u32,
    /// Tag, size, value, one field after the other.
    bytes: Vec<u8>,
}

impl UnknownTags {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn len(&self) -> usize {
        self.count() as usize
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.as_ref().map_or(0, |raw| raw.count)
    }

    /// Adds a field after the others. Writing refuses tags that are not in ascending order.
    ///
    /// # Panics
    /// When the value is 4 GiB or longer.
    pub fn push(&mut self, tag: u32, value: &[u8]) {
        let size = u32::try_from(value.len()).expect("a tagged field is shorter than 4 GiB");
        let raw = self.0.get_or_insert_default();
        raw.count += 1;
        let mut number = [0; 5];
        for n in [tag, size] {
            let len = varint::write_unsigned(n, &mut number);
            raw.bytes.extend_from_slice(&number[..len]);
        }
        raw.bytes.extend_from_slice(value);
    }

    /// Tag and value of every field.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.0.as_ref().map_or(&[], |raw| &raw.bytes) }
    }
}

impl std::fmt::Debug for UnknownTags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Walks over the fields.
#[derive(Clone, Default)]
pub struct Iter<'t> {
    rest: &'t [u8],
}

impl Iter<'_> {
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'t> Iterator for Iter<'t> {
    type Item = (u32, &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, n) = varint::read_unsigned(self.rest)?;
        let (size, m) = varint::read_unsigned(self.rest.get(n..)?)?;
        let (value, rest) = self.rest.get(n + m..)?.split_at_checked(size as usize)?;
        self.rest = rest;
        Some((tag, value))
    }
}
