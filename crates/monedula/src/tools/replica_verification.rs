//! `replica-verification`: reads all replicas of partitions side by side and tells where they differ, until it is ended.

mod rounds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{NodeId, TopicPartition};
use client::admin::{ListedOffset, OffsetSpec, PerItem, TopicDescription};
use client::{Admin, Client, Target};
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
use protocol::messages::fetch_response::FetchResponse;
use regex::Regex;
use tokio::task::JoinSet;

use super::args::{Args, HELP, Opt, VERSION, value};
use super::failure::{Failure, end};
use super::filter::TopicFilter;
use super::{block_on, log, settings};
use rounds::{Answer, Finding, Rounds};

pub const ABOUT: &str = "Validate that all replicas for a set of topics have the same data.";

const OPTIONS: &[Opt] = &[
    value("broker-list", "HOST:PORT,...", "Required. Servers to connect to."),
    value("fetch-size", "bytes", "Bytes of a partition in one request. Default: 1048576."),
    value("max-wait-ms", "ms", "How long a request may wait for records. Default: 1000."),
    value("topics-include", "Java regex (String)", "Topics to verify. Default: .*"),
    value("time", "timestamp/-1(latest)/-2(earliest)", "Where to begin. Default: -1."),
    value("report-interval-ms", "ms", "Between two reports. Default: 30000."),
    HELP,
    VERSION,
];

/// Whoever says so may read from followers, and beyond the high watermark.
const DEBUGGING_CONSUMER: i32 = -2;
/// The first version of Fetch that names the reader in a structure of its own.
const WITH_REPLICA_STATE: i16 = 15;
const PARTITIONS_PER_ANSWER: i32 = 2000;
/// What a request may take beyond its own wait.
const PATIENCE_MS: u64 = 30_000;

pub fn run(words: &[String]) -> ExitCode {
    log::warn(
        "This tool is deprecated and may be removed in a future major release. \
         (org.apache.kafka.tools.ReplicaVerificationTool)",
    );
    end(OPTIONS, execute(words))
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Plain, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    args.check_required(&["broker-list"]).map_err(Failure::Usage)?;
    let servers = args.value("broker-list")?.unwrap_or_default();
    settings::check_servers(servers).map_err(Failure::Usage)?;
    block_on(async {
        let client = settings::admin_client(servers, &settings::Settings::new(), "adminclient-1")
            .map_err(|e| e.to_string())?;
        let admin = Admin::new(client.clone());
        let described = chosen(&admin, args.value("topics-include")?.unwrap_or(".*")).await?;
        let fetch = Fetch {
            max_wait_ms: args.number("max-wait-ms")?.unwrap_or(1000),
            bytes: args.number("fetch-size")?.unwrap_or(1 << 20),
        };
        let interval = Duration::from_millis(args.number("report-interval-ms")?.unwrap_or(30_000));
        let begin = beginnings(&admin, &described, args.number("time")?.unwrap_or(-1)).await?;
        println!("{}: verification process is started", log::now());
        verify(&client, &described, begin, fetch, interval).await
    })?
}

/// The topics that the expression names.
async fn chosen(admin: &Admin, pattern: &str) -> Result<Vec<TopicDescription>, Failure> {
    let names: Vec<Arc<str>> =
        admin.list_topics().await?.into_iter().map(|topic| topic.name).collect();
    let names: Vec<Arc<str>> = if names.is_empty() {
        names
    } else {
        Regex::new(pattern).map_err(|_| format!("{pattern} is an invalid regex"))?;
        let filter = TopicFilter::new(pattern)?;
        names.into_iter().filter(|name| filter.allows(name)).collect()
    };
    if names.is_empty() {
        log::error(
            "No topics found. [topics-include] if specified, is either filtering out all topics or there is no topic. \
             (org.apache.kafka.tools.ReplicaVerificationTool)",
        );
        return Err(Failure::Told);
    }
    let described: PerItem<Arc<str>, TopicDescription> =
        admin.describe_topics(&names, PARTITIONS_PER_ANSWER).await?;
    Ok(described.into_iter().map(|(_, topic)| topic).collect::<Result<_, _>>()?)
}

/// Where each partition is read from: -1 for its end, -2 for its beginning, or a time.
async fn beginnings(
    admin: &Admin,
    topics: &[TopicDescription],
    time: i64,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let spec = match time {
        -1 => OffsetSpec::Latest,
        -2 => OffsetSpec::Earliest,
        time => OffsetSpec::Timestamp(time),
    };
    let ask = |spec| {
        let partitions = topics.iter().flat_map(|topic| {
            let indexes = topic.partitions.iter().map(|p| p.metadata.index);
            indexes.map(|index| (TopicPartition::new(Arc::clone(&topic.name), index), spec))
        });
        let partitions: Vec<(TopicPartition, OffsetSpec)> = partitions.collect();
        async move { admin.list_offsets(&partitions, false).await }
    };
    let offsets = |listed: PerItem<TopicPartition, ListedOffset>| {
        let offset = |(partition, listed): (_, client::Result<ListedOffset>)| {
            Ok((partition, listed?.offset))
        };
        listed.into_iter().map(offset).collect::<Result<BTreeMap<_, _>, client::Error>>()
    };
    let mut begin = offsets(ask(spec).await?)?;
    if begin.values().any(|offset| *offset < 0) {
        // No record is that young: from the end on.
        let ends = offsets(ask(OffsetSpec::Latest).await?)?;
        for (partition, offset) in begin.iter_mut().filter(|(_, offset)| **offset < 0) {
            *offset = ends.get(partition).copied().unwrap_or(0);
        }
    }
    Ok(begin)
}

