//! Group keys; the broker key behind each stands in [`super::synonyms`].

rows! {
    "consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Acts
        "Least time between two assignments of the group.";
    "consumer.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide None
        "Assignments of the group are computed aside: here the coordinator makes them itself.";
    "consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Acts
        "How often members report.";
    "consumer.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Acts
        "A member silent for so long leaves the group.";
    "errors.deadletterqueue.copy.record.enable" Boolean "false" [any] Medium ClusterWide Later
        "Undeliverable records are copied whole, not only named.";
    "errors.deadletterqueue.topic.name" String "" [any] Medium ClusterWide Later
        "Topic for undeliverable records; empty for none.";
    "share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "Least time between two assignments of the share group.";
    "share.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "Assignments of the share group are computed aside.";
    "share.auto.offset.reset" String "latest" [offset reset] Medium ClusterWide Later
        "Where a new share group begins: `latest`, `earliest`, or `by_duration:` and how far back.";
    "share.delivery.count.limit" Int "5" [2 ..] Medium ClusterWide Later
        "How often a record is handed out before it counts as undeliverable.";
    "share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Later
        "How often members of the share group report.";
    "share.isolation.level" String "read_uncommitted" [one of "read_committed", "read_uncommitted"] Medium ClusterWide Later
        "Whether records of open transactions are handed out: `read_uncommitted` or `read_committed`.";
    "share.partition.max.record.locks" Int "2000" [100 ..] Medium ClusterWide Later
        "Most records of a partition that are handed out and not yet settled.";
    "share.record.lock.duration.ms" Int "30000" [1000 ..] Medium ClusterWide Later
        "How long a member may hold a record before another gets it.";
    "share.renew.acknowledge.enable" Boolean "true" [any] Medium ClusterWide Later
        "Members may prolong their hold on a record.";
    "share.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Later
        "A member silent for so long leaves the share group.";
    "streams.acceptable.recovery.lag" Long "10000" [0 ..] Medium !internal ClusterWide Later
        "A client that lags no more than this may take an active task.";
    "streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "Least time between two assignments of the Streams group.";
    "streams.assignor.name" String null [any] Medium ClusterWide Later
        "How tasks of the Streams group are assigned.";
    "streams.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "Assignments of the Streams group are computed aside.";
    "streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ClusterWide Later
        "How often members of the Streams group report.";
    "streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ClusterWide Later
        "How long the Streams group, when new, waits for more members.";
    "streams.num.standby.replicas" Int "0" [0 ..] Medium ClusterWide Later
        "Standby replicas of each stateful task.";
    "streams.num.warmup.replicas" Int "2" [0 ..] Medium !internal ClusterWide Later
        "Tasks that may warm up elsewhere at the same time.";
    "streams.rack.aware.assignment.tags" List "" [list empty] Low ClusterWide Later
        "Client tags over which standby replicas are spread.";
    "streams.session.timeout.ms" Int "45000" [1 ..] Medium ClusterWide Later
        "A member silent for so long leaves the Streams group.";
    "streams.task.offset.interval.ms" Int "60000" [1 ..] Medium !internal ClusterWide Later
        "How often members report how far their tasks are.";
}
