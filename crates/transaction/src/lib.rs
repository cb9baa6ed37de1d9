//! Transactional ids and their transactions: the shard that `__transaction_state` remembers.
//!
//! Pure. Must not know: brokers, partitions' logs, which topics exist.
//!
//! # What the driver does
//!
//! One `coordinator::ShardRuntime<TransactionShard>` for each led partition of `__transaction_state`, driven like every other.
//! [`partition_for`] says which partition holds an id. Requests decide on the newest state and are answered when what they rest
//! on is committed; queries (verification, descriptions, lists) see committed state alone. Beyond that:
//!
//! * **Producer ids.** [`Reply::NeedsProducerId`] means that nothing happened: the driver gets an id from its block and repeats the
//!   request with `fresh`. An id that is handed in is either used or lost.
//! * **Markers.** After the record that decides a transaction is committed, and for every decided transaction after a load, the
//!   runtime tells [`Duty::Markers`]. The driver looks up the leaders of the partitions and sends each a WriteTxnMarkers with the
//!   leader epoch of its own partition as coordinator epoch. It hands in what came of it with [`Request::Markers`]: each answer, or
//!   [`MarkerOutcome::NoSuchPartition`] for a partition that the metadata does not know. A duty without partitions is handed in at
//!   once. [`Verdict::Again`] names the partitions to send to again after a pause, with leaders looked up anew; the other verdicts
//!   end what was handed in, [`Verdict::Void`] and [`Verdict::Abandoned`] the whole duty. When the request itself fails (the last
//!   record was not appended), *the request* is repeated after a pause with the same content, which does no harm. On
//!   `Effect::FailAll` all duties of the shard are void.
//!
//!   **No partition gets a marker again that has answered**, unless a verdict names it; only after a lost connection or a request that
//!   timed out, when there is no answer, it is sent again, on a new connection. In the first generation of transactions the next
//!   transaction has the same epoch and may begin before its driver hears the verdict: a marker too many would end that one.
//! * **Timeouts.** Transactions that take too long are found by a timer. One that needs a new producer id for its end is told as
//!   [`Duty::ProducerId`]; the driver answers with [`Request::TimeOut`]. If it does not, the next timer tells it again.
//!
//! Where Kafka answers CONCURRENT_TRANSACTIONS because a record of the same id is not committed yet, this shard decides on top of that
//! record. In the states that wait for markers the error is the same as Kafka's.

mod errors;
mod filters;
pub mod invariants;
mod record;
mod request;
mod shard;
mod state;
mod transaction;
mod view;

/// The partition of `__transaction_state` that holds a transactional id.
pub use coordinator::partition_for;
pub use filters::Filters;
pub use record::TransactionRecord;
pub use request::{
    AddPartitions, Added, Duty, EndTxn, InitProducerId, MarkerOutcome, Markers, Query, Reply,
    Request, TimeOut, Timer, Verdict, Verify, Written,
};
pub use shard::TransactionShard;
pub use state::State;
pub use transaction::{Partitions, Transaction};
pub use view::{Config, View};
