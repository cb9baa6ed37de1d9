//! `transactions`: what coordinators and partitions know of transactions, and ending those that hang.

mod hanging;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use base::{NodeId, ProducerEpoch, ProducerId, TopicPartition};
use client::Admin;
use client::admin::{AbortSpec, ActiveProducer, TransactionFilter};

use super::settings::{self, Bootstrap};
use super::subcommands::{Flag, Parsed, Program, Subcommand, Takes, Together, Width, flag, value};
use super::table::tabbed;
use super::{KAFKA_VERSION, block_on};

pub const ABOUT: &str = "This tool is used to analyze the transactional state of producers in the cluster. It can be \
                         used to detect and recover from hanging transactions.";

const TOPIC: Flag = value("--topic", "The topic.").together(Together::Required);
const PARTITION: Flag =
    value("--partition", "The partition.").number().together(Together::Required);
const VERSION: Flag = Flag {
    takes: Takes::Version(KAFKA_VERSION),
    ..flag("--version", "Show the version and exit.")
};

const PROGRAM: Program = Program {
    name: "kafka-transactions.sh",
    about: ABOUT,
    flags: &[
        VERSION.short("-v"),
        value("--command-config", "Properties file with settings of the client."),
        value("--bootstrap-server", "Brokers to connect to: HOST:PORT,...")
            .together(Together::Required),
    ],
    commands: &[
        Subcommand {
            name: "list",
            about: "list transactions",
            flags: &[
                value(
                    "--duration-filter",
                    "Only transactions running for longer, in milliseconds.",
                )
                .number_of(Width::Long),
                value("--transactional-id-pattern", "A regular expression for transactional ids."),
            ],
        },
        Subcommand {
            name: "describe",
            about: "describe the state of an active transactional-id",
            flags: &[
                value("--transactional-id", "The transactional id.").together(Together::Required)
            ],
        },
        Subcommand {
            name: "describe-producers",
            about: "describe the states of active producers for a topic partition",
            flags: &[
                value("--broker-id", "The replica to ask instead of the leader.").number(),
                TOPIC,
                PARTITION,
            ],
        },
        Subcommand {
            name: "abort",
            about: "abort a hanging transaction (requires administrative privileges)",
            flags: &[
                TOPIC,
                PARTITION,
                value("--start-offset", "Where the transaction to abort begins.")
                    .number_of(Width::Long),
                value("--producer-id", "Without --start-offset: its producer.")
                    .number_of(Width::Long),
                value("--producer-epoch", "Without --start-offset: the producer's epoch.")
                    .number_of(Width::Short),
                value("--coordinator-epoch", "Without --start-offset: the coordinator's epoch.")
                    .number(),
            ],
        },
        Subcommand {
            name: "find-hanging",
            about: "find hanging transactions",
            flags: &[
                value("--broker-id", "The broker whose partitions are searched.").number(),
                value(
                    "--max-transaction-timeout",
                    "Minutes, 15 by default: younger ones are well.",
                )
                .number(),
                value("--topic", "The topic that is searched."),
                value("--partition", "The partition that is searched.").number(),
            ],
        },
        Subcommand {
            name: "forceTerminateTransaction",
            about: "Force abort an ongoing transaction on transactionalId (requires administrative privileges)",
            flags: &[
                value("--transactionalId", "The transactional id.").together(Together::Required)
            ],
        },
    ],
};

pub fn run(words: &[String]) -> ExitCode {
    // Kafka's tool ends with 1 even when its help was asked for.
    PROGRAM.run(words, ExitCode::FAILURE, execute)
}

fn execute(parsed: &Parsed) -> Result<(), String> {
    let settings = settings::from_file_if(parsed.value("--command-config"));
    let settings = settings.map_err(|e| failed("Failed to load admin client properties", &e))?;
    let bootstrap = Bootstrap::of(parsed).ok_or("no servers")?;
    block_on(async {
        let admin = bootstrap.admin(&settings, "adminclient-1")?;
        match parsed.command {
            "list" => list(&admin, parsed).await,
            "describe" => describe(&admin, parsed).await,
            "describe-producers" => describe_producers(&admin, parsed).await,
            "abort" => abort(&admin, parsed).await,
            "find-hanging" => hanging::find(&admin, parsed).await,
            _ => terminate(&admin, parsed).await,
        }
    })?
}

/// As the tool ends with an error of the cluster.
fn failed(what: &str, why: &dyn std::fmt::Display) -> String {
    format!("{what}: {why}. Enable debug logging for additional detail.")
}

fn wall_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn partition(parsed: &Parsed) -> TopicPartition {
    let topic = parsed.value("--topic").unwrap_or_default();
    TopicPartition::new(topic, parsed.number("--partition").unwrap_or(-1))
}

fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| String::from("None"), |value| value.to_string())
}

