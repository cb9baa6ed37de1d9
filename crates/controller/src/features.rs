//! UpdateFeatures: which levels the cluster uses.

use std::collections::BTreeSet;

use base::NodeId;
use metadata::{Feature, MetadataVersion, VersionRange};
use protocol::ErrorCode;
use protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use protocol::messages::update_features_response::{
    UpdatableFeatureResult, UpdateFeaturesResponse,
};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;

use crate::configs;
use crate::error::{ApiError, Result};
use crate::handle::{At, Controller, Outcome, Records};
use crate::random::Random;
use crate::request::ControllerRequest;

const DISABLED: VersionRange = VersionRange { min: 0, max: 0 };

/// How a level may move, with the codes of the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl Direction {
    fn from_code(code: i8) -> Option<Self> {
        match code {
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

/// The finalised level of a feature, those kept outside the image included.
pub(crate) fn finalized(controller: &Controller, name: &str) -> i16 {
    match name {
        Feature::KRAFT_VERSION => controller.settings.kraft_version,
        name => controller.image().features.level(name),
    }
}

pub(crate) fn handle(
    controller: &Controller,
    request: &UpdateFeaturesRequest<'static>,
    version: i16,
) -> (Records, UpdateFeaturesResponse<'static>) {
    let mut records = Vec::new();
    for asked in &request.feature_updates {
        match update(controller, request, asked) {
            Ok(record) => records.extend(record),
            Err(error) => {
                let why = error.message.unwrap_or_default();
                let message = format!(
                    "The update failed for all features since the following feature had an error: {why}"
                );
                let reply = UpdateFeaturesResponse {
                    error_code: error.code.code(),
                    error_message: Some(message.into()),
                    ..Default::default()
                };
                return (Records::none(), reply);
            }
        }
    }
    let turns_on_elr = |asked: &FeatureUpdateKey<'_>| {
        asked.feature == configs::ELR_FEATURE && asked.max_version_level > 0
    };
    let mut all = Vec::new();
    if !request.validate_only {
        if request.feature_updates.iter().any(turns_on_elr) {
            all = configs::elr_safety(controller);
        }
        all.append(&mut records);
    }
    let results = request.feature_updates.iter().filter(|_| version <= 1).map(|asked| {
        UpdatableFeatureResult {
            feature: asked.feature.clone(),
            error_code: 0,
            error_message: Some("NONE".into()),
            ..Default::default()
        }
    });
    let reply = UpdateFeaturesResponse {
        error_message: None,
        results: results.collect(),
        ..Default::default()
    };
    (Records::atomic(all), reply)
}

fn invalid(name: &str, level: i16, why: &str) -> ApiError {
    let message = format!("Invalid update version {level} for feature {name}. {why}");
    ApiError::new(ErrorCode::InvalidUpdateVersion, message)
}

fn update(
    controller: &Controller,
    request: &UpdateFeaturesRequest<'static>,
    asked: &FeatureUpdateKey<'static>,
) -> Result<Option<MetadataRecord<'static>>> {
    let (name, level) = (&*asked.feature, asked.max_version_level);
    let refuse = |why: &str| Err(invalid(name, level, why));
    let Some(direction) = Direction::from_code(asked.upgrade_type) else {
        return refuse("The controller does not support the given upgrade type.");
    };
    let current = finalized(controller, name);
    if level < 0 {
        return refuse("A feature version cannot be less than 0.");
    }
    if let Some(why) = why_unsupported(controller, name, level) {
        return refuse(&why);
    }
    if level < current && direction == Direction::Upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade.",
        );
    }
    if level > current && direction != Direction::Upgrade {
        return refuse("Can't downgrade to a newer version.");
    }
    match name {
        MetadataVersion::FEATURE_NAME => check_metadata_version(controller, level, direction)?,
        Feature::KRAFT_VERSION if level == current => return Ok(None),
        Feature::KRAFT_VERSION if level < current => {
            return refuse("Can't downgrade the version of this feature.");
        }
        Feature::KRAFT_VERSION => return kraft_decision(controller).map(|()| None),
        name => check_dependencies(controller, request, name, level)?,
    }
    let record = FeatureLevelRecord {
        name: asked.feature.clone(),
        feature_level: level,
        ..Default::default()
    };
    Ok(Some(record.into()))
}

/// The quorum's control records hold the level: the quorum was asked before this controller.
fn kraft_decision(controller: &Controller) -> Result<()> {
    controller.kraft_upgrade.clone().unwrap_or_else(|| {
        let message = "Upgrading kraft.version is not supported by this controller.";
        Err(ApiError::new(ErrorCode::UnsupportedVersion, message))
    })
}

