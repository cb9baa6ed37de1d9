//! `configs`: describes and changes the settings of topics, brokers, groups and client metrics.

mod changes;
mod options;

use std::collections::BTreeSet;
use std::process::ExitCode;

use client::admin::{AlterConfig, AlterOperation, ConfigEntry, ConfigResource, ConfigSource};
use client::{Admin, Error};

use super::args::{Args, usage};
use super::{block_on, settings};
use options::{Entity, Kind, OPTIONS};

pub const ABOUT: &str = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, \
                         ip, client-metrics or group";

/// Why the tool ends with exit code 1.
enum Failure {
    /// On standard error.
    Plain(String),
    /// The same, behind a line that repeats the arguments.
    Executing(String),
    /// Followed by the list of options.
    Usage(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Executing(error.to_string())
    }
}

pub fn run(words: &[String]) -> ExitCode {
    match execute(words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Plain(text)) => eprintln!("{text}"),
        Err(Failure::Executing(text)) => {
            let words = words.join(" ");
            eprintln!("Error while executing config command with args '{words}'\n{text}");
        }
        Err(Failure::Usage(text)) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
    }
    ExitCode::FAILURE
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Plain, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    options::check_actions(&args).map_err(Failure::Usage)?;
    let entity = options::entity(&args)?;
    let settings = match args.value("command-config")? {
        Some(path) => settings::from_file(path)?,
        None => settings::Settings::new(),
    };
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let client =
            settings::admin_client(servers, &settings, "adminclient-1").map_err(|error| {
                Failure::Executing(format!("Failed to create new KafkaAdminClient: {error}"))
            })?;
        let admin = Admin::new(client);
        if args.has("alter") {
            alter(&admin, &args, &entity).await
        } else {
            describe(&admin, &args, &entity).await
        }
    })?
}

async fn describe(admin: &Admin, args: &Args, entity: &Entity) -> Result<(), Failure> {
    let all = args.has("all");
    let names = match &entity.name {
        None => all_names(admin, entity.kind).await?,
        Some(name) if all || all_names(admin, entity.kind).await?.contains(name) => {
            vec![name.clone()]
        }
        Some(name) => {
            let kind = entity.kind.singular();
            println!("The {kind} '{name}' doesn't exist and doesn't have dynamic config.");
            return Ok(());
        }
    };
    for name in &names {
        let kind = entity.kind;
        if name.is_empty() {
            println!("Default configs for {} in the cluster are:", kind.plural());
        } else {
            let which = if all { "All" } else { "Dynamic" };
            println!("{which} configs for {} {name} are:", kind.singular());
        }
        for entry in entries(admin, kind, name, all).await? {
            print(&entry);
        }
    }
    Ok(())
}

fn print(entry: &ConfigEntry) {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| String::from("null"));
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|s| format!("{}:{}={}", s.source.name(), s.name, value(&s.value)))
        .collect();
    let (name, sensitive, synonyms) = (&entry.name, entry.sensitive, synonyms.join(", "));
    println!("  {name}={} sensitive={sensitive} synonyms={{{synonyms}}}", value(&entry.value));
}

/// Everything of that kind that can have settings, sorted; brokers with their common default.
async fn all_names(admin: &Admin, kind: Kind) -> Result<Vec<String>, Failure> {
    let names: BTreeSet<String> = match kind {
        Kind::Topics => {
            admin.list_topics().await?.into_iter().map(|topic| topic.name.to_string()).collect()
        }
        Kind::Brokers | Kind::BrokerLoggers => {
            let nodes = admin.describe_cluster().await?.nodes;
            let mut names: Vec<String> = nodes.iter().map(|node| node.id.to_string()).collect();
            names.push(String::new());
            return Ok(names);
        }
        Kind::ClientMetrics => {
            admin.list_config_resources(&kind.resource("")).await?.into_iter().collect()
        }
        Kind::Groups => {
            let groups = admin.list_groups(&[], &[]).await?.into_iter().map(|group| group.id);
            let configured = admin.list_config_resources(&kind.resource("")).await?;
            groups.chain(configured).collect()
        }
    };
    Ok(names.into_iter().collect())
}

/// The settings of one entity, sorted: its own, or all that act.
async fn entries(
    admin: &Admin,
    kind: Kind,
    name: &str,
    all: bool,
) -> Result<Vec<ConfigEntry>, Failure> {
    let own = match kind {
        Kind::Topics => Some(ConfigSource::DynamicTopic),
        Kind::Brokers if name.is_empty() => Some(ConfigSource::DynamicDefaultBroker),
        Kind::Brokers => Some(ConfigSource::DynamicBroker),
        Kind::BrokerLoggers => None,
        Kind::ClientMetrics => Some(ConfigSource::DynamicClientMetrics),
        Kind::Groups => Some(ConfigSource::DynamicGroup),
    };
    let mut entries = Vec::new();
    for (_, found) in admin.describe_configs_with_synonyms(&[kind.resource(name)]).await? {
        entries.extend(found?);
    }
    entries.retain(|entry| all || own.is_none_or(|own| entry.source == own));
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

async fn alter(admin: &Admin, args: &Args, entity: &Entity) -> Result<(), Failure> {
    let kind = entity.kind;
    let name = entity.name.clone().unwrap_or_default();
    let added = changes::added(args)?;
    let deleted = changes::deleted(args);
    if kind == Kind::BrokerLoggers {
        let known = entries(admin, kind, &name, false).await?;
        let unknown = |key: &&String| !known.iter().any(|entry| entry.name == **key);
        let refused: Vec<&str> =
            deleted.iter().chain(added.keys()).filter(unknown).map(String::as_str).collect();
        if !refused.is_empty() {
            return Err(Failure::Plain(format!("Invalid broker logger(s): {}", refused.join(","))));
        }
    }
    let set = added.into_iter().map(|(name, value)| AlterConfig {
        name,
        operation: AlterOperation::Set,
        value: Some(value),
    });
    let unset = deleted.into_iter().map(|name| AlterConfig {
        name,
        operation: AlterOperation::Delete,
        value: Some(String::new()),
    });
    let changes: Vec<AlterConfig> = set.chain(unset).collect();
    let resource: ConfigResource = kind.resource(&name);
    for (_, result) in admin.alter_configs(&[(resource, changes)], false).await? {
        result?;
    }
    if name.is_empty() {
        println!("Completed updating default config for {} in the cluster.", kind.plural());
    } else {
        println!("Completed updating config for {} {name}.", kind.singular());
    }
    Ok(())
}
