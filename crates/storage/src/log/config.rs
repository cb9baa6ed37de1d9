//! The settings of one log, as plain data; the broker fills them from the topic's configuration.

use base::seeded::split_mix;

/// Named after the topic configuration keys.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    pub segment_bytes: u32,
    pub segment_ms: i64,
    /// At most this much is taken off `segment_ms`, differently for each segment.
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: u32,
    pub index_interval_bytes: u32,
    /// So many records may wait for a flush; an append that makes it more is answered after one.
    pub flush_messages: i64,
    pub flush_ms: i64,
    /// −1 keeps everything.
    pub retention_bytes: i64,
    /// −1 keeps everything.
    pub retention_ms: i64,
    pub max_message_bytes: u32,
    /// Cap when a lookup has to decompress a batch.
    pub max_decompressed_message_bytes: u32,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// Records younger than this are not compacted away.
    pub min_compaction_lag_ms: i64,
    /// Records older than this are compacted even if little is new. Bounds `segment_ms` for compacted topics.
    pub max_compaction_lag_ms: i64,
    /// A log is compacted when a larger part of it is new.
    pub min_cleanable_dirty_ratio: f64,
    /// How long the mark of a deleted key stays.
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: u64,
    pub preallocate: bool,
    /// Of a topic that holds the state of coordinators: its appends may use the reserve of the volume.
    pub internal: bool,
}

impl Default for LogConfig {
    /// Kafka's topic defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: 7 * 24 * 3_600_000,
            max_message_bytes: 1_048_588,
            max_decompressed_message_bytes: 2_147_483_639,
            delete: true,
            compact: false,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            delete_retention_ms: 24 * 3_600_000,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            internal: false,
        }
    }
}

impl LogConfig {
    /// The time after which a segment rolls: a compacted topic may demand it earlier than `segment.ms`.
    pub fn max_segment_ms(&self) -> i64 {
        if self.compact && self.max_compaction_lag_ms > 0 {
            self.max_compaction_lag_ms.min(self.segment_ms)
        } else {
            self.segment_ms
        }
    }

    pub(crate) fn max_offset_entries(&self) -> u32 {
        self.segment_index_bytes / 8
    }

    pub(crate) fn max_time_entries(&self) -> u32 {
        self.segment_index_bytes / 12
    }

    /// A segment's own jitter: spread by its name, so that partitions created together do not roll together.
    pub(crate) fn jitter_ms(&self, seed: u64) -> i64 {
        let bound = self.segment_jitter_ms.min(self.max_segment_ms());
        if bound <= 0 {
            return 0;
        }
        let mut state = seed;
        (split_mix(&mut state) % bound.unsigned_abs()) as i64
    }
}

/// What a log keeps about its producers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerConfig {
    /// `producer.id.expiration.ms`
    pub id_expiration_ms: i64,
    /// `transaction.max.timeout.ms`
    pub max_transaction_timeout_ms: i64,
    /// `transaction.partition.verification.enable`: no transaction begins here before its coordinator confirmed it.
    pub verify_transactions: bool,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            id_expiration_ms: 86_400_000,
            max_transaction_timeout_ms: 900_000,
            verify_transactions: false,
        }
    }
}
