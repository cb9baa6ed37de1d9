//! Kafka's UUIDs: 16 bytes, printed as 22 characters of URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

/// 128 bits, big-endian as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zero: "no id". Also the directory id `UNASSIGNED`.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of the metadata topic. Also the directory id `LOST`.
    pub const ONE: Self = Self::reserved(1);
    pub const METADATA_TOPIC: Self = Self::ONE;

    /// A directory that was not chosen yet.
    pub const DIR_UNASSIGNED: Self = Self::ZERO;
    /// A directory that is offline.
    pub const DIR_LOST: Self = Self::reserved(1);
    /// The directory of a broker that does not name its directories.
    pub const DIR_MIGRATING: Self = Self::reserved(2);

    const fn reserved(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// A version 4 UUID from 16 random bytes; `None` for those that Kafka never hands out: the reserved ones (below
    /// 100) and those whose text starts with a dash, which command lines take for an option.
    pub fn from_random(mut random: [u8; 16]) -> Option<Self> {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        let id = Self(random);
        (!id.is_reserved() && !id.to_string().starts_with('-')).then_some(id)
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    pub fn is_reserved(self) -> bool {
        u128::from_be_bytes(self.0) < 100
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a UUID of 22 characters of URL-safe base64")]
pub struct InvalidUuid {
    pub text: String,
}

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidUuid { text: text.chars().take(64).collect() };
        if text.len() > 24 {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let bytes = bytes.map_err(|_| invalid())?;
        Ok(Self(bytes.try_into().map_err(|_| invalid())?))
    }
}
