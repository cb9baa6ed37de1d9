//! Client quotas by entity.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// Whom a quota binds: entity type (`user`, `client-id`, `ip`) to name, sorted by type; no name means the default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaEntity(Arc<[(Arc<str>, Option<Arc<str>>)]>);

impl QuotaEntity {
    /// Sorts; of several names for one type the last counts.
    pub fn new(parts: impl IntoIterator<Item = (Arc<str>, Option<Arc<str>>)>) -> Self {
        let sorted: std::collections::BTreeMap<_, _> = parts.into_iter().collect();
        Self(sorted.into_iter().collect())
    }

    pub fn parts(&self) -> &[(Arc<str>, Option<Arc<str>>)] {
        &self.0
    }
}

/// Quota key (`producer_byte_rate`, …) to its value.
pub type Quotas = RedBlackTreeMapSync<Arc<str>, f64>;
