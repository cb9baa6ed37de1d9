//! Which error a client is told, and what an error of a marker means: Kafka's rules as tables.

use protocol::ErrorCode;

use crate::request::{Added, MarkerOutcome};

/// The first versions whose clients know PRODUCER_FENCED (KIP-360; `KafkaApis`); older ones are told INVALID_PRODUCER_EPOCH.
const FENCED_SINCE_INIT_PRODUCER_ID: i16 = 4;
const FENCED_SINCE_ADD: i16 = 2;
const FENCED_SINCE_END_TXN: i16 = 2;

/// EndTxn and AddPartitionsToTxn from these versions on speak the second generation (KIP-890; `TransactionVersion`).
const EPOCH_BUMPS_SINCE_END_TXN: i16 = 5;
const EPOCH_BUMPS_SINCE_ADD_PARTITIONS: i16 = 4;

pub(crate) fn for_init_producer_id(version: i16, error: ErrorCode) -> ErrorCode {
    fenced_since(FENCED_SINCE_INIT_PRODUCER_ID, version, error)
}

pub(crate) fn for_end_txn(version: i16, error: ErrorCode) -> ErrorCode {
    fenced_since(FENCED_SINCE_END_TXN, version, error)
}

pub(crate) fn for_add(added: Added, error: ErrorCode) -> ErrorCode {
    let (Added::Partitions { version } | Added::Offsets { version }) = added;
    fenced_since(FENCED_SINCE_ADD, version, error)
}

fn fenced_since(since: i16, version: i16, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < since => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// The generation of transactions that a client's request speaks.
pub(crate) fn version_of_end_txn(version: i16) -> i16 {
    if version >= EPOCH_BUMPS_SINCE_END_TXN { 2 } else { 0 }
}

pub(crate) fn version_of_add(added: Added) -> i16 {
    match added {
        Added::Partitions { version } if version >= EPOCH_BUMPS_SINCE_ADD_PARTITIONS => 2,
        Added::Partitions { .. } | Added::Offsets { .. } => 0,
    }
}

/// What an answer means for a partition that waits for its marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Marked {
    /// It has its marker, or never needs one.
    Done,
    Again,
    /// The partition knows a newer producer or coordinator: this one has nothing to say any more.
    Abandoned(ErrorCode),
}

/// `TransactionMarkerRequestCompletionHandler`. Errors that Kafka does not expect stop its sender for good; here they are tried again.
pub(crate) fn marked(outcome: MarkerOutcome) -> Marked {
    match outcome {
        MarkerOutcome::NoSuchPartition | MarkerOutcome::Answer(ErrorCode::None) => Marked::Done,
        // No transactional data can lie there.
        MarkerOutcome::Answer(
            ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion,
        ) => Marked::Done,
        MarkerOutcome::Answer(
            error @ (ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced),
        ) => Marked::Abandoned(error),
        MarkerOutcome::Answer(_) => Marked::Again,
    }
}
