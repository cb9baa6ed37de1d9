//! What a shard knows besides its log.

/// What holds while one event is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    pub config: Config,
    /// The finalized level of `transaction.version`; zero when it is not set.
    pub transaction_version: i16,
}

impl View {
    /// The version in which records are written.
    pub(crate) fn record_version(&self) -> i16 {
        i16::from(self.transaction_version >= 1)
    }
}

/// Kafka's second generation of transactions: every transaction has an epoch of its own (KIP-890).
pub(crate) fn bumps_epochs(transaction_version: i16) -> bool {
    transaction_version >= 2
}

/// The broker's configuration of transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// `transaction.max.timeout.ms`.
    pub timeout_max_ms: i32,
    /// `transaction.two.phase.commit.enable`.
    pub two_phase_commit: bool,
    /// `transactional.id.expiration.ms`.
    pub expiration_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timeout_check_ms: u64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiry_check_ms: u64,
}
