//! What groups there are.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::list_groups_response::ListedGroup;
use rpds::RedBlackTreeMapSync;

use crate::classic::{self, Classic};
use crate::consumer::Consumer;
use crate::record::GroupRecord;

/// What a group id names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Also a group that only holds offsets: no record tells of it.
    Classic(Classic),
    Consumer(Consumer),
    /// A kind of group that the log holds and this shard leaves alone.
    Other,
}

impl Kind {
    /// It has no members: it may be deleted, or become another kind.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Classic(classic) => classic.state() == classic::State::Empty,
            Self::Consumer(consumer) => consumer.is_empty(),
            Self::Other => false,
        }
    }

    pub(crate) fn may_delete(&self) -> Result<(), ErrorCode> {
        self.is_empty().then_some(()).ok_or(ErrorCode::NonEmptyGroup)
    }

    pub(crate) fn may_delete_offsets(&self) -> Result<(), ErrorCode> {
        match self {
            Self::Classic(classic) => classic.may_delete_offsets(),
            Self::Consumer(_) => Ok(()),
            Self::Other => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// A member reads the topic.
    pub(crate) fn is_subscribed(&self, topic: &str) -> bool {
        match self {
            Self::Classic(classic) => classic.is_subscribed(topic),
            Self::Consumer(consumer) => consumer.is_subscribed_to(topic),
            Self::Other => true,
        }
    }

    /// The records that end the group.
    pub(crate) fn tombstones(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        match self {
            Self::Classic(_) => {
                vec![GroupRecord::Classic { group: Arc::clone(group), value: None }]
            }
            Self::Consumer(consumer) => consumer.tombstones(group),
            Self::Other => Vec::new(),
        }
    }

    /// Its line in a list of groups; kinds that are not served have none.
    pub(crate) fn listed(&self, group: &str) -> Option<ListedGroup<'static>> {
        let (protocol_type, state, kind) = match self {
            Self::Classic(classic) => {
                let protocol_type = classic.protocol_type().unwrap_or_default();
                (protocol_type.to_owned(), classic.state().name(), "classic")
            }
            Self::Consumer(consumer) => ("consumer".to_owned(), consumer.state(), "consumer"),
            Self::Other => return None,
        };
        Some(ListedGroup {
            group_id: group.to_owned().into(),
            protocol_type: protocol_type.into(),
            group_state: state.into(),
            group_type: kind.into(),
            ..Default::default()
        })
    }
}

pub type Groups = RedBlackTreeMapSync<Arc<str>, Kind>;
