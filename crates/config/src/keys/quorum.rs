//! Broker keys: the node, its roles and the metadata quorum.

rows! {
    "broker.heartbeat.interval.ms" Int "2000" [any] Medium ReadOnly Later
        "";
    "broker.id" Int "-1" [any] High ReadOnly Later
        "";
    "broker.rack" String null [any] Medium ReadOnly Later
        "";
    "broker.session.timeout.ms" Int "9000" [any] Medium ReadOnly Later
        "";
    "config.providers" List "" [list empty] Low ClusterWide Later
        "";
    "controller.listener.names" List required [list] High ReadOnly Later
        "";
    "controller.performance.always.log.threshold.ms" Long "2000" [0 ..] Medium !internal ReadOnly Later
        "";
    "controller.performance.sample.period.ms" Long "60000" [100 ..] Medium !internal ReadOnly Later
        "";
    "controller.quorum.append.linger.ms" Int "25" [0 ..] Medium ReadOnly Later
        "";
    "controller.quorum.auto.join.enable" Boolean "false" [any] Low ReadOnly Later
        "";
    "controller.quorum.bootstrap.servers" List "" [bootstrap servers] High ReadOnly Later
        "";
    "controller.quorum.election.backoff.max.ms" Int "1000" [0 ..] High ReadOnly Later
        "";
    "controller.quorum.election.timeout.ms" Int "1000" [0 ..] High ReadOnly Later
        "";
    "controller.quorum.fetch.max.bytes" Int "1048576" [1 ..] Low ReadOnly Later
        "";
    "controller.quorum.fetch.snapshot.max.bytes" Int "1048576" [1 ..] Low ReadOnly Later
        "";
    "controller.quorum.fetch.timeout.ms" Int "2000" [0 ..] High ReadOnly Later
        "";
    "controller.quorum.request.timeout.ms" Int "2000" [0 ..] Medium ReadOnly Later
        "";
    "controller.quorum.retry.backoff.ms" Int "20" [0 ..] Low ReadOnly Later
        "";
    "controller.quorum.voters" List "" [voters] High ReadOnly Later
        "";
    "controller.socket.timeout.ms" Int "30000" [any] Medium ReadOnly Later
        "";
    "cordoned.log.dirs" List "" [list empty null] Medium PerBroker Later
        "";
    "initial.broker.registration.timeout.ms" Int "60000" [any] Medium ReadOnly Later
        "";
    "internal.metadata.delete.delay.millis" Long "60000" [any] Low !internal ReadOnly Later
        "";
    "internal.metadata.log.segment.bytes" Int null [any] Low !internal ReadOnly Later
        "";
    "internal.metadata.max.batch.size.in.bytes" Int "8388608" [any] Low !internal ReadOnly Later
        "";
    "metadata.log.dir" String null [any] High ReadOnly Later
        "";
    "metadata.log.max.record.bytes.between.snapshots" Long "20971520" [1 ..] High ReadOnly Later
        "";
    "metadata.log.max.snapshot.interval.ms" Long "3600000" [0 ..] High ReadOnly Later
        "";
    "metadata.log.segment.bytes" Int "1073741824" [8388608 ..] High ReadOnly Later
        "";
    "metadata.log.segment.ms" Long "604800000" [any] High ReadOnly Later
        "";
    "metadata.max.idle.interval.ms" Int "500" [0 ..] Low ReadOnly Later
        "";
    "metadata.max.retention.bytes" Long "104857600" [any] High ReadOnly Later
        "";
    "metadata.max.retention.ms" Long "604800000" [any] High ReadOnly Later
        "";
    "node.id" Int required [0 ..] High ReadOnly Later
        "";
    "process.roles" List required [list of "broker", "controller"] High ReadOnly Later
        "";
    "server.max.startup.time.ms" Long "9223372036854775807" [0 ..] Medium !internal ReadOnly Later
        "";
    "unstable.api.versions.enable" Boolean "false" [any] High !internal ReadOnly Later
        "";
    "unstable.feature.versions.enable" Boolean "false" [any] High !internal ReadOnly Later
        "";
}
