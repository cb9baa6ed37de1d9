//! `leader-election`: elects leaders of partitions.

use std::collections::BTreeSet;
use std::process::ExitCode;

use base::TopicPartition;
use client::Admin;
use client::admin::Election;
use protocol::ErrorCode;

use super::args::{Args, HELP, Opt, VERSION, flag, value};
use super::failure::{Failure, end};
use super::settings::{self, Bootstrap};
use super::{block_on, java_class, json};

pub const ABOUT: &str = "This tool attempts to elect a new leader for a set of topic partitions. The type of elections \
                         supported are preferred replicas and unclean replicas.";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "host:port", "Required. Servers to connect to."),
    value("admin.config", "config file", "(DEPRECATED) The same as --command-config."),
    value("command-config", "Config file", "Properties file with settings of the client."),
    value(
        "path-to-json-file",
        "Path to JSON file",
        "The partitions: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}, ...]}. Not with \
         --all-topic-partitions or --topic.",
    ),
    value(
        "topic",
        "topic name",
        "The topic. Not with --path-to-json-file or --all-topic-partitions.",
    ),
    value("partition", "partition id", "The partition. Required with --topic."),
    flag("all-topic-partitions", "All partitions that this kind of election is for."),
    value(
        "election-type",
        "election type",
        "Required. \"preferred\": the first replica, where it does not lead; \"unclean\": any replica, where nobody \
         leads.",
    ),
    HELP,
    VERSION,
];

const TIMEOUT_MS: u32 = 30_000;

pub fn run(words: &[String]) -> ExitCode {
    end(OPTIONS, execute(words))
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Plain, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    check(&args)?;
    let election = match args.value("election-type")? {
        Some(text) if text.eq_ignore_ascii_case("preferred") => Election::Preferred,
        Some(text) if text.eq_ignore_ascii_case("unclean") => Election::Unclean,
        other => {
            let text = other.unwrap_or_default();
            return Err(Failure::Plain(format!(
                "Cannot parse argument '{text}' of option election-type"
            )));
        }
    };
    let partitions = partitions(&args)?;
    if args.has("admin.config") {
        println!(
            "Option --admin.config has been deprecated and will be removed in a future version. Use --command-config \
             instead."
        );
    }
    let file = args.value("admin.config")?.or(args.value("command-config")?);
    let mut settings = settings::from_file_if(file)?;
    let mut default = |key: &str, value: u32| {
        settings.entry(key.to_owned()).or_insert_with(|| value.to_string());
    };
    default("default.api.timeout.ms", TIMEOUT_MS);
    default("request.timeout.ms", TIMEOUT_MS / 2);
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let admin = Bootstrap::Brokers(servers).admin(&settings, "adminclient-1")?;
        elect(&admin, election, partitions.as_deref()).await
    })??;
    Ok(())
}

const CHOICE: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];

fn check(args: &Args) -> Result<(), Failure> {
    let plain = |text: String| Err(Failure::Plain(text));
    let required = ["bootstrap-server", "election-type"];
    let missing: Vec<&str> = required.into_iter().filter(|name| !args.has(name)).collect();
    if !missing.is_empty() {
        return plain(format!("Missing required option(s): {}", missing.join(", ")));
    }
    args.check_alone("admin.config", &["command-config"]).map_err(Failure::Usage)?;
    if CHOICE.into_iter().filter(|name| args.has(name)).count() != 1 {
        let choice = CHOICE.join(", ");
        return plain(format!("One and only one of the following options is required: {choice}"));
    }
    match (args.has("topic"), args.has("partition")) {
        (true, false) => plain(String::from("Missing required option(s): partition")),
        (false, true) => plain(String::from("Option partition is only allowed if topic is used")),
        _ => Ok(()),
    }
}

/// The partitions that are named; None for all.
fn partitions(args: &Args) -> Result<Option<Vec<TopicPartition>>, String> {
    if let Some(path) = args.value("path-to-json-file")? {
        return from_json(&json::read_file(path)?).map(Some);
    }
    let partition = args.number::<i32>("partition")?;
    let topic = args.value("topic")?;
    Ok(topic.zip(partition).map(|(topic, partition)| vec![TopicPartition::new(topic, partition)]))
}

fn from_json(text: &str) -> Result<Vec<TopicPartition>, String> {
    let parsed: serde_json::Value =
        serde_json::from_str(text).map_err(|_| String::from("Replica election data is empty"))?;
    let listed = json::object(&parsed)?
        .get("partitions")
        .ok_or_else(|| String::from("Replica election data is missing \"partitions\" field"))?;
    let mut partitions = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for entry in json::array(listed)? {
        let entry = json::object(entry)?;
        let topic = json::text(json::field(entry, "topic")?)?;
        let partition = json::int(json::field(entry, "partition")?)?;
        let partition = TopicPartition::new(topic, partition);
        if !partitions.insert(partition.clone()) {
            twice.insert(partition.to_string());
        }
    }
    if !twice.is_empty() {
        let twice: Vec<String> = twice.into_iter().collect();
        let twice = twice.join(", ");
        return Err(format!("Replica election data contains duplicate partitions: [{twice}]"));
    }
    Ok(partitions.into_iter().collect())
}

async fn elect(
    admin: &Admin,
    election: Election,
    partitions: Option<&[TopicPartition]>,
) -> Result<(), String> {
    let name = match election {
        Election::Preferred => "PREFERRED",
        Election::Unclean => "UNCLEAN",
    };
    let complain = |text: &str| {
        println!("{text}");
        text.to_owned()
    };
    let results = match admin.elect_leaders(election, partitions).await {
        Ok(results) => results,
        Err(client::Error::Expired { .. } | client::Error::RequestTimeout { .. }) => {
            return Err(complain("Timeout waiting for election results"));
        }
        Err(error) if error.code() == Some(ErrorCode::ClusterAuthorizationFailed) => {
            return Err(complain("Not authorized to perform leader election"));
        }
        Err(error) => return Err(error.to_string()),
    };
    let (mut elected, mut unneeded, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, result) in results {
        match result {
            Ok(()) => elected.push(partition.to_string()),
            Err(error) if error.code() == Some(ErrorCode::ElectionNotNeeded) => {
                unneeded.push(partition.to_string());
            }
            Err(error) => failed.push((partition, error)),
        }
    }
    if !elected.is_empty() {
        let elected = elected.join(", ");
        println!("Successfully completed leader election ({name}) for partitions {elected}");
    }
    if !unneeded.is_empty() {
        println!("Valid replica already elected for partitions {}", unneeded.join(", "));
    }
    for (partition, error) in &failed {
        let error = java_class(error);
        println!("Error completing leader election ({name}) for partition: {partition}: {error}");
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(format!("{count} replica(s) could not be elected")),
    }
}
