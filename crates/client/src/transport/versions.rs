//! Which versions of each API a server offers, from its ApiVersions answer.

use std::collections::HashMap;

use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::{ApiKey, Message};

use crate::error::{Error, Result};

/// The ranges that one server offers.
#[derive(Clone, Debug, Default)]
pub struct ServerVersions {
    ranges: HashMap<i16, (i16, i16)>,
}

impl ServerVersions {
    pub(crate) fn from_response(response: &ApiVersionsResponse<'_>) -> Self {
        let ranges = response.api_keys.iter().map(|a| (a.api_key, (a.min_version, a.max_version)));
        Self { ranges: ranges.collect() }
    }

    /// Lowest and highest version that the server offers.
    pub fn range(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&(api as i16)).copied()
    }

    /// Key, lowest and highest version of all that the server offers, those that this client does not know, too.
    pub fn all(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.ranges.iter().map(|(key, (min, max))| (*key, *min, *max))
    }

    /// The highest version that both sides speak, at most `cap`.
    pub(crate) fn choose<R: Message>(&self, api: ApiKey, cap: i16, address: &str) -> Result<i16> {
        let ours_max = R::MAX_VERSION.min(cap);
        let theirs = self.range(api);
        if let Some((min, max)) = theirs {
            let version = max.min(ours_max);
            if version >= min && version >= R::MIN_VERSION {
                return Ok(version);
            }
        }
        Err(Error::UnsupportedVersion {
            address: address.to_owned(),
            api: api.name(),
            ours_min: R::MIN_VERSION,
            ours_max,
            theirs: theirs.map_or(String::from("none"), |(min, max)| format!("{min} to {max}")),
        })
    }
}
