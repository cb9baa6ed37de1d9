//! `metadata-quorum`: how the quorum of the metadata log is, and who belongs to it.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use base::{DirectoryId, NodeId};
use client::admin::{QuorumDescription, QuorumReplica, VoterEndpoint};
use client::{Address, Admin};

use super::block_on;
use super::settings::{self, Bootstrap, Settings, bootstrap_flags};
use super::subcommands::{Flag, Parsed, Program, Subcommand, Together, flag, value};

pub const ABOUT: &str = "This tool describes kraft metadata quorum status.";

const SERVERS: [Flag; 2] = bootstrap_flags(Together::OneOfRequired);
const DRY_RUN: Flag = flag("--dry-run", "Print what would be done, but do not do it.");

const PROGRAM: Program = Program {
    name: "kafka-metadata-quorum",
    about: ABOUT,
    flags: &[
        value(
            "--command-config",
            "Properties file with settings of the client; for add-controller that of the controller.",
        ),
        SERVERS[0],
        SERVERS[1],
    ],
    commands: &[
        Subcommand {
            name: "describe",
            about: "Describe the metadata quorum info",
            flags: &[
                flag("--status", "A short summary of the quorum."),
                flag("--replication", "How far each replica of the log is."),
                flag("--human-readable", "With --replication: times as how long ago they are."),
            ],
        },
        Subcommand {
            name: "add-controller",
            about: "Add a controller to the KRaft controller cluster",
            flags: &[DRY_RUN],
        },
        Subcommand {
            name: "remove-controller",
            about: "Remove a controller from the KRaft controller cluster",
            flags: &[
                // Kafka complains of a missing directory id first.
                value("--controller-directory-id", "The directory ID of the controller to remove.")
                    .short("-d")
                    .together(Together::Required),
                value("--controller-id", "The id of the controller to remove.")
                    .short("-i")
                    .number()
                    .together(Together::Required),
                DRY_RUN,
            ],
        },
    ],
};

pub fn run(words: &[String]) -> ExitCode {
    PROGRAM.run(words, ExitCode::SUCCESS, execute)
}

fn execute(parsed: &Parsed) -> Result<(), String> {
    let file = parsed.value("--command-config");
    let settings = match file {
        Some(path) if !std::path::Path::new(path).exists() => {
            return Err(format!("Properties file {path} does not exists!"));
        }
        file => settings::from_file_if(file)?,
    };
    let bootstrap = Bootstrap::of(parsed).ok_or("no servers")?;
    let dry_run = parsed.has("--dry-run");
    block_on(async {
        let admin = bootstrap.admin(&settings, "adminclient-1")?;
        match parsed.command {
            "describe" => describe(&admin, parsed).await,
            "add-controller" if file.is_none() => Err(String::from(
                "You must supply the configuration file of the controller you are adding when using add-controller.",
            )),
            "add-controller" => {
                add(&admin, &NewController::from_settings(&settings)?, dry_run).await
            }
            _ => remove(&admin, parsed, dry_run).await,
        }
    })?
}

async fn describe(admin: &Admin, parsed: &Parsed) -> Result<(), String> {
    let human = parsed.has("--human-readable");
    match (parsed.has("--status"), parsed.has("--replication")) {
        (true, true) => Err(String::from(
            "Only one of --status or --replication should be specified with describe sub-command",
        )),
        (false, false) => Err(String::from(
            "One of --status or --replication must be specified with describe sub-command",
        )),
        (true, false) if human => Err(String::from(
            "The option --human-readable is only supported along with --replication",
        )),
        (true, false) => {
            let cluster = admin.describe_cluster().await.map_err(|e| e.to_string())?;
            let quorum = admin.describe_quorum().await.map_err(|e| e.to_string())?;
            print!("{}", status(&cluster.cluster_id, &quorum)?);
            Ok(())
        }
        (false, true) => {
            let quorum = admin.describe_quorum().await.map_err(|e| e.to_string())?;
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_ms = i64::try_from(now_ms.as_millis()).unwrap_or(i64::MAX);
            print!("{}", replication(&quorum, human.then_some(now_ms))?);
            Ok(())
        }
    }
}

fn leader(quorum: &QuorumDescription) -> Result<&QuorumReplica, String> {
    let leader = quorum.voters.iter().find(|voter| voter.id == quorum.leader);
    leader.ok_or_else(|| String::from("No value present"))
}

