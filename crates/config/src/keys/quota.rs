//! Broker keys: quotas.

rows! {
    "alter.log.dirs.replication.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "Samples that the throttle of moves between directories looks at.";
    "alter.log.dirs.replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "Length of each of those samples.";
    "client.quota.callback.class" Class null [any] Low ReadOnly None
        "Java class that decides on client quotas.";
    "controller.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "Samples that quotas of controller mutations look at.";
    "controller.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "Length of each of those samples.";
    "quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "Samples that client quotas look at.";
    "quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "Length of each of those samples.";
    "replication.quota.window.num" Int "11" [1 ..] Low ReadOnly Later
        "Samples that replication throttles look at.";
    "replication.quota.window.size.seconds" Int "1" [1 ..] Low ReadOnly Later
        "Length of each of those samples.";
}
