//! Broker keys: streams groups.

rows! {
    "group.streams.acceptable.recovery.lag" Long "10000" [0 ..] Medium !internal ReadOnly Later
        "A client that lags no more than this may take an active task.";
    "group.streams.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "Least time between two assignments of a Streams group.";
    "group.streams.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "Assignments of Streams groups are computed aside.";
    "group.streams.assignors" List "sticky" [list] Medium ReadOnly Later
        "Ways of assigning tasks in Streams groups, the first by default.";
    "group.streams.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "How often members of a Streams group report.";
    "group.streams.initial.rebalance.delay.ms" Int "3000" [0 ..] Medium ReadOnly Later
        "How long a new Streams group waits for more members.";
    "group.streams.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Later
        "Largest assignment interval that a Streams group may set.";
    "group.streams.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Later
        "Largest heartbeat interval that a Streams group may set.";
    "group.streams.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Later
        "Largest session timeout that a Streams group may set.";
    "group.streams.max.size" Int "2147483647" [1 ..] Medium ReadOnly Later
        "Most members of a Streams group.";
    "group.streams.max.standby.replicas" Int "2" [0 ..] Medium ReadOnly Later
        "Most standby replicas that a Streams group may set.";
    "group.streams.max.warmup.replicas" Int "20" [0 ..] Medium !internal ReadOnly Later
        "Most warm-up replicas that a Streams group may set.";
    "group.streams.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Later
        "Smallest assignment interval that a Streams group may set.";
    "group.streams.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "Smallest heartbeat interval that a Streams group may set.";
    "group.streams.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "Smallest session timeout that a Streams group may set.";
    "group.streams.min.task.offset.interval.ms" Int "15000" [1 ..] Medium !internal ReadOnly Later
        "Smallest task offset interval that a Streams group may set.";
    "group.streams.num.standby.replicas" Int "0" [0 ..] Medium ReadOnly Later
        "Standby replicas of each stateful task.";
    "group.streams.num.warmup.replicas" Int "2" [0 ..] Medium !internal ReadOnly Later
        "Tasks that may warm up elsewhere at the same time.";
    "group.streams.rack.aware.assignment.tags" List "" [list empty] Low ReadOnly Later
        "Client tags over which standby replicas are spread.";
    "group.streams.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "A member silent for so long leaves the Streams group.";
    "group.streams.task.offset.interval.ms" Int "60000" [1 ..] Medium !internal ReadOnly Later
        "How often members report how far their tasks are.";
    "group.streams.topology.description.plugin.class" Class null [any] Medium ReadOnly None
        "Java class that keeps descriptions of topologies.";
}
