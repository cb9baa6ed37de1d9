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
    /// A broker with an empty disk says that it was shut down in good order.
    LossUnnoticed,
    /// A voter's disk is replaced, and the new one has the directory id of the old one.
    DirectoryCopied,
    /// Topics whose records must not be lost allow unclean elections.
    ElectsUncleanly,
    /// A leader says that all replicas are in sync.
    TakesAllIn,
    /// A coordinator takes commits of members that are none any more for those of somebody who is.
    TrustsMembers,
    /// A coordinator that takes over does not read what its predecessor wrote.
    LoadsNothing,
}

impl Tamper {
    pub const ALL: [Self; 14] = [
        Self::MetadataNotFlushed,
        Self::VoteForgotten,
        Self::ControllerTellsEarly,
        Self::TruncatesToWatermark,
        Self::AnswersEarly,
        Self::ShrinksAlone,
        Self::ForgetsEpochs,
        Self::CommitsTooEarly,
        Self::LossUnnoticed,
        Self::DirectoryCopied,
        Self::ElectsUncleanly,
        Self::TakesAllIn,
        Self::TrustsMembers,
        Self::LoadsNothing,
    ];
}
