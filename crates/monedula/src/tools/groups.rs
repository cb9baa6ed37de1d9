//! `groups`: lists the groups of all kinds.

use std::process::ExitCode;

use client::Admin;
use client::admin::GroupListing;

use super::args::{Args, HELP, Opt, VERSION, flag, usage, value};
use super::{KAFKA_VERSION, block_on, settings};

pub const ABOUT: &str = "This tool helps to list groups of all types.";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("command-config", "file", "Properties file with settings of the client."),
    flag("list", "List the groups."),
    value("group-type", "type", "Only groups of this type: classic, consumer, share or streams."),
    value("protocol", "protocol", "Only groups of this protocol type."),
    flag(
        "consumer",
        "Only groups of consumers: of both protocols, and those that only have offsets.",
    ),
    flag("share", "Only share groups."),
    flag("streams", "Only Streams groups."),
    HELP,
    VERSION,
];

const TYPES: [&str; 4] = ["Classic", "Consumer", "Share", "Streams"];
const TIMEOUT_MS: &str = "30000";

enum Failure {
    Usage(String),
    Plain(String),
    Executing(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Usage(text)
    }
}

pub fn run(words: &[String]) -> ExitCode {
    match execute(words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
        Err(Failure::Plain(text)) => eprintln!("{text}"),
        Err(Failure::Executing(text)) => println!("Error while executing groups command : {text}"),
    }
    ExitCode::FAILURE
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let args = Args::parse(OPTIONS, words)?;
    if args.has("help") {
        return Err(Failure::Usage(ABOUT.to_owned()));
    }
    if args.has("version") {
        println!("{KAFKA_VERSION}");
        return Ok(());
    }
    if !args.has("bootstrap-server") {
        return Err(Failure::Usage(String::from("Missing required option(s) [bootstrap-server]")));
    }
    if !args.has("list") {
        let text = "Command must include exactly one action: --list.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let wanted = Wanted::new(&args)?;
    let mut settings = match args.value("command-config")? {
        Some(path) => settings::from_file(path).map_err(Failure::Plain)?,
        None => settings::Settings::new(),
    };
    settings.insert(String::from("default.api.timeout.ms"), TIMEOUT_MS.to_owned());
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    block_on(async {
        let client =
            settings::admin_client(servers, &settings, "adminclient-1").map_err(|error| {
                Failure::Plain(format!("Failed to create new KafkaAdminClient\n{error}"))
            })?;
        let groups = Admin::new(client).list_groups(&[], &[]).await;
        let groups = groups.map_err(|error| Failure::Executing(error.to_string()))?;
        print(groups.iter().filter(|group| wanted.allows(group)));
        Ok(())
    })
    .map_err(Failure::Plain)?
}

/// Which groups are shown.
enum Wanted {
    All,
    Type(&'static str, Option<String>),
    Protocol(String),
    Consumers,
}

impl Wanted {
    fn new(args: &Args) -> Result<Self, Failure> {
        let group_type = match args.value("group-type")? {
            None => None,
            Some(text) => {
                let known = TYPES.iter().find(|name| name.eq_ignore_ascii_case(text));
                let known = known.ok_or_else(|| {
                    Failure::Plain(String::from("--group-type must be a valid group type."))
                })?;
                Some(*known)
            }
        };
        let kinds = ["consumer", "share", "streams"];
        for kind in kinds {
            let mut others: Vec<&str> = vec!["group-type", "protocol"];
            others.extend(kinds.into_iter().filter(|other| *other != kind));
            args.check_alone(kind, &others)?;
        }
        let protocol = args.value("protocol")?.map(str::to_owned);
        Ok(match (group_type, protocol) {
            (Some(group_type), protocol) => Self::Type(group_type, protocol),
            (None, Some(protocol)) => Self::Protocol(protocol),
            (None, None) if args.has("consumer") => Self::Consumers,
            (None, None) if args.has("share") => Self::Type("Share", None),
            (None, None) if args.has("streams") => Self::Type("Streams", None),
            (None, None) => Self::All,
        })
    }

    fn allows(&self, group: &GroupListing) -> bool {
        let is = |group_type: &str| group.group_type.eq_ignore_ascii_case(group_type);
        match self {
            Self::All => true,
            Self::Type(group_type, protocol) => {
                is(group_type) && protocol.as_ref().is_none_or(|p| *p == group.protocol_type)
            }
            Self::Protocol(protocol) => *protocol == group.protocol_type,
            Self::Consumers => {
                matches!(group.protocol_type.as_str(), "" | "consumer") || is("Consumer")
            }
        }
    }
}

fn print<'a>(groups: impl Iterator<Item = &'a GroupListing>) {
    let known = |text: &str| {
        TYPES.iter().find(|name| name.eq_ignore_ascii_case(text)).copied().unwrap_or("Unknown")
    };
    let cells = |group: &'a GroupListing| {
        let group_type = if group.group_type.is_empty() { "" } else { known(&group.group_type) };
        [group.id.as_str(), group_type, group.protocol_type.as_str()]
    };
    let rows: Vec<[&str; 3]> = groups.map(cells).collect();
    let width = rows.iter().flatten().map(|cell| cell.chars().count()).max().unwrap_or(0).max(20);
    println!("{:<width$} {:<width$} {:<width$}", "GROUP", "TYPE", "PROTOCOL");
    for [id, group_type, protocol] in rows {
        println!("{id:<width$} {group_type:<width$} {protocol:<width$} ");
    }
}
