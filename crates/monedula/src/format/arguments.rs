//! The command line of `kafka-storage`: subcommands, flags, and what is said of wrong ones.

use crate::tools::subcommands::{Flag, Parsed, Program, Stop, Subcommand, Together, flag, value};

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Info {
        config: String,
    },
    Format(FormatArguments),
    VersionMapping {
        release: Option<String>,
    },
    FeatureDependencies {
        features: Vec<String>,
    },
    RandomUuid,
    /// A text to print, and success.
    Help(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FormatArguments {
    pub config: String,
    pub cluster_id: String,
    pub scram: Vec<String>,
    pub ignore_formatted: bool,
    pub release: Option<String>,
    pub features: Vec<String>,
    pub quorum: Option<Quorum>,
}

/// How a dynamic quorum begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Quorum {
    Standalone,
    NoInitialControllers,
    InitialControllers(String),
}

/// A command line that makes no sense: the usage, and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadUsage(pub String);

const CONFIG: Flag = value("--config", "The server.properties of the node.")
    .short("-c")
    .together(Together::Required);

const PROGRAM: Program = Program {
    name: "kafka-storage",
    about: "Formats storage and tells of it.",
    flags: &[],
    commands: &[
        Subcommand {
            name: "info",
            about: "Tells of the log directories of this node.",
            flags: &[CONFIG],
        },
        Subcommand {
            name: "format",
            about: "Formats the log directories of this node.",
            flags: &[
                // Kafka complains of a missing cluster id first.
                value("--cluster-id", "The id of the cluster.")
                    .short("-t")
                    .together(Together::Required),
                CONFIG,
                value("--add-scram", "A SCRAM credential for the new metadata log.").short("-S"),
                flag("--ignore-formatted", "Leave directories alone that are formatted.")
                    .short("-g"),
                value("--release-version", "The release whose features the cluster starts with.")
                    .short("-r"),
                value("--feature", "The level of one feature: FEATURE=LEVEL.").short("-f"),
                flag("--standalone", "Begin a dynamic quorum with this controller alone.")
                    .short("-s")
                    .together(Together::OneOf),
                flag("--no-initial-controllers", "Begin without naming the quorum.")
                    .short("-N")
                    .together(Together::OneOf),
                value(
                    "--initial-controllers",
                    "Begin a dynamic quorum: ID@HOST:PORT:DIRECTORY,...",
                )
                .short("-I")
                .together(Together::OneOf),
            ],
        },
        Subcommand {
            name: "version-mapping",
            about: "Prints the features of a release.",
            flags: &[value("--release-version", "The release; the latest stable one by default.")
                .short("-r")],
        },
        Subcommand {
            name: "feature-dependencies",
            about: "Prints what levels of features need of other features.",
            flags: &[value("--feature", "FEATURE=LEVEL.").short("-f").together(Together::Required)],
        },
        Subcommand { name: "random-uuid", about: "Prints a random UUID.", flags: &[] },
    ],
};

/// Reads the arguments after the name of the program.
pub fn parse(arguments: &[String]) -> Result<Command, BadUsage> {
    match PROGRAM.parse(arguments) {
        Ok(parsed) => Ok(build(&parsed)),
        Err(Stop::Help(text) | Stop::Version(text)) => Ok(Command::Help(text)),
        Err(Stop::Bad { usage, what }) => {
            Err(BadUsage(format!("{usage}\nkafka-storage: error: {what}")))
        }
    }
}

fn build(parsed: &Parsed) -> Command {
    let all = |long: &str| parsed.values(long).map(str::to_owned).collect();
    let last = |long: &str| parsed.value(long).map(str::to_owned);
    let needed = |long: &str| last(long).unwrap_or_default();
    match parsed.command {
        "info" => Command::Info { config: needed("--config") },
        "version-mapping" => Command::VersionMapping { release: last("--release-version") },
        "feature-dependencies" => Command::FeatureDependencies { features: all("--feature") },
        "random-uuid" => Command::RandomUuid,
        _ => Command::Format(FormatArguments {
            config: needed("--config"),
            cluster_id: needed("--cluster-id"),
            scram: all("--add-scram"),
            ignore_formatted: parsed.has("--ignore-formatted"),
            release: last("--release-version"),
            features: all("--feature"),
            quorum: match last("--initial-controllers") {
                Some(voters) => Some(Quorum::InitialControllers(voters)),
                None if parsed.has("--standalone") => Some(Quorum::Standalone),
                None if parsed.has("--no-initial-controllers") => {
                    Some(Quorum::NoInitialControllers)
                }
                None => None,
            },
        }),
    }
}
