//! Feature levels: what nodes support, what the cluster uses, and changing that.

use std::collections::BTreeMap;

use base::NodeId;
use protocol::ErrorCode;
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::UpdateFeaturesResponse;

use super::{Admin, PerItem};
use crate::cluster::Target;
use crate::error::{Error, Result};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FeatureDescription {
    /// Lowest and highest level by name.
    pub supported: BTreeMap<String, (i16, i16)>,
    pub finalized: BTreeMap<String, i16>,
    /// The metadata version (an offset) of `finalized`.
    pub epoch: Option<i64>,
}

/// Which way a level may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upgrade {
    Up,
    SafeDown,
    UnsafeDown,
}

impl Upgrade {
    const fn number(self) -> i8 {
        match self {
            Self::Up => 1,
            Self::SafeDown => 2,
            Self::UnsafeDown => 3,
        }
    }
}

impl Admin {
    /// As one node tells, or any.
    pub async fn describe_features(&self, node: Option<NodeId>) -> Result<FeatureDescription> {
        let request = ApiVersionsRequest {
            client_software_name: "monedula".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        let target = node.map_or(Target::Any, Target::Node);
        self.ask("describeFeatures", target, &request, |reply| {
            let response: ApiVersionsResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let supported = response.supported_features.iter();
            let finalized = response.finalized_features.iter();
            Ok(FeatureDescription {
                supported: supported
                    .map(|f| (f.name.to_string(), (f.min_version, f.max_version)))
                    .collect(),
                finalized: finalized.map(|f| (f.name.to_string(), f.max_version_level)).collect(),
                epoch: Some(response.finalized_features_epoch).filter(|epoch| *epoch >= 0),
            })
        })
        .await
    }

    /// Changes levels, all or none; the answers are by feature.
    pub async fn update_features(
        &self,
        updates: &BTreeMap<String, i16>,
        upgrade: Upgrade,
        validate_only: bool,
    ) -> Result<PerItem<String, ()>> {
        let update = |(feature, level): (&String, &i16)| FeatureUpdateKey {
            feature: feature.clone().into(),
            max_version_level: *level,
            upgrade_type: upgrade.number(),
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            feature_updates: updates.iter().map(update).collect(),
            validate_only,
            ..Default::default()
        };
        self.ask("updateFeatures", self.decider(), &request, |reply| {
            let response: UpdateFeaturesResponse<'_> = reply.decode()?;
            let whole = Error::check(response.error_code, response.error_message.as_deref());
            if let Err(error) = &whole
                && error.code() == Some(ErrorCode::NotController)
            {
                return Err(error.clone());
            }
            let result = |feature: &String| {
                // Old answers speak of each feature, new ones of all at once.
                let own = response.results.iter().find(|r| r.feature == *feature);
                let own = own.map(|r| Error::check(r.error_code, r.error_message.as_deref()));
                match &whole {
                    Ok(()) => own.unwrap_or(Ok(())),
                    Err(error) => Err(error.clone()),
                }
            };
            Ok(updates.keys().map(|feature| (feature.clone(), result(feature))).collect())
        })
        .await
    }
}
