//! What a coordinator is to the runtime.

use base::machine::{Outcome, ReplyId};
use base::time::Now;
use base::{Offset, ProducerEpoch, ProducerId};
use protocol::{DecodeError, EncodeError, ErrorCode};

/// A record as the log holds it; no value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Whose transaction a record belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// What a shard answers: records, and which requests get which reply once those are committed. A request without a reply here
/// is answered by a later decision (a join that waits for the other members).
pub type Decision<S> =
    Outcome<<S as Shard>::Record, Vec<(ReplyId, <S as Shard>::Reply)>, <S as Shard>::Timer>;

/// A decision that changes and answers nothing yet.
pub fn decision<S: Shard>() -> Decision<S> {
    Outcome::reply(Vec::new())
}

/// The state of one partition of a coordinator's topic and what it does. Cloning must be cheap (persistent collections): a
/// clone is the way back from a failed append and what queries see until the next commit.
pub trait Shard: Clone {
    /// What changes state.
    type Request;
    /// What only reads committed state.
    type Query;
    type Reply;
    type Timer: Ord + Clone;
    type Record;
    /// Work outside of the log that committed state asks for (markers in other partitions); `Infallible` when there is none.
    type Duty;
    /// What the broker knows besides the shard: configuration, a narrow view of metadata.
    type View;

    /// Decides on a request. Durable state changes in `replay` alone; `self` is mutable for what no record holds (who waits).
    fn handle(
        &mut self,
        now: Now,
        id: ReplyId,
        request: Self::Request,
        view: &Self::View,
    ) -> Decision<Self>;

    /// Answers from committed state.
    fn query(&self, query: Self::Query, view: &Self::View) -> Self::Reply;

    /// A timer's time has come; it is no longer set.
    fn on_timer(&mut self, now: Now, timer: Self::Timer, view: &Self::View) -> Decision<Self>;

    /// The log has been replayed: set timers, tidy up.
    fn loaded(&mut self, now: Now, view: &Self::View) -> Decision<Self>;

    /// Takes over a record that was decided now or read from the log; `producer` for those of a transaction that is still open.
    fn replay(&mut self, offset: Offset, producer: Option<Producer>, record: &Self::Record);

    /// Asked of committed state: the duties with numbers above `after`, ascending. `replay` gives each a number that is higher than
    /// all before it; a duty that is done, or void, is not listed any more.
    fn duties(&self, _after: u64) -> Vec<(u64, Self::Duty)> {
        Vec::new()
    }

    /// The state of an empty log after this one: it may remember what no other leadership shall repeat.
    fn anew(&self, blank: &Self) -> Self {
        blank.clone()
    }

    /// A transaction of this producer ended.
    fn replay_marker(&mut self, producer: Producer, commit: bool);

    /// The record as the log holds it.
    ///
    /// # Errors
    /// When a field does not fit its format; the request is then refused.
    fn encode(record: &Self::Record) -> Result<LogRecord, EncodeError>;

    /// Reads a record of the log; `None` for types that are unknown, which are skipped.
    ///
    /// # Errors
    /// When the bytes are no record of their type: the shard then cannot be loaded.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self::Record>, DecodeError>;
}

/// What a client of a coordinator is told when the append of its records failed with `error`: one of the codes on which clients
/// look for the coordinator again, as Kafka does.
pub fn error_for_client(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}
