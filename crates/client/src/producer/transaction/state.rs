//! The states of a transactional producer, and which may follow which.

/// What the producer is doing; names are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Uninitialized,
    Initializing,
    Ready,
    InTransaction,
    CommittingTransaction,
    AbortingTransaction,
    /// The transaction must be aborted.
    AbortableError,
    /// Nothing works any more.
    FatalError,
}

impl State {
    pub const ALL: [Self; 8] = [
        Self::Uninitialized,
        Self::Initializing,
        Self::Ready,
        Self::InTransaction,
        Self::CommittingTransaction,
        Self::AbortingTransaction,
        Self::AbortableError,
        Self::FatalError,
    ];

    pub const fn may_become(self, next: Self) -> bool {
        use State::{
            AbortableError as Abortable, AbortingTransaction as Aborting,
            CommittingTransaction as Committing, InTransaction, Initializing, Ready, Uninitialized,
        };
        match next {
            Uninitialized => matches!(self, Ready | Initializing | Abortable),
            Initializing => matches!(self, Uninitialized | Committing | Aborting),
            Ready => matches!(self, Initializing | Committing | Aborting),
            InTransaction => matches!(self, Ready),
            Committing => matches!(self, InTransaction),
            Aborting => matches!(self, InTransaction | Abortable),
            Abortable => matches!(self, InTransaction | Committing | Abortable | Initializing),
            Self::FatalError => true,
        }
    }

    pub const fn completing(self) -> bool {
        matches!(self, Self::CommittingTransaction | Self::AbortingTransaction)
    }

    pub const fn failed(self) -> bool {
        matches!(self, Self::AbortableError | Self::FatalError)
    }

    /// As Kafka writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uninitialized => "UNINITIALIZED",
            Self::Initializing => "INITIALIZING",
            Self::Ready => "READY",
            Self::InTransaction => "IN_TRANSACTION",
            Self::CommittingTransaction => "COMMITTING_TRANSACTION",
            Self::AbortingTransaction => "ABORTING_TRANSACTION",
            Self::AbortableError => "ABORTABLE_ERROR",
            Self::FatalError => "FATAL_ERROR",
        }
    }
}
