//! Broker keys: the log on disk.

rows! {
    "compression.gzip.level" Int "-1" [gzip level] Medium ClusterWide Later
        "";
    "compression.lz4.level" Int "9" [1 to 17] Medium ClusterWide Later
        "";
    "compression.type" String "producer" [one of "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] High ClusterWide Later
        "";
    "compression.zstd.level" Int "3" [-131072 to 22] Medium ClusterWide Later
        "";
    "controlled.shutdown.enable" Boolean "true" [any] Medium ReadOnly Later
        "";
    "log.cleaner.backoff.ms" Long "15000" [0 ..] Medium ClusterWide Later
        "";
    "log.cleaner.dedupe.buffer.size" Long "134217728" [any] Medium ClusterWide Later
        "";
    "log.cleaner.delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide Later
        "";
    "log.cleaner.enable" Boolean "true" [any] Medium ReadOnly Later
        "";
    "log.cleaner.io.buffer.load.factor" Double "0.9" [any] Medium ClusterWide Later
        "";
    "log.cleaner.io.buffer.size" Int "524288" [0 ..] Medium ClusterWide Later
        "";
    "log.cleaner.io.max.bytes.per.second" Double "1.7976931348623157E308" [any] Medium ClusterWide Later
        "";
    "log.cleaner.max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "";
    "log.cleaner.min.cleanable.ratio" Double "0.5" [0 to 1] Medium ClusterWide Later
        "";
    "log.cleaner.min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide Later
        "";
    "log.cleaner.threads" Int "1" [0 ..] Medium ClusterWide Later
        "";
    "log.cleanup.policy" List "delete" [list empty of "compact", "delete"] Medium ClusterWide Later
        "";
    "log.dir" List "/tmp/kafka-logs" [list] High ReadOnly Later
        "";
    "log.dir.failure.timeout.ms" Long "30000" [1 ..] Low ReadOnly Later
        "";
    "log.dirs" List null [list null] High ReadOnly Later
        "";
    "log.flush.interval.messages" Long "9223372036854775807" [1 ..] High ClusterWide Later
        "";
    "log.flush.interval.ms" Long null [any] High ClusterWide Later
        "";
    "log.flush.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly Later
        "";
    "log.flush.scheduler.interval.ms" Long "9223372036854775807" [any] High ReadOnly Later
        "";
    "log.flush.start.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly Later
        "";
    "log.index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide Later
        "";
    "log.index.size.max.bytes" Int "10485760" [4 ..] Medium ClusterWide Later
        "";
    "log.initial.task.delay.ms" Long "30000" [0 ..] Low !internal ReadOnly Later
        "";
    "log.message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide Later
        "";
    "log.message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Later
        "";
    "log.message.timestamp.type" String "CreateTime" [one of "CreateTime", "LogAppendTime"] Medium ClusterWide Later
        "";
    "log.preallocate" Boolean "false" [any] Medium ClusterWide Later
        "";
    "log.retention.bytes" Long "-1" [any] High ClusterWide Later
        "";
    "log.retention.check.interval.ms" Long "300000" [1 ..] Medium ReadOnly Later
        "";
    "log.retention.hours" Int "168" [any] High ReadOnly Later
        "";
    "log.retention.minutes" Int null [any] High ReadOnly Later
        "";
    "log.retention.ms" Long null [any] High ClusterWide Later
        "";
    "log.roll.hours" Int "168" [1 ..] High ReadOnly Later
        "";
    "log.roll.jitter.hours" Int "0" [0 ..] High ReadOnly Later
        "";
    "log.roll.jitter.ms" Long null [any] High ClusterWide Later
        "";
    "log.roll.ms" Long null [any] High ClusterWide Later
        "";
    "log.segment.bytes" Int "1073741824" [1048576 ..] High ClusterWide Later
        "";
    "log.segment.delete.delay.ms" Long "60000" [0 ..] High ClusterWide Later
        "";
    "max.decompressed.message.bytes" Int "2147483639" [1 to 2147483639] Medium ClusterWide Later
        "";
    "message.max.bytes" Int "1048588" [0 ..] High ClusterWide Later
        "";
    "num.recovery.threads.per.data.dir" Int "2" [1 ..] High ClusterWide Later
        "";
}
