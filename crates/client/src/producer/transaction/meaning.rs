//! What each error means for a transaction, by the request that was refused with it (KIP-1050's classes).

use protocol::ErrorCode;

/// The kinds of requests of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Init,
    AddPartitions,
    AddOffsets,
    CommitOffsets,
    Commit,
    Abort,
    /// Asking for the coordinator of any of them.
    Lookup,
    /// The records themselves, when they are given up.
    Produce,
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// The same request again.
    Again,
    /// Again, at the coordinator, which is somewhere else.
    Elsewhere,
    /// The application may try to initialize again.
    NotReady,
    /// The transaction must be aborted.
    Abortable,
    /// It must be aborted, and the producer needs a new epoch.
    AbortableWithNewEpoch,
    /// Another producer has taken over.
    Fenced,
    Fatal,
}

impl Meaning {
    pub fn of(kind: Kind, code: ErrorCode) -> Self {
        use ErrorCode as E;
        match (kind, code) {
            (Kind::Produce, code) => Self::of_records(code),
            (Kind::CommitOffsets, E::RequestTimedOut) => Self::Elsewhere,
            (Kind::Lookup, code) if code.retriable() => Self::Again,
            (_, E::NotCoordinator | E::CoordinatorNotAvailable) => Self::Elsewhere,
            (_, code) if code.retriable() => Self::Again,
            (_, E::InvalidProducerEpoch | E::ProducerFenced) if kind != Kind::Lookup => {
                Self::Fenced
            }
            // The abort of what must be aborted would go on for ever.
            (Kind::Abort, E::TransactionAbortable) => Self::Fatal,
            (_, E::TransactionAbortable) => Self::Abortable,
            (Kind::Init, E::TransactionalIdAuthorizationFailed | E::ClusterAuthorizationFailed) => {
                Self::NotReady
            }
            (
                Kind::AddPartitions,
                E::TransactionalIdAuthorizationFailed
                | E::InvalidTxnState
                | E::InvalidProducerIdMapping,
            ) => Self::Fatal,
            (
                Kind::AddPartitions | Kind::AddOffsets | Kind::Commit | Kind::Abort,
                E::UnknownProducerId,
            ) => Self::AbortableWithNewEpoch,
            (Kind::AddPartitions, _) => Self::Abortable,
            (
                Kind::AddOffsets | Kind::CommitOffsets | Kind::Lookup,
                E::GroupAuthorizationFailed,
            ) => Self::Abortable,
            (
                Kind::CommitOffsets,
                E::FencedInstanceId
                | E::UnknownMemberId
                | E::IllegalGeneration
                | E::GroupIdNotFound
                | E::StaleMemberEpoch,
            ) => Self::Abortable,
            _ => Self::Fatal,
        }
    }

    /// Records that were given up, after all retries, too, can never be part of what is committed.
    fn of_records(code: ErrorCode) -> Self {
        match code {
            ErrorCode::ProducerFenced => Self::Fenced,
            ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::UnsupportedVersion
            | ErrorCode::InvalidProducerIdMapping => Self::Fatal,
            _ => Self::AbortableWithNewEpoch,
        }
    }
}
