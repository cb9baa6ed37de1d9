//! Broker keys: the log on disk.

rows! {
    "compression.gzip.level" Int "-1" [gzip level] Medium ClusterWide Acts
        "Level of gzip when the broker compresses; -1 leaves it to gzip.";
    "compression.lz4.level" Int "9" [1 to 17] Medium ClusterWide Acts
        "Level of LZ4 when the broker compresses.";
    "compression.type" String "producer" [one of "uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] High ClusterWide Acts
        "Codec of records at rest; `producer` leaves them as they come.";
    "compression.zstd.level" Int "3" [-131072 to 22] Medium ClusterWide Acts
        "Level of Zstandard when the broker compresses.";
    "log.cleaner.backoff.ms" Long "15000" [0 ..] Medium ClusterWide Acts
        "Pause of the cleaner when nothing needs cleaning.";
    "log.cleaner.dedupe.buffer.size" Long "134217728" [any] Medium ClusterWide Acts
        "Memory for the keys of all compactions that run.";
    "log.cleaner.delete.retention.ms" Long "86400000" [0 ..] Medium ClusterWide Acts
        "How long the mark of a deleted key stays, so that every consumer sees it.";
    "log.cleaner.enable" Boolean "true" [any] Medium ReadOnly Acts
        "Compaction runs; without it, compacted topics grow without end.";
    "log.cleaner.io.buffer.load.factor" Double "0.9" [any] Medium ClusterWide Acts
        "How full the table of keys may become, as a part of one.";
    "log.cleaner.io.buffer.size" Int "524288" [0 ..] Medium ClusterWide None
        "Memory for the reading and writing of all compactions that run; here the buffers are as large as the batches need.";
    "log.cleaner.io.max.bytes.per.second" Double "1.7976931348623157E308" [any] Medium ClusterWide Acts
        "Bytes per second that compaction reads and writes at most.";
    "log.cleaner.max.compaction.lag.ms" Long "9223372036854775807" [1 ..] Medium ClusterWide Acts
        "Records older than this are compacted even if little is new.";
    "log.cleaner.min.cleanable.ratio" Double "0.5" [0 to 1] Medium ClusterWide Acts
        "A log is compacted when so large a part of it is new.";
    "log.cleaner.min.compaction.lag.ms" Long "0" [0 ..] Medium ClusterWide Acts
        "Records younger than this are not compacted away.";
    "log.cleaner.threads" Int "1" [0 ..] Medium ClusterWide Acts
        "Logs compacted at the same time.";
    "log.cleanup.policy" List "delete" [list empty of "compact", "delete"] Medium ClusterWide Acts
        "What happens to old records: `delete`, `compact`, both, or nothing.";
    "log.dir" List "/tmp/kafka-logs" [list] High ReadOnly Acts
        "Directory of the logs, when `log.dirs` is not set.";
    "log.dir.failure.timeout.ms" Long "30000" [1 ..] Low ReadOnly Acts
        "A broker that cannot report a failed directory to the controller for so long stops.";
    "log.dirs" List null [list null] High ReadOnly Acts
        "Directories of the logs.";
    "log.flush.interval.messages" Long "9223372036854775807" [1 ..] High ClusterWide Acts
        "A log is flushed to disk after so many records.";
    "log.flush.interval.ms" Long null [any] High ClusterWide Acts
        "A log is flushed to disk at this age of its oldest unflushed record.";
    "log.flush.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly Acts
        "How often recovery points are written to disk.";
    "log.flush.scheduler.interval.ms" Long "9223372036854775807" [any] High ReadOnly Acts
        "How often logs are looked at for what must be flushed.";
    "log.flush.start.offset.checkpoint.interval.ms" Int "60000" [0 ..] High ReadOnly Acts
        "How often log start offsets are written to disk.";
    "log.index.interval.bytes" Int "4096" [0 ..] Medium ClusterWide Acts
        "An index entry is written after so many bytes of records.";
    "log.index.size.max.bytes" Int "10485760" [4 ..] Medium ClusterWide Acts
        "Largest index of a segment; a full index starts a new segment.";
    "log.initial.task.delay.ms" Long "30000" [0 ..] Low !internal ReadOnly Acts
        "How long after start the periodic work on logs begins.";
    "log.message.timestamp.after.max.ms" Long "3600000" [0 ..] Medium ClusterWide Acts
        "Records stamped further in the future than this are refused.";
    "log.message.timestamp.before.max.ms" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "Records stamped further in the past than this are refused.";
    "log.message.timestamp.type" String "CreateTime" [one of "CreateTime", "LogAppendTime"] Medium ClusterWide Acts
        "Whose time a record bears: `CreateTime` of the producer or `LogAppendTime` of the broker.";
    "log.preallocate" Boolean "false" [any] Medium ClusterWide Acts
        "New segments take their whole size on disk at once.";
    "log.retention.bytes" Long "-1" [any] High ClusterWide Acts
        "Old segments of a partition go when it is larger than this; -1 keeps all.";
    "log.retention.check.interval.ms" Long "300000" [1 ..] Medium ReadOnly Acts
        "How often logs are looked at for what may go.";
    "log.retention.hours" Int "168" [any] High ReadOnly Acts
        "Segments older than this go, in hours.";
    "log.retention.minutes" Int null [any] High ReadOnly Acts
        "Segments older than this go, in minutes; `log.retention.hours` when not set.";
    "log.retention.ms" Long null [any] High ClusterWide Acts
        "Segments older than this go; `log.retention.minutes` when not set; -1 keeps all.";
    "log.roll.hours" Int "168" [1 ..] High ReadOnly Acts
        "A log starts a new segment at this age, in hours.";
    "log.roll.jitter.hours" Int "0" [0 ..] High ReadOnly Acts
        "How much earlier, at random, a segment may roll, in hours.";
    "log.roll.jitter.ms" Long null [any] High ClusterWide Acts
        "How much earlier, at random, a segment may roll; `log.roll.jitter.hours` when not set.";
    "log.roll.ms" Long null [any] High ClusterWide Acts
        "A log starts a new segment at this age; `log.roll.hours` when not set.";
    "log.segment.bytes" Int "1073741824" [1048576 ..] High ClusterWide Acts
        "A log starts a new segment at this size.";
    "log.segment.delete.delay.ms" Long "60000" [0 ..] High ClusterWide Acts
        "How long a deleted segment stays on disk under another name.";
    "max.decompressed.message.bytes" Int "2147483639" [1 to 2147483639] Medium ClusterWide Acts
        "Largest batch that is taken, decompressed.";
    "message.max.bytes" Int "1048588" [0 ..] High ClusterWide Acts
        "Largest batch that is taken, as it comes.";
    "num.recovery.threads.per.data.dir" Int "2" [1 ..] High ClusterWide Acts
        "Logs of one directory loaded, recovered or closed at the same time.";
}
