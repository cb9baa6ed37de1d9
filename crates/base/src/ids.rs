//! Identifiers as types, so that an offset cannot be passed where an epoch is meant.

use std::fmt;
use std::sync::Arc;

use crate::Uuid;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty), none = $none:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Kafka's value for "not known" or "none".
            pub const NONE: Self = Self($none);

            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            pub const fn get(self) -> $inner {
                self.0
            }

            /// False for [`Self::NONE`] and every other negative value.
            pub const fn is_some(self) -> bool {
                self.0 >= 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

number_id!(
    /// Position of a record in a partition.
    Offset(i64), none = -1);
number_id!(
    /// Epoch of a partition's leader, counted up at every election.
    LeaderEpoch(i32), none = -1);
number_id!(
    /// Version of a partition's state in the metadata.
    PartitionEpoch(i32), none = -1);
number_id!(
    /// A broker or controller.
    NodeId(i32), none = -1);
number_id!(
    /// Epoch of one registration of a broker: the metadata offset of its registration record.
    BrokerEpoch(i64), none = -1);
number_id!(
    /// Index of a partition in its topic.
    PartitionIndex(i32), none = -1);
number_id!(
    /// An idempotent or transactional producer.
    ProducerId(i64), none = -1);
number_id!(
    /// Generation of a producer id; an older one is fenced.
    ProducerEpoch(i16), none = -1);

impl Offset {
    pub const ZERO: Self = Self(0);

    #[must_use]
    pub const fn plus(self, records: i64) -> Self {
        Self(self.0.saturating_add(records))
    }
}

/// A topic's identity, unlike its name never reused.
pub type TopicId = Uuid;
/// A log directory's identity, as in its `meta.properties`.
pub type DirectoryId = Uuid;

/// A partition by the name of its topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: impl Into<PartitionIndex>) -> Self {
        Self { topic: topic.into(), partition: partition.into() }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A partition by the id of its topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicIdPartition {
    pub topic_id: TopicId,
    pub partition: PartitionIndex,
}

impl TopicIdPartition {
    pub fn new(topic_id: TopicId, partition: impl Into<PartitionIndex>) -> Self {
        Self { topic_id, partition: partition.into() }
    }
}
