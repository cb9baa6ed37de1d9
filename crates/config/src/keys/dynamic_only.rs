//! Broker keys that are set over the wire only: limits on replication traffic.

rows! {
    "follower.replication.throttled.rate" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "Bytes per second that a follower fetches at most for the partitions that its topic throttles.";
    "leader.replication.throttled.rate" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "Bytes per second that a leader hands at most to followers of the partitions that its topic throttles.";
    "replica.alter.log.dirs.io.max.bytes.per.second" Long "9223372036854775807" [0 ..] Medium ClusterWide Acts
        "Bytes per second that moving replicas between the directories of one broker may use.";
}
