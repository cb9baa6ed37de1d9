//! The log directories of a node at its start: created, locked, formatted if need be, and who they say they are.

use std::path::{Path, PathBuf};

use base::{BrokerEpoch, DirectoryId, Uuid};
use config::BrokerConfig;
use kraft::{Endpoint, VoterSet};
use storage::Disk;
use storage::dirs::{DirLock, MetaEnsemble, MetaProperties, MetaVersion, clean_shutdown};
use tracing::{error, info};

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
    /// Whether any partition besides the metadata log is there.
    pub hold_partitions: bool,
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
    let mut configured = data.clone();
    if !configured.contains(&metadata) {
        configured.push(metadata.clone());
    }
    check_mounted(disk, &configured)?;
    let (all, locks) = make_and_lock(disk, configured, &metadata)?;
    let found = MetaEnsemble::load(disk, all.iter().map(PathBuf::as_path));
    if let Some(dir) = found.missing().find(|dir| holds_data(disk, dir)) {
        return Err(StartError::LostMeta { path: dir.join("meta.properties") });
    }
    if found.missing().next().is_some() {
        format(disk, config, clock, &found, all.clone(), metadata.clone())?;
    }
    let mut found = MetaEnsemble::load(disk, all.iter().map(PathBuf::as_path));
    // Also what a file that lost its lines looks like.
    if let Some((dir, _)) = found.present().find(|(_, meta)| meta.version == MetaVersion::V0) {
        return Err(StartError::OldMeta { path: dir.join("meta.properties") });
    }
    found.verify(config.cluster_id.as_deref(), Some(config.node_id), Some(&metadata))?;
    if give_missing_ids(disk, &found, clock)? {
        found = MetaEnsemble::load(disk, all.iter().map(PathBuf::as_path));
    }
    let cluster_id = found.cluster_id().unwrap_or_default().to_owned();
    let (_, own) = found
        .present()
        .find(|(dir, _)| *dir == metadata)
        .ok_or_else(|| StartError::NoMetadataDirectory(metadata.display().to_string()))?;
    let metadata_id = own.directory_id.unwrap_or(Uuid::ZERO);
    let previous = clean_shutdown::common_epoch(disk, data.iter().map(PathBuf::as_path));
    let locks = locks.into_iter().filter(|lock| !data.iter().any(|dir| dir == lock.dir()));
    let locks = locks.collect();
    let previous_epoch = previous.unwrap_or(BrokerEpoch::NONE);
    let hold_partitions = data.iter().any(|dir| holds_partitions(disk, dir));
    Ok(Directories {
        cluster_id,
        data,
        metadata,
        metadata_id,
        hold_partitions,
        previous_epoch,
        locks,
    })
}

/// Beside directories in use one that is empty, or not there, is rather one whose disk is not mounted: nothing may be made in it.
fn check_mounted(disk: &dyn Disk, configured: &[PathBuf]) -> Result<(), StartError> {
    let found = MetaEnsemble::load(disk, configured.iter().map(PathBuf::as_path));
    let in_use = found.present().any(|(dir, _)| holds_data(disk, dir));
    let Some(dir) = found.missing().find(|dir| in_use && !holds_data(disk, dir)) else {
        return Ok(());
    };
    // That another process runs on the others is said first.
    for (other, _) in found.present() {
        DirLock::acquire(other)?;
    }
    Err(StartError::Unformatted { path: dir.to_path_buf() })
}

/// Those that can be used. A directory whose disk fails is left out, as when it fails later: what is in the others is served. The
/// metadata log is needed.
fn make_and_lock(
    disk: &dyn Disk,
    configured: Vec<PathBuf>,
    metadata: &Path,
) -> Result<(Vec<PathBuf>, Vec<DirLock>), StartError> {
    let (mut usable, mut locks) = (Vec::new(), Vec::new());
    for dir in configured {
        let failed = |source| StartError::Create { path: dir.clone(), source };
        let made = disk.create_dir(&dir).map_err(failed);
        match made.and_then(|()| Ok(DirLock::acquire(&dir)?)) {
            Ok(lock) => {
                usable.push(dir);
                locks.push(lock);
            }
            Err(fault) if dir != metadata && fault.is_disk_failure() => {
                error!(dir = %dir.display(), "log directory is offline: {fault}");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok((usable, locks))
}

/// More than what an interrupted format leaves.
fn holds_data(disk: &dyn Disk, dir: &Path) -> bool {
    let metadata = disk.list(&dir.join("__cluster_metadata-0")).unwrap_or_default();
    metadata.iter().any(|file| file.name.ends_with(".log") && file.len > 0)
        || holds_partitions(disk, dir)
}

fn holds_partitions(disk: &dyn Disk, dir: &Path) -> bool {
    let partition = |name: &str| {
        let told = !name.starts_with("__cluster_metadata-")
            && !["-delete", "-future", "-stray"].iter().any(|end| name.ends_with(end));
        told && disk.stat(&dir.join(name).join("partition.metadata")).is_ok_and(|f| f.is_some())
    };
    let files = disk.list(dir).unwrap_or_default();
    files.iter().any(|file| file.is_dir && partition(&file.name))
}

/// A directory that a Kafka before 3.7 formatted has no id; as in Kafka, it gets one. Tells whether one was written.
fn give_missing_ids(
    disk: &dyn Disk,
    found: &MetaEnsemble,
    clock: &Clock,
) -> Result<bool, StartError> {
    let mut given = false;
    for (dir, meta) in found.present().filter(|(_, meta)| meta.directory_id.is_none()) {
        let meta = MetaProperties { directory_id: Some(random_uuid()), ..meta.clone() };
        meta.write(disk, dir, clock.wall())?;
        given = true;
    }
    Ok(given)
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
    let cluster_id = match known.or(wanted) {
        Some(id) => id,
        None if is_alone(config) => random_uuid().to_string(),
        // A cluster of its own is the last thing that was wanted.
        None => return Err(StartError::NotFormatted { path: metadata_dir }),
    };
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

/// Whether the configuration names no other node: then this one is a whole cluster.
fn is_alone(config: &BrokerConfig) -> bool {
    let own = |host: &str, port: u16| {
        let mut listeners = config.advertised_controller_listeners.iter();
        listeners.any(|own| own.port == port && (own.host == host || own.host.is_empty()))
    };
    let mut servers = config.bootstrap_servers.iter();
    config.roles.controller
        && config.voters.iter().all(|voter| voter.id == config.node_id)
        && servers.all(|server| own(&server.host, server.port))
}

/// Without `controller.quorum.voters` this node alone is the quorum, as after a format with `--standalone`.
fn first_voters(config: &BrokerConfig) -> Option<VoterSet> {
    if !config.voters.is_empty() || !is_alone(config) {
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
