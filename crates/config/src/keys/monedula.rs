//! Keys that Kafka does not have.

rows! {
    "cluster.id" String null [any] Low ReadOnly Acts
        "Cluster id for a directory that is formatted on the way at start; a new one when not set.";
}
