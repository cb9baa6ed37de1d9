//! The state of the cluster after a prefix of the metadata log.

use std::sync::Arc;

use base::{LeaderEpoch, Offset, Uuid, WallMs};
use rpds::RedBlackTreeMapSync;

use crate::acls::Acl;
use crate::cluster::Cluster;
use crate::configs::Configs;
use crate::features::FinalizedFeatures;
use crate::producer_ids::NextProducerId;
use crate::quotas::{QuotaEntity, Quotas};
use crate::scram::{ScramCredential, ScramMechanism};
use crate::tokens::DelegationToken;
use crate::topics::Topics;

/// Which prefix of the log an image holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Provenance {
    /// Offset of the last record in it; none for an empty image.
    pub offset: Offset,
    pub epoch: LeaderEpoch,
    /// Timestamp of the last batch in it.
    pub time: WallMs,
}

impl Default for Provenance {
    fn default() -> Self {
        Self { offset: Offset::NONE, epoch: LeaderEpoch::NONE, time: WallMs(-1) }
    }
}

/// The cluster's metadata. Immutable for everyone who reads it, O(1) to clone; changed by [`Image::replay`] alone.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Image {
    pub provenance: Provenance,
    pub features: FinalizedFeatures,
    pub cluster: Cluster,
    pub topics: Topics,
    pub configs: Configs,
    pub client_quotas: RedBlackTreeMapSync<QuotaEntity, Quotas>,
    pub producer_ids: NextProducerId,
    pub acls: RedBlackTreeMapSync<Uuid, Acl>,
    /// By mechanism and user.
    pub scram: RedBlackTreeMapSync<(ScramMechanism, Arc<str>), ScramCredential>,
    /// By token id.
    pub delegation_tokens: RedBlackTreeMapSync<Arc<str>, DelegationToken>,
}

impl Image {
    /// Whether both hold the same state, wherever it came from in the log.
    pub fn same_state(&self, other: &Self) -> bool {
        let mut aligned = self.clone();
        aligned.provenance = other.provenance;
        aligned == *other
    }

    /// An image from which nothing was built yet.
    pub fn is_empty(&self) -> bool {
        self.same_state(&Self::default())
    }
}
