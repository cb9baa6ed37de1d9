//! Features of the cluster: the table of those Kafka 4.4 knows, and the levels the cluster has finalised.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::MetadataVersion;

/// One level of a feature.
#[derive(Debug)]
pub struct FeatureLevel {
    pub level: i16,
    /// A cluster formatted at this `metadata.version` or above starts with this level.
    pub bootstrap_version: MetadataVersion,
    /// Other features that must be at least at the given level.
    pub dependencies: &'static [(&'static str, i16)],
}

/// A feature other than `metadata.version`.
#[derive(Debug)]
pub struct Feature {
    pub name: &'static str,
    /// Ascending from level 0.
    pub levels: &'static [FeatureLevel],
    /// The highest level that is not experimental.
    pub latest_production: i16,
}

const fn level(
    level: i16,
    bootstrap: i16,
    dependencies: &'static [(&'static str, i16)],
) -> FeatureLevel {
    let bootstrap_version = match MetadataVersion::from_level(bootstrap) {
        Some(version) => version,
        None => panic!("a level in the table below is unknown"),
    };
    FeatureLevel { level, bootstrap_version, dependencies }
}

/// Kafka 4.4's features beside `metadata.version` (those of its tests left out), in Kafka's order.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: KRAFT_VERSION,
        levels: &[level(0, 7, &[]), level(1, 21, &[])],
        latest_production: 1,
    },
    Feature {
        name: "transaction.version",
        levels: &[level(0, 7, &[]), level(1, 24, &[]), level(2, 24, &[])],
        latest_production: 2,
    },
    Feature {
        name: "group.version",
        levels: &[level(0, 7, &[]), level(1, 22, &[])],
        latest_production: 1,
    },
    Feature {
        name: ELR_VERSION,
        levels: &[level(0, 7, &[]), level(1, 26, &[(MetadataVersion::FEATURE_NAME, 23)])],
        latest_production: 1,
    },
    Feature {
        name: "share.version",
        levels: &[level(0, 7, &[]), level(1, 28, &[]), level(2, 31, &[])],
        latest_production: 2,
    },
    Feature {
        name: "streams.version",
        levels: &[level(0, 7, &[]), level(1, 29, &[])],
        latest_production: 1,
    },
];

const KRAFT_VERSION: &str = "kraft.version";
const ELR_VERSION: &str = "eligible.leader.replicas.version";

impl Feature {
    pub const KRAFT_VERSION: &'static str = KRAFT_VERSION;
    /// Eligible leader replicas (KIP-966).
    pub const ELR_VERSION: &'static str = ELR_VERSION;

    pub fn by_name(name: &str) -> Option<&'static Feature> {
        FEATURES.iter().find(|feature| feature.name == name)
    }

    pub fn level(&self, level: i16) -> Option<&'static FeatureLevel> {
        self.levels.iter().find(|known| known.level == level)
    }

    pub fn latest(&self) -> i16 {
        self.levels.last().map_or(0, |last| last.level)
    }

    /// The level a cluster formatted at `version` starts with.
    pub fn default_level(&self, version: MetadataVersion) -> i16 {
        let fitting = self.levels.iter().rev().find(|known| version >= known.bootstrap_version);
        fitting.map_or(0, |known| known.level)
    }
}

/// The levels that the cluster has finalised.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FinalizedFeatures {
    /// `None` until the first record: an empty log.
    pub metadata_version: Option<MetadataVersion>,
    /// Every other feature above level 0. `kraft.version` is not among them: it lives in the control records.
    pub levels: RedBlackTreeMapSync<Arc<str>, i16>,
}

impl FinalizedFeatures {
    /// Level of a feature, `metadata.version` included; zero when it is not finalised.
    pub fn level(&self, name: &str) -> i16 {
        if name == MetadataVersion::FEATURE_NAME {
            self.metadata_version.map_or(0, MetadataVersion::level)
        } else {
            self.levels.get(name).copied().unwrap_or(0)
        }
    }

    /// The finalised level, or the oldest readable one for an empty log.
    pub fn metadata_version_or_minimum(&self) -> MetadataVersion {
        self.metadata_version.unwrap_or(MetadataVersion::MINIMUM)
    }

    pub fn elr_enabled(&self) -> bool {
        self.level(ELR_VERSION) >= 1
    }

    /// All finalised levels, `metadata.version` first, then by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        let metadata =
            self.metadata_version.map(|version| (MetadataVersion::FEATURE_NAME, version.level()));
        metadata.into_iter().chain(self.levels.iter().map(|(name, level)| (&**name, *level)))
    }
}
