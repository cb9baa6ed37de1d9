//! `reassign-partitions`: gives partitions other replicas, and replicas other directories.
//!
//! What is asked for and what follows from it is worked out in `plan` and `place`, which touch nothing.

mod actions;
mod moves;
mod place;
mod plan;
#[cfg(test)]
mod tests;
mod throttles;

use std::process::ExitCode;

use super::args::{Args, HELP, Opt, Takes, VERSION, flag, usage, value};
use super::settings::{self, Bootstrap};
use super::{block_on, json};
use actions::Execution;

pub const ABOUT: &str = "This tool helps to move topic partitions between replicas.";

const OPTIONS: &[Opt] = &[
    flag(
        "verify",
        "Tell whether the reassignment of the file is complete; if so, remove the throttles.",
    ),
    flag("generate", "Propose an assignment. Nothing is moved."),
    flag("execute", "Start the reassignment of the file."),
    flag("cancel", "End the reassignments of the file that are active."),
    flag("list", "List all active reassignments."),
    Opt {
        name: "bootstrap-server",
        takes: Takes::MaybeValue("HOST:PORT,..."),
        help: "Brokers to connect to.",
    },
    value("command-config", "file", "Properties file with settings of the client."),
    value(
        "reassignment-json-file",
        "file",
        "The reassignment: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"replicas\": [1,2,3], \
         \"log_dirs\": [\"dir1\",\"dir2\",\"dir3\"]}], \"version\": 1}. \"log_dirs\" may be missing; its \
         entries are \"any\" or absolute paths of log directories of the brokers.",
    ),
    value(
        "topics-to-move-json-file",
        "file",
        "With --generate, the topics to place on the brokers of --broker-list: {\"topics\": [{\"topic\": \"foo\"}], \
         \"version\": 1}",
    ),
    value(
        "broker-list",
        "brokerlist",
        "With --generate, the brokers to place partitions on: 0,1,2",
    ),
    Opt {
        name: "bootstrap-controller",
        takes: Takes::MaybeValue("HOST:PORT,..."),
        help: "Controllers to connect to, for --cancel and --list.",
    },
    flag("disable-rack-aware", "With --generate, place without regard to racks."),
    value(
        "throttle",
        "bytes/s",
        "With --execute, what moving between brokers may take; 1 KB/s at least.",
    ),
    value(
        "replica-alter-log-dirs-throttle",
        "bytes/s",
        "With --execute, what moving between directories of a broker may take; 1 KB/s at least.",
    ),
    value(
        "timeout",
        "ms",
        "How long to wait until moves between directories begin. Default: 10000.",
    ),
    flag(
        "additional",
        "Execute although other reassignments are active, or change their throttle.",
    ),
    flag("preserve-throttles", "Leave the throttles of brokers and topics alone."),
    flag(
        "disallow-replication-factor-change",
        "Refuse partitions whose number of replicas would change.",
    ),
    HELP,
    VERSION,
];

/// Each action, what it needs, and what else it takes.
const ACTIONS: [(&str, &[&str], &[&str]); 5] = [
    (
        "generate",
        &["topics-to-move-json-file", "broker-list"],
        &["bootstrap-server", "command-config", "disable-rack-aware"],
    ),
    (
        "execute",
        &["reassignment-json-file"],
        &[
            "additional",
            "bootstrap-server",
            "command-config",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    ),
    (
        "verify",
        &["reassignment-json-file"],
        &["bootstrap-server", "command-config", "preserve-throttles"],
    ),
    (
        "cancel",
        &["reassignment-json-file"],
        &[
            "bootstrap-server",
            "bootstrap-controller",
            "command-config",
            "preserve-throttles",
            "timeout",
        ],
    ),
    ("list", &[], &["bootstrap-server", "bootstrap-controller", "command-config"]),
];

const TIMEOUT_MS: u64 = 10_000;

/// How the tool ends.
#[derive(PartialEq, Eq, Debug)]
enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// To standard error, before anything was tried.
    Arguments(String),
    /// Said as it is.
    Terse(String),
    Error(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Error(text)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Error(error.to_string())
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

pub fn run(words: &[String]) -> ExitCode {
    match execute(words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => eprintln!("{text}\n{}", usage(OPTIONS).trim_end()),
        Err(Failure::Arguments(text)) => eprintln!("{text}"),
        Err(Failure::Terse(text)) => println!("{text}"),
        Err(Failure::Error(text)) => println!("Error: {text}"),
    }
    ExitCode::FAILURE
}

fn execute(words: &[String]) -> Result<()> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Arguments, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    let action = check(&args)?;
    let settings = settings::from_file_if(args.value("command-config")?)?;
    let bootstrap = match args.value("bootstrap-controller")? {
        Some(controllers) => Bootstrap::Controllers(controllers),
        None => Bootstrap::Brokers(args.value("bootstrap-server")?.unwrap_or_default()),
    };
    block_on(async {
        let admin = bootstrap.admin(&settings, "reassign-partitions-tool")?;
        let file = |name: &str| json::read_file(args.value(name)?.unwrap_or_default());
        let preserve = args.has("preserve-throttles");
        match action {
            "verify" => actions::verify(&admin, &file("reassignment-json-file")?, preserve).await,
            "generate" => {
                let topics = file("topics-to-move-json-file")?;
                let brokers = args.value("broker-list")?.unwrap_or_default();
                actions::generate(&admin, &topics, brokers, !args.has("disable-rack-aware")).await
            }
            "execute" => {
                let text = file("reassignment-json-file")?;
                let execution = Execution {
                    additional: args.has("additional"),
                    throttle: args.number("throttle")?.unwrap_or(-1),
                    directory_throttle: args
                        .number("replica-alter-log-dirs-throttle")?
                        .unwrap_or(-1),
                    timeout_ms: args.number("timeout")?.unwrap_or(TIMEOUT_MS),
                    may_change_count: !args.has("disallow-replication-factor-change"),
                };
                actions::execute(&admin, &text, &execution).await
            }
            "cancel" => {
                let text = file("reassignment-json-file")?;
                let timeout_ms = args.number("timeout")?.unwrap_or(TIMEOUT_MS);
                actions::cancel(&admin, &text, preserve, timeout_ms).await
            }
            _ => actions::list(&admin).await,
        }
    })?
}

/// The one action, when everything else fits to it.
fn check(args: &Args) -> Result<&'static str> {
    let usage = |text: String| Err(Failure::Usage(text));
    let mut asked = ACTIONS.iter().filter(|(name, ..)| args.has(name));
    let (Some((action, required, permitted)), None) = (asked.next(), asked.next()) else {
        let all: Vec<String> = ACTIONS.iter().map(|(name, ..)| format!("--{name}")).collect();
        return usage(format!("Command must include exactly one action: {}", all.join(", ")));
    };
    match (args.has("bootstrap-server"), args.has("bootstrap-controller")) {
        (true, true) => {
            return usage(String::from(
                "Please don't specify both --bootstrap-server and --bootstrap-controller",
            ));
        }
        (false, false) => {
            return usage(String::from(
                "Please specify either --bootstrap-server or --bootstrap-controller",
            ));
        }
        _ => {}
    }
    args.check_required(required).map_err(Failure::Usage)?;
    let misplaced = OPTIONS.iter().map(|opt| opt.name).find(|name| {
        args.has(name) && name != action && !required.contains(name) && !permitted.contains(name)
    });
    match misplaced {
        Some(name) => {
            usage(format!("Option \"[{name}]\" can't be used with action \"[{action}]\""))
        }
        None => Ok(action),
    }
}
