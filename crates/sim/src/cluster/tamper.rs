//! Things broken on purpose, so that the rules have something to find.

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tamper {
    /// The metadata log is told to be durable and is not.
    MetadataNotFlushed,
    /// A voter forgets over a restart whom it voted for.
    VoteForgotten,
    /// The controller answers before its records are committed.
    ControllerTellsEarly,
    /// A follower cuts its log at its high watermark instead of where the epochs say (before KIP-101).
    TruncatesToWatermark,
    /// Producers are answered when the leader alone has their record.
    AnswersEarly,
    /// The leader takes a smaller in-sync set for granted before the controller has committed it.
    ShrinksAlone,
    /// A fetch with an epoch from another time is served.
    ForgetsEpochs,
    /// The coordinator takes what it has appended for committed.
    CommitsTooEarly,
}

impl Tamper {
    pub const ALL: [Self; 8] = [
        Self::MetadataNotFlushed,
        Self::VoteForgotten,
        Self::ControllerTellsEarly,
        Self::TruncatesToWatermark,
        Self::AnswersEarly,
        Self::ShrinksAlone,
        Self::ForgetsEpochs,
        Self::CommitsTooEarly,
    ];
}
