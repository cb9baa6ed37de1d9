//! Broker keys: metrics and telemetry.

rows! {
    "kafka.metrics.polling.interval.secs" Int "10" [1 ..] Low ReadOnly Later
        "";
    "kafka.metrics.reporters" List "" [list empty] Low ReadOnly Later
        "";
    "metric.reporters" List "org.apache.kafka.common.metrics.JmxReporter" [list empty] Low ClusterWide Later
        "";
    "metrics.num.samples" Int "2" [1 ..] Low ReadOnly Later
        "";
    "metrics.recording.level" String "INFO" [any] Low ReadOnly Later
        "";
    "metrics.sample.window.ms" Long "30000" [1 ..] Low ReadOnly Later
        "";
    "telemetry.max.bytes" Int "1048576" [1 ..] Low ReadOnly Later
        "";
}
