//! What a client's generation of transactions means for what the broker does for it.

use protocol::ErrorCode;

/// By the version of the request that brings records into a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// The client has told the coordinator, and knows no abortable error.
    Old,
    /// The client has told the coordinator; it knows TRANSACTION_ABORTABLE (KIP-1050).
    Abortable,
    /// The broker tells the coordinator, and every transaction has its own epoch (transactions v2).
    Implicit,
}

impl Support {
    /// Of Produce.
    pub fn of_produce(version: i16) -> Self {
        Self::by(version, 11, 12)
    }

    /// Of TxnOffsetCommit.
    pub fn of_offset_commit(version: i16) -> Self {
        Self::by(version, 4, 5)
    }

    fn by(version: i16, abortable: i16, implicit: i16) -> Self {
        match version {
            _ if version >= implicit => Self::Implicit,
            _ if version >= abortable => Self::Abortable,
            _ => Self::Old,
        }
    }

    /// Partitions are added, not only looked for.
    pub fn is_implicit(self) -> bool {
        self == Self::Implicit
    }

    /// What a producer expects instead of what the coordinator says of a partition.
    pub fn error_for_producer(self, error: ErrorCode) -> ErrorCode {
        match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if self == Self::Old => ErrorCode::InvalidTxnState,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_by_version() {
        let produce = [(3, Support::Old), (10, Support::Old), (11, Support::Abortable)];
        for (version, expected) in
            produce.into_iter().chain([12, 13].map(|v| (v, Support::Implicit)))
        {
            assert_eq!(Support::of_produce(version), expected, "Produce {version}");
        }
        let commit = [(0, Support::Old), (3, Support::Old), (4, Support::Abortable)];
        for (version, expected) in commit.into_iter().chain([5, 6].map(|v| (v, Support::Implicit)))
        {
            assert_eq!(Support::of_offset_commit(version), expected, "TxnOffsetCommit {version}");
        }
    }
}
