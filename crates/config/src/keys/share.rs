//! Broker keys: share groups.

rows! {
    "errors.deadletterqueue.auto.create.topics.enable" Boolean "false" [any] Medium ClusterWide Later
        "Topics for undeliverable records come into being by themselves.";
    "errors.deadletterqueue.topic.name.prefix" String "dlq." [any] Medium ClusterWide Later
        "How names of topics for undeliverable records must begin.";
    "group.share.assignment.interval.ms" Int "1000" [0 ..] Medium ClusterWide Later
        "Least time between two assignments of a share group.";
    "group.share.assignor.offload.enable" Boolean "true" [any] Medium !internal ClusterWide Later
        "Assignments of share groups are computed aside.";
    "group.share.assignors" List "simple" [list] Medium ReadOnly Later
        "Way of assigning partitions in share groups.";
    "group.share.delivery.count.limit" Int "5" [2 to 10] Medium ReadOnly Later
        "How often a record is handed out before it counts as undeliverable.";
    "group.share.dlq.manager.class.name" String "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager" [any] Medium !internal ReadOnly None
        "Java class that writes undeliverable records.";
    "group.share.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "How often members of a share group report.";
    "group.share.initialize.retry.interval.ms" Int "30000" [1 ..] Low !internal ReadOnly Later
        "Pause before share state that could not be set up is tried again.";
    "group.share.max.assignment.interval.ms" Int "15000" [0 ..] Medium ReadOnly Later
        "Largest assignment interval that a share group may set.";
    "group.share.max.delivery.count.limit" Int "10" [5 to 25] Medium ReadOnly Later
        "Largest delivery count that a share group may set.";
    "group.share.max.heartbeat.interval.ms" Int "15000" [1 ..] Medium ReadOnly Later
        "Largest heartbeat interval that a share group may set.";
    "group.share.max.partition.max.record.locks" Int "4000" [2000 to 10000] Medium ReadOnly Later
        "Largest number of locks that a share group may set.";
    "group.share.max.record.lock.duration.ms" Int "60000" [30000 to 3600000] Medium ReadOnly Later
        "Longest lock that a share group may set.";
    "group.share.max.session.timeout.ms" Int "60000" [1 ..] Medium ReadOnly Later
        "Largest session timeout that a share group may set.";
    "group.share.max.share.sessions" Int "2000" [1 ..] Medium ReadOnly Later
        "Most share sessions of the broker.";
    "group.share.max.size" Int "200" [1 to 1000] Medium ReadOnly Later
        "Most members of a share group.";
    "group.share.min.assignment.interval.ms" Int "0" [0 ..] Medium ReadOnly Later
        "Smallest assignment interval that a share group may set.";
    "group.share.min.delivery.count.limit" Int "2" [2 to 5] Medium ReadOnly Later
        "Smallest delivery count that a share group may set.";
    "group.share.min.heartbeat.interval.ms" Int "5000" [1 ..] Medium ReadOnly Later
        "Smallest heartbeat interval that a share group may set.";
    "group.share.min.partition.max.record.locks" Int "100" [100 to 2000] Medium ReadOnly Later
        "Smallest number of locks that a share group may set.";
    "group.share.min.record.lock.duration.ms" Int "15000" [1000 to 30000] Medium ReadOnly Later
        "Shortest lock that a share group may set.";
    "group.share.min.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "Smallest session timeout that a share group may set.";
    "group.share.partition.max.record.locks" Int "2000" [100 to 10000] Medium ReadOnly Later
        "Most records of a partition that are handed out and not yet settled.";
    "group.share.persister.class.name" String "org.apache.kafka.server.share.persister.DefaultStatePersister" [any] Medium !internal ReadOnly None
        "Java class that stores share state.";
    "group.share.record.lock.duration.ms" Int "30000" [1000 to 3600000] Medium ReadOnly Later
        "How long a member may hold a record before another gets it.";
    "group.share.session.timeout.ms" Int "45000" [1 ..] Medium ReadOnly Later
        "A member silent for so long leaves the share group.";
    "share.coordinator.append.linger.ms" Int "-1" [-1 ..] Medium ReadOnly Later
        "How long the share coordinator gathers records for one write; -1 lets it decide.";
    "share.coordinator.cached.buffer.max.bytes" Int "1048588" [524288 ..] Medium ClusterWide Later
        "Largest write buffer that the share coordinator keeps for reuse.";
    "share.coordinator.cold.partition.snapshot.interval.ms" Int "300000" [1 ..] Low !internal ReadOnly Later
        "How often share state that rests is written whole, so that its log can be cut.";
    "share.coordinator.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Later
        "Bytes per read when a share coordinator loads its log.";
    "share.coordinator.snapshot.update.records.per.snapshot" Int "500" [0 to 500] Medium ReadOnly Later
        "Updates of share state between two whole ones.";
    "share.coordinator.state.topic.compression.codec" Int "0" [any] High ReadOnly Later
        "Number of the codec of the share state topic.";
    "share.coordinator.state.topic.min.isr" Short "2" [1 ..] High ReadOnly Later
        "`min.insync.replicas` of the share state topic.";
    "share.coordinator.state.topic.num.partitions" Int "50" [1 ..] High ReadOnly Later
        "Partitions of the share state topic.";
    "share.coordinator.state.topic.prune.interval.ms" Int "300000" [1 ..] Low !internal ReadOnly Later
        "How often the share state topic is cut where nothing is needed any more.";
    "share.coordinator.state.topic.replication.factor" Short "3" [1 ..] High ReadOnly Later
        "Replicas of the share state topic.";
    "share.coordinator.state.topic.segment.bytes" Int "104857600" [1 ..] High ReadOnly Later
        "Segment size of the share state topic.";
    "share.coordinator.threads" Int "1" [1 ..] Medium ReadOnly None
        "Threads of the share coordinator: Monedula runs it on the common runtime.";
    "share.coordinator.write.timeout.ms" Int "5000" [1 ..] High ReadOnly Later
        "A write of share state fails when its replicas have not confirmed by then.";
    "share.fetch.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly None
        "Housekeeping of a structure that Monedula does not have.";
}
