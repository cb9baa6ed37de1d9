//! `get-offsets`: the first, last or timed offsets of partitions, one line each.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use base::TopicPartition;
use client::Admin;
use client::admin::OffsetSpec;

use super::args::{Args, HELP, Opt, VERSION, flag, usage, value};
use super::filter::{Rule, is_internal};
use super::{KAFKA_VERSION, block_on, settings};

pub const ABOUT: &str = "An interactive shell for getting topic-partition offsets.";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value(
        "topic-partitions",
        "pattern,...",
        "Patterns of the form TOPIC[:PARTITION]: a regular expression for the topic (any when empty), and a number, \
         FROM-UNTIL (until is exclusive), FROM- or -UNTIL.",
    ),
    value(
        "topic",
        "topic",
        "Topics as a regular expression. All topics when missing. Not with --topic-partitions.",
    ),
    value("partitions", "ids", "Partition numbers, comma-separated. Not with --topic-partitions."),
    value(
        "time",
        "time",
        "Which offset: milliseconds since 1970 (the first record at or after it), -1 or latest, -2 or earliest, -3 or \
         max-timestamp, -4 or earliest-local, -5 or latest-tiered, -6 or earliest-pending-upload. Default: latest.",
    ),
    value("command-config", "file", "Properties file with settings of the client."),
    flag("exclude-internal-topics", "Leave out the topics that Kafka keeps for itself."),
    HELP,
    VERSION,
];

pub fn run(words: &[String]) -> ExitCode {
    match execute(words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error occurred: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_usage(message: &str) -> ExitCode {
    eprintln!("{message}\n{}", usage(OPTIONS).trim_end());
    ExitCode::FAILURE
}

fn execute(words: &[String]) -> Result<ExitCode, String> {
    if words.is_empty() {
        return Ok(print_usage(ABOUT));
    }
    let args = Args::parse(OPTIONS, words)?;
    if args.has("help") {
        return Ok(print_usage(ABOUT));
    }
    if args.has("version") {
        println!("{KAFKA_VERSION}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Err(missing) = args.check_required(&["bootstrap-server"]) {
        return Ok(print_usage(&missing));
    }
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    if let Err(invalid) = settings::check_servers(servers) {
        return Ok(print_usage(&invalid));
    }
    if args.has("topic-partitions") && (args.has("topic") || args.has("partitions")) {
        return Err(String::from("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let spec = offset_spec(args.value("time")?.unwrap_or("latest"))?;
    let rules = rules(&args)?;
    let settings = match args.value("command-config")? {
        Some(path) => settings::from_file(path)?,
        None => settings::Settings::new(),
    };
    let exclude_internal = args.has("exclude-internal-topics");
    block_on(async {
        let client = settings::admin_client(servers, &settings, "GetOffsetShell")
            .map_err(|e| e.to_string())?;
        print_offsets(&Admin::new(client), &rules, spec, exclude_internal).await
    })??;
    Ok(ExitCode::SUCCESS)
}

fn offset_spec(text: &str) -> Result<OffsetSpec, String> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetSpec::EarliestPendingUpload,
        other => OffsetSpec::Timestamp(other.parse().map_err(|_| {
            format!(
                "Malformed time argument {other}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / \
                 -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long \
                 format timestamp"
            )
        })?),
    })
}

fn rules(args: &Args) -> Result<Vec<Rule>, String> {
    if let Some(patterns) = args.value("topic-partitions")? {
        return patterns.split(',').map(Rule::parse).collect();
    }
    let partitions = args.value("partitions")?.filter(|list| !list.is_empty());
    let partitions: Vec<i32> = match partitions {
        None => Vec::new(),
        Some(list) => list.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| {
            format!("--partitions expects a comma separated list of numeric partition ids, but received: {list}")
        })?,
    };
    Ok(vec![Rule::of(args.value("topic")?, &partitions)?])
}

async fn print_offsets(
    admin: &Admin,
    rules: &[Rule],
    spec: OffsetSpec,
    exclude_internal: bool,
) -> Result<(), String> {
    let listed = admin.list_topics().await.map_err(|error| error.to_string())?;
    let names: Vec<Arc<str>> = listed
        .into_iter()
        .filter(|topic| !(exclude_internal && (topic.internal || is_internal(&topic.name))))
        .map(|topic| topic.name)
        .filter(|name| rules.iter().any(|rule| rule.allows_topic(name)))
        .collect();
    let mut wanted = Vec::new();
    if !names.is_empty() {
        for (name, description) in
            admin.describe_topics(&names, 2000).await.map_err(|e| e.to_string())?
        {
            let partitions = description.map_err(|error| error.to_string())?.partitions;
            let indexes = partitions.iter().map(|p| p.metadata.index);
            let allowed =
                indexes.filter(|index| rules.iter().any(|rule| rule.allows(&name, *index)));
            wanted
                .extend(allowed.map(|index| (TopicPartition::new(Arc::clone(&name), index), spec)));
        }
    }
    if wanted.is_empty() {
        return Err(String::from(
            "Could not match any topic-partitions with the specified filters",
        ));
    }
    let answers = admin.list_offsets(&wanted, false).await.map_err(|error| error.to_string())?;
    // Kafka sorts by the text of the partition: t-10 comes before t-2.
    let sorted: BTreeMap<String, _> =
        answers.into_iter().map(|(tp, answer)| (tp.to_string(), (tp, answer))).collect();
    for (text, (tp, answer)) in sorted {
        match answer {
            Ok(listed) if listed.offset >= 0 => {
                println!("{}:{}:{}", tp.topic, tp.partition, listed.offset)
            }
            Ok(_) => {}
            Err(error) => {
                eprintln!("Skip getting offsets for topic-partition {text} due to error: {error}");
            }
        }
    }
    Ok(())
}