async fn list(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let filter = TransactionFilter {
        producer_ids: Vec::new(),
        longer_than_ms: parsed.number("--duration-filter"),
        id_pattern: parsed.value("--transactional-id-pattern").map(str::to_owned),
    };
    let listed = admin.list_transactions(&filter).await;
    let listed = listed.map_err(|error| failed("Failed to list transactions", &error))?;
    let head = ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"];
    let mut rows = vec![head.map(str::to_owned)];
    for (node, transactions) in listed {
        rows.extend(transactions.into_iter().map(|transaction| {
            let producer = transaction.producer_id.0.to_string();
            [transaction.id, node.to_string(), producer, transaction.state]
        }));
    }
    print!("{}", tabbed(&rows));
    Ok(())
}

async fn describe(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let id = parsed.value("--transactional-id").unwrap_or_default();
    let found = admin.describe_transaction(id).await.map_err(|error| {
        failed(&format!("Failed to describe transaction state of transactional-id `{id}`"), &error)
    })?;
    let head = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    let partitions: Vec<String> = found.partitions.iter().map(ToString::to_string).collect();
    let row = [
        found.coordinator.to_string(),
        id.to_owned(),
        found.producer_id.0.to_string(),
        found.producer_epoch.0.to_string(),
        found.state,
        found.timeout_ms.to_string(),
        or_none(found.start_ms),
        or_none(found.start_ms.map(|start| wall_ms() - start)),
        partitions.join(","),
    ];
    print!("{}", tabbed(&[head.map(str::to_owned), row]));
    Ok(())
}

async fn producers_of(
    admin: &Admin,
    tp: &TopicPartition,
    broker: Option<NodeId>,
) -> Result<Vec<ActiveProducer>, client::Error> {
    let answers = admin.describe_producers(std::slice::from_ref(tp), broker).await?;
    answers.into_iter().next().map_or(Ok(Vec::new()), |(_, producers)| producers)
}

async fn describe_producers(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let broker: Option<i32> = parsed.number("--broker-id");
    let tp = partition(parsed);
    let producers = producers_of(admin, &tp, broker.map(NodeId)).await.map_err(|error| {
        let whom = broker.map_or(String::from("leader"), |id| format!("broker {id}"));
        failed(&format!("Failed to describe producers for partition {tp} on {whom}"), &error)
    })?;
    let head = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(producers.iter().map(|producer| {
        [
            producer.id.0.to_string(),
            producer.epoch.to_string(),
            producer.coordinator_epoch.unwrap_or(-1).to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            or_none(producer.transaction_start),
        ]
    }));
    print!("{}", tabbed(&rows));
    Ok(())
}

async fn abort(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let spec = match parsed.number("--start-offset") {
        Some(start) => abort_from(admin, partition(parsed), start).await?,
        None => abort_by_hand(parsed)?,
    };
    let done = admin.abort_transaction(&spec).await;
    done.map_err(|error| failed(&format!("Failed to abort transaction {spec}"), &error))
}

/// The producer tells what brokers want to know.
async fn abort_from(admin: &Admin, tp: TopicPartition, start: i64) -> Result<AbortSpec, String> {
    let producers = producers_of(admin, &tp, None).await.map_err(|error| {
        failed(&format!("Failed to validate producer state for partition {tp}"), &error)
    })?;
    let found = producers.into_iter().find(|producer| producer.transaction_start == Some(start));
    let found = found.ok_or_else(|| {
        format!("Could not find any open transactions starting at offset {start} on partition {tp}")
    })?;
    Ok(AbortSpec {
        partition: tp,
        producer_id: found.id,
        producer_epoch: ProducerEpoch(i16::try_from(found.epoch).unwrap_or(-1)),
        coordinator_epoch: found.coordinator_epoch.unwrap_or(0),
    })
}

fn abort_by_hand(parsed: &Parsed) -> Result<AbortSpec, String> {
    let missing = |name: &str| format!("Missing required argument {name}");
    let id = parsed.number("--producer-id").ok_or(
        "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with \
         --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
    )?;
    let epoch = parsed.number("--producer-epoch").ok_or_else(|| missing("--producer-epoch"))?;
    let coordinator: i32 =
        parsed.number("--coordinator-epoch").ok_or_else(|| missing("--coordinator-epoch"))?;
    Ok(AbortSpec {
        partition: partition(parsed),
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        // A partition that saw no end of a transaction knows none: no coordinator is older than 0.
        coordinator_epoch: coordinator.max(0),
    })
}

async fn terminate(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let id = parsed.value("--transactionalId").unwrap_or_default();
    let fenced = admin.fence_producer(id).await;
    fenced.map(|_| ()).map_err(|error| {
        failed(&format!("Failed to force terminate transactionalId `{id}`"), &error)
    })
}
