//! Formatting of log directories: `meta.properties` in each, and the first snapshot in the metadata directory.
//!
//! Decides as `kafka-storage format` does, writes the same files, and is deterministic given ids and time.

mod features;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::{DirectoryId, NodeId, WallMs};
use kraft::{Endpoint, KRaftVersion, ReplicaKey, SnapshotId, VersionRange, Voter, VoterSet};
use metadata::record_version;
use protocol::metadata_records::MetadataRecord;
use storage::dirs::{DirError, DirMeta, MetaEnsemble, MetaProperties};
use storage::disk::Disk;

pub use features::{FeatureError, bootstrap_records, levels};
pub use metadata::{FEATURES, Feature, MetadataVersion};

use crate::quorum::snapshot::{self, SnapshotHead};
use crate::quorum::{METADATA_TOPIC, QuorumError};

/// What is to be formatted, and how.
#[derive(Clone, Debug)]
pub struct Format {
    pub node_id: NodeId,
    pub cluster_id: String,
    /// All of `log.dirs`, and `metadata.log.dir`.
    pub directories: Vec<PathBuf>,
    /// The one of them that holds the metadata log.
    pub metadata_dir: PathBuf,
    /// Only controllers get the first snapshot.
    pub is_controller: bool,
    pub features: Features,
    /// Leave directories alone that are formatted already; otherwise they are an error.
    pub ignore_formatted: bool,
    /// The first voters of a dynamic quorum, this node maybe among them; `None` with static voters.
    pub initial_voters: Option<VoterSet>,
    /// Records for an empty log beside the feature levels, such as SCRAM credentials.
    pub more_records: Vec<MetadataRecord<'static>>,
}

