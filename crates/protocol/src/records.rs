//! Record batches inside a message: bytes, or a promise of bytes that the sender fills in.

use std::borrow::Cow;

/// The value of a field of type `records`.
#[derive(Clone, PartialEq, Debug)]
pub enum Records<'a> {
    Bytes(Cow<'a, [u8]>),
    /// `len` bytes that the sender takes from elsewhere (a range of a segment file), named by `slot`.
    External {
        slot: u32,
        len: u32,
    },
}

impl<'a> Records<'a> {
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

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

    /// The bytes; `None` when they lie elsewhere.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::External { .. } => None,
        }
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Records<'static> {
        match self {
            Self::Bytes(bytes) => Records::Bytes(Cow::Owned(bytes.into_owned())),
            Self::External { slot, len } => Records::External { slot, len },
        }
    }
}

impl From<Vec<u8>> for Records<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}
