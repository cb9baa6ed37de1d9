//! What groups there are. Without members, all that matters is what kind of group an id names.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// What a group id names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Made by a commit without membership; no record tells of it.
    Simple,
    Classic(Classic),
    /// Consumer, share or Streams group, which the log holds and this shard leaves alone.
    Other,
}

/// The classic group of the log, as far as offsets depend on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classic {
    /// Empty for a group that never had members.
    pub protocol_type: Arc<str>,
    pub members: usize,
    /// When the group came into its state, in milliseconds; unknown in old records.
    pub state_since_ms: Option<i64>,
}

impl Kind {
    /// Offsets may be committed without membership, and deleted.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Simple => true,
            Self::Classic(classic) => classic.members == 0,
            Self::Other => false,
        }
    }
}

pub type Groups = RedBlackTreeMapSync<Arc<str>, Kind>;
