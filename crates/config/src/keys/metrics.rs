//! Broker keys: metrics and telemetry.

rows! {
    "kafka.metrics.polling.interval.secs" Int "10" [1 ..] Low ReadOnly None
        "How often Java metrics reporters are asked.";
    "kafka.metrics.reporters" List "" [list empty] Low ReadOnly None
        "Java classes that older metrics are handed to.";
    "metric.reporters" List "org.apache.kafka.common.metrics.JmxReporter" [list empty] Low ClusterWide None
        "Java classes that metrics are handed to.";
    "metrics.num.samples" Int "2" [1 ..] Low ReadOnly Later
        "Samples over which rates are computed.";
    "metrics.recording.level" String "INFO" [any] Low ReadOnly Later
        "How detailed metrics are: INFO, DEBUG or TRACE.";
    "metrics.sample.window.ms" Long "30000" [1 ..] Low ReadOnly Later
        "Length of each sample.";
    "telemetry.max.bytes" Int "1048576" [1 ..] Low ReadOnly Later
        "Largest push of client metrics that is taken.";
}
