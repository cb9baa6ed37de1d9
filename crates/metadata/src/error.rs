//! Why a record cannot follow the ones before it: the log is damaged or was written by a newer Kafka.

use base::TopicId;

use crate::TransactionError;

/// A record that contradicts the state it meets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error("topic {name} with id {topic_id} is created twice")]
    TopicExists { name: String, topic_id: TopicId },
    #[error("no topic has the id {topic_id}")]
    UnknownTopicId { topic_id: TopicId },
    #[error("no topic has the name {name}")]
    UnknownTopic { name: String },
    #[error("topic {topic_id} has no partition {partition}")]
    UnknownPartition { topic_id: TopicId, partition: i32 },
    #[error(
        "partition index {partition} of topic {topic_id} is negative or far beyond the last one"
    )]
    PartitionIndex { topic_id: TopicId, partition: i32 },
    #[error(
        "partition {topic_id}:{partition} has {replicas} replicas, but {directories} directories"
    )]
    Directories { topic_id: TopicId, partition: i32, replicas: usize, directories: usize },
    #[error("{code} is not a leader recovery state")]
    LeaderRecoveryState { code: i8 },
    #[error("cannot {action} broker {broker}: it is not registered")]
    UnknownBroker { action: &'static str, broker: i32 },
    #[error("cannot {action} broker {broker}: its epoch is {current}, the record says {given}")]
    BrokerEpoch { action: &'static str, broker: i32, given: i64, current: i64 },
    #[error("the registration of broker {broker} cannot change {field} by {value}")]
    BrokerChange { broker: i32, field: &'static str, value: i8 },
    #[error(
        "metadata.version {level} is not supported: it must be at least 3.3-IV3 and known to this version"
    )]
    MetadataVersion { level: i16 },
    #[error("no access control entry has the id {id}")]
    UnknownAcl { id: base::Uuid },
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}
