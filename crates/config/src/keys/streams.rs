//! Broker keys: streams groups.

rows! {
    "group.streams.acceptable.recovery.lag" Long "10000" [0 ..] Medium !internal ReadOnly Later
        "";
    "group.streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "";
    "group.streams.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "";
    "group.streams.assignors" List "sticky" [list] Medium ReadOnly Later
        "";
    "group.streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ReadOnly Later
        "";
    "group.streams.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Later
        "";
    "group.streams.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.max.size" Int "2147483647" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.max.standby.replicas" Int "2" [0 ..] Medium ReadOnly Later
        "";
    "group.streams.max.warmup.replicas" Int "20" [0 ..] Medium !internal ReadOnly Later
        "";
    "group.streams.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Later
        "";
    "group.streams.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.min.task.offset.interval.ms" Int "15000" [1 ..] Medium !internal ReadOnly Later
        "";
    "group.streams.num.standby.replicas" Int "0" [0 ..] Medium ReadOnly Later
        "";
    "group.streams.num.warmup.replicas" Int "2" [0 ..] Medium !internal ReadOnly Later
        "";
    "group.streams.rack.aware.assignment.tags" List "" [list empty] Low ReadOnly Later
        "";
    "group.streams.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "";
    "group.streams.task.offset.interval.ms" Int "60000" [1 ..] Medium !internal ReadOnly Later
        "";
    "group.streams.topology.description.plugin.class" Class null [any] Medium ReadOnly Later
        "";
}
