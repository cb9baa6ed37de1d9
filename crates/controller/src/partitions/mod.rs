//! Leaders, in-sync sets, replicas and directories of partitions.

pub(crate) mod alter;
pub(crate) mod change;
pub(crate) mod directories;
pub(crate) mod elect;
pub(crate) mod leadership;
pub(crate) mod reassign;
