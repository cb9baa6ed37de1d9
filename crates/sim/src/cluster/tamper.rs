//! Things broken on purpose, so that the rules have something to find.

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tamper {
    /// The metadata log is told to be durable and is not.
    MetadataNotFlushed,
    /// A voter forgets over a restart whom it voted for.
    VoteForgotten,
    /// The controller answers before its records are committed.
    ControllerTellsEarly,
}

impl Tamper {
    pub const ALL: [Self; 3] =
        [Self::MetadataNotFlushed, Self::VoteForgotten, Self::ControllerTellsEarly];
}
