//! What a shard is asked, and what it answers.

use std::sync::Arc;

use base::{ProducerId, TopicPartition};
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::describe_transactions_response::TransactionState;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::list_transactions_response::TransactionState as Listed;

use crate::filters::Filters;

/// What changes state.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    InitProducerId(InitProducerId),
    AddPartitions(AddPartitions),
    EndTxn(EndTxn),
    /// What came of markers, for any number of transactions.
    Markers(Vec<Written>),
    TimeOut(TimeOut),
}

/// InitProducerId with a transactional id. Without one, the driver hands out an id itself.
#[derive(Clone, PartialEq, Debug)]
pub struct InitProducerId {
    pub version: i16,
    pub request: InitProducerIdRequest<'static>,
    /// After [`Reply::NeedsProducerId`].
    pub fresh: Option<ProducerId>,
}

/// Partitions that a transaction writes to; the driver has checked that they exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddPartitions {
    pub transactional_id: Arc<str>,
    pub producer: Producer,
    pub partitions: Vec<TopicPartition>,
    pub added: Added,
}

/// By which request, in which version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// AddPartitionsToTxn; from version 4 on each transaction of the request is one of ours.
    Partitions { version: i16 },
    /// AddOffsetsToTxn: the partition is that of `__consumer_offsets` that holds the group.
    Offsets { version: i16 },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndTxn {
    pub version: i16,
    pub transactional_id: Arc<str>,
    pub producer: Producer,
    pub commit: bool,
    /// After [`Reply::NeedsProducerId`].
    pub fresh: Option<ProducerId>,
}

/// The answer to [`Duty::ProducerId`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeOut {
    pub transactional_id: Arc<str>,
    /// As the duty names it.
    pub producer: Producer,
    pub fresh: ProducerId,
}

/// What came of the markers of one transaction, for some of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub transactional_id: Arc<str>,
    /// Of the duty: the next transaction of the same producer has another.
    pub number: u64,
    pub outcomes: Vec<(TopicPartition, MarkerOutcome)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkerOutcome {
    /// A broker answered for the partition.
    Answer(ErrorCode),
    /// The metadata does not know the partition (any more).
    NoSuchPartition,
}

/// What only reads committed state.
#[derive(Clone, Debug)]
pub enum Query {
    /// AddPartitionsToTxn that only verifies (KIP-890).
    Verify(Verify),
    /// DescribeTransactions, for one id.
    Describe(Arc<str>),
    /// ListTransactions.
    List(Filters),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verify {
    pub transactional_id: Arc<str>,
    pub producer: Producer,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// Nothing happened: the request is to be repeated with a fresh producer id.
    NeedsProducerId,
    InitProducerId(Result<Producer, ErrorCode>),
    /// For all partitions.
    AddPartitions(ErrorCode),
    /// The producer to go on with; [`ProducerId::NONE`] for clients that go on as they are.
    EndTxn(Result<Producer, ErrorCode>),
    /// For each transaction that was handed in.
    Markers(Vec<Verdict>),
    /// For each partition that was asked about.
    Verify(Vec<(TopicPartition, ErrorCode)>),
    Describe(TransactionState<'static>),
    List(Vec<Listed<'static>>),
    Done,
}

/// How it goes on with the markers of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All that were handed in are done. Others may still be on their way.
    Done,
    /// These are to be sent again.
    Again(Vec<TopicPartition>),
    /// A partition knows a newer producer or coordinator: no more markers of this transaction are sent.
    Abandoned(ErrorCode),
    /// Nobody waits for these.
    Void,
}

/// Work outside of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    Markers(Markers),
    /// This transaction takes too long, and its end needs a producer id.
    ProducerId {
        transactional_id: Arc<str>,
        producer: Producer,
    },
}

/// A decided transaction; without partitions when it has none that wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markers {
    /// Of the duty, unique while the shard is led.
    pub number: u64,
    pub transactional_id: Arc<str>,
    /// Whose markers they are.
    pub producer: Producer,
    pub commit: bool,
    /// `TransactionVersion` of WriteTxnMarkers.
    pub transaction_version: i16,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// Transactions that take too long are looked for.
    Timeouts,
    /// Ids out of use are looked for.
    Expiry,
}
