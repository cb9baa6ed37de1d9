//! `log-dirs`: what lies in the log directories of brokers, as JSON.

use std::collections::BTreeSet;
use std::process::ExitCode;

use base::NodeId;
use client::admin::{LogDir, LogDirPartition};

use super::args::{Args, HELP, Opt, VERSION, flag, value};
use super::failure::{Failure, end};
use super::json::quoted;
use super::settings::{self, Bootstrap};
use super::{block_on, java_class_of};

pub const ABOUT: &str = "This tool helps to query log directory usage on the specified brokers.";

const OPTIONS: &[Opt] = &[
    value("bootstrap-server", "HOST:PORT,...", "Required. Servers to connect to."),
    value("command-config", "file", "Properties file with settings of the client."),
    flag("describe", "Required. Describe the log directories of the brokers."),
    value("topic-list", "Topic list", "Topics to show: topic1,topic2. All by default."),
    value("broker-list", "Broker list", "Brokers to ask: 0,1,2. All by default."),
    HELP,
    VERSION,
];

pub fn run(words: &[String]) -> ExitCode {
    end(OPTIONS, execute(words))
}

fn execute(words: &[String]) -> Result<(), Failure> {
    let begun = Args::begin(OPTIONS, words, ABOUT, Failure::Plain, Failure::Usage)?;
    let Some(args) = begun else { return Ok(()) };
    args.check_required(&["bootstrap-server", "describe"]).map_err(Failure::Usage)?;
    let settings = settings::from_file_if(args.value("command-config")?)?;
    let servers = args.value("bootstrap-server")?.unwrap_or_default();
    let listed = |name: &str| -> Result<Vec<String>, String> {
        let list = args.value(name)?.unwrap_or_default();
        Ok(list.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect())
    };
    let topics: BTreeSet<String> = listed("topic-list")?.into_iter().collect();
    let brokers = listed("broker-list")?;
    block_on(async {
        let admin = Bootstrap::Brokers(servers).admin(&settings, "log-dirs-tool")?;
        let number =
            |id: String| id.parse().map(NodeId).map_err(|_| format!("For input string: \"{id}\""));
        let wanted: BTreeSet<NodeId> = brokers.into_iter().map(number).collect::<Result<_, _>>()?;
        let cluster = admin.describe_cluster().await.map_err(|e| e.to_string())?;
        let present: BTreeSet<NodeId> = cluster.nodes.iter().map(|node| node.id).collect();
        let missing: Vec<NodeId> = wanted.difference(&present).copied().collect();
        if !missing.is_empty() {
            return Err(format!(
                "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
                joined(&missing),
                joined(&present)
            ));
        }
        let asked = if wanted.is_empty() { present } else { wanted };
        println!("Querying brokers for log directories information");
        let mut brokers = Vec::with_capacity(asked.len());
        for id in &asked {
            let dirs = admin.describe_log_dirs(*id).await.map_err(|e| e.to_string())?;
            let dirs: Vec<String> = dirs.iter().map(|dir| directory(dir, &topics)).collect();
            brokers.push(format!("{{\"broker\":{id},\"logDirs\":[{}]}}", dirs.join(",")));
        }
        println!("Received log directory information from brokers {}", joined(&asked));
        println!("{{\"brokers\":[{}],\"version\":1}}", brokers.join(","));
        Ok(())
    })??;
    Ok(())
}

fn joined<'a>(ids: impl IntoIterator<Item = &'a NodeId>) -> String {
    let ids: Vec<String> = ids.into_iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn directory(dir: &LogDir, topics: &BTreeSet<String>) -> String {
    let shown = |p: &&LogDirPartition| topics.is_empty() || topics.contains(&p.topic);
    let partition = |p: &LogDirPartition| {
        let name = quoted(&format!("{}-{}", p.topic, p.partition));
        let (size, lag, future) = (p.size, p.offset_lag, p.future);
        format!(
            "{{\"partition\":{name},\"size\":{size},\"offsetLag\":{lag},\"isFuture\":{future}}}"
        )
    };
    let partitions: Vec<String> = dir.partitions.iter().filter(shown).map(partition).collect();
    let error =
        if dir.error.is_none() { String::from("null") } else { quoted(&java_class_of(dir.error)) };
    let (partitions, path) = (partitions.join(","), quoted(&dir.path));
    format!("{{\"partitions\":[{partitions}],\"error\":{error},\"logDir\":{path}}}")
}