impl Controller {
    /// The level of `kraft.version` that a request wants raised, and whether it only wants to know if that can be.
    pub fn kraft_upgrade(&self, request: &ControllerRequest) -> Option<(i16, bool)> {
        let ControllerRequest::UpdateFeatures(request, _) = request else { return None };
        let mut updates = request.feature_updates.iter();
        let asked = updates.find(|asked| asked.feature == Feature::KRAFT_VERSION)?;
        let level = asked.max_version_level;
        let raises = level > self.settings.kraft_version
            && Direction::from_code(asked.upgrade_type) == Some(Direction::Upgrade)
            && why_unsupported(self, Feature::KRAFT_VERSION, level).is_none();
        raises.then_some((level, request.validate_only))
    }

    /// Handles a request that raises `kraft.version`, after the quorum has done so or refused.
    pub fn handle_upgrade(
        &mut self,
        at: At,
        request: ControllerRequest,
        decided: Result<(), ApiError>,
        random: &mut dyn Random,
    ) -> Outcome {
        self.kraft_upgrade = Some(decided);
        let outcome = self.handle(at, request, random);
        self.kraft_upgrade = None;
        outcome
    }
}

fn check_metadata_version(controller: &Controller, level: i16, direction: Direction) -> Result<()> {
    let refuse = |message| Err(ApiError::new(ErrorCode::InvalidUpdateVersion, message));
    let Some(new) = MetadataVersion::from_level(level) else {
        return refuse(format!(
            "Invalid metadata.version {level}. Valid versions are from {} to {}.",
            MetadataVersion::MINIMUM.level(),
            MetadataVersion::LATEST_TESTING.level()
        ));
    };
    let current = controller.metadata_version();
    if new >= current || !new.metadata_changed_between(current) {
        return Ok(());
    }
    let why = if direction == Direction::UnsafeDowngrade {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    };
    refuse(format!(
        "Unsupported metadata.version downgrade from {} to {level}. {why}",
        current.level()
    ))
}

/// What the level needs of other features, those changed by the same request included.
fn check_dependencies(
    controller: &Controller,
    request: &UpdateFeaturesRequest<'static>,
    name: &str,
    level: i16,
) -> Result<()> {
    let Some(feature) = Feature::by_name(name) else {
        return Err(invalid(name, level, &format!("Feature {name} not found.")));
    };
    let Some(known) = feature.level(level) else {
        return Err(invalid(name, level, &format!("No feature:{name} with feature level {level}")));
    };
    let proposed = |other: &str| {
        let asked = request.feature_updates.iter().rev().find(|asked| asked.feature == other);
        asked.map_or_else(
            || controller.image().features.level(other),
            |asked| asked.max_version_level,
        )
    };
    for (other, needed) in known.dependencies {
        if proposed(other) < *needed {
            let why = format!(
                "{name} could not be set to {level} because it depends on {other} level {needed}"
            );
            return Err(invalid(name, level, &why));
        }
    }
    Ok(())
}

/// Kafka's reason why a level cannot be used, from the first node that does not support it.
fn why_unsupported(controller: &Controller, name: &str, level: i16) -> Option<String> {
    let why = |who: String, range: Option<&VersionRange>| {
        let range = range.unwrap_or(&DISABLED);
        if range.contains(level) {
            None
        } else if range.max == 0 {
            Some(format!("{who} does not support this feature."))
        } else {
            Some(format!("{who} only supports versions {}", text(*range)))
        }
    };
    let settings = &controller.settings;
    let own = settings.node.node_id;
    if let Some(reason) = why(format!("Local controller {own}"), settings.features.get(name)) {
        return Some(reason);
    }
    let cluster = &controller.image().cluster;
    for broker in cluster.brokers.values() {
        if let Some(reason) = why(format!("Broker {}", broker.id), broker.features.get(name)) {
            return Some(reason);
        }
    }
    if !controller.metadata_version().supports_controller_registration() {
        return None;
    }
    let others = cluster.controllers.values().filter(|other| other.id != own);
    for other in others {
        if let Some(reason) = why(format!("Controller {}", other.id), other.features.get(name)) {
            return Some(reason);
        }
    }
    let known: BTreeSet<NodeId> = cluster.controllers.keys().copied().chain([own]).collect();
    let missing = settings.quorum.iter().find(|id| !known.contains(id))?;
    Some(format!("controller {missing} has not registered, and may not support this feature"))
}

fn text(range: VersionRange) -> String {
    if range.min == range.max {
        range.min.to_string()
    } else {
        format!("{}-{}", range.min, range.max)
    }
}
