//! A change of the voters that the leader is about to make, or has made and not yet committed.

use base::machine::ReplyId;
use base::{MonoMs, Offset};

use crate::{Endpoint, ReplicaKey, RequestId};

/// One at a time.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Add(Addition),
    Remove(Removal),
}

#[derive(Clone, Debug)]
pub(crate) struct Addition {
    /// `None` when it has been answered before the commit.
    pub(crate) reply: Option<ReplyId>,
    pub(crate) voter: ReplicaKey,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) ack_when_committed: bool,
    pub(crate) until: MonoMs,
    /// The question for its versions.
    pub(crate) asked: RequestId,
    /// Of the record with the new voter set.
    pub(crate) offset: Option<Offset>,
}

#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) reply: ReplyId,
    pub(crate) until: MonoMs,
    pub(crate) offset: Offset,
}

impl Change {
    pub(crate) fn until(&self) -> MonoMs {
        match self {
            Self::Add(change) => change.until,
            Self::Remove(change) => change.until,
        }
    }

    pub(crate) fn offset(&self) -> Option<Offset> {
        match self {
            Self::Add(change) => change.offset,
            Self::Remove(change) => Some(change.offset),
        }
    }
}
