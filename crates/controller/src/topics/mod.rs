//! Creating, growing and deleting topics.

pub(crate) mod assignment;
pub(crate) mod create;
pub(crate) mod create_partitions;
pub(crate) mod delete;
pub(crate) mod names;
pub(crate) mod placement;

/// New partitions in one request.
pub(crate) const MAX_PARTITIONS_PER_REQUEST: i64 = 10_000;
