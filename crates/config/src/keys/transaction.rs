//! Broker keys: transactions and producer ids.

rows! {
    "add.partitions.to.txn.retry.backoff.max.ms" Int "100" [0 ..] High ReadOnly Acts
        "How long the broker keeps asking the transaction coordinator.";
    "add.partitions.to.txn.retry.backoff.ms" Int "20" [1 ..] High ReadOnly Acts
        "Pause before the broker asks the transaction coordinator again.";
    "producer.id.expiration.check.interval.ms" Int "600000" [1 ..] Low !internal ReadOnly Acts
        "How often producers to forget are looked for.";
    "producer.id.expiration.ms" Int "86400000" [1 ..] Low ClusterWide Acts
        "A partition forgets a producer that wrote nothing for so long.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int "10000" [1 ..] Low ReadOnly Acts
        "How often transactions that took too long are looked for.";
    "transaction.max.timeout.ms" Int "900000" [1 ..] High ReadOnly Acts
        "Longest transaction that a producer may ask for.";
    "transaction.partition.verification.enable" Boolean "true" [any] Low ClusterWide Acts
        "A partition takes transactional records only after the coordinator confirmed the transaction.";
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int "3600000" [1 ..] Low ReadOnly Acts
        "How often transactional ids out of use are looked for.";
    "transaction.state.log.load.buffer.size" Int "5242880" [1 ..] High ReadOnly Acts
        "Bytes per read when a transaction coordinator loads its log.";
    "transaction.state.log.min.isr" Int "2" [1 ..] High ReadOnly Acts
        "`min.insync.replicas` of the transaction topic.";
    "transaction.state.log.num.partitions" Int "50" [1 ..] High ReadOnly Acts
        "Partitions of the transaction topic.";
    "transaction.state.log.replication.factor" Short "3" [1 ..] High ReadOnly Acts
        "Replicas of the transaction topic.";
    "transaction.state.log.segment.bytes" Int "104857600" [1 ..] High ReadOnly Acts
        "Segment size of the transaction topic.";
    "transaction.two.phase.commit.enable" Boolean "false" [any] Low ReadOnly Acts
        "Producers may leave the decision over a transaction to an outside coordinator.";
    "transactional.id.expiration.ms" Int "604800000" [1 ..] High ReadOnly Acts
        "A transactional id out of use for so long is forgotten.";
}
