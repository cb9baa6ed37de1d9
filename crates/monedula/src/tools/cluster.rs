//! `cluster`: the cluster's id, its endpoints, and taking brokers out of it.

use std::process::ExitCode;

use base::NodeId;
use client::Admin;
use client::admin::ClusterDescription;

use super::block_on;
use super::settings::{self, Bootstrap, bootstrap_flags};
use super::subcommands::{Flag, Parsed, Program, Subcommand, Together, flag, value};

pub const ABOUT: &str = "The Kafka cluster tool.";

const SERVERS: [Flag; 2] = bootstrap_flags(Together::OneOfRequired);
const SERVER: Flag = SERVERS[0].short("-b");
const CONTROLLER: Flag = SERVERS[1].short("-C");
const OLD_CONFIG: Flag = value("--config", "(DEPRECATED) The same as --command-config.");
const CONFIG: Flag =
    value("--command-config", "Properties file with settings of the client.").short("-c");

const PROGRAM: Program = Program {
    name: "kafka-cluster",
    about: ABOUT,
    flags: &[],
    commands: &[
        Subcommand {
            name: "cluster-id",
            about: "Get information about the ID of a cluster.",
            flags: &[SERVER, CONTROLLER, OLD_CONFIG, CONFIG],
        },
        Subcommand {
            name: "unregister",
            about: "Unregister a broker.",
            flags: &[
                SERVER,
                CONTROLLER,
                OLD_CONFIG,
                CONFIG,
                value("--id", "The ID of the broker to unregister.")
                    .short("-i")
                    .number()
                    .together(Together::Required),
            ],
        },
        Subcommand {
            name: "list-endpoints",
            about: "List endpoints",
            flags: &[
                SERVER,
                CONTROLLER,
                OLD_CONFIG,
                CONFIG,
                flag("--include-fenced-brokers", "Whether to list fenced brokers, too."),
            ],
        },
    ],
};

pub fn run(words: &[String]) -> ExitCode {
    // Kafka's tool ends with 1 even when its help was asked for.
    PROGRAM.run(words, ExitCode::FAILURE, execute)
}

fn execute(parsed: &Parsed) -> Result<(), String> {
    let (old, new) = (parsed.value("--config"), parsed.value("--command-config"));
    if old.is_some() && new.is_some() {
        return Err(String::from("--config and --command-config cannot be specified together."));
    }
    if old.is_some() {
        println!(
            "Option --config has been deprecated and will be removed in a future version. Use --command-config \
             instead."
        );
    }
    let settings = settings::from_file_if(old.or(new))?;
    let bootstrap = Bootstrap::of(parsed).ok_or("no servers")?;
    let fenced = parsed.has("--include-fenced-brokers");
    block_on(async {
        let admin = bootstrap.admin(&settings, "adminclient-1")?;
        match parsed.command {
            "cluster-id" => {
                let cluster = admin.describe_cluster().await.map_err(|e| e.to_string())?;
                println!("Cluster ID: {}", cluster.cluster_id);
                Ok(())
            }
            "unregister" => unregister(&admin, parsed.number("--id").unwrap_or(-1)).await,
            _ => {
                let controllers = matches!(bootstrap, Bootstrap::Controllers(_));
                if fenced && controllers {
                    return Err(String::from(
                        "The option --include-fenced-brokers is only supported with --bootstrap-server option",
                    ));
                }
                let cluster = admin.describe_cluster_with(fenced).await;
                print(&cluster.map_err(|e| e.to_string())?, controllers);
                Ok(())
            }
        }
    })?
}

async fn unregister(admin: &Admin, id: i32) -> Result<(), String> {
    match admin.unregister_broker(NodeId(id)).await {
        Ok(()) => println!("Broker {id} is no longer registered."),
        Err(client::Error::UnsupportedVersion { .. }) => {
            println!("The target cluster does not support the broker unregistration API.");
        }
        Err(error) => return Err(error.to_string()),
    }
    Ok(())
}

fn print(cluster: &ClusterDescription, controllers: bool) {
    let mut nodes: Vec<_> = cluster.nodes.iter().collect();
    nodes.sort_unstable_by_key(|node| node.id);
    let hosts = nodes.iter().map(|node| node.address.host.len()).max().unwrap_or(100);
    let racks = nodes.iter().filter_map(|node| node.rack.as_ref().map(String::len)).max();
    let racks = racks.unwrap_or(10);
    let row = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        let state = if controllers { String::new() } else { format!("{state:<10} ") };
        println!("{id:<10} {host:<hosts$} {port:<10} {rack:<racks$} {state}{kind:<15}");
    };
    row("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE");
    for node in nodes {
        let (id, port) = (node.id.to_string(), node.address.port.to_string());
        let rack = node.rack.as_deref().unwrap_or("null");
        let state = if cluster.fenced.contains(&node.id) { "fenced" } else { "unfenced" };
        let kind = if controllers { "controller" } else { "broker" };
        row(&id, &node.address.host, &port, rack, state, kind);
    }
}
