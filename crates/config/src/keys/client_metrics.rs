//! Keys of a client metrics subscription.

rows! {
    "interval.ms" Int "300000" [any] Medium ClusterWide Later
        "";
    "match" List "" [list empty] Medium ClusterWide Later
        "";
    "metrics" List "" [list empty] Medium ClusterWide Later
        "";
}
