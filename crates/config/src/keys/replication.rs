//! Broker keys: replication, topics and leaders.

rows! {
    "alter.config.policy.class.name" Class null [any] Low ReadOnly None
        "A Java class that vetoes changes of configuration.";
    "auto.create.topics.enable" Boolean "true" [any] High ReadOnly Acts
        "A topic that a client asks for and nobody made comes into being.";
    "auto.leader.rebalance.enable" Boolean "true" [any] High ReadOnly Later
        "Leadership returns to preferred replicas by itself.";
    "create.topic.policy.class.name" Class null [any] Low ReadOnly None
        "A Java class that vetoes new topics.";
    "default.replication.factor" Int "1" [any] Medium ReadOnly Acts
        "Replicas of a partition made without a count.";
    "delete.records.purgatory.purge.interval.requests" Int "1" [any] Medium ReadOnly None
        "Housekeeping of a structure that Monedula does not have: waiting requests cost nothing when done.";
    "delete.topic.enable" Boolean "true" [any] High ReadOnly Acts
        "Topics may be deleted.";
    "fetch.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly None
        "Housekeeping of a structure that Monedula does not have.";
    "leader.imbalance.check.interval.seconds" Long "300" [1 ..] High ReadOnly Later
        "How often leadership is compared with what is preferred.";
    "min.insync.replicas" Int "1" [1 ..] High ClusterWide Acts
        "Replicas in sync without which writes with acks=all are refused.";
    "num.partitions" Int "1" [1 ..] Medium ReadOnly Acts
        "Partitions of a topic made without a count.";
    "num.replica.alter.log.dirs.threads" Int null [any] High ReadOnly Acts
        "Threads that move replicas between directories.";
    "num.replica.fetchers" Int "1" [1 ..] High ClusterWide Acts
        "Connections to each leader that a follower fetches from.";
    "producer.purgatory.purge.interval.requests" Int "1000" [any] Medium ReadOnly None
        "Housekeeping of a structure that Monedula does not have.";
    "replica.fetch.backoff.ms" Int "1000" [0 ..] Medium ReadOnly Acts
        "Pause of a follower after a failed fetch.";
    "replica.fetch.max.bytes" Int "1048576" [0 ..] Medium ReadOnly Acts
        "Most bytes of one partition in a follower's fetch; one batch always fits.";
    "replica.fetch.min.bytes" Int "1" [any] High ReadOnly Acts
        "A follower's fetch waits for so many bytes.";
    "replica.fetch.response.max.bytes" Int "10485760" [0 ..] Medium ReadOnly Acts
        "Most bytes in one answer to a follower; one batch always fits.";
    "replica.fetch.wait.max.ms" Int "500" [any] High ReadOnly Acts
        "A follower's fetch waits no longer than this.";
    "replica.high.watermark.checkpoint.interval.ms" Long "5000" [any] High ReadOnly Acts
        "How often high watermarks are written to disk.";
    "replica.lag.time.max.ms" Long "30000" [any] High ReadOnly Acts
        "A follower that has not caught up for so long is no longer in sync.";
    "replica.selector.class" String null [any] Medium ReadOnly Acts
        "How a leader sends a consumer to a nearer replica.";
    "replica.socket.receive.buffer.bytes" Int "65536" [any] High ReadOnly Later
        "Receive buffer of a follower's connection.";
    "replica.socket.timeout.ms" Int "30000" [any] High ReadOnly Acts
        "How long a follower's request may stay unanswered.";
    "unclean.leader.election.enable" Boolean "false" [any] High ClusterWide Acts
        "A replica that lags may lead when no other lives, at the price of lost records.";
    "unclean.leader.election.interval.ms" Long "300000" [1 ..] Medium !internal ReadOnly Later
        "How often partitions without a leader are looked at for an unclean election.";
}
