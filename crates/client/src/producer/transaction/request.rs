//! The requests of a transaction as data: what to ask, and what was answered.

use std::sync::Arc;

use base::TopicPartition;
use protocol::ErrorCode;

use super::meaning::Kind;
use crate::error::Error;
use crate::group::Offsets;
use crate::producer::sequences::Identity;

/// One call of the application, until it has its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Operation(pub(super) u64);

/// As whom offsets are committed: the coordinator refuses those of a member that is none any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMetadata {
    pub group_id: Arc<str>,
    pub member_id: Arc<str>,
    /// Of the member's epoch in the consumer protocol; -1 for nobody.
    pub generation: i32,
    pub instance_id: Option<Arc<str>>,
}

impl GroupMetadata {
    /// Of nobody in the group: nothing is checked.
    pub fn of_group(group_id: &str) -> Self {
        Self { group_id: group_id.into(), member_id: "".into(), generation: -1, instance_id: None }
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// An identity; `bump`: the next epoch of the one that is known.
    Init {
        bump: bool,
    },
    AddPartitions(Vec<TopicPartition>),
    AddOffsets {
        group: GroupMetadata,
        offsets: Offsets,
    },
    CommitOffsets {
        group: GroupMetadata,
        offsets: Offsets,
    },
    End {
        commit: bool,
    },
}

/// A request that is to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub ask: Ask,
    /// Who asks; None before there is an identity.
    pub identity: Option<Identity>,
    /// In the second version of transactions servers add partitions themselves and give a new epoch at each end.
    pub v2: bool,
    pub attempts: u32,
    pub(super) operation: Option<Operation>,
}

impl Request {
    pub fn kind(&self) -> Kind {
        match &self.ask {
            Ask::Init { .. } => Kind::Init,
            Ask::AddPartitions(_) => Kind::AddPartitions,
            Ask::AddOffsets { .. } => Kind::AddOffsets,
            Ask::CommitOffsets { .. } => Kind::CommitOffsets,
            Ask::End { commit: true } => Kind::Commit,
            Ask::End { commit: false } => Kind::Abort,
        }
    }

    /// Requests leave by this, lowest first.
    pub(super) fn priority(&self) -> u8 {
        match &self.ask {
            Ask::Init { bump: false } => 0,
            Ask::AddPartitions(_) | Ask::AddOffsets { .. } | Ask::CommitOffsets { .. } => 1,
            Ask::End { .. } => 2,
            // Only after what the old epoch had open has ended.
            Ask::Init { bump: true } => 3,
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    /// With an identity to go on with.
    Identified(Identity),
    /// A code for each partition.
    Partitions(Vec<(TopicPartition, ErrorCode)>),
    Refused(Error, ErrorCode),
    /// The coordinator could not be found.
    NotFound(Error, ErrorCode),
    /// Nobody knows whether it arrived.
    Lost(Error),
    /// It cannot be sent, or the answer cannot be read.
    Impossible(Error),
}

/// What the sender has to mind before the next request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Next {
    /// The request goes again: after a pause, the shortest if the transaction before is just being completed.
    pub pause: Option<Pause>,
    /// Who answered is not the coordinator.
    pub look_up: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    Short,
    Usual { failures: u32 },
}
