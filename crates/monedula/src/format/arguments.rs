//! The command line of `kafka-storage`: subcommands, flags, and what is said of wrong ones.

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

struct Flag {
    long: &'static str,
    short: &'static str,
    takes_value: bool,
    required: bool,
    help: &'static str,
}

const fn flag(long: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { long, short, takes_value: false, required: false, help }
}

const fn value(long: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { long, short, takes_value: true, required: false, help }
}

const CONFIG: Flag =
    Flag { required: true, ..value("--config", "-c", "The server.properties of the node.") };

struct Subcommand {
    name: &'static str,
    about: &'static str,
    usage: &'static str,
    flags: &'static [Flag],
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "info",
        about: "Tells of the log directories of this node.",
        usage: "usage: kafka-storage info [-h] --config CONFIG",
        flags: &[CONFIG],
    },
    Subcommand {
        name: "format",
        about: "Formats the log directories of this node.",
        usage: "\
usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                     [--add-scram ADD_SCRAM] [--ignore-formatted]
                     [--release-version RELEASE_VERSION]
                     [--feature FEATURE] [--standalone |
                     --no-initial-controllers |
                     --initial-controllers INITIAL_CONTROLLERS]",
        flags: &[
            // Kafka complains of a missing cluster id first.
            Flag { required: true, ..value("--cluster-id", "-t", "The id of the cluster.") },
            CONFIG,
            value("--add-scram", "-S", "A SCRAM credential for the new metadata log."),
            flag("--ignore-formatted", "-g", "Leave directories alone that are formatted."),
            value("--release-version", "-r", "The release whose features the cluster starts with."),
            value("--feature", "-f", "The level of one feature: FEATURE=LEVEL."),
            flag("--standalone", "-s", "Begin a dynamic quorum with this controller alone."),
            flag("--no-initial-controllers", "-N", "Begin without naming the quorum."),
            value(
                "--initial-controllers",
                "-I",
                "Begin a dynamic quorum: ID@HOST:PORT:DIRECTORY,...",
            ),
        ],
    },
    Subcommand {
        name: "version-mapping",
        about: "Prints the features of a release.",
        usage: "\
usage: kafka-storage version-mapping [-h]
                     [--release-version RELEASE_VERSION]",
        flags: &[value(
            "--release-version",
            "-r",
            "The release; the latest stable one by default.",
        )],
    },
    Subcommand {
        name: "feature-dependencies",
        about: "Prints what levels of features need of other features.",
        usage: "usage: kafka-storage feature-dependencies [-h] --feature FEATURE",
        flags: &[Flag { required: true, ..value("--feature", "-f", "FEATURE=LEVEL.") }],
    },
    Subcommand {
        name: "random-uuid",
        about: "Prints a random UUID.",
        usage: "usage: kafka-storage random-uuid [-h]",
        flags: &[],
    },
];

const USAGE: &str = "\
usage: kafka-storage [-h]
                     {info,format,version-mapping,feature-dependencies,random-uuid}
                     ...";

/// `--standalone` and its like exclude each other.
const QUORUM_FLAGS: &[&str] =
    &["--standalone", "--no-initial-controllers", "--initial-controllers"];

fn bad(usage: &str, what: &str) -> BadUsage {
    BadUsage(format!("{usage}\nkafka-storage: error: {what}"))
}

/// Reads the arguments after the name of the program.
pub fn parse(arguments: &[String]) -> Result<Command, BadUsage> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(bad(USAGE, "too few arguments"));
    };
    if name == "-h" || name == "--help" {
        return Ok(Command::Help(overview()));
    }
    let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name) else {
        let names: Vec<String> = SUBCOMMANDS.iter().map(|s| format!("'{}'", s.name)).collect();
        let names = names.join(", ");
        return Err(bad(USAGE, &format!("invalid choice: '{name}' (choose from {names})")));
    };
    let given = match read_flags(subcommand, rest)? {
        Some(given) => given,
        None => return Ok(Command::Help(help(subcommand))),
    };
    build(subcommand, &given)
}

fn overview() -> String {
    let mut text = format!("{USAGE}\n\nFormats storage and tells of it.\n\n");
    for subcommand in SUBCOMMANDS {
        text.push_str(&format!("  {:<22}{}\n", subcommand.name, subcommand.about));
    }
    text
}