/// Which levels the features of a new cluster get.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// `--release-version`
    pub release: Option<MetadataVersion>,
    /// `--feature NAME=LEVEL`
    pub levels: BTreeMap<String, i16>,
    /// `unstable.feature.versions.enable`
    pub unstable: bool,
    /// `controller.quorum.voters` is not set.
    pub dynamic_quorum: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error(transparent)]
    Features(#[from] FeatureError),
    #[error(
        "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
        .0.display()
    )]
    AlreadyFormatted(PathBuf),
    #[error("The specified metadata log directory, {}, was not one of the given directories: {}", dir.display(), all.join(", "))]
    ForeignMetadataDir { dir: PathBuf, all: Vec<String> },
    #[error("You must specify at least one directory to format")]
    NoDirectories,
    #[error("No available log directories to format.")]
    NoneAvailable,
    #[error(transparent)]
    MetaProperties(#[from] DirError),
    #[error(transparent)]
    Snapshot(#[from] QuorumError),
    #[error("cannot create {}: {source}", path.display())]
    Create { path: PathBuf, source: std::io::Error },
}

impl Format {
    /// Formats what is not formatted yet. Returns what `kafka-storage format` prints, line by line.
    ///
    /// # Errors
    /// Before anything is written, when the wishes or what is found contradict each other.
    pub fn run(
        &self,
        disk: &dyn Disk,
        now: WallMs,
        new_directory_id: &mut dyn FnMut() -> DirectoryId,
    ) -> Result<Vec<String>, FormatError> {
        let mut dirs = self.directories.clone();
        dirs.sort();
        dirs.dedup();
        if dirs.is_empty() {
            return Err(FormatError::NoDirectories);
        }
        if !dirs.contains(&self.metadata_dir) {
            let all = dirs.iter().map(|dir| dir.display().to_string()).collect();
            return Err(FormatError::ForeignMetadataDir { dir: self.metadata_dir.clone(), all });
        }
        let levels = levels(&self.features)?;
        let mut records = bootstrap_records(&levels);
        records.extend(self.more_records.iter().cloned());

        let found = MetaEnsemble::load(disk, dirs.iter().map(PathBuf::as_path));
        if let Some((first, _)) = found.present().next() {
            found.verify(Some(&self.cluster_id), Some(self.node_id), None)?;
            if !self.ignore_formatted {
                return Err(FormatError::AlreadyFormatted(first.to_path_buf()));
            }
        }
        let mut lines = Vec::new();
        for (dir, meta) in found.dirs() {
            if matches!(meta, DirMeta::Unreadable(_)) {
                let dir = dir.display();
                lines.push(format!("I/O error trying to read log directory {dir}. Ignoring..."));
            }
        }
        let missing: Vec<&Path> = found.missing().collect();
        if missing.is_empty() && found.present().next().is_none() {
            return Err(FormatError::NoneAvailable);
        }
        if missing.is_empty() {
            lines.push("All of the log directories are already formatted.".to_owned());
            return Ok(lines);
        }
        let release = level_of(&levels, MetadataVersion::FEATURE_NAME);
        lines.push(format!("Bootstrap metadata: {}", describe(&records, release)));
        let release = MetadataVersion::from_level(release).unwrap_or(MetadataVersion::MINIMUM);
        for dir in missing {
            let kind = self.kind_of(dir);
            let shown = dir.display();
            lines.push(format!("Formatting {kind} {shown} with metadata.version {release}."));
            disk.create_dir(dir)
                .map_err(|source| FormatError::Create { path: dir.to_path_buf(), source })?;
            if dir == self.metadata_dir && self.is_controller {
                self.write_snapshot(disk, dir, &levels, &records, release, now)?;
            }
            let id = match self.own_voter() {
                Some(voter) if dir == self.metadata_dir => voter.key.directory_id,
                _ => None,
            };
            let id = id.unwrap_or_else(&mut *new_directory_id);
            // Last: a directory without this file counts as not formatted.
            MetaProperties::new(&self.cluster_id, self.node_id, id).write(disk, dir, now)?;
        }
        Ok(lines)
    }

    fn own_voter(&self) -> Option<&Voter> {
        self.initial_voters.as_ref()?.get(self.node_id)
    }

    fn kind_of(&self, dir: &Path) -> &'static str {
        if dir != self.metadata_dir {
            "data directory"
        } else if self.initial_voters.is_none() {
            "metadata directory"
        } else if self.own_voter().is_some() {
            "dynamic metadata voter directory"
        } else {
            "dynamic metadata directory"
        }
    }

    fn write_snapshot(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        levels: &BTreeMap<String, i16>,
        records: &[MetadataRecord<'static>],
        release: MetadataVersion,
        now: WallMs,
    ) -> Result<(), FormatError> {
        let head = SnapshotHead {
            id: SnapshotId::BOOTSTRAP,
            last_contained: now,
            kraft_version: KRaftVersion(level_of(levels, Feature::KRAFT_VERSION)),
            voters: self.initial_voters.as_ref(),
        };
        let records = records.iter().cloned().map(|record| {
            let version = record_version(&record, release);
            (record, version)
        });
        let dir = dir.join(format!("{METADATA_TOPIC}-0"));
        // One process formats at a time: nobody else writes this snapshot.
        snapshot::write(disk, &dir, head, records, now, 0)?;
        Ok(())
    }
}

fn level_of(levels: &BTreeMap<String, i16>, name: &str) -> i16 {
    levels.get(name).copied().unwrap_or(0)
}

/// The text of Kafka's `BootstrapMetadata` for these records.
fn describe(records: &[MetadataRecord<'_>], metadata_version: i16) -> String {
    let record = |record: &MetadataRecord<'_>| match record {
        MetadataRecord::FeatureLevel(level) => format!(
            "ApiMessageAndVersion(FeatureLevelRecord(name='{}', featureLevel={}) at version 0)",
            level.name, level.feature_level
        ),
        other => format!("ApiMessageAndVersion(record of type {} at version 0)", other.api_key()),
    };
    let records: Vec<String> = records.iter().map(record).collect();
    format!(
        "BootstrapMetadata(records=[{}], metadataVersionLevel={metadata_version}, source=format command)",
        records.join(", ")
    )
}

/// The voters that `--standalone` stands for: this node alone, at its controller listener.
pub fn standalone_voters(node_id: NodeId, directory: DirectoryId, listener: Endpoint) -> VoterSet {
    VoterSet::from_iter([Voter {
        key: ReplicaKey::new(node_id, directory),
        endpoints: vec![listener],
        kraft_versions: VersionRange { min: 0, max: 1 },
    }])
}

/// The voters that `--initial-controllers` names: number, directory and address, all at one listener.
pub fn initial_voters(
    listener: &str,
    voters: impl IntoIterator<Item = (NodeId, DirectoryId, String, u16)>,
) -> VoterSet {
    let voter = |(id, directory, host, port)| Voter {
        key: ReplicaKey::new(id, directory),
        endpoints: vec![Endpoint { name: listener.to_owned(), host, port }],
        kraft_versions: VersionRange { min: 0, max: 1 },
    };
    voters.into_iter().map(voter).collect()
}
