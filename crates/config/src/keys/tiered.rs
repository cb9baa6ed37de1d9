//! Broker keys: tiered storage.

rows! {
    "follower.fetch.last.tiered.offset.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "log.local.retention.bytes" Long "-2" [-2 ..] Medium ClusterWide Later
        "";
    "log.local.retention.ms" Long "-2" [-2 ..] Medium ClusterWide Later
        "";
    "log.remote.copy.lag.bytes" Long "-1" [-1 ..] Medium ClusterWide Later
        "";
    "log.remote.copy.lag.ms" Long "0" [-1 ..] Medium ClusterWide Later
        "";
    "remote.fetch.max.wait.ms" Int "500" [1 ..] Medium ClusterWide Later
        "";
    "remote.list.offsets.request.timeout.ms" Long "30000" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.index.file.cache.total.size.bytes" Long "1073741824" [1 ..] Low ClusterWide Later
        "";
    "remote.log.index.file.cache.ttl.ms" Long "900000" [-1 ..] Low !internal ReadOnly Later
        "";
    "remote.log.manager.copier.thread.pool.size" Int "10" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.manager.copy.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.manager.copy.quota.window.num" Int "11" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.manager.copy.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.manager.expiration.thread.pool.size" Int "10" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.manager.fetch.max.bytes.per.second" Long "9223372036854775807" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.manager.fetch.quota.window.num" Int "11" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.manager.fetch.quota.window.size.seconds" Int "1" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.manager.follower.thread.pool.size" Int "2" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.manager.task.interval.ms" Long "30000" [1 ..] Low ReadOnly Later
        "";
    "remote.log.manager.task.retry.backoff.max.ms" Long "30000" [1 ..] Low !internal ReadOnly Later
        "";
    "remote.log.manager.task.retry.backoff.ms" Long "500" [1 ..] Low !internal ReadOnly Later
        "";
    "remote.log.manager.task.retry.jitter" Double "0.2" [0 to 0.5] Low !internal ReadOnly Later
        "";
    "remote.log.manager.thread.pool.size" Int "2" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.metadata.custom.metadata.max.bytes" Int "128" [0 ..] Low ReadOnly Later
        "";
    "remote.log.metadata.manager.class.name" String "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" [non empty] Medium ReadOnly Later
        "";
    "remote.log.metadata.manager.class.path" String null [any] Medium ReadOnly Later
        "";
    "remote.log.metadata.manager.impl.prefix" String "rlmm.config." [non empty] Medium ReadOnly Later
        "";
    "remote.log.metadata.manager.listener.name" String null [non empty] Medium ReadOnly Later
        "";
    "remote.log.reader.max.pending.tasks" Int "100" [1 ..] Medium ReadOnly Later
        "";
    "remote.log.reader.threads" Int "10" [1 ..] Medium ClusterWide Later
        "";
    "remote.log.storage.manager.class.name" String null [non empty] Medium ReadOnly Later
        "";
    "remote.log.storage.manager.class.path" String null [any] Medium ReadOnly Later
        "";
    "remote.log.storage.manager.impl.prefix" String "rsm.config." [non empty] Medium ReadOnly Later
        "";
    "remote.log.storage.system.enable" Boolean "false" [any] Medium ReadOnly Later
        "";
}
