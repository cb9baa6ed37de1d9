//! Topic keys; the broker key behind each stands in [`super::synonyms`].

rows! {
    "cleanup.policy" List "delete" [list empty of "compact", "delete"] Medium ClusterWide Later
        "";
    "compression.gzip.level" Int "-1" [gzip level] Medium ClusterWide Later
        "";
    "compression.lz4.level" Int "9" [1 to 17] Medium ClusterWide Later
        "";
    "compression.type" String "producer" [one of "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] Medium ClusterWide Later
        "";
    "compression.zstd.level" Int "3" [-131072 to 22] Medium ClusterWide Later
        "";
    "delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide Later
        "";
    "errors.deadletterqueue.group.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "file.delete.delay.ms" Long "60000" [0 ..] Medium ClusterWide Later
        "";
    "flush.messages" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "";
    "flush.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Later
        "";
    "follower.replication.throttled.replicas" List "" [throttled replicas] Medium ClusterWide Later
        "";
    "index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide Later
        "";
    "internal.segment.bytes" Int null [any] Medium !internal ClusterWide Later
        "";
    "leader.replication.throttled.replicas" List "" [throttled replicas] Medium ClusterWide Later
        "";
    "local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide Later
        "";
    "local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide Later
        "";
    "max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "";
    "max.decompressed.message.bytes" Int "2147483639" [1 to 2147483639] Medium ClusterWide Later
        "";
    "max.message.bytes" Int "1048588" [0 ..] Medium ClusterWide Later
        "";
    "message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide Later
        "";
    "message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Later
        "";
    "message.timestamp.type" String "CreateTime" [one of "CreateTime", "LogAppendTime"] Medium ClusterWide Later
        "";
    "min.cleanable.dirty.ratio" Double "0.5" [0 to 1] Medium ClusterWide Later
        "";
    "min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide Later
        "";
    "min.insync.replicas" Int "1" [1 ..] Medium ClusterWide Later
        "";
    "preallocate" Boolean "false" [any] Medium ClusterWide Later
        "";
    "remote.copy.lag.bytes" Long "-1" [-1 ..] Medium ClusterWide Later
        "";
    "remote.copy.lag.ms" Long "0" [-1 ..] Medium ClusterWide Later
        "";
    "remote.log.copy.disable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "remote.log.delete.on.disable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "remote.storage.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "retention.bytes" Long "-1" [any] Medium ClusterWide Later
        "";
    "retention.ms" Long "604800000" [-1 ..] Medium ClusterWide Later
        "";
    "segment.bytes" Int "1073741824" [1048576 ..] Medium ClusterWide Later
        "";
    "segment.index.bytes" Int "10485760" [4 ..] Medium ClusterWide Later
        "";
    "segment.jitter.ms" Long "0" [0 ..] Medium ClusterWide Later
        "";
    "segment.ms" Long "604800000" [1 ..] Medium ClusterWide Later
        "";
    "unclean.leader.election.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
}
