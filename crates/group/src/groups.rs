//! What groups there are.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::classic::Classic;
use crate::consumer::Consumer;
use crate::record::GroupRecord;

/// What a group id names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Made by a commit without membership; no record tells of it.
    Simple,
    Classic(Classic),
    Consumer(Consumer),
    /// A kind of group that the log holds and this shard leaves alone.
    Other,
}

impl Kind {
    /// Offsets may be committed without membership, and deleted.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Simple => true,
            Self::Classic(classic) => classic.members == 0,
            Self::Consumer(consumer) => consumer.is_empty(),
            Self::Other => false,
        }
    }

    /// A member reads the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Self::Simple | Self::Classic(_) => false,
            Self::Consumer(consumer) => consumer.is_subscribed_to(topic),
            Self::Other => true,
        }
    }

    /// The records that end the group.
    pub(crate) fn tombstones(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        match self {
            Self::Simple | Self::Classic(_) => {
                vec![GroupRecord::Group { group: Arc::clone(group), value: None }]
            }
            Self::Consumer(consumer) => consumer.tombstones(group),
            Self::Other => Vec::new(),
        }
    }
}

pub type Groups = RedBlackTreeMapSync<Arc<str>, Kind>;
