//! Groups and their committed offsets: the shard that `__consumer_offsets` remembers.
//!
//! Pure. Must not know: brokers, files, sockets, metadata beyond the narrow [`Metadata`].

pub mod assignor;
mod caller;
pub mod classic;
pub mod consumer;
mod embedded;
mod groups;
pub mod invariants;
mod java;
mod offsets;
mod record;
mod shard;
pub mod testing;
mod topic_hash;
mod topic_regex;
mod view;

/// Texts of answers and records are not longer.
const TEXT_BYTES_MAX: usize = 0x7fff;

pub use caller::Caller;
/// The partition of `__consumer_offsets` that holds a group.
pub use coordinator::partition_for;
pub use groups::Kind;
pub use offsets::{Committed, Offsets};
pub use record::{ConsumerRecord, GroupRecord, MemberAssignment};
pub use shard::{DeletedTopic, GroupShard, Query, Reply, Request, Timer};
pub use topic_hash::{group_hash, topic_hash};
pub use topic_regex::TopicRegex;
pub use view::{Metadata, OffsetsConfig, Topic, View};