/// What every request asks for.
#[derive(Clone, Copy)]
struct Fetch {
    max_wait_ms: i32,
    bytes: i32,
}

type Partitions = Vec<TopicPartition>;

async fn verify(
    client: &Client,
    topics: &[TopicDescription],
    begin: BTreeMap<TopicPartition, i64>,
    fetch: Fetch,
    interval: Duration,
) -> Result<(), Failure> {
    let mut brokers: BTreeMap<NodeId, Partitions> = BTreeMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            for broker in &partition.metadata.replicas {
                let index = partition.metadata.index;
                let partition = TopicPartition::new(Arc::clone(&topic.name), index);
                brokers.entry(*broker).or_default().push(partition);
            }
        }
    }
    let ids: BTreeMap<Arc<str>, base::TopicId> =
        topics.iter().map(|topic| (Arc::clone(&topic.name), topic.id)).collect();
    let ids = Arc::new(ids);
    let mut rounds = Rounds::new(begin);
    let mut reported = Instant::now();
    loop {
        let mut asked = JoinSet::new();
        for (broker, partitions) in &brokers {
            let request = request(partitions, &ids, rounds.offsets(), fetch);
            let (client, ids, broker) = (client.clone(), Arc::clone(&ids), *broker);
            asked.spawn(async move { (broker, ask(&client, broker, request, &ids, fetch).await) });
        }
        while let Some(answered) = asked.join_next().await {
            match answered {
                Ok((broker, Ok(answers))) => rounds.take(broker, answers),
                // A broker that is down is waited for: its partitions stay where they are.
                Ok((broker, Err(error))) => {
                    tracing::debug!(%broker, %error, "no answer");
                    let partitions = brokers.get(&broker).into_iter().flatten();
                    rounds
                        .take(broker, partitions.map(|p| (p.clone(), Answer::default())).collect());
                }
                Err(error) => return Err(Failure::Plain(error.to_string())),
            }
        }
        for finding in rounds.compare() {
            println!("{}: {finding}", log::now());
            if matches!(finding, Finding::Offsets { .. }) {
                return Err(Failure::Told);
            }
        }
        if reported.elapsed() > interval {
            println!("{}: {}", log::now(), rounds.report());
            reported = Instant::now();
        }
    }
}

fn request(
    partitions: &[TopicPartition],
    ids: &BTreeMap<Arc<str>, base::TopicId>,
    offsets: &BTreeMap<TopicPartition, i64>,
    fetch: Fetch,
) -> FetchRequest<'static> {
    let mut topics: BTreeMap<&Arc<str>, Vec<FetchPartition>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(FetchPartition {
            partition: partition.partition.get(),
            fetch_offset: offsets.get(partition).copied().unwrap_or(0),
            log_start_offset: 0,
            partition_max_bytes: fetch.bytes,
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&Arc<str>, Vec<FetchPartition>)| FetchTopic {
        topic: name.to_string().into(),
        topic_id: ids.get(name).copied().unwrap_or_default(),
        partitions,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: fetch.max_wait_ms,
        min_bytes: 1,
        session_epoch: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

async fn ask(
    client: &Client,
    broker: NodeId,
    mut request: FetchRequest<'static>,
    ids: &BTreeMap<Arc<str>, base::TopicId>,
    fetch: Fetch,
) -> client::Result<Vec<(TopicPartition, Answer)>> {
    let connection = client.connection(Target::Node(broker)).await?;
    if connection.version_for::<FetchRequest<'_>>()? >= WITH_REPLICA_STATE {
        request.replica_state = ReplicaState {
            replica_id: DEBUGGING_CONSUMER,
            replica_epoch: -1,
            ..Default::default()
        };
    } else {
        request.replica_id = DEBUGGING_CONSUMER;
    }
    let patience_ms = u64::try_from(fetch.max_wait_ms).unwrap_or(0) + PATIENCE_MS;
    let reply = connection.call_within(&request, i16::MAX, patience_ms).await?;
    let response: FetchResponse<'_> = reply.decode()?;
    client::Error::check(response.error_code, None)?;
    let mut answers = Vec::new();
    for topic in &response.responses {
        let named =
            ids.iter().find(|(_, id)| **id == topic.topic_id).map(|(name, _)| Arc::clone(name));
        let name = named.unwrap_or_else(|| topic.topic.as_ref().into());
        for p in &topic.partitions {
            let partition = TopicPartition::new(Arc::clone(&name), p.partition_index);
            let records =
                p.records.as_ref().and_then(|records| records.bytes()).unwrap_or_default();
            answers.push((partition, Answer::read(p.high_watermark, records)?));
        }
    }
    Ok(answers)
}
