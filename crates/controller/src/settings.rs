//! What the controller was configured with.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{NodeId, Uuid};
use config::BrokerConfig;
use metadata::{FEATURES, MetadataVersion, VersionRange};

/// Fixed for the life of a controller.
#[derive(Clone, Debug)]
pub struct Settings {
    pub cluster_id: Arc<str>,
    /// The static configuration of this node.
    pub node: Arc<BrokerConfig>,
    /// The voters of the quorum, this node among them.
    pub quorum: Vec<NodeId>,
    /// Levels this node supports of every feature, `metadata.version` and `kraft.version` among them.
    pub features: BTreeMap<Arc<str>, VersionRange>,
    /// The incarnation of the broker in this very process: it may register while the session of the one before
    /// (killed, as it were) still runs.
    pub own_incarnation: Option<Uuid>,
    /// The finalised level of `kraft.version`, which lives in the control records of the log.
    pub kraft_version: i16,
}

impl Settings {
    pub fn new(
        cluster_id: impl Into<Arc<str>>,
        node: Arc<BrokerConfig>,
        quorum: Vec<NodeId>,
    ) -> Self {
        let features = Self::all_features(node.node.unstable_feature_versions_enable);
        Self {
            cluster_id: cluster_id.into(),
            node,
            quorum,
            features,
            own_incarnation: None,
            kraft_version: 0,
        }
    }

    /// Every level that Kafka 4.4 supports; with `unstable` also those not fit for production.
    pub fn all_features(unstable: bool) -> BTreeMap<Arc<str>, VersionRange> {
        let latest = if unstable {
            MetadataVersion::LATEST_TESTING
        } else {
            MetadataVersion::LATEST_PRODUCTION
        };
        let metadata = VersionRange { min: MetadataVersion::MINIMUM.level(), max: latest.level() };
        let others = FEATURES.iter().map(|feature| {
            let max = if unstable { feature.latest() } else { feature.latest_production };
            (Arc::from(feature.name), VersionRange { min: 0, max })
        });
        std::iter::once((Arc::from(MetadataVersion::FEATURE_NAME), metadata))
            .chain(others)
            .collect()
    }
}
