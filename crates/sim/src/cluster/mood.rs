//! How the world treats its nodes.

/// What may be taken from nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deaths {
    /// Power fails, and disks are lost, but of those who may lead a partition only one at a time fails: nothing may be lost.
    Few,
    /// All may die at once, but keep what they have written: nothing may be lost, not everything needs to become well.
    KeepRecords,
    /// All may die at once, with what they have not flushed or with all they have; topics allow unclean elections.
    Unclean,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Mood {
    /// Between two faults, at most.
    pub faults_ms: u64,
    /// Until the dead are started again, at most.
    pub restart_ms: u64,
    pub deaths: Deaths,
}

impl Mood {
    /// Whoever dies stays dead, until somebody says otherwise.
    pub const QUIET: Self = Self { faults_ms: u64::MAX, restart_ms: u64::MAX, deaths: Deaths::Few };
    pub const ALL: [Self; 6] = [
        Self { faults_ms: 6_000, restart_ms: 8_000, deaths: Deaths::Few },
        Self { faults_ms: 2_000, restart_ms: 4_000, deaths: Deaths::Few },
        Self { faults_ms: 3_000, restart_ms: 4_000, deaths: Deaths::KeepRecords },
        // A storm in which nobody is given time.
        Self { faults_ms: 300, restart_ms: 300, deaths: Deaths::KeepRecords },
        Self { faults_ms: 4_000, restart_ms: 6_000, deaths: Deaths::Unclean },
        Self { faults_ms: 1_000, restart_ms: 2_000, deaths: Deaths::Unclean },
    ];
}
