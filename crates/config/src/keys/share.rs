//! Broker keys: share groups.

rows! {
    "errors.deadletterqueue.auto.create.topics.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "errors.deadletterqueue.topic.name.prefix" String "dlq." [any] Medium ClusterWide Later
        "";
    "group.share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "group.share.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "group.share.assignors" List "simple" [list] Medium ReadOnly Later
        "";
    "group.share.delivery.count.limit" Int "5" [2 to 10] Medium ReadOnly Later
        "";
    "group.share.dlq.manager.class.name" String "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager" [any] Medium !internal ReadOnly Later
        "";
    "group.share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.initialize.retry.interval.ms" Int "30000" [1 ..] Low !internal ReadOnly Later
        "";
    "group.share.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Later
        "";
    "group.share.max.delivery.count.limit" Int "10" [5 to 25] Medium ReadOnly Later
        "";
    "group.share.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.max.partition.max.record.locks" Int "4000" [2000 to 10000] Medium ReadOnly Later
        "";
    "group.share.max.record.lock.duration.ms" Int "60000" [30000 to 3600000] Medium ReadOnly Later
        "";
    "group.share.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.max.share.sessions" Int "2000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.max.size" Int "200" [1 to 1000] Medium ReadOnly Later
        "";
    "group.share.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Later
        "";
    "group.share.min.delivery.count.limit" Int "2" [2 to 5] Medium ReadOnly Later
        "";
    "group.share.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.min.partition.max.record.locks" Int "100" [100 to 2000] Medium ReadOnly Later
        "";
    "group.share.min.record.lock.duration.ms" Int "15000" [1000 to 30000] Medium ReadOnly Later
        "";
    "group.share.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "group.share.partition.max.record.locks" Int "2000" [100 to 10000] Medium ReadOnly Later
        "";
    "group.share.persister.class.name" String "org.apache.kafka.server.share.persister.DefaultStatePersister" [any] Medium !internal ReadOnly Later
        "";
    "group.share.record.lock.duration.ms" Int "30000" [1000 to 3600000] Medium ReadOnly Later
        "";
    "group.share.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "share.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly Later
        "";
    "share.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide Later
        "";
    "share.coordinator.cold.partition.snapshot.interval.ms" Int "300000" [1 ..] Low !internal ReadOnly Later
        "";
    "share.coordinator.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Later
        "";
    "share.coordinator.snapshot.update.records.per.snapshot" Int "500" [0 to 500] Medium ReadOnly Later
        "";
    "share.coordinator.state.topic.compression.codec" Int "0" [any] High ReadOnly Later
        "";
    "share.coordinator.state.topic.min.isr" Short "2" [1 ..] High ReadOnly Later
        "";
    "share.coordinator.state.topic.num.partitions" Int "50" [1 ..] High ReadOnly Later
        "";
    "share.coordinator.state.topic.prune.interval.ms" Int "300000" [1 ..] Low !internal ReadOnly Later
        "";
    "share.coordinator.state.topic.replication.factor" Short "3" [1 ..] High ReadOnly Later
        "";
    "share.coordinator.state.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly Later
        "";
    "share.coordinator.threads" Int "1" [1 ..] Medium ReadOnly Later
        "";
    "share.coordinator.write.timeout.ms" Int "5000" [1 ..] High ReadOnly Later
        "";
    "share.fetch.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly Later
        "";
}
