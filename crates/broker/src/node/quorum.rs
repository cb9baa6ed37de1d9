//! The settings of a node's quorum and controller, from the configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use base::{BrokerEpoch, Offset};
use config::BrokerConfig;
use controller::Settings;
use kraft::cleaning::Retention;
use kraft::{Endpoint, ReplicaKey, Times, VersionRange, Voter, VoterSet};

use super::directories::Directories;
use super::start;
use crate::peers::Address;
use crate::quorum::{QuorumConfig, Reached};

pub fn settings(
    config: &BrokerConfig,
    directories: &Directories,
    addresses: &[(Arc<str>, SocketAddr)],
) -> QuorumConfig {
    let metadata = &config.metadata;
    let positive = |value: i64| u64::try_from(value).unwrap_or(0);
    let segment_bytes =
        metadata.internal_metadata_log_segment_bytes.unwrap_or(metadata.log_segment_bytes);
    QuorumConfig {
        endpoints: endpoints(config, addresses),
        reached: reached(config, directories),
        static_voters: static_voters(config),
        listener: config.controller_listener_names.first().cloned().unwrap_or_default().into(),
        can_be_voter: config.roles.controller,
        bootstrap_servers: config
            .bootstrap_servers
            .iter()
            .map(|server| Address::new(&server.host, server.port))
            .collect(),
        auto_join: config.quorum.auto_join_enable,
        times: times(config),
        fetch_max_bytes: config.quorum.fetch_max_bytes,
        fetch_snapshot_max_bytes: config.quorum.fetch_snapshot_max_bytes,
        segment_bytes: u32::try_from(segment_bytes).unwrap_or(u32::MAX),
        segment_ms: metadata.log_segment_ms,
        retention: Retention { bytes: metadata.max_retention_bytes, ms: metadata.max_retention_ms },
        snapshot_bytes: positive(metadata.log_max_record_bytes_between_snapshots),
        snapshot_interval_ms: positive(metadata.log_max_snapshot_interval_ms),
        idle_interval_ms: positive(metadata.max_idle_interval_ms.into()),
        ..QuorumConfig::new(
            config.node_id,
            directories.cluster_id.clone(),
            directories.metadata.clone(),
            directories.metadata_id,
        )
    }
}

/// As far as the configuration tells: the only static voter, or the only bootstrap server.
fn holds_the_only_log(config: &BrokerConfig) -> bool {
    config.roles.controller && config.voters.len() <= 1 && config.bootstrap_servers.len() <= 1
}

fn times(config: &BrokerConfig) -> Times {
    let ms = |value: i32| u64::try_from(value).unwrap_or(0);
    let quorum = &config.quorum;
    Times {
        election_timeout_ms: ms(quorum.election_timeout_ms),
        election_backoff_max_ms: ms(quorum.election_backoff_max_ms),
        fetch_timeout_ms: ms(quorum.fetch_timeout_ms),
        request_timeout_ms: ms(quorum.request_timeout_ms),
        retry_backoff_ms: ms(quorum.retry_backoff_ms),
    }
}

/// A broker's epoch is the offset of its registration; where partitions are, metadata that told of them was, too. Where other
/// nodes hold the log, what is missing here is fetched from them.
fn reached(config: &BrokerConfig, directories: &Directories) -> Option<Reached> {
    if !holds_the_only_log(config) {
        return None;
    }
    match directories.previous_epoch {
        BrokerEpoch(epoch) if epoch >= 0 => Some((
            Offset(epoch),
            "the epoch of the broker that was stopped cleanly, as .kafka_cleanshutdown has it",
        )),
        _ if directories.hold_partitions => {
            Some((Offset::ZERO, "the log directories hold partitions"))
        }
        _ => None,
    }
}

/// This node's controller listeners as others reach them.
pub fn endpoints(config: &BrokerConfig, addresses: &[(Arc<str>, SocketAddr)]) -> Vec<Endpoint> {
    let advertised = start::advertised(&config.advertised_controller_listeners, addresses);
    let endpoint = |e: metadata::Endpoint| Endpoint {
        name: e.name.to_string(),
        host: e.host.to_string(),
        port: e.port,
    };
    advertised.into_iter().map(endpoint).collect()
}

/// `controller.quorum.voters`; all of them listen where the first controller listener's name says.
fn static_voters(config: &BrokerConfig) -> VoterSet {
    let listener = config.controller_listener_names.first().cloned().unwrap_or_default();
    let voters = config.voters.iter().map(|voter| Voter {
        key: ReplicaKey { id: voter.id, directory_id: None },
        endpoints: vec![Endpoint {
            name: listener.clone(),
            host: voter.address.host.clone(),
            port: voter.address.port,
        }],
        kraft_versions: VersionRange { min: 0, max: 0 },
    });
    voters.collect()
}

pub fn controller_settings(
    config: &BrokerConfig,
    cluster_id: &str,
    incarnation: base::Uuid,
) -> Settings {
    let mut voters: Vec<_> = config.voters.iter().map(|voter| voter.id).collect();
    if voters.is_empty() {
        voters.push(config.node_id);
    }
    Settings {
        own_incarnation: Some(incarnation),
        ..Settings::new(cluster_id, Arc::new(config.clone()), voters)
    }
}
