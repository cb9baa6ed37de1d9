//! Groups and their committed offsets: the shard that `__consumer_offsets` remembers.
//!
//! Pure. Must not know: brokers, files, sockets, which topics exist (the broker asks only for those that do). Today: the offsets of
//! simple consumers, which assign their partitions themselves; groups with members are recognised in the log and left alone.

mod groups;
mod offsets;
mod record;
mod shard;

pub use groups::{Classic, Kind};
pub use offsets::{Committed, Offsets};
pub use record::GroupRecord;
pub use shard::{DeletedTopic, GroupShard, Query, Reply, Request, Timer, View};

/// The partition of `__consumer_offsets` that holds a group: Java's hash of the id, made positive as Kafka does.
pub fn partition_for(group: &str, partitions: i32) -> i32 {
    let hash = group
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}
