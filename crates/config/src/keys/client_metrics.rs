//! Keys of a client metrics subscription.

rows! {
    "interval.ms" Int "300000" [any] Medium ClusterWide Later
        "How often clients push their metrics.";
    "match" List "" [list empty] Medium ClusterWide Later
        "Which clients: `SELECTOR=PATTERN` each, all of which must hold.";
    "metrics" List "" [list empty] Medium ClusterWide Later
        "Prefixes of the metrics wanted; `*` for all.";
}
