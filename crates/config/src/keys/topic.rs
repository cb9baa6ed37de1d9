//! Topic keys; the broker key behind each stands in [`super::synonyms`].

rows! {
    "cleanup.policy" List "delete" [list empty of "compact", "delete"] Medium ClusterWide Acts
        "What happens to old records: `delete`, `compact`, both, or nothing.";
    "compression.gzip.level" Int "-1" [gzip level] Medium ClusterWide Acts
        "Level of gzip when the broker compresses; -1 leaves it to gzip.";
    "compression.lz4.level" Int "9" [1 to 17] Medium ClusterWide Acts
        "Level of LZ4 when the broker compresses.";
    "compression.type" String "producer" [one of "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] Medium ClusterWide Acts
        "Codec of records at rest; `producer` leaves them as they come.";
    "compression.zstd.level" Int "3" [-131072 to 22] Medium ClusterWide Acts
        "Level of Zstandard when the broker compresses.";
    "delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide Acts
        "How long the mark of a deleted key stays, so that every consumer sees it.";
    "errors.deadletterqueue.group.enable" Boolean "false" [any] Medium ClusterWide Later
        "Share groups may write undeliverable records to this topic.";
    "file.delete.delay.ms" Long "60000" [0 ..] Medium ClusterWide Acts
        "How long a deleted segment stays on disk under another name.";
    "flush.messages" Long "9223372036854775807" [1 ..] Medium ClusterWide Acts
        "The log is flushed to disk after so many records.";
    "flush.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "The log is flushed to disk at this age of its oldest unflushed record.";
    "follower.replication.throttled.replicas" List "" [throttled replicas] Medium ClusterWide Acts
        "Replicas that are throttled when they follow: `PARTITION:BROKER` each, or `*`.";
    "index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide Acts
        "An index entry is written after so many bytes of records.";
    "internal.segment.bytes" Int null [any] Medium !internal ClusterWide Acts
        "Overrides `segment.bytes` without its lower bound, for tests.";
    "leader.replication.throttled.replicas" List "" [throttled replicas] Medium ClusterWide Acts
        "Replicas that are throttled when they lead: `PARTITION:BROKER` each, or `*`.";
    "local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide Later
        "Old segments leave the local disk at this size; -2 follows `retention.bytes`.";
    "local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide Later
        "Segments leave the local disk at this age; -2 follows `retention.ms`.";
    "max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide Acts
        "Records older than this are compacted even if little is new.";
    "max.decompressed.message.bytes" Int "2147483639" [1 to 2147483639] Medium ClusterWide Acts
        "Largest batch that is taken, decompressed.";
    "max.message.bytes" Int "1048588" [0 ..] Medium ClusterWide Acts
        "Largest batch that is taken, as it comes.";
    "message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide Acts
        "Records stamped further in the future than this are refused.";
    "message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "Records stamped further in the past than this are refused.";
    "message.timestamp.type" String "CreateTime" [one of "CreateTime", "LogAppendTime"] Medium ClusterWide Acts
        "Whose time a record bears: `CreateTime` of the producer or `LogAppendTime` of the broker.";
    "min.cleanable.dirty.ratio" Double "0.5" [0 to 1] Medium ClusterWide Acts
        "The log is compacted when so large a part of it is new.";
    "min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide Acts
        "Records younger than this are not compacted away.";
    "min.insync.replicas" Int "1" [1 ..] Medium ClusterWide Acts
        "Replicas in sync without which writes with acks=all are refused.";
    "preallocate" Boolean "false" [any] Medium ClusterWide Acts
        "New segments take their whole size on disk at once.";
    "remote.copy.lag.bytes" Long "-1" [-1 ..] Medium ClusterWide Later
        "A closed segment is copied when so many newer bytes follow it; -1 turns this off.";
    "remote.copy.lag.ms" Long "0" [-1 ..] Medium ClusterWide Later
        "A closed segment is copied at this age; -1 turns this off.";
    "remote.log.copy.disable" Boolean "false" [any] Medium ClusterWide Later
        "Nothing more is copied to tiered storage; what is there stays readable.";
    "remote.log.delete.on.disable" Boolean "false" [any] Medium ClusterWide Later
        "What is in tiered storage goes when tiering is turned off.";
    "remote.storage.enable" Boolean "false" [any] Medium ClusterWide Later
        "Closed segments are copied to tiered storage.";
    "retention.bytes" Long "-1" [any] Medium ClusterWide Acts
        "Old segments of a partition go when it is larger than this; -1 keeps all.";
    "retention.ms" Long "604800000" [-1 ..] Medium ClusterWide Acts
        "Segments older than this go; -1 keeps all.";
    "segment.bytes" Int "1073741824" [1048576 ..] Medium ClusterWide Acts
        "The log starts a new segment at this size.";
    "segment.index.bytes" Int "10485760" [4 ..] Medium ClusterWide Acts
        "Largest index of a segment; a full index starts a new segment.";
    "segment.jitter.ms" Long "0" [0 ..] Medium ClusterWide Acts
        "How much earlier, at random, a segment may roll.";
    "segment.ms" Long "604800000" [1 ..] Medium ClusterWide Acts
        "The log starts a new segment at this age.";
    "unclean.leader.election.enable" Boolean "false" [any] Medium ClusterWide Acts
        "A replica that lags may lead when no other lives, at the price of lost records.";
}
