//! Keys that Kafka does not have.

rows! {
    "cluster.id" String null [any] Low ReadOnly Acts
        "Cluster id for a directory that is formatted on the way at start; a new one when not set.";
    "log.dirs.reserve.bytes" Long "-1" [-1 ..] Medium ReadOnly Acts
        "Bytes of each log directory's volume that records of clients are not written into; -1 is a twentieth of it, at most 1 GiB.";
}
