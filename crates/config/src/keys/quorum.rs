//! Broker keys: the node, its roles and the metadata quorum.

rows! {
    "broker.heartbeat.interval.ms" Int "2000" [any] Medium ReadOnly Acts
        "How often a broker tells the controller that it lives.";
    "broker.id" Int "-1" [any] High ReadOnly Acts
        "Older name of `node.id`; given both, they must agree.";
    "broker.rack" String null [any] Medium ReadOnly Acts
        "Where the broker stands; replicas are spread over racks and consumers may fetch from their own.";
    "broker.session.timeout.ms" Int "9000" [any] Medium ReadOnly Acts
        "The controller fences a broker that stays silent for so long.";
    "config.providers" List "" [list empty] Low ClusterWide Later
        "Names of plugins that fetch values from elsewhere for `${...}` references.";
    "controlled.shutdown.enable" Boolean "true" [any] Medium ReadOnly Acts
        "A stopping broker hands its partitions over before it goes.";
    "controller.listener.names" List required [list] High ReadOnly Acts
        "Listeners of the quorum; a broker alone uses the first to find the controller.";
    "controller.performance.always.log.threshold.ms" Long "2000" [0 ..] Medium !internal ReadOnly Later
        "Controller events slower than this are always logged.";
    "controller.performance.sample.period.ms" Long "60000" [100 ..] Medium !internal ReadOnly Later
        "How often the controller logs how long its events take.";
    "controller.quorum.append.linger.ms" Int "25" [0 ..] Medium ReadOnly Acts
        "How long the leader gathers records before it writes and flushes them.";
    "controller.quorum.auto.join.enable" Boolean "false" [any] Low ReadOnly Acts
        "A controller that is no voter asks to become one.";
    "controller.quorum.bootstrap.servers" List "" [bootstrap servers] High ReadOnly Acts
        "Dynamic quorum: addresses at which some controller is found.";
    "controller.quorum.election.backoff.max.ms" Int "1000" [0 ..] High ReadOnly Acts
        "Longest random pause between elections that nobody won.";
    "controller.quorum.election.timeout.ms" Int "1000" [0 ..] High ReadOnly Acts
        "A candidate that hears too little for so long starts over.";
    "controller.quorum.fetch.max.bytes" Int "1048576" [1 ..] Low ReadOnly Acts
        "Most bytes of metadata records in one fetch; one batch always fits.";
    "controller.quorum.fetch.snapshot.max.bytes" Int "1048576" [1 ..] Low ReadOnly Acts
        "Most bytes of a metadata snapshot in one fetch.";
    "controller.quorum.fetch.timeout.ms" Int "2000" [0 ..] High ReadOnly Acts
        "A voter that cannot fetch for so long stands for election; a leader nobody fetches from resigns.";
    "controller.quorum.request.timeout.ms" Int "2000" [0 ..] Medium ReadOnly Acts
        "How long a quorum request may stay unanswered.";
    "controller.quorum.retry.backoff.ms" Int "20" [0 ..] Low ReadOnly Acts
        "Pause before a failed quorum request is tried again.";
    "controller.quorum.voters" List "" [voters] High ReadOnly Acts
        "Static quorum: `ID@HOST:PORT` of every voter.";
    "controller.socket.timeout.ms" Int "30000" [any] Medium ReadOnly Acts
        "How long the active controller may take to answer one try of a broker.";
    "cordoned.log.dirs" List "" [list empty null] Medium PerBroker Acts
        "Log directories that get no new partitions; `*` for all.";
    "initial.broker.registration.timeout.ms" Int "60000" [any] Medium ReadOnly Acts
        "A starting broker gives up when the controller has not taken its registration by then.";
    "internal.metadata.delete.delay.millis" Long "60000" [any] Low !internal ReadOnly Acts
        "How long a deleted metadata segment or snapshot stays on disk under another name.";
    "internal.metadata.log.segment.bytes" Int null [any] Low !internal ReadOnly Acts
        "Overrides `metadata.log.segment.bytes` without its lower bound, for tests.";
    "internal.metadata.max.batch.size.in.bytes" Int "8388608" [any] Low !internal ReadOnly Acts
        "Largest batch that the metadata log takes, for tests.";
    "metadata.log.dir" String null [any] High ReadOnly Acts
        "Directory of the metadata log; the first of `log.dirs` when not set.";
    "metadata.log.max.record.bytes.between.snapshots" Long "20971520" [1 ..] High ReadOnly Acts
        "A metadata snapshot is made after so many bytes of new records.";
    "metadata.log.max.snapshot.interval.ms" Long "3600000" [0 ..] High ReadOnly Acts
        "A metadata snapshot is made at least so often while there is anything new; 0 for no limit.";
    "metadata.log.segment.bytes" Int "1073741824" [8388608 ..] High ReadOnly Acts
        "The metadata log starts a new segment at this size.";
    "metadata.log.segment.ms" Long "604800000" [any] High ReadOnly Acts
        "The metadata log starts a new segment at this age.";
    "metadata.max.idle.interval.ms" Int "500" [0 ..] Low ReadOnly Acts
        "The active controller writes an empty record after so long a silence; 0 never.";
    "metadata.max.retention.bytes" Long "104857600" [any] High ReadOnly Acts
        "Metadata log and snapshots together are trimmed down to this size.";
    "metadata.max.retention.ms" Long "604800000" [any] High ReadOnly Acts
        "Metadata segments and snapshots older than this may go.";
    "node.id" Int required [0 ..] High ReadOnly Acts
        "Number of this node, unique in the cluster.";
    "process.roles" List required [list of "broker", "controller"] High ReadOnly Acts
        "What this node is: `broker`, `controller`, or both.";
    "server.max.startup.time.ms" Long "9223372036854775807" [0 ..] Medium !internal ReadOnly Later
        "A node that is not up by then stops.";
    "unstable.api.versions.enable" Boolean "false" [any] High !internal ReadOnly Later
        "Announces versions of APIs that are still in development.";
    "unstable.feature.versions.enable" Boolean "false" [any] High !internal ReadOnly Later
        "Lets features reach levels that are still in development.";
}