fn status(cluster_id: &str, quorum: &QuorumDescription) -> Result<String, String> {
    let leader = leader(quorum)?;
    let slowest = quorum.voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_ms = match (leader.last_caught_up_ms, slowest.last_caught_up_ms) {
        _ if leader == slowest => 0,
        (Some(leader), Some(slowest)) => leader.saturating_sub(slowest),
        _ => -1,
    };
    Ok(format!(
        "ClusterId:              {cluster_id}\n\
         LeaderId:               {}\n\
         LeaderEpoch:            {}\n\
         HighWatermark:          {}\n\
         MaxFollowerLag:         {}\n\
         MaxFollowerLagTimeMs:   {lag_ms}\n\
         CurrentVoters:          {}\n\
         CurrentObservers:       {}\n",
        quorum.leader,
        quorum.leader_epoch,
        quorum.high_watermark,
        leader.log_end_offset.saturating_sub(slowest.log_end_offset),
        members(quorum, &quorum.voters),
        members(quorum, &quorum.observers),
    ))
}

fn members(quorum: &QuorumDescription, replicas: &[QuorumReplica]) -> String {
    let shown = replicas.iter().map(|replica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if replica.directory != DirectoryId::ZERO {
            text.push_str(&format!(", \"directoryId\": \"{}\"", replica.directory));
        }
        let endpoints = quorum.endpoints.get(&replica.id).map_or(&[][..], Vec::as_slice);
        if !endpoints.is_empty() {
            let endpoints: Vec<String> =
                endpoints.iter().map(|endpoint| format!("\"{}\"", url(endpoint))).collect();
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text.push('}');
        text
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}

fn url(endpoint: &VoterEndpoint) -> String {
    format!("{}://{}", endpoint.listener, endpoint.address)
}

const HEAD: [&str; 7] = [
    "NodeId",
    "DirectoryId",
    "LogEndOffset",
    "Lag",
    "LastFetchTimestamp",
    "LastCaughtUpTimestamp",
    "Status",
];

/// A table of all replicas; with `now_ms` times are how long ago they were.
fn replication(quorum: &QuorumDescription, now_ms: Option<i64>) -> Result<String, String> {
    let leader = leader(quorum)?;
    let others = quorum.voters.iter().filter(|voter| voter.id != quorum.leader);
    let all = std::iter::once((leader, "Leader"))
        .chain(others.map(|voter| (voter, "Follower")))
        .chain(quorum.observers.iter().map(|observer| (observer, "Observer")));
    let mut rows = vec![HEAD.map(str::to_owned)];
    for (replica, status) in all {
        rows.push([
            replica.id.to_string(),
            replica.directory.to_string(),
            replica.log_end_offset.to_string(),
            leader.log_end_offset.saturating_sub(replica.log_end_offset).to_string(),
            time(replica.last_fetch_ms, now_ms, "last fetch")?,
            time(replica.last_caught_up_ms, now_ms, "last caught up")?,
            status.to_owned(),
        ]);
    }
    Ok(super::table::tabbed(&rows))
}

fn time(time_ms: Option<i64>, now_ms: Option<i64>, what: &str) -> Result<String, String> {
    match (time_ms, now_ms) {
        (None, _) => Ok(String::from("-1")),
        (Some(time_ms), None) => Ok(time_ms.to_string()),
        (Some(time_ms), Some(now_ms)) if time_ms > 0 && time_ms <= now_ms => {
            Ok(format!("{} ms ago", now_ms - time_ms))
        }
        (Some(time_ms), Some(now_ms)) => Err(format!(
            "Error while computing relative time, possible drift in system clock.\n\
             Current timestamp is {now_ms}, {what} timestamp is {time_ms}"
        )),
    }
}

/// What a controller's configuration says of it.
struct NewController {
    id: NodeId,
    directory: DirectoryId,
    endpoints: Vec<VoterEndpoint>,
}

impl NewController {
    fn from_settings(settings: &Settings) -> Result<Self, String> {
        let id = controller_id(settings)?;
        let directory = metadata_directory(settings)?;
        Ok(Self {
            id,
            directory: directory_id(&directory)?,
            endpoints: controller_endpoints(settings)?,
        })
    }
}

const VALID: &str = "Is this a valid controller configuration file?";

fn controller_id(settings: &Settings) -> Result<NodeId, String> {
    let text = settings.get("node.id");
    let text = text.ok_or_else(|| format!("node.id not found in configuration file. {VALID}"))?;
    let id: i32 = text.trim().parse().map_err(|_| format!("For input string: \"{text}\""))?;
    if id < 0 {
        return Err(format!("node.id was negative in configuration file. {VALID}"));
    }
    if !settings.get("process.roles").is_some_and(|roles| roles.contains("controller")) {
        return Err(format!(
            "process.roles did not contain 'controller' in configuration file. {VALID}"
        ));
    }
    Ok(NodeId(id))
}

fn metadata_directory(settings: &Settings) -> Result<String, String> {
    let own = settings.get("metadata.log.dir").cloned();
    let first = |dirs: &String| dirs.trim().split(',').next().map(str::to_owned);
    own.or_else(|| settings.get("log.dirs").and_then(first))
        .ok_or_else(|| format!("Neither metadata.log.dir nor log.dirs were found. {VALID}"))
}

fn directory_id(directory: &str) -> Result<DirectoryId, String> {
    let path = std::path::Path::new(directory).join("meta.properties");
    let properties = settings::from_file(&path.to_string_lossy())
        .map_err(|_| format!("Unable to read meta.properties from {directory}"))?;
    let id = properties.get("directory.id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| format!("No directory id found in {directory}"))
}

/// The controller listeners as others reach them.
fn controller_endpoints(settings: &Settings) -> Result<Vec<VoterEndpoint>, String> {
    let mut known = Vec::new();
    for key in ["advertised.listeners", "listeners"] {
        let list = settings.get(key).map_or("", String::as_str);
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            known.push(endpoint(entry)?);
        }
    }
    let names = settings.get("controller.listener.names");
    let names = names.ok_or_else(|| format!("controller.listener.names was not found. {VALID}"))?;
    let mut endpoints = Vec::new();
    for name in names.split(',').map(|name| name.trim().to_uppercase()) {
        let found = known.iter().find(|endpoint| endpoint.listener == name);
        endpoints.push(found.cloned().ok_or_else(|| {
            format!("Cannot find information about controller listener name: {name}")
        })?);
    }
    Ok(endpoints)
}

fn endpoint(entry: &str) -> Result<VoterEndpoint, String> {
    let invalid = || format!("Unable to parse {entry} to a broker endpoint");
    let (name, address) = entry.split_once("://").ok_or_else(invalid)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let host = if host.is_empty() { "localhost" } else { host };
    let port = port.parse().map_err(|_| invalid())?;
    let address = Address { host: host.to_owned(), port };
    Ok(VoterEndpoint { listener: name.to_uppercase(), address })
}

async fn add(admin: &Admin, new: &NewController, dry_run: bool) -> Result<(), String> {
    if !dry_run {
        let added = admin.add_voter(new.id, new.directory, &new.endpoints).await;
        added.map_err(|e| e.to_string())?;
    }
    let endpoints: Vec<String> = new.endpoints.iter().map(url).collect();
    println!(
        "{} controller {} with directory id {} and endpoints: {}",
        if dry_run { "DRY RUN of adding" } else { "Added" },
        new.id,
        new.directory,
        endpoints.join(", ")
    );
    Ok(())
}

async fn remove(admin: &Admin, parsed: &Parsed, dry_run: bool) -> Result<(), String> {
    let id = parsed.number("--controller-id").unwrap_or(-1);
    if id < 0 {
        return Err(format!("Invalid negative --controller-id: {id}"));
    }
    let text = parsed.value("--controller-directory-id").unwrap_or_default();
    let directory: DirectoryId = text.parse().map_err(|_| {
        let bytes = text.trim_end_matches('=').len() * 3 / 4;
        format!(
            "Failed to parse --controller-directory-id: Input string `{text}` decoded as {bytes} bytes, which is not \
             equal to the expected 16 bytes of a base64-encoded UUID"
        )
    })?;
    if !dry_run {
        admin.remove_voter(NodeId(id), directory).await.map_err(|e| e.to_string())?;
    }
    let what = if dry_run { "DRY RUN of removing " } else { "Removed " };
    println!("{what} KRaft controller {id} with directory id {directory}");
    Ok(())
}

#[cfg(test)]
mod tests;
