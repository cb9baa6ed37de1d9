//! `broker-api-versions`: which versions of which APIs each broker offers.

use std::process::ExitCode;

use client::cluster::{Target, Topics};
use client::metadata::Node;
use protocol::{ApiKey, Listener, OfferedVersions};

use super::args::{Args, HELP, Opt, VERSION, value};
use super::failure::{Failure, end};
use super::{block_on, settings};

pub const ABOUT: &str = "This tool helps to retrieve broker version information.";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("command-config", "file", "Properties file with settings of the client."),
    HELP,
    VERSION,
];

pub fn run(words: &[String]) -> ExitCode {
    end(OPTIONS, execute(words))
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Plain, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    args.check_required(&["bootstrap-server"]).map_err(Failure::Usage)?;
    let settings = settings::from_file_if(args.value("command-config")?)?;
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    if let Some(invalid) = servers.split(',').find(|s| client::Address::parse(s.trim()).is_none()) {
        return Err(Failure::Plain(format!("Invalid url in bootstrap.servers: {invalid}")));
    }
    block_on(async {
        let client = settings::admin_client(servers, &settings, "admin-1");
        let client = client.map_err(|e| e.to_string())?;
        let metadata = client.refresh_once(&Topics::None, false).await;
        let metadata =
            metadata.map_err(|e| format!("Request METADATA failed on brokers [{servers}]: {e}"))?;
        for node in metadata.nodes.values() {
            match client.connection(Target::Node(node.id)).await {
                Ok(connection) => println!("{} -> {}", shown(node), table(connection.versions())),
                Err(error) => println!("{} -> ERROR: {error}", shown(node)),
            }
        }
        Ok(())
    })?
}

fn shown(node: &Node) -> String {
    let rack = node.rack.as_deref().unwrap_or("null");
    format!("{} (id: {} rack: {rack} isFenced: false)", node.address, node.id)
}

/// A line per API: those that are offered, and those of brokers that are not.
fn table(versions: &OfferedVersions) -> String {
    let missing = ApiKey::all().filter(|api| {
        api.listeners().contains(&Listener::Broker) && versions.range(*api).is_none()
    });
    let mut lines: Vec<(i16, String)> = missing
        .map(|api| (api.code(), format!("{}({}): UNSUPPORTED", api.name(), api.code())))
        .collect();
    lines.extend(versions.all().map(|(key, min, max)| (key, offered(key, min, max))));
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| format!("\t{line}")).collect();
    format!("(\n{}\n)", lines.join(",\n"))
}

fn offered(key: i16, min: i16, max: i16) -> String {
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(api) = ApiKey::from_i16(key) else { return format!("UNKNOWN({key}): {range}") };
    let ours = api.versions();
    let usable = if *ours.end() < min {
        String::from("unusable: node too new")
    } else if max < *ours.start() {
        String::from("unusable: node too old")
    } else {
        format!("usable: {}", max.min(*ours.end()))
    };
    format!("{}({key}): {range} [{usable}]", api.name())
}
