//! Broker keys: tiered storage.

rows! {
    "follower.fetch.last.tiered.offset.enable" Boolean "false" [any] Medium ClusterWide Later
        "A new follower begins where tiered storage ends.";
    "log.local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide Later
        "Old segments of a tiered partition leave the local disk at this size; -2 follows `log.retention.bytes`.";
    "log.local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide Later
        "Segments of a tiered partition leave the local disk at this age; -2 follows `log.retention.ms`.";
    "log.remote.copy.lag.bytes" Long "-1" [-1 ..] Medium ClusterWide Later
        "A closed segment is copied when so many newer bytes follow it; -1 turns this off.";
    "log.remote.copy.lag.ms" Long "0" [-1 ..] Medium ClusterWide Later
        "A closed segment is copied at this age; -1 turns this off.";
    "remote.fetch.max.wait.ms" Int "500" [1 ..] Medium ClusterWide Later
        "How long a fetch waits for tiered storage.";
    "remote.list.offsets.request.timeout.ms" Long "30000" [1 ..] Medium ClusterWide Later
        "How long a search by time waits for tiered storage.";
    "remote.log.index.file.cache.total.size.bytes" Long "1073741824" [1 ..] Low ClusterWide Later
        "Disk space for indexes fetched from tiered storage.";
    "remote.log.index.file.cache.ttl.ms" Long "900000" [-1 ..] Low !internal ReadOnly Later
        "Cached indexes not used for so long go; -1 keeps them.";
    "remote.log.manager.copier.thread.pool.size" Int "10" [1 ..] Medium ClusterWide Later
        "Segments copied at the same time.";
    "remote.log.manager.copy.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "Bytes per second copied to tiered storage at most.";
    "remote.log.manager.copy.quota.window.num" Int "11" [1 ..] Medium ReadOnly Later
        "Samples that the copy limit looks at.";
    "remote.log.manager.copy.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly Later
        "Length of each of those samples.";
    "remote.log.manager.expiration.thread.pool.size" Int "10" [1 ..] Medium ClusterWide Later
        "Partitions whose tiered segments are expired at the same time.";
    "remote.log.manager.fetch.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "Bytes per second fetched from tiered storage at most.";
    "remote.log.manager.fetch.quota.window.num" Int "11" [1 ..] Medium ReadOnly Later
        "Samples that the fetch limit looks at.";
    "remote.log.manager.fetch.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly Later
        "Length of each of those samples.";
    "remote.log.manager.follower.thread.pool.size" Int "2" [1 ..] Medium ClusterWide Later
        "Followed partitions whose tiered state is refreshed at the same time.";
    "remote.log.manager.task.interval.ms" Long "30000" [1 ..] Low ReadOnly Later
        "How often each partition is looked at for segments to copy or expire.";
    "remote.log.manager.task.retry.backoff.max.ms" Long "30000" [1 ..] Low !internal ReadOnly Later
        "Longest pause after repeated failures of tiered storage.";
    "remote.log.manager.task.retry.backoff.ms" Long "500" [1 ..] Low !internal ReadOnly Later
        "First pause after a failed task of tiered storage.";
    "remote.log.manager.task.retry.jitter" Double "0.2" [0 to 0.5] Low !internal ReadOnly Later
        "How much those pauses vary at random, as a part of one.";
    "remote.log.manager.thread.pool.size" Int "2" [1 ..] Medium ReadOnly None
        "Superseded by the sizes of the separate pools.";
    "remote.log.metadata.custom.metadata.max.bytes" Int "128" [0 ..] Low ReadOnly Later
        "Most bytes that a storage plugin may attach to a segment.";
    "remote.log.metadata.manager.class.name" String "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" [non empty] Medium ReadOnly Later
        "Which plugin keeps the list of tiered segments.";
    "remote.log.metadata.manager.class.path" String null [any] Medium ReadOnly None
        "Java class path of that plugin.";
    "remote.log.metadata.manager.impl.prefix" String "rlmm.config." [non empty] Medium ReadOnly Later
        "Keys with this prefix go to that plugin.";
    "remote.log.metadata.manager.listener.name" String null [non empty] Medium ReadOnly Later
        "The listener through which that plugin reaches the cluster.";
    "remote.log.reader.max.pending.tasks" Int "100" [1 ..] Medium ReadOnly Later
        "Most reads from tiered storage that wait.";
    "remote.log.reader.threads" Int "10" [1 ..] Medium ClusterWide Later
        "Reads from tiered storage at the same time.";
    "remote.log.storage.manager.class.name" String null [non empty] Medium ReadOnly Later
        "Which plugin stores tiered segments.";
    "remote.log.storage.manager.class.path" String null [any] Medium ReadOnly None
        "Java class path of that plugin.";
    "remote.log.storage.manager.impl.prefix" String "rsm.config." [non empty] Medium ReadOnly Later
        "Keys with this prefix go to that plugin.";
    "remote.log.storage.system.enable" Boolean "false" [any] Medium ReadOnly Later
        "Tiered storage is available to topics.";
}
