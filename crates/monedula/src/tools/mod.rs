//! Kafka's command-line tools: same arguments, output and exit codes.

/// As the standard ones, but a reader that went away is no reason to panic: its tool goes on, as Kafka's do.
macro_rules! print {
    ($($text:tt)*) => { $crate::tools::write_out(format_args!($($text)*)) };
}
macro_rules! println {
    () => { print!("\n") };
    ($($text:tt)*) => { print!("{}\n", format_args!($($text)*)) };
}

pub mod args;
mod broker_api_versions;
mod cluster;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod failure;
mod features;
mod filter;
mod formatter;
mod get_offsets;
mod groups;
mod json;
mod leader_election;
mod line_reader;
mod log;
mod log_dirs;
mod metadata_quorum;
mod reassign;
mod replica_verification;
mod settings;
pub mod subcommands;
mod table;
mod topics;
mod transactions;

use std::process::ExitCode;

use protocol::ErrorCode;

/// The release whose tools these are.
pub const KAFKA_VERSION: &str = "4.4.0";

type Run = fn(&[String]) -> ExitCode;

const TOOLS: [(&str, &str, Run); 16] = [
    ("topics", topics::ABOUT, topics::run),
    ("console-producer", console_producer::ABOUT, console_producer::run),
    ("console-consumer", console_consumer::ABOUT, console_consumer::run),
    ("consumer-groups", consumer_groups::ABOUT, consumer_groups::run),
    ("groups", groups::ABOUT, groups::run),
    ("configs", configs::ABOUT, configs::run),
    ("get-offsets", get_offsets::ABOUT, get_offsets::run),
    ("cluster", cluster::ABOUT, cluster::run),
    ("metadata-quorum", metadata_quorum::ABOUT, metadata_quorum::run),
    ("features", features::ABOUT, features::run),
    ("leader-election", leader_election::ABOUT, leader_election::run),
    ("reassign-partitions", reassign::ABOUT, reassign::run),
    ("replica-verification", replica_verification::ABOUT, replica_verification::run),
    ("transactions", transactions::ABOUT, transactions::run),
    ("log-dirs", log_dirs::ABOUT, log_dirs::run),
    ("broker-api-versions", broker_api_versions::ABOUT, broker_api_versions::run),
];

/// The tool of that name, without `kafka-` and `.sh`.
pub fn by_name(name: &str) -> Option<Run> {
    TOOLS.iter().find(|(known, ..)| *known == name).map(|(.., run)| *run)
}

/// The tool that a program installed as `path` stands for: `kafka-topics.sh`, `kafka-topics`.
pub fn by_script_name(path: &str) -> Option<Run> {
    let file = std::path::Path::new(path).file_name()?.to_str()?;
    by_name(file.strip_prefix("kafka-")?.trim_end_matches(".sh"))
}

/// Names, with a line each.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOOLS.iter().map(|(name, about, _)| (*name, *about))
}

fn write_out(text: std::fmt::Arguments<'_>) {
    let _unread = std::io::Write::write_fmt(&mut std::io::stdout(), text);
}

/// An error as Java shows it, with the class of its exception.
fn java_class(error: &client::Error) -> String {
    match error.code() {
        Some(code) => format!("{}: {error}", java_class_of(code)),
        None => error.to_string(),
    }
}

/// The exception that stands for a code.
fn java_class_of(code: ErrorCode) -> String {
    let name = format!("{code:?}");
    format!("org.apache.kafka.common.errors.{}Exception", name.trim_end_matches("Error"))
}

/// Runs a tool's asynchronous part on this thread.
fn block_on<F: Future>(future: F) -> Result<F::Output, String> {
    run_in(tokio::runtime::Builder::new_current_thread(), future)
}

/// The same beside another thread: heartbeats go on while this one waits for its output.
fn block_on_threads<F: Future>(future: F) -> Result<F::Output, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1);
    run_in(builder, future)
}

fn run_in<F: Future>(mut builder: tokio::runtime::Builder, future: F) -> Result<F::Output, String> {
    log::install();
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    let output = runtime.block_on(future);
    // A thread that waits for standard input must not hold up the end.
    runtime.shutdown_background();
    Ok(output)
}
