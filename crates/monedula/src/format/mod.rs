//! `monedula format` and `monedula storage`: what `kafka-storage` does, with its flags, its words and its exit codes.
//!
//! Decisions are in the modules below and touch nothing; this file reads, writes and prints.

mod arguments;
pub mod features;
mod info;
mod plan;
#[cfg(test)]
mod tests;
mod voters;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use broker::clock::{Clock, random_uuid};
use broker::format::{Features, Format, MetadataVersion, initial_voters};
use config::BrokerConfig;
use config::properties::Properties;
use storage::disk::RealDisk;

use arguments::{Command, FormatArguments};
use info::Found;

/// Every failure of Kafka's tool, usage and all.
const FAILURE: u8 = 1;

/// `monedula format ...`: the subcommand that people mean.
pub fn format(arguments: &[String]) -> ExitCode {
    let mut all = vec!["format".to_owned()];
    all.extend_from_slice(arguments);
    storage(&all)
}

/// `monedula storage SUBCOMMAND ...`, or `kafka-storage.sh`.
pub fn storage(arguments: &[String]) -> ExitCode {
    let command = match arguments::parse(arguments) {
        Ok(command) => command,
        Err(bad) => {
            eprintln!("{}", bad.0);
            return ExitCode::from(FAILURE);
        }
    };
    match run(command) {
        Ok((text, success)) => {
            print!("{text}");
            if success { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) }
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(FAILURE)
        }
    }
}

/// What to print, and whether all is well.
fn run(command: Command) -> Result<(String, bool), String> {
    match command {
        Command::Help(text) => Ok((text, true)),
        Command::RandomUuid => Ok((format!("{}\n", random_uuid()), true)),
        Command::VersionMapping { release } => {
            features::version_mapping(release.as_deref()).map(|text| (text, true))
        }
        Command::FeatureDependencies { features } => {
            features::dependencies(&features).map(|text| (text, true))
        }
        Command::Info { config } => {
            let directories = plan::directories(&load(&config)?);
            let found = |directory: String| {
                let state = look(Path::new(&directory));
                (directory, state)
            };
            Ok(info::report(&directories.into_iter().map(found).collect::<Vec<_>>()))
        }
        Command::Format(arguments) => write(&arguments).map(|text| (text, true)),
    }
}

fn load(path: &str) -> Result<BrokerConfig, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let properties = Properties::from_bytes(&bytes).map_err(|error| format!("{path}: {error}"))?;
    BrokerConfig::load(Some(&properties), &[]).map_err(|error| format!("{path}: {error}"))
}

fn look(directory: &Path) -> Found {
    match std::fs::metadata(directory) {
        Err(_) => return Found::Missing,
        Ok(meta) if !meta.is_dir() => return Found::NotADirectory,
        Ok(_) => {}
    }
    match std::fs::read(directory.join("meta.properties")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Found::NotFormatted,
        Err(error) => Found::Unreadable(error.to_string()),
        Ok(bytes) => match Properties::from_bytes(&bytes) {
            Ok(properties) => Found::Formatted(properties),
            Err(error) => Found::Unreadable(error.to_string()),
        },
    }
}

/// Formats, and returns what Kafka's tool prints.
fn write(arguments: &FormatArguments) -> Result<String, String> {
    let config = load(&arguments.config)?;
    let plan = plan::plan(&config, arguments, random_uuid(), &host_name())?;
    let voters = plan.voters.iter();
    let voters = voters.map(|voter| (voter.id, voter.directory, voter.host.clone(), voter.port));
    let format = Format {
        node_id: plan.node_id,
        cluster_id: plan.cluster_id,
        directories: plan.directories.iter().map(PathBuf::from).collect(),
        metadata_dir: PathBuf::from(&plan.metadata_directory),
        is_controller: plan.is_controller,
        features: Features {
            release: plan.release.and_then(MetadataVersion::from_level),
            levels: plan.levels,
            unstable: plan.unstable,
            dynamic_quorum: plan.dynamic_quorum,
        },
        ignore_formatted: plan.ignore_formatted,
        initial_voters: (!plan.voters.is_empty())
            .then(|| initial_voters(&plan.controller_listener, voters)),
        more_records: Vec::new(),
    };
    let lines = format.run(&RealDisk, Clock::new().wall(), &mut random_uuid);
    let lines = lines.map_err(|error| error.to_string())?;
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// The name of this machine, for a controller listener that names no host.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}
