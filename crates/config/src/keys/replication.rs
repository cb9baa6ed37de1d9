//! Broker keys: replication, topics and leaders.

rows! {
    "alter.config.policy.class.name" Class null [any] Low ReadOnly Later
        "";
    "auto.create.topics.enable" Boolean "true" [any] High ReadOnly Later
        "";
    "auto.leader.rebalance.enable" Boolean "true" [any] High ReadOnly Later
        "";
    "create.topic.policy.class.name" Class null [any] Low ReadOnly Later
        "";
    "default.replication.factor" Int "1" [any] Medium ReadOnly Later
        "";
    "delete.records.purgatory.purge.interval.requests" Int "1" [any] Medium ReadOnly Later
        "";
    "delete.topic.enable" Boolean "true" [any] High ReadOnly Later
        "";
    "fetch.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly Later
        "";
    "leader.imbalance.check.interval.seconds" Long "300" [1 ..] High ReadOnly Later
        "";
    "min.insync.replicas" Int "1" [1 ..] High ClusterWide Later
        "";
    "num.partitions" Int "1" [1 ..] Medium ReadOnly Later
        "";
    "num.replica.alter.log.dirs.threads" Int null [any] High ReadOnly Later
        "";
    "num.replica.fetchers" Int "1" [1 ..] High ClusterWide Later
        "";
    "producer.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly Later
        "";
    "replica.fetch.backoff.ms" Int "1000" [0 ..] Medium ReadOnly Later
        "";
    "replica.fetch.max.bytes" Int "1048576" [0 ..] Medium ReadOnly Later
        "";
    "replica.fetch.min.bytes" Int "1" [any] High ReadOnly Later
        "";
    "replica.fetch.response.max.bytes" Int "10485760" [0 ..] Medium ReadOnly Later
        "";
    "replica.fetch.wait.max.ms" Int "500" [any] High ReadOnly Later
        "";
    "replica.high.watermark.checkpoint.interval.ms" Long "5000" [any] High ReadOnly Later
        "";
    "replica.lag.time.max.ms" Long "30000" [any] High ReadOnly Later
        "";
    "replica.selector.class" String null [any] Medium ReadOnly Later
        "";
    "replica.socket.receive.buffer.bytes" Int "65536" [any] High ReadOnly Later
        "";
    "replica.socket.timeout.ms" Int "30000" [any] High ReadOnly Later
        "";
    "unclean.leader.election.enable" Boolean "false" [any] High ClusterWide Later
        "";
    "unclean.leader.election.interval.ms" Long "300000" [1 ..] Medium !internal ReadOnly Later
        "";
}
