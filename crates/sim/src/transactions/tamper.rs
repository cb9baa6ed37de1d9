//! Ways to break the world on purpose.

/// Each must be noticed by the checker: a rule that never fires is no rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tamper {
    /// The coordinator takes for committed what is only appended.
    CommitTooEarly,
    /// Some decided transactions get no markers.
    LoseDuties,
    /// Markers count as written when they are sent.
    TrustTheNetwork,
    /// The coordinator does not look at epochs: whoever asks is the present producer.
    TrustProducers,
    /// Partitions take what no transaction is known to hold.
    SkipVerification,
    /// Partitions take markers of any epoch of producer and coordinator.
    TrustMarkers,
    /// The log of a new leader lacks what was committed.
    LoseRecords,
    /// Transactions never take too long.
    StopTimers,
    /// Coordinators answer out of memory, and partitions believe one although they have a marker of its successor.
    TrustOldCoordinators,
}

impl Tamper {
    pub const ALL: [Self; 9] = [
        Self::CommitTooEarly,
        Self::LoseDuties,
        Self::TrustTheNetwork,
        Self::TrustProducers,
        Self::SkipVerification,
        Self::TrustMarkers,
        Self::LoseRecords,
        Self::StopTimers,
        Self::TrustOldCoordinators,
    ];
}
