//! Broker keys: quotas.

rows! {
    "alter.log.dirs.replication.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "";
    "alter.log.dirs.replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "";
    "client.quota.callback.class" Class null [any] Low ReadOnly Later
        "";
    "controller.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "";
    "controller.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "";
    "quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "";
    "quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "";
    "replication.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "";
    "replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "";
}
