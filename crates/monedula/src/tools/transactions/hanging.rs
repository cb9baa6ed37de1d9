//! Transactions that are open in a partition and that no coordinator will ever end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{NodeId, TopicPartition};
use client::Admin;
use client::admin::{ActiveProducer, TransactionDescription, TransactionFilter};
use protocol::ErrorCode;

use super::super::subcommands::Parsed;
use super::super::table::tabbed;
use super::{failed, wall_ms};

/// How many topics, or partitions, are asked for at once.
const MAX_BATCH: usize = 500;
const DEFAULT_MAX_TIMEOUT_MIN: i64 = 15;
const MINUTE_MS: i64 = 60_000;

/// A transaction that is open for longer than any should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Open {
    pub(super) partition: TopicPartition,
    pub(super) producer: ActiveProducer,
}

pub(super) async fn find(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let broker = parsed.number("--broker-id").map(NodeId);
    let topic = parsed.value("--topic");
    let partition: Option<i32> = parsed.number("--partition");
    if topic.is_none() && broker.is_none() {
        return Err(String::from(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search",
        ));
    }
    let partitions = match (topic, partition) {
        (None, Some(_)) => {
            return Err(String::from("The --partition argument requires --topic to be provided"));
        }
        (Some(topic), Some(partition)) => vec![TopicPartition::new(topic, partition)],
        (topic, None) => partitions(admin, topic, broker).await?,
    };
    let minutes = parsed.number("--max-transaction-timeout").unwrap_or(DEFAULT_MAX_TIMEOUT_MIN);
    let mut candidates = Vec::new();
    for batch in partitions.chunks(MAX_BATCH) {
        candidates.extend(open(admin, batch, broker, minutes.saturating_mul(MINUTE_MS)).await?);
    }
    let known = if candidates.is_empty() {
        BTreeMap::new()
    } else {
        coordinated(admin, &candidates).await?
    };
    print!("{}", table(&hanging(candidates, &known), wall_ms()));
    Ok(())
}

/// Of one topic, or of all; those with a replica on the broker, if one is named.
async fn partitions(
    admin: &Admin,
    topic: Option<&str>,
    broker: Option<NodeId>,
) -> Result<Vec<TopicPartition>, String> {
    let names: Vec<Arc<str>> = match topic {
        Some(topic) => vec![topic.into()],
        None => {
            let listed = admin.list_topics().await;
            let listed = listed.map_err(|error| failed("Failed to list topics", &error))?;
            listed.into_iter().map(|topic| topic.name).collect()
        }
    };
    let mut found = Vec::new();
    for batch in names.chunks(MAX_BATCH) {
        let what = format!("Failed to describe {} topics", batch.len());
        let described = admin.describe_topics(batch, i32::MAX).await;
        for (name, topic) in described.map_err(|error| failed(&what, &error))? {
            let topic = topic.map_err(|error| failed(&what, &error))?;
            let here = topic.partitions.iter().filter(|partition| {
                broker.is_none_or(|broker| partition.metadata.replicas.contains(&broker))
            });
            let index = here.map(|partition| partition.metadata.index);
            found.extend(index.map(|index| TopicPartition::new(Arc::clone(&name), index)));
        }
    }
    Ok(found)
}

async fn open(
    admin: &Admin,
    partitions: &[TopicPartition],
    broker: Option<NodeId>,
    max_timeout_ms: i64,
) -> Result<Vec<Open>, String> {
    let what = || {
        let whom = broker.map_or(String::from("Optional.empty"), |id| format!("Optional[{id}]"));
        format!("Failed to describe producers for {} partitions on broker {whom}", partitions.len())
    };
    let described = admin.describe_producers(partitions, broker).await;
    let now_ms = wall_ms();
    let mut found = Vec::new();
    for (partition, producers) in described.map_err(|error| failed(&what(), &error))? {
        let producers = producers.map_err(|error| failed(&what(), &error))?;
        let old = producers.into_iter().filter(|producer| {
            producer.transaction_start.is_some()
                && now_ms.saturating_sub(producer.last_timestamp) > max_timeout_ms
        });
        found.extend(old.map(|producer| Open { partition: partition.clone(), producer }));
    }
    Ok(found)
}

/// What coordinators know of these producers, by producer id.
async fn coordinated(
    admin: &Admin,
    candidates: &[Open],
) -> Result<BTreeMap<i64, TransactionDescription>, String> {
    let ids: BTreeSet<i64> = candidates.iter().map(|open| open.producer.id.0).collect();
    let filter =
        TransactionFilter { producer_ids: ids.iter().copied().collect(), ..Default::default() };
    let listed = admin.list_transactions(&filter).await.map_err(|error| {
        failed(&format!("Failed to list transactions for {} producers", ids.len()), &error)
    })?;
    let listed: Vec<_> = listed.into_iter().flat_map(|(_, transactions)| transactions).collect();
    let mut known = BTreeMap::new();
    for transaction in listed.iter().filter(|t| ids.contains(&t.producer_id.0)) {
        match admin.describe_transaction(&transaction.id).await {
            Ok(description) => {
                known.insert(transaction.producer_id.0, description);
            }
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => {}
            Err(error) => {
                let what = format!("Failed to describe {} transactions", listed.len());
                return Err(failed(&what, &error));
            }
        }
    }
    Ok(known)
}

/// A coordinator will end what it counts as part of a transaction; what none does hangs.
pub(super) fn hanging(
    candidates: Vec<Open>,
    known: &BTreeMap<i64, TransactionDescription>,
) -> Vec<Open> {
    let expected = |open: &Open| {
        let description = known.get(&open.producer.id.0);
        description.is_some_and(|description| description.partitions.contains(&open.partition))
    };
    candidates.into_iter().filter(|open| !expected(open)).collect()
}

pub(super) fn table(hanging: &[Open], now_ms: i64) -> String {
    let head = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(hanging.iter().map(|Open { partition, producer }| {
        [
            partition.topic.to_string(),
            partition.partition.to_string(),
            producer.id.0.to_string(),
            producer.epoch.to_string(),
            producer.coordinator_epoch.unwrap_or(-1).to_string(),
            producer.transaction_start.unwrap_or(-1).to_string(),
            producer.last_timestamp.to_string(),
            (now_ms.saturating_sub(producer.last_timestamp) / MINUTE_MS).to_string(),
        ]
    }));
    tabbed(&rows)
}

#[cfg(test)]
mod tests {
    use base::{ProducerEpoch, ProducerId};

    use super::*;

    fn open(producer: i64, partition: i32) -> Open {
        let producer = ActiveProducer {
            id: ProducerId(producer),
            epoch: 3,
            last_sequence: 0,
            last_timestamp: 1_000,
            coordinator_epoch: None,
            transaction_start: Some(7),
        };
        Open { partition: TopicPartition::new("t", partition), producer }
    }

    #[test]
    fn what_no_coordinator_will_end_hangs() {
        let description = TransactionDescription {
            coordinator: NodeId(1),
            state: String::from("Ongoing"),
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(3),
            timeout_ms: 0,
            start_ms: None,
            partitions: vec![TopicPartition::new("t", 0)],
        };
        let known = [(1, description)].into();
        let found = hanging(vec![open(1, 0), open(1, 1), open(2, 0)], &known);
        assert_eq!(found, [open(1, 1), open(2, 0)]);
        let text = table(&found[..1], 1_000 + 5 * MINUTE_MS + 59_999);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["t", "1", "1", "3", "-1", "7", "1000", "5"]);
    }
}
