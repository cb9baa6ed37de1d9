//! From a topic's configuration to what its log, its appends and its leader need of it.

use std::sync::Arc;

use config::TopicConfig;
use records::TimestampType;
use records::compress::{Codec, Compression};
use records::validate::{AppendOrigin, ValidationConfig};
use storage::log::LogConfig;

use super::throttle::Throttled;

/// One topic's settings in the shapes of their users; shared by its partitions and replaced as a whole.
#[derive(Clone, Debug)]
pub struct PartitionSettings {
    pub log: Arc<LogConfig>,
    pub validation: ValidationConfig,
    pub min_insync_replicas: usize,
    pub leader_throttled: Throttled,
    pub follower_throttled: Throttled,
}

impl PartitionSettings {
    /// `internal`: the topic holds the state of coordinators.
    pub fn new(topic: &TopicConfig, internal: bool) -> Self {
        let log = LogConfig {
            segment_bytes: clamp_u32(topic.segment_size_bytes()),
            segment_ms: topic.segment_ms,
            segment_jitter_ms: topic.segment_jitter_ms,
            segment_index_bytes: clamp_u32(topic.segment_index_bytes),
            index_interval_bytes: clamp_u32(topic.index_interval_bytes),
            flush_messages: topic.flush_messages,
            flush_ms: topic.flush_ms,
            retention_bytes: topic.retention_bytes,
            retention_ms: topic.retention_ms,
            max_message_bytes: clamp_u32(topic.max_message_bytes),
            max_decompressed_message_bytes: clamp_u32(topic.max_decompressed_message_bytes),
            delete: topic.deletes(),
            compact: topic.compacts(),
            min_compaction_lag_ms: topic.min_compaction_lag_ms,
            max_compaction_lag_ms: topic.max_compaction_lag_ms,
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            delete_retention_ms: topic.delete_retention_ms,
            file_delete_delay_ms: u64::try_from(topic.file_delete_delay_ms).unwrap_or(0),
            preallocate: topic.preallocate,
            internal,
        };
        let validation = ValidationConfig {
            compression: codec(topic),
            timestamp_type: if topic.uses_log_append_time() {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
            timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
            max_message_bytes: clamp_u32(topic.max_message_bytes) as usize,
            max_decompressed_message_bytes: topic.max_decompressed_message_bytes,
            compacted: topic.compacts(),
            ..ValidationConfig::new(AppendOrigin::Client)
        };
        let min_insync_replicas = usize::try_from(topic.min_insync_replicas).unwrap_or(1);
        Self {
            log: Arc::new(log),
            validation,
            min_insync_replicas,
            leader_throttled: Throttled::parse(&topic.leader_throttled_replicas),
            follower_throttled: Throttled::parse(&topic.follower_throttled_replicas),
        }
    }

    /// DeleteRecords is refused where compaction alone removes records.
    pub fn lets_records_be_deleted(&self) -> bool {
        self.log.delete || !self.log.compact
    }
}

fn clamp_u32(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// The codec that the topic demands; `None` keeps the producer's.
fn codec(topic: &TopicConfig) -> Option<Codec> {
    let codec = match topic.compression_type.as_str() {
        "uncompressed" => Compression::None.into(),
        "gzip" => Codec::Gzip { level: topic.compression_gzip_level },
        "snappy" => Compression::Snappy.into(),
        "lz4" => Codec::Lz4 { level: topic.compression_lz4_level },
        "zstd" => Codec::Zstd { level: topic.compression_zstd_level },
        _ => return None, // "producer"; others do not pass validation
    };
    Some(codec)
}
