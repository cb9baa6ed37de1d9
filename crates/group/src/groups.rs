//! What groups there are.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::classic::Classic;

/// What a group id names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Made by a commit without membership; no record tells of it.
    Simple,
    Classic(Classic),
    /// A kind of group that the log holds and this shard leaves alone.
    Other,
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
