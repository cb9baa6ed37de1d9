//! Starting the quorum: newest snapshot, log behind it, election, then the thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use arc_swap::ArcSwap;
use base::{LeaderEpoch, Offset};
use kraft::{Config, Raft, SnapshotId, StartError, Times};
use metadata::{Image, Loader, Provenance, ReplayError};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use storage::disk::Disk;
use tokio::sync::{Semaphore, watch};

use super::driver::{Driver, Parts};
use super::handle::{Command, QuorumHandle, QuorumStatus, REQUESTS_MAX};
use super::log::{self, MetadataLog};
use super::machine::Machine;
use super::send::Network;
use super::snapshot::{self, Snapshot};
use super::{QuorumConfig, QuorumError};
use crate::clock::{Clock, random_bytes};

/// A quorum that has elected itself and committed its log, not yet serving.
pub struct Quorum<M: Machine> {
    driver: Driver<M>,
    receiver: Receiver<Command<M::Request, M::Reply>>,
    handle: QuorumHandle<M::Request, M::Reply>,
}

/// Loads the metadata of `config`'s directory and leads it. `machine` builds the controller from the image of the
/// newest snapshot; `kraft.version` is its second argument.
///
/// # Errors
/// When something on disk is damaged (the error names the file), or this node is not the only voter.
pub fn start<M: Machine>(
    disk: Arc<dyn Disk>,
    config: QuorumConfig,
    clock: Clock,
    network: Option<Network>,
    machine: impl FnOnce(Image, i16) -> M,
) -> Result<Quorum<M>, QuorumError> {
    let now = clock.now();
    let log = MetadataLog::open(disk, &config, now)?;
    let latest = match log.snapshots()?.last() {
        Some(id) => Some((*id, log.read_snapshot(*id)?)),
        None => None,
    };
    let boot = log.boot(config.static_voters.clone(), latest.as_ref().map(|(id, s)| (*id, s)))?;
    let raft_config = Config {
        cluster_id: config.cluster_id.clone(),
        local: log::voter_of(&config),
        can_be_voter: config.can_be_voter,
        bootstrap_servers: config.bootstrap_servers.len(),
        auto_join: config.auto_join,
        times: Times { fetch_timeout_ms: patience_ms(&config), ..config.times },
        fetch_max_bytes: config.fetch_max_bytes,
        fetch_snapshot_max_bytes: config.fetch_snapshot_max_bytes,
        seed: u64::from_le_bytes(random_bytes()),
    };
    let raft = Raft::new(raft_config, boot).map_err(|error| not_a_voter(&config, error))?;
    let (loader, bootstrap, next_commit) = load(&log, &config, latest, &raft)?;
    let machine = machine(loader.image().clone(), raft.voters().kraft_version().0);
    let image = Arc::new(ArcSwap::from_pointee(loader.image().clone()));
    let (status, watched) = watch::channel(QuorumStatus::default());
    let (commands, receiver) = channel();
    let handle = QuorumHandle {
        commands: commands.clone(),
        permits: Arc::new(Semaphore::new(REQUESTS_MAX)),
        image: Arc::clone(&image),
        status: watched,
    };
    let mut driver = Driver::new(Parts {
        config,
        clock,
        raft,
        log,
        machine,
        loader,
        image,
        status,
        commands,
        bootstrap,
        next_commit,
        network,
    });
    driver.start()?;
    Ok(Quorum { driver, receiver, handle })
}

impl<M: Machine> Quorum<M> {
    /// Starts the thread and gives the way to it.
    ///
    /// # Errors
    /// When the system has no threads left.
    pub fn serve(self) -> std::io::Result<QuorumHandle<M::Request, M::Reply>> {
        let Self { mut driver, receiver, handle } = self;
        let commands = handle.commands.clone();
        driver.publishing.start(Box::new(move |end| {
            // A quorum that has ended needs no word of it.
            let _ = commands.send(Command::Published { end });
        }))?;
        let thread = std::thread::Builder::new().name("metadata-quorum".into());
        thread.spawn(move || driver.run(&receiver))?;
        Ok(handle)
    }

