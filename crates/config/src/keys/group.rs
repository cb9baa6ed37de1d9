//! Broker keys: groups and committed offsets.

rows! {
    "group.consumer.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Acts
        "Least time between two assignments of a consumer group.";
    "group.consumer.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide None
        "Assignments of consumer groups are computed aside: here the coordinator makes them itself.";
    "group.consumer.assignors" List "uniform,range" [list] Medium ReadOnly Acts
        "Ways of assigning partitions in consumer groups, the first by default.";
    "group.consumer.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Acts
        "How often members of a consumer group report.";
    "group.consumer.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Acts
        "Largest assignment interval that a group may set.";
    "group.consumer.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Acts
        "Largest heartbeat interval that a group may set.";
    "group.consumer.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Acts
        "Largest session timeout that a group may set.";
    "group.consumer.max.size" Int "2147483647" [1 ..] Medium ReadOnly Acts
        "Most members of a consumer group.";
    "group.consumer.migration.policy" String "bidirectional" [one of any case "DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"] Medium ReadOnly Acts
        "Whether groups may change between the classic and the consumer protocol while in use.";
    "group.consumer.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Acts
        "Smallest assignment interval that a group may set.";
    "group.consumer.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Acts
        "Smallest heartbeat interval that a group may set.";
    "group.consumer.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Acts
        "Smallest session timeout that a group may set.";
    "group.consumer.regex.refresh.interval.ms" Int "600000" [10000 ..] Medium !internal ReadOnly Acts
        "How often subscriptions by pattern are matched against the topics again.";
    "group.consumer.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Acts
        "A member silent for so long leaves the group.";
    "group.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly Acts
        "How long the group coordinator gathers records for one write; -1 lets it decide.";
    "group.coordinator.background.threads" Int "2" [1 ..] High ReadOnly None
        "Threads that compute assignments aside: Monedula uses the common runtime.";
    "group.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide Later
        "Largest write buffer that the group coordinator keeps for reuse.";
    "group.coordinator.rebalance.protocols" List "classic,consumer,streams" [list of "consumer", "classic", "share", "streams"] Medium ReadOnly Later
        "Kinds of groups that are served; superseded by feature levels.";
    "group.coordinator.threads" Int "4" [1 ..] High ReadOnly None
        "Threads of the group coordinator: Monedula runs it on the common runtime.";
    "group.initial.rebalance.delay.ms" Int "3000" [any] Medium ReadOnly Acts
        "How long a new classic group waits for more members.";
    "group.max.session.timeout.ms" Int "1800000" [any] Medium ReadOnly Acts
        "Longest session that a classic member may ask for.";
    "group.max.size" Int "2147483647" [1 ..] Medium ReadOnly Acts
        "Most members of a classic group.";
    "group.min.session.timeout.ms" Int "6000" [any] Medium ReadOnly Acts
        "Shortest session that a classic member may ask for.";
    "offset.metadata.max.bytes" Int "4096" [any] High ReadOnly Acts
        "Longest text that a group may store with an offset.";
    "offsets.commit.timeout.ms" Int "5000" [1 ..] High ReadOnly Acts
        "A commit fails when its replicas have not confirmed by then.";
    "offsets.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Acts
        "Bytes per read when a group coordinator loads its log.";
    "offsets.retention.check.interval.ms" Long "600000" [1 ..] High ReadOnly Acts
        "How often expired offsets are looked for.";
    "offsets.retention.minutes" Int "10080" [1 ..] High ReadOnly Acts
        "Offsets go so long after a group was last in use.";
    "offsets.topic.compression.codec" Int "0" [any] High ReadOnly Acts
        "Number of the codec of the offsets topic.";
    "offsets.topic.num.partitions" Int "50" [1 ..] High ReadOnly Acts
        "Partitions of the offsets topic.";
    "offsets.topic.replication.factor" Short "3" [1 ..] High ReadOnly Acts
        "Replicas of the offsets topic.";
    "offsets.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly Acts
        "Segment size of the offsets topic.";
}
