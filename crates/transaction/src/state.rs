//! The states of a transactional id, with the numbers and names that Kafka gives them.

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// No transaction since the producer was initialized.
    Empty,
    Ongoing,
    /// The transaction is decided; its partitions do not all have the marker yet.
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
    /// Being forgotten; not in any log.
    Dead,
    /// An older producer is being shut out; not in any log.
    PrepareEpochFence,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// Its number in records.
    pub const fn code(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
            Self::Dead => 6,
            Self::PrepareEpochFence => 7,
        }
    }

    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Its name in descriptions and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// Case matters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The decision whose markers are being written.
    pub const fn decided(self) -> Option<bool> {
        match self {
            Self::PrepareCommit => Some(true),
            Self::PrepareAbort => Some(false),
            _ => None,
        }
    }

    /// No transaction is open.
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// The states from which a record may lead to this one.
    pub const fn may_follow(self, before: Self) -> bool {
        match self {
            Self::Empty | Self::Dead => before.is_at_rest(),
            Self::Ongoing | Self::PrepareAbort => {
                before.is_at_rest() || matches!(before, Self::Ongoing)
            }
            Self::PrepareCommit | Self::PrepareEpochFence => matches!(before, Self::Ongoing),
            Self::CompleteCommit => matches!(before, Self::PrepareCommit),
            Self::CompleteAbort => matches!(before, Self::PrepareAbort),
        }
    }
}
