//! Group keys; the broker key behind each stands in [`super::synonyms`].

rows! {
    "consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "consumer.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Later
        "";
    "consumer.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Later
        "";
    "errors.deadletterqueue.copy.record.enable" Boolean "false" [any] Medium ClusterWide Later
        "";
    "errors.deadletterqueue.topic.name" String "" [any] Medium ClusterWide Later
        "";
    "share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "share.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "share.auto.offset.reset" String "latest" [offset reset] Medium ClusterWide Later
        "";
    "share.delivery.count.limit" Int "5" [2 ..] Medium ClusterWide Later
        "";
    "share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Later
        "";
    "share.isolation.level" String "read_uncommitted" [one of "read_committed", "read_uncommitted"] Medium ClusterWide Later
        "";
    "share.partition.max.record.locks" Int "2000" [100 ..] Medium ClusterWide Later
        "";
    "share.record.lock.duration.ms" Int "30000" [1000 ..] Medium ClusterWide Later
        "";
    "share.renew.acknowledge.enable" Boolean "true" [any] Medium ClusterWide Later
        "";
    "share.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Later
        "";
    "streams.acceptable.recovery.lag" Long "10000" [0 ..] Medium !internal ClusterWide Later
        "";
    "streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "streams.assignor.name" String null [any] Medium ClusterWide Later
        "";
    "streams.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Later
        "";
    "streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ClusterWide Later
        "";
    "streams.num.standby.replicas" Int "0" [0 ..] Medium ClusterWide Later
        "";
    "streams.num.warmup.replicas" Int "2" [0 ..] Medium !internal ClusterWide Later
        "";
    "streams.rack.aware.assignment.tags" List "" [list empty] Low ClusterWide Later
        "";
    "streams.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Later
        "";
    "streams.task.offset.interval.ms" Int "60000" [1 ..] Medium !internal ClusterWide Later
        "";
}
