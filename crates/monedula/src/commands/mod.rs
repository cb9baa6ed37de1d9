//! What `monedula` can do: its own commands, one file each, and Kafka's tools by their names.

mod help;
mod start;
mod verify;

use std::process::ExitCode;
use std::time::Instant;

use crate::tools;

/// Exit code of a command line that makes no sense.
const BAD_USAGE: u8 = 2;

/// Runs what the arguments name. `args[0]` is the name of the program: one like `kafka-topics.sh` is that tool.
pub fn run(args: &[String]) -> ExitCode {
    let began = Instant::now();
    let program = args.first().map_or("monedula", String::as_str);
    if let Some(tool) = tools::by_script_name(program) {
        return tool(args.get(1..).unwrap_or_default());
    }
    if matches!(program.rsplit('/').next(), Some("kafka-storage" | "kafka-storage.sh")) {
        return crate::format::storage(args.get(1..).unwrap_or_default());
    }
    let rest = args.get(2..).unwrap_or_default();
    match args.get(1).map(String::as_str) {
        None | Some("help" | "--help" | "-h") => {
            print!("{}", help::text());
            ExitCode::SUCCESS
        }
        Some("--version" | "-V" | "version") => {
            println!(
                "monedula {} (Apache Kafka {})",
                env!("CARGO_PKG_VERSION"),
                tools::KAFKA_VERSION
            );
            ExitCode::SUCCESS
        }
        Some("start") => start::run(rest, began),
        Some("format") => crate::format::format(rest),
        Some("verify") => verify::run(rest),
        Some("storage") => crate::format::storage(rest),
        Some(name) => match tools::by_name(name) {
            Some(tool) => tool(rest),
            None => {
                eprintln!("monedula: there is no command {name:?}; `monedula --help` lists them");
                ExitCode::from(BAD_USAGE)
            }
        },
    }
}
