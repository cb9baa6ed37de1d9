//! The APIs: versions, headers, where they are served.

use std::ops::RangeInclusive;

pub use crate::tables::ApiKey;
use crate::tables::apis;

/// Who serves an API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Listener {
    Broker,
    Controller,
}

pub(crate) struct ApiRow {
    pub(crate) key: ApiKey,
    pub(crate) name: &'static str,
    pub(crate) low: i16,
    pub(crate) high: i16,
    /// First flexible version; `i16::MAX` when there is none.
    pub(crate) flexible: i16,
    pub(crate) listeners: &'static [Listener],
    pub(crate) forwarded: bool,
    pub(crate) unstable: bool,
}

impl ApiKey {
    /// The API with this number, `None` when Kafka 4.4 does not know it.
    pub fn from_i16(key: i16) -> Option<Self> {
        apis().get(usize::try_from(key).ok()?).map(|row| row.key)
    }

    pub const fn code(self) -> i16 {
        self as i16
    }

    /// All APIs by number, removed ones included.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        apis().iter().map(|row| row.key)
    }

    fn row(self) -> &'static ApiRow {
        // Keys number the rows from 0 without a gap: the generator checks it.
        &apis()[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The known versions, the unstable one included; empty for APIs that Kafka has removed.
    pub fn versions(self) -> RangeInclusive<i16> {
        self.row().low..=self.row().high
    }

    /// The versions that a node offers when unstable versions are not enabled.
    pub fn stable_versions(self) -> RangeInclusive<i16> {
        self.row().low..=self.row().high - i16::from(self.row().unstable)
    }

    /// Whether the latest version is still unstable.
    pub fn latest_unstable(self) -> bool {
        self.row().unstable
    }

    /// Who serves it; empty for removed APIs.
    pub fn listeners(self) -> &'static [Listener] {
        self.row().listeners
    }

    /// Whether a broker passes the request on to the active controller.
    pub fn forwarded_to_controller(self) -> bool {
        self.row().forwarded
    }

    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.row().flexible
    }

    /// 2 for flexible versions of the request, else 1.
    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// 1 for flexible versions, else 0. Always 0 for ApiVersions, so that a client can read the answer to a version
    /// that the server does not know (KIP-511).
    pub fn response_header_version(self, version: i16) -> i16 {
        if self != Self::ApiVersions && self.is_flexible(version) { 1 } else { 0 }
    }
}
