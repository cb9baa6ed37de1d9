//! Kafka's hash of the topics that a group subscribes to: a group whose hash changed needs a new assignment. It is part of the
//! group's record, so it has to come out as in Kafka: XXH3 over little-endian numbers and UTF-16 texts.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::sync::Arc;

use base::Uuid;
use twox_hash::XxHash3_64;

use crate::java::{longs, string_cmp};

/// The version of how a topic is hashed.
const MAGIC: u8 = 0;

/// The hash of a topic that exists; by partition, the racks of its replicas in any order.
pub fn topic_hash(name: &str, id: Uuid, racks_by_partition: &[Vec<Arc<str>>]) -> i64 {
    let (high, low) = longs(id);
    let mut stream = Stream::default();
    stream.0.write(&[MAGIC]);
    stream.long(high);
    stream.long(low);
    stream.text(name);
    stream.int(racks_by_partition.len());
    for (partition, racks) in racks_by_partition.iter().enumerate() {
        stream.int(partition);
        let mut racks: Vec<&str> = racks.iter().map(|rack| &**rack).collect();
        racks.sort_by(|a, b| string_cmp(a, b));
        for rack in racks {
            stream.int(rack.encode_utf16().count());
            stream.text(rack);
        }
    }
    stream.finish()
}

/// The hash of a group's topics that exist, by their names; without any it is 0.
pub fn group_hash(topic_hashes: &BTreeMap<Arc<str>, i64>) -> i64 {
    if topic_hashes.is_empty() {
        return 0;
    }
    let mut sorted: Vec<(&Arc<str>, i64)> =
        topic_hashes.iter().map(|(name, hash)| (name, *hash)).collect();
    sorted.sort_by(|(a, _), (b, _)| string_cmp(a, b));
    let mut stream = Stream::default();
    sorted.into_iter().for_each(|(_, hash)| stream.long(hash));
    stream.finish()
}

/// What is hashed, as Kafka's library lays it out.
#[derive(Default)]
struct Stream(XxHash3_64);

impl Stream {
    fn long(&mut self, value: i64) {
        self.0.write(&value.to_le_bytes());
    }

    /// A count, which is an int in Java.
    fn int(&mut self, value: usize) {
        self.0.write(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        let mut units = 0;
        for unit in text.encode_utf16() {
            self.0.write(&unit.to_le_bytes());
            units += 1;
        }
        self.int(units);
    }

    fn finish(self) -> i64 {
        self.0.finish().cast_signed()
    }
}
