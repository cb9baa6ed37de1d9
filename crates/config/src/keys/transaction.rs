//! Broker keys: transactions and producer ids.

rows! {
    "add.partitions.to.txn.retry.backoff.max.ms" Int "100" [0 ..] High ReadOnly Later
        "";
    "add.partitions.to.txn.retry.backoff.ms" Int "20" [1 ..] High ReadOnly Later
        "";
    "producer.id.expiration.check.interval.ms" Int "600000" [1 ..] Low !internal ReadOnly Later
        "";
    "producer.id.expiration.ms" Int "86400000" [1 ..] Low ClusterWide Later
        "";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int "10000" [1 ..] Low ReadOnly Later
        "";
    "transaction.max.timeout.ms" Int "900000" [1 ..] High ReadOnly Later
        "";
    "transaction.partition.verification.enable" Boolean "true" [any] Low ClusterWide Later
        "";
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int "3600000" [1 ..] Low ReadOnly Later
        "";
    "transaction.state.log.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Later
        "";
    "transaction.state.log.min.isr" Int "2" [1 ..] High ReadOnly Later
        "";
    "transaction.state.log.num.partitions" Int "50" [1 ..] High ReadOnly Later
        "";
    "transaction.state.log.replication.factor" Short "3" [1 ..] High ReadOnly Later
        "";
    "transaction.state.log.segment.bytes" Int "104857600" [1 ..] High ReadOnly Later
        "";
    "transaction.two.phase.commit.enable" Boolean "false" [any] Low ReadOnly Later
        "";
    "transactional.id.expiration.ms" Int "604800000" [1 ..] High ReadOnly Later
        "";
}
