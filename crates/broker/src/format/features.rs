//! The levels with which a new cluster's features begin.

use std::collections::BTreeMap;

use metadata::{FEATURES, Feature, MetadataVersion};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;

use super::Features;

const METADATA: &str = MetadataVersion::FEATURE_NAME;
const KRAFT: &str = Feature::KRAFT_VERSION;

/// A wish that no cluster can have; texts are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeatureError {
    #[error("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.")]
    Ambiguous,
    #[error("No MetadataVersion with feature level {0}. Valid feature levels are from {min} to {max}.", min = MetadataVersion::MINIMUM.level(), max = MetadataVersion::LATEST_TESTING.level())]
    UnknownMetadataVersion(i16),
    #[error("metadata.version {0} is not yet stable.")]
    Unstable(MetadataVersion),
    #[error("Unsupported feature: {name}. Supported features are: {supported}")]
    Unsupported { name: String, supported: String },
    #[error("No feature:{name} with feature level {level}")]
    UnknownLevel { name: String, level: i16 },
    #[error("{name} could not be set to {level} because it depends on {other} level {needed}")]
    Dependency { name: String, level: i16, other: &'static str, needed: i16 },
    #[error(
        "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing the --feature flag for kraft.version."
    )]
    StaticLevelForDynamicQuorum,
    #[error(
        "Cannot set kraft.version to {0} unless controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters."
    )]
    DynamicLevelForStaticQuorum(i16),
}

/// Levels of all features, `metadata.version` and `kraft.version` among them.
///
/// # Errors
/// When a wish contradicts the table of features or another wish.
pub fn levels(wishes: &Features) -> Result<BTreeMap<String, i16>, FeatureError> {
    let release = release(wishes)?;
    let mut levels = wishes.levels.clone();
    for name in levels.keys().filter(|name| *name != METADATA) {
        if Feature::by_name(name).is_none() {
            let mut supported: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
            supported.sort_unstable();
            let supported = supported.join(", ");
            return Err(FeatureError::Unsupported { name: name.clone(), supported });
        }
    }
    levels.insert(METADATA.to_owned(), release.level());
    for feature in FEATURES {
        if feature.name == KRAFT {
            let level = kraft_level(levels.get(KRAFT).copied(), wishes.dynamic_quorum)?;
            levels.insert(KRAFT.to_owned(), level);
        } else {
            levels.entry(feature.name.to_owned()).or_insert_with(|| feature.default_level(release));
        }
    }
    for (name, level) in levels.iter().filter(|(name, _)| *name != METADATA) {
        check_level(name, *level, &levels, wishes.unstable)?;
    }
    Ok(levels)
}

fn release(wishes: &Features) -> Result<MetadataVersion, FeatureError> {
    let release = match (wishes.levels.get(METADATA), wishes.release) {
        (Some(_), Some(_)) => return Err(FeatureError::Ambiguous),
        (Some(level), None) => MetadataVersion::from_level(*level)
            .ok_or(FeatureError::UnknownMetadataVersion(*level))?,
        (None, Some(release)) => release,
        (None, None) if wishes.unstable => MetadataVersion::LATEST_TESTING,
        (None, None) => MetadataVersion::LATEST_PRODUCTION,
    };
    if !wishes.unstable && release > MetadataVersion::LATEST_PRODUCTION {
        return Err(FeatureError::Unstable(release));
    }
    Ok(release)
}

fn kraft_level(wanted: Option<i16>, dynamic: bool) -> Result<i16, FeatureError> {
    match wanted {
        None => Ok(i16::from(dynamic)),
        Some(0) if dynamic => Err(FeatureError::StaticLevelForDynamicQuorum),
        Some(level) if level != 0 && !dynamic => {
            Err(FeatureError::DynamicLevelForStaticQuorum(level))
        }
        Some(level) => Ok(level),
    }
}

fn check_level(
    name: &str,
    level: i16,
    levels: &BTreeMap<String, i16>,
    unstable: bool,
) -> Result<(), FeatureError> {
    let unknown = || FeatureError::UnknownLevel { name: name.to_owned(), level };
    let feature = Feature::by_name(name).ok_or_else(unknown)?;
    let known = feature.level(level).ok_or_else(unknown)?;
    if !unstable && level > feature.latest_production {
        return Err(unknown());
    }
    for (other, needed) in known.dependencies {
        if levels.get(*other).is_none_or(|level| level < needed) {
            let (name, needed) = (name.to_owned(), *needed);
            return Err(FeatureError::Dependency { name, level, other, needed });
        }
    }
    Ok(())
}

/// The records with which the metadata log of a new cluster begins: `metadata.version` first, then by name those
/// above level 0. `kraft.version` is not among them: it lives in control records.
pub fn bootstrap_records(levels: &BTreeMap<String, i16>) -> Vec<MetadataRecord<'static>> {
    let record = |(name, level): (&String, &i16)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: name.clone().into(),
            feature_level: *level,
            ..Default::default()
        })
    };
    let metadata = levels.iter().filter(|(name, _)| *name == METADATA);
    let others =
        levels.iter().filter(|(name, level)| *name != METADATA && *name != KRAFT && **level > 0);
    metadata.chain(others).map(record).collect()
}
