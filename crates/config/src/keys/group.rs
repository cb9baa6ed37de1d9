//! Broker keys: groups and committed offsets.

rows! {
    "group.consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "group.consumer.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "group.consumer.assignors" List "uniform,range" [list] Medium ReadOnly Later
        "";
    "group.consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Later
        "";
    "group.consumer.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.max.size" Int "2147483647" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.migration.policy" String "bidirectional" [one of any case "DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"] Medium ReadOnly Later
        "";
    "group.consumer.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Later
        "";
    "group.consumer.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "group.consumer.regex.refresh.interval.ms" Int "600000" [10000 ..] Medium !internal ReadOnly Later
        "";
    "group.consumer.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "group.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly Later
        "";
    "group.coordinator.background.threads" Int "2" [1 ..] High ReadOnly Later
        "";
    "group.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide Later
        "";
    "group.coordinator.rebalance.protocols" List "classic,consumer,streams" [list of "consumer", "classic", "share", "streams"] Medium ReadOnly Later
        "";
    "group.coordinator.threads" Int "4" [1 ..] High ReadOnly Later
        "";
    "group.initial.rebalance.delay.ms" Int "3000" [any] Medium ReadOnly Later
        "";
    "group.max.session.timeout.ms" Int "1800000" [any] Medium ReadOnly Later
        "";
    "group.max.size" Int "2147483647" [1 ..] Medium ReadOnly Later
        "";
    "group.min.session.timeout.ms" Int "6000" [any] Medium ReadOnly Later
        "";
    "offset.metadata.max.bytes" Int "4096" [any] High ReadOnly Later
        "";
    "offsets.commit.timeout.ms" Int "5000" [1 ..] High ReadOnly Later
        "";
    "offsets.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Later
        "";
    "offsets.retention.check.interval.ms" Long "600000" [1 ..] High ReadOnly Later
        "";
    "offsets.retention.minutes" Int "10080" [1 ..] High ReadOnly Later
        "";
    "offsets.topic.compression.codec" Int "0" [any] High ReadOnly Later
        "";
    "offsets.topic.num.partitions" Int "50" [1 ..] High ReadOnly Later
        "";
    "offsets.topic.replication.factor" Short "3" [1 ..] High ReadOnly Later
        "";
    "offsets.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly Later
        "";
}
