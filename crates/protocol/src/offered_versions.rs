//! Which versions of each API the other side of a connection offers, and how it is asked for them.

use std::collections::HashMap;

use crate::messages::api_versions_request::ApiVersionsRequest;
use crate::messages::api_versions_response::ApiVersionsResponse;
use crate::{ApiKey, DecodeError, ErrorCode, decode_exact};

/// APIs that the other side may name; Kafka has fewer than 100.
const APIS_MAX: usize = 1_000;

/// Features that it may name; Kafka has fewer than 10.
const FEATURES_MAX: usize = 100;

/// The ranges that one server offers.
#[derive(Clone, Debug, Default)]
pub struct OfferedVersions {
    ranges: HashMap<i16, (i16, i16)>,
    finalized: FinalizedFeatures,
}

/// The levels that the cluster had finalized when a server was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinalizedFeatures {
    /// Counts up with each change; -1 when the server does not tell.
    pub epoch: i64,
    levels: HashMap<String, i16>,
}

impl Default for FinalizedFeatures {
    fn default() -> Self {
        Self { epoch: -1, levels: HashMap::new() }
    }
}

impl FinalizedFeatures {
    /// The level of a feature; 0 when it is off.
    pub fn level(&self, feature: &str) -> i16 {
        self.levels.get(feature).copied().unwrap_or(0)
    }
}

/// What an answer to ApiVersions means.
#[derive(Clone, Debug)]
pub enum Offer {
    Versions(OfferedVersions),
    /// The version of the question is unknown there: it is to be asked again in this one (KIP-511).
    Again(i16),
    /// With this error.
    Refused(i16),
}

impl OfferedVersions {
    /// The question, to be asked in the newest version first.
    pub fn request() -> ApiVersionsRequest<'static> {
        ApiVersionsRequest {
            client_software_name: "monedula".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        }
    }

    fn new(response: &ApiVersionsResponse<'_>) -> Self {
        let rows = response.api_keys.iter().take(APIS_MAX);
        let levels = response.finalized_features.iter().take(FEATURES_MAX);
        let levels = levels.map(|f| (f.name.to_string(), f.max_version_level)).collect();
        Self {
            ranges: rows.map(|row| (row.api_key, (row.min_version, row.max_version))).collect(),
            finalized: FinalizedFeatures { epoch: response.finalized_features_epoch, levels },
        }
    }

    /// What the cluster has finalized, as the other side knows.
    pub fn finalized(&self) -> &FinalizedFeatures {
        &self.finalized
    }

    /// Lowest and highest version that the other side offers.
    pub fn range(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&api.code()).copied()
    }

    /// Key, lowest and highest version of all that is offered, in no order; also of APIs that are not known here.
    pub fn all(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.ranges.iter().map(|(key, (min, max))| (*key, *min, *max))
    }

    /// The highest version that both sides speak, at most `cap`.
    pub fn choose(&self, api: ApiKey, cap: i16, unstable: bool) -> Option<i16> {
        let ours = if unstable { api.versions() } else { api.stable_versions() };
        let (low, high) = self.range(api)?;
        let version = high.min(*ours.end()).min(cap);
        (version >= low && version >= *ours.start()).then_some(version)
    }
}

impl Offer {
    /// Reads the body of the answer to a question of `version`.
    ///
    /// # Errors
    /// When it is no such answer.
    pub fn read(body: &[u8], version: i16) -> Result<Self, DecodeError> {
        // The code stands first in every version.
        let code = body.first_chunk::<2>().map_or(-1, |bytes| i16::from_be_bytes(*bytes));
        if code == ErrorCode::UnsupportedVersion.code() && version > 0 {
            // Such an answer is in version 0, and tells the range of this API.
            let offered = OfferedVersions::new(&decode_exact(body, 0)?);
            let older = offered.choose(ApiKey::ApiVersions, version - 1, false);
            return Ok(Self::Again(older.unwrap_or(0)));
        }
        if code != ErrorCode::None.code() {
            return Ok(Self::Refused(code));
        }
        Ok(Self::Versions(OfferedVersions::new(&decode_exact(body, version)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode_to_vec;
    use crate::messages::api_versions_response::ApiVersion;

    fn body(error: ErrorCode, (min, max): (i16, i16), version: i16) -> Vec<u8> {
        let row =
            ApiVersion { api_key: 18, min_version: min, max_version: max, ..Default::default() };
        let response = ApiVersionsResponse {
            error_code: error.code(),
            api_keys: vec![row],
            ..Default::default()
        };
        encode_to_vec(&response, version).expect("it can be written")
    }

    #[test]
    fn an_older_server_is_asked_again_in_what_it_speaks_and_every_question_is_older() {
        let unsupported = |range| body(ErrorCode::UnsupportedVersion, range, 0);
        let again = |range, version| match Offer::read(&unsupported(range), version) {
            Ok(Offer::Again(again)) => again,
            other => panic!("{other:?}"),
        };
        assert_eq!(again((0, 2), 4), 2);
        assert_eq!(again((0, 9), 4), 3, "it refused 4 whatever it says");
        assert_eq!(again((7, 9), 4), 0);
        let last = Offer::read(&unsupported((0, 2)), 0);
        assert!(matches!(last, Ok(Offer::Refused(35))), "{last:?}");
    }

    #[test]
    fn what_is_offered_is_what_both_speak_at_most() {
        let read = Offer::read(&body(ErrorCode::None, (1, 3), 3), 3);
        let Ok(Offer::Versions(offered)) = read else { panic!("{read:?}") };
        let api = ApiKey::ApiVersions;
        assert_eq!(offered.range(api), Some((1, 3)));
        assert_eq!(offered.choose(api, i16::MAX, false), Some(3));
        assert_eq!(offered.choose(api, 2, false), Some(2));
        assert_eq!(offered.choose(api, 0, false), None);
        assert_eq!(offered.choose(ApiKey::Fetch, i16::MAX, true), None);
        assert_eq!(offered.all().collect::<Vec<_>>(), [(18, 1, 3)]);
    }

    #[test]
    fn the_cluster_tells_what_is_finalized() {
        use crate::messages::api_versions_response::FinalizedFeatureKey;
        let response = ApiVersionsResponse {
            finalized_features_epoch: 7,
            finalized_features: vec![FinalizedFeatureKey {
                name: "transaction.version".into(),
                max_version_level: 2,
                min_version_level: 2,
                ..Default::default()
            }],
            ..Default::default()
        };
        let body = encode_to_vec(&response, 4).expect("it can be written");
        let Ok(Offer::Versions(offered)) = Offer::read(&body, 4) else { panic!("{body:?}") };
        assert_eq!(offered.finalized().epoch, 7);
        assert_eq!(offered.finalized().level("transaction.version"), 2);
        assert_eq!(offered.finalized().level("group.version"), 0);
        assert_eq!(FinalizedFeatures::default().epoch, -1);
    }

    #[test]
    fn an_error_or_nonsense_offers_nothing() {
        let refused = Offer::read(&body(ErrorCode::InvalidRequest, (0, 0), 3), 3);
        assert!(matches!(refused, Ok(Offer::Refused(42))), "{refused:?}");
        assert!(matches!(Offer::read(&[], 3), Ok(Offer::Refused(-1))));
        assert!(Offer::read(&[0, 0, 1], 3).is_err());
        assert!(Offer::read(&[0, 35, 1], 3).is_err());
    }
}
