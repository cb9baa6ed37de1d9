//! The log directories of a node at its start: created, locked, formatted if need be, and who they say they are.

use std::path::PathBuf;

use base::{BrokerEpoch, DirectoryId, Uuid};
use config::BrokerConfig;
use kraft::{Endpoint, VoterSet};
use storage::Disk;
use storage::dirs::{DirError, DirLock, MetaEnsemble, clean_shutdown};
use tracing::info;

use super::StartError;
use crate::clock::{Clock, random_uuid};
use crate::format::{Features, Format, standalone_voters};

/// Locked and formatted.
pub struct Directories {
    pub cluster_id: String,
    /// `log.dirs`.
    pub data: Vec<PathBuf>,
    /// Where the metadata log is.
    pub metadata: PathBuf,
    pub metadata_id: DirectoryId,
    /// From the marker of a clean stop; none after any other.
    pub previous_epoch: BrokerEpoch,
    /// Of directories that hold the metadata log alone; the others are locked by the log manager.
    pub locks: Vec<DirLock>,
}

/// Blocks: creates, locks, formats and reads.
pub fn open(
    disk: &dyn Disk,
    config: &BrokerConfig,
    clock: &Clock,
) -> Result<Directories, StartError> {
    let data: Vec<PathBuf> = config.log_dirs.iter().map(|dir| absolute(dir)).collect();
    let metadata = absolute(&config.metadata_log_dir);
    let mut all = data.clone();
    if !all.contains(&metadata) {
        all.push(metadata.clone());
    }
    for dir in &all {
        let failed = |source| StartError::Create { path: dir.clone(), source };
        disk.create_dir(dir).map_err(failed)?;
    }
    let locks = all.iter().map(|dir| Ok((dir, DirLock::acquire(dir)?)));
    let locks = locks.collect::<Result<Vec<_>, DirError>>()?;
    let found = MetaEnsemble::load(disk, all.iter().map(PathBuf::as_path));
    if found.missing().next().is_some() {
        format(disk, config, clock, &found, all.clone(), metadata.clone())?;
    }
    let found = MetaEnsemble::load(disk, all.iter().map(PathBuf::as_path));
    found.verify(config.cluster_id.as_deref(), Some(config.node_id), Some(&metadata))?;
    let cluster_id = found.cluster_id().unwrap_or_default().to_owned();
    let (_, own) = found
        .present()
        .find(|(dir, _)| *dir == metadata)
        .ok_or_else(|| StartError::NoMetadataDirectory(metadata.display().to_string()))?;
    // A directory that an old Kafka formatted has no id; the quorum does without.
    let metadata_id = own.directory_id.unwrap_or(Uuid::ZERO);
    let previous = clean_shutdown::common_epoch(disk, data.iter().map(PathBuf::as_path));
    let locks = locks.into_iter().filter(|(dir, _)| !data.contains(dir)).map(|(_, lock)| lock);
    let locks = locks.collect();
    let previous_epoch = previous.unwrap_or(BrokerEpoch::NONE);
    Ok(Directories { cluster_id, data, metadata, metadata_id, previous_epoch, locks })
}

/// What `kafka-storage format` would have done, on the way.
fn format(
    disk: &dyn Disk,
    config: &BrokerConfig,
    clock: &Clock,
    found: &MetaEnsemble,
    directories: Vec<PathBuf>,
    metadata_dir: PathBuf,
) -> Result<(), StartError> {
    let known = found.cluster_id().map(str::to_owned);
    let wanted = config.cluster_id.clone();
    let cluster_id = known.or(wanted).unwrap_or_else(|| random_uuid().to_string());
    let format = Format {
        node_id: config.node_id,
        cluster_id,
        directories,
        metadata_dir,
        is_controller: config.roles.controller,
        features: Features {
            unstable: config.node.unstable_feature_versions_enable,
            dynamic_quorum: config.voters.is_empty(),
            ..Default::default()
        },
        ignore_formatted: true,
        initial_voters: first_voters(config),
        more_records: Vec::new(),
    };
    for line in format.run(disk, clock.wall(), &mut random_uuid)? {
        info!("{line}");
    }
    Ok(())
}

/// Without `controller.quorum.voters` this node alone is the quorum, as after a format with `--standalone`.
fn first_voters(config: &BrokerConfig) -> Option<VoterSet> {
    if !config.voters.is_empty() || !config.roles.controller {
        return None;
    }
    // Where it really listens (ports are bound, names of the machine known by then) it says when it first leads.
    let listener = config.advertised_controller_listeners.first().map(|listener| Endpoint {
        name: listener.listener.clone(),
        host: listener.host.clone(),
        port: listener.port,
    });
    listener.map(|listener| standalone_voters(config.node_id, random_uuid(), listener))
}

/// Relative directories are taken from where the process was started.
fn absolute(dir: &str) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir))
}