    /// The image of everything committed so far.
    pub fn image(&self) -> Arc<Image> {
        self.handle.image()
    }
}

/// Followers hear of a leader in the same moments. If all gave it up in the same moment, too, they would all stand for election
/// and split the votes, so neighbours in the order of ids wait a little shorter than each other, at most a tenth.
fn patience_ms(config: &QuorumConfig) -> u64 {
    const STEPS: u64 = 8;
    let fetch_timeout_ms = config.times.fetch_timeout_ms;
    let step = u64::from(config.node_id.get().unsigned_abs()) % STEPS;
    fetch_timeout_ms.saturating_sub(fetch_timeout_ms / (10 * STEPS) * step)
}

/// A quorum of this very node, but with another directory: `meta.properties` is not the one that belongs here.
fn not_a_voter(config: &QuorumConfig, error: StartError) -> QuorumError {
    match &error {
        StartError::OtherDirectory { local, directory } => {
            let path = config.metadata_log_dir.join("meta.properties");
            let reason = format!(
                "its directory.id gives {directory}, but the quorum's voter {local} has another directory"
            );
            QuorumError::damaged(&path, reason)
        }
        _ => error.into(),
    }
}

/// The state of the newest snapshot, the records for an empty log, and the offset where replay goes on.
fn load(
    log: &MetadataLog,
    config: &QuorumConfig,
    latest: Option<(SnapshotId, Snapshot)>,
    raft: &Raft,
) -> Result<(Loader, Vec<MetadataRecord<'static>>, Offset), QuorumError> {
    let start = raft.log().start;
    let mut loader = Loader::default();
    match latest {
        // What formatting left: no state, but the records with which an empty log begins.
        Some((SnapshotId::BOOTSTRAP, snapshot)) if !snapshot.records.is_empty() => {
            Ok((loader, snapshot.records, start))
        }
        None | Some((SnapshotId::BOOTSTRAP, _)) => Ok((loader, old_bootstrap(log, config)?, start)),
        Some((id, snapshot)) => {
            if id.offset < start {
                let missing =
                    StartError::SnapshotMissing { log_start: start.get(), latest: Some(id) };
                return Err(missing.into());
            }
            let provenance = Provenance {
                offset: Offset(id.offset.get() - 1),
                epoch: LeaderEpoch(id.epoch),
                time: snapshot.last_contained,
            };
            let records = snapshot.records.into_iter().map(Ok::<_, ReplayError>);
            let path = snapshot::path(log.dir(), id);
            let offset = id.offset.get();
            loader.load_snapshot(provenance, records).map_err(|source| QuorumError::Replay {
                path,
                offset,
                source,
            })?;
            Ok((loader, Vec::new(), id.offset))
        }
    }
}

/// The file `bootstrap.checkpoint` that Kafka wrote before 4.4; without it, the newest `metadata.version` alone, as
/// Kafka assumes.
fn old_bootstrap(
    log: &MetadataLog,
    config: &QuorumConfig,
) -> Result<Vec<MetadataRecord<'static>>, QuorumError> {
    let path = config.metadata_log_dir.join("bootstrap.checkpoint");
    let found = log.disk().stat(&path).map_err(QuorumError::io("look at", &path))?;
    if found.is_some() {
        return Ok(snapshot::read(&**log.disk(), &path)?.records);
    }
    let level = FeatureLevelRecord {
        name: metadata::MetadataVersion::FEATURE_NAME.into(),
        feature_level: metadata::MetadataVersion::LATEST_PRODUCTION.level(),
        ..Default::default()
    };
    Ok(vec![MetadataRecord::FeatureLevel(level)])
}

#[cfg(test)]
mod tests;