fn help(subcommand: &Subcommand) -> String {
    let mut text = format!("{}\n\n{}\n\n", subcommand.usage, subcommand.about);
    for flag in subcommand.flags {
        text.push_str(&format!("  {}, {:<28}{}\n", flag.short, flag.long, flag.help));
    }
    text.push_str("  -h, --help                      Prints this.\n");
    text
}

/// Flags by their long name, in the order given; `None` when help is asked for.
fn read_flags(
    subcommand: &Subcommand,
    arguments: &[String],
) -> Result<Option<Vec<(&'static str, String)>>, BadUsage> {
    let wrong = |what: String| bad(subcommand.usage, &what);
    let mut given: Vec<(&'static str, String)> = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if argument == "-h" || argument == "--help" {
            return Ok(None);
        }
        let (flag, inline) = find(subcommand, argument)
            .ok_or_else(|| wrong(format!("unrecognized arguments: '{argument}'")))?;
        let name = format!("{}/{}", flag.long, flag.short);
        let value = match (flag.takes_value, inline) {
            (false, None) => String::new(),
            (false, Some(_)) => {
                return Err(wrong(format!("argument {name}: ignore explicit argument")));
            }
            (true, Some(value)) => value.to_owned(),
            (true, None) => match rest.next() {
                Some(value) if !(value.starts_with('-') && value.len() > 1) => value.to_owned(),
                _ => return Err(wrong(format!("argument {name}: expected one argument"))),
            },
        };
        if QUORUM_FLAGS.contains(&flag.long) {
            let other = given.iter().map(|(long, _)| *long);
            let mut other = other;
            let other = other.find(|long| QUORUM_FLAGS.contains(long) && *long != flag.long);
            let other = other.and_then(|long| subcommand.flags.iter().find(|f| f.long == long));
            if let Some(other) = other {
                let other = format!("{}/{}", other.long, other.short);
                return Err(wrong(format!("argument {name}: not allowed with argument {other}")));
            }
        }
        given.push((flag.long, value));
    }
    for flag in subcommand.flags.iter().filter(|flag| flag.required) {
        if !given.iter().any(|(long, _)| *long == flag.long) {
            let what = format!("argument {}/{} is required", flag.long, flag.short);
            return Err(bad(subcommand.usage, &what));
        }
    }
    Ok(Some(given))
}

/// The flag that an argument names, whole or by the beginning of its name, and the value that hangs on it.
fn find<'a>(
    subcommand: &Subcommand,
    argument: &'a str,
) -> Option<(&'static Flag, Option<&'a str>)> {
    if argument.starts_with("--") {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let exact = subcommand.flags.iter().find(|flag| flag.long == name);
        let mut starting = subcommand.flags.iter().filter(|flag| flag.long.starts_with(name));
        let unique = match (starting.next(), starting.next()) {
            (Some(flag), None) if name.len() > 2 => Some(flag),
            _ => None,
        };
        return Some((exact.or(unique)?, inline));
    }
    let flag = subcommand.flags.iter().find(|flag| argument.starts_with(flag.short))?;
    match argument.strip_prefix(flag.short)? {
        "" => Some((flag, None)),
        value => Some((flag, Some(value.strip_prefix('=').unwrap_or(value)))),
    }
}

fn build(subcommand: &Subcommand, given: &[(&str, String)]) -> Result<Command, BadUsage> {
    let all = |long: &str| -> Vec<String> {
        given.iter().filter(|(name, _)| *name == long).map(|(_, value)| value.clone()).collect()
    };
    let last = |long: &str| all(long).pop();
    let has = |long: &str| last(long).is_some();
    let needed = |long: &str| last(long).unwrap_or_default();
    Ok(match subcommand.name {
        "info" => Command::Info { config: needed("--config") },
        "version-mapping" => Command::VersionMapping { release: last("--release-version") },
        "feature-dependencies" => Command::FeatureDependencies { features: all("--feature") },
        "random-uuid" => Command::RandomUuid,
        _ => Command::Format(FormatArguments {
            config: needed("--config"),
            cluster_id: needed("--cluster-id"),
            scram: all("--add-scram"),
            ignore_formatted: has("--ignore-formatted"),
            release: last("--release-version"),
            features: all("--feature"),
            quorum: match last("--initial-controllers") {
                Some(voters) => Some(Quorum::InitialControllers(voters)),
                None if has("--standalone") => Some(Quorum::Standalone),
                None if has("--no-initial-controllers") => Some(Quorum::NoInitialControllers),
                None => None,
            },
        }),
    })
}
