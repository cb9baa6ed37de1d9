//! What `kafka-storage format` is to do, checked against the node's configuration before anything is written.

use std::collections::BTreeMap;

use base::{DirectoryId, NodeId};
use config::BrokerConfig;

use super::arguments::{FormatArguments, Quorum};
use super::features;
use super::voters::{self, InitialVoter};

/// A formatting that makes sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub node_id: NodeId,
    pub cluster_id: String,
    pub directories: Vec<String>,
    pub metadata_directory: String,
    pub is_controller: bool,
    pub ignore_formatted: bool,
    /// Level of `metadata.version`, when a release was named.
    pub release: Option<i16>,
    pub levels: BTreeMap<String, i16>,
    pub unstable: bool,
    /// `controller.quorum.voters` is not set.
    pub dynamic_quorum: bool,
    /// The listener under which voters are recorded.
    pub controller_listener: String,
    /// Empty for a static quorum, and for a node that joins later.
    pub voters: Vec<InitialVoter>,
}

/// `new_directory` is the id of this node's metadata directory with `--standalone`, `host` the name of this machine for
/// a listener that has none.
pub fn plan(
    config: &BrokerConfig,
    arguments: &FormatArguments,
    new_directory: DirectoryId,
    host: &str,
) -> Result<Plan, String> {
    let unstable = config.node.unstable_feature_versions_enable;
    let release = match &arguments.release {
        None => None,
        Some(name) => Some(features::release(name, unstable)?.level()),
    };
    let levels = levels(&arguments.features)?;
    let dynamic = config.voters.is_empty();
    let names_voters =
        matches!(arguments.quorum, Some(Quorum::Standalone | Quorum::InitialControllers(_)));
    if !dynamic && names_voters {
        return Err("You cannot specify controller.quorum.voters and format the node with \
                    --initial-controllers or --standalone. If you want to use dynamic quorum, \
                    please remove controller.quorum.voters and specify \
                    controller.quorum.bootstrap.servers instead."
            .to_owned());
    }
    let voters = match &arguments.quorum {
        Some(Quorum::InitialControllers(text)) => voters::parse(text)?,
        Some(Quorum::Standalone) => vec![standalone(config, new_directory, host)?],
        Some(Quorum::NoInitialControllers) | None => Vec::new(),
    };
    if config.roles.controller && dynamic && arguments.quorum.is_none() {
        return Err("Because controller.quorum.voters is not set on this controller, you must \
                    specify one of the following: --standalone, --initial-controllers, or \
                    --no-initial-controllers."
            .to_owned());
    }
    if !arguments.scram.is_empty() {
        return Err("--add-scram is not supported yet: this version has no SCRAM".to_owned());
    }
    Ok(Plan {
        node_id: config.node_id,
        cluster_id: arguments.cluster_id.clone(),
        directories: directories(config),
        metadata_directory: config.metadata_log_dir.clone(),
        is_controller: config.roles.controller,
        ignore_formatted: arguments.ignore_formatted,
        release,
        levels,
        unstable,
        dynamic_quorum: dynamic,
        controller_listener: config.controller_listener_names.first().cloned().unwrap_or_default(),
        voters,
    })
}

/// All directories of a node, by name.
pub fn directories(config: &BrokerConfig) -> Vec<String> {
    let mut directories = config.log_dirs.clone();
    directories.push(config.metadata_log_dir.clone());
    directories.sort();
    directories.dedup();
    directories
}

/// `FEATURE=LEVEL` each.
fn levels(wishes: &[String]) -> Result<BTreeMap<String, i16>, String> {
    wishes.iter().map(|text| features::parse_level(text)).collect()
}

fn standalone(
    config: &BrokerConfig,
    directory: DirectoryId,
    host: &str,
) -> Result<InitialVoter, String> {
    if !config.roles.controller {
        return Err("You can only use --standalone on a controller.".to_owned());
    }
    let endpoint = config.advertised_controller_listeners.first();
    let endpoint = endpoint.ok_or("No controller listeners found.")?;
    let host = if endpoint.host.is_empty() { host } else { &endpoint.host };
    Ok(InitialVoter { id: config.node_id, host: host.to_owned(), port: endpoint.port, directory })
}
