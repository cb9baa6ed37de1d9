//! `topics`: create, delete, list, describe topics and give them more partitions.

mod create;
mod describe;
mod options;

use std::process::ExitCode;
use std::sync::Arc;

use client::admin::TopicListing;
use client::{Admin, Error};

use super::args::{Args, usage};
use super::filter::{TopicFilter, is_internal};
use super::{block_on, settings};
use options::{OPTIONS, Refused};

pub const ABOUT: &str = "Create, delete, describe, or change a topic.";

/// Why the tool ends with exit code 1, by the place where Kafka's says it.
enum Failure {
    /// On standard output, behind "Error while executing topic command".
    Executing(String),
    /// On standard error.
    Plain(String),
    /// On standard error, followed by the list of options.
    Usage(String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Usage(text) => Self::Usage(text),
            Refused::Plain(text) => Self::Plain(text),
        }
    }
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
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure {
                Failure::Executing(text) => {
                    println!("Error while executing topic command : {text}")
                }
                Failure::Plain(text) => eprintln!("{text}"),
                Failure::Usage(text) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
            }
            ExitCode::FAILURE
        }
    }
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Usage, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    options::check(&args)?;
    let settings = match args.value("command-config")? {
        Some(path) => settings::from_file(path).map_err(Failure::Plain)?,
        None => settings::Settings::new(),
    };
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let client =
            settings::admin_client(servers, &settings, "adminclient-1").map_err(|error| {
                Failure::Plain(format!("Failed to create new KafkaAdminClient\n{error}"))
            })?;
        let admin = Admin::new(client);
        if args.has("create") {
            create::create(&admin, &args).await
        } else if args.has("alter") {
            create::alter(&admin, &args).await
        } else if args.has("list") {
            list(&admin, &args).await
        } else if args.has("describe") {
            describe::describe(&admin, &args).await
        } else {
            delete(&admin, &args).await
        }
    })?
}

async fn list(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let names = chosen(admin, args).await?;
    println!("{}", names.join("\n"));
    Ok(())
}

async fn delete(admin: &Admin, args: &Args) -> Result<(), Failure> {
    let names = chosen(admin, args).await?;
    must_exist(&names, args)?;
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    for (_, result) in admin.delete_topics(&names).await? {
        result?;
    }
    Ok(())
}

/// All topics that `--exclude-internal` leaves.
async fn listed(admin: &Admin, args: &Args) -> Result<Vec<TopicListing>, Failure> {
    let mut topics = admin.list_topics().await?;
    if args.has("exclude-internal") {
        topics.retain(|topic| !topic.internal && !is_internal(&topic.name));
    }
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

/// Names of the topics that `--topic` matches, sorted.
async fn chosen(admin: &Admin, args: &Args) -> Result<Vec<Arc<str>>, Failure> {
    let filter = args.value("topic")?.map(TopicFilter::new).transpose()?;
    let topics = listed(admin, args).await?.into_iter().map(|topic| topic.name);
    Ok(topics.filter(|name| filter.as_ref().is_none_or(|filter| filter.allows(name))).collect())
}

fn must_exist(found: &[Arc<str>], args: &Args) -> Result<(), Failure> {
    match args.value("topic")? {
        Some(topic) if !topic.is_empty() && found.is_empty() && !args.has("if-exists") => {
            Err(Failure::Executing(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}
