//! `consumer-groups`: list, describe and delete consumer groups, reset and delete their offsets.

mod csv;
mod delete;
mod describe;
mod list;
mod members;
mod options;
mod partitions;
mod reset;
mod times;

use std::process::ExitCode;

use client::{Admin, Error};
use group::TopicRegex;

use super::args::{Args, usage};
use super::{KAFKA_VERSION, block_on, settings};
use options::OPTIONS;

pub const ABOUT: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer \
                         group info, or reset consumer group offsets.";

/// Stands for what is not known.
const MISSING: &str = "-";
const TIMEOUT_MS: u64 = 30_000;

/// Why the tool ends early, by what Kafka's does then.
enum Failure {
    /// On standard output; the exit code is 0 all the same.
    Executing(String),
    /// On standard error.
    Plain(String),
    /// On standard error, followed by the list of options.
    Usage(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Executing(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Executing(text)
    }
}

pub fn run(words: &[String]) -> ExitCode {
    match execute(words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Executing(text)) => {
            print_error(&format!("Executing consumer group command failed due to {text}"));
            return ExitCode::SUCCESS;
        }
        Err(Failure::Plain(text)) => eprintln!("{text}"),
        Err(Failure::Usage(text)) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
    }
    ExitCode::FAILURE
}

fn print_error(text: &str) {
    println!("\nError: {text}");
}

fn execute(words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(Failure::Usage(ABOUT.to_owned()));
    }
    let args = Args::parse(OPTIONS, words).map_err(Failure::Plain)?;
    options::check_available(&args).map_err(Failure::Plain)?;
    if args.has("help") {
        return Err(Failure::Usage(ABOUT.to_owned()));
    }
    if args.has("version") {
        println!("{KAFKA_VERSION}");
        return Ok(());
    }
    options::check(&args).map_err(Failure::Usage)?;
    if let Some(pattern) = args.value("validate-regex").map_err(Failure::Usage)? {
        validate_regex(pattern);
        return Ok(());
    }
    let mut settings = match args.value("command-config")? {
        Some(path) => settings::from_file(path)?,
        None => settings::Settings::new(),
    };
    let timeout_ms = args.number::<i64>("timeout")?.and_then(|ms| u64::try_from(ms).ok());
    settings.insert(
        String::from("default.api.timeout.ms"),
        timeout_ms.unwrap_or(TIMEOUT_MS).to_string(),
    );
    for number in ["to-offset", "shift-by"] {
        args.number::<i64>(number)?;
    }
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let client = settings::admin_client(servers, &settings, "adminclient-1")
            .map_err(|error| format!("Failed to create new KafkaAdminClient: {error}"))?;
        let admin = Admin::new(client);
        if args.has("list") {
            list::list(&admin, &args).await
        } else if args.has("describe") {
            describe::describe(&admin, &args).await
        } else if args.has("delete") {
            delete::groups(&admin, &args).await
        } else if args.has("delete-offsets") {
            delete::offsets(&admin, &args).await
        } else {
            reset::reset(&admin, &args).await
        }
    })?
}

/// The groups to act on, sorted.
async fn chosen(admin: &Admin, args: &Args) -> Result<Vec<String>, Failure> {
    if args.has("all-groups") {
        return list::ids(admin).await;
    }
    let mut groups: Vec<String> = args.values("group").map(str::to_owned).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// Asks what the coordinator of a consumer group would say.
fn validate_regex(pattern: &str) {
    match TopicRegex::new(pattern) {
        Ok(_) => println!("The regular expression `{pattern}` is valid."),
        Err(message) => {
            // It ends with the reason, and names the field of the request before.
            let field =
                format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: ");
            let reason = message.strip_prefix(&field).unwrap_or(&message);
            println!("The regular expression `{pattern}` is invalid: {reason}");
        }
    }
}
