//! Why a node does not start: what is wrong, with which key or file, and what to do.

use base::DirectoryId;
use net::server::BindError;
use storage::dirs::DirError;

use crate::format::FormatError;
use crate::quorum::QuorumError;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A legal configuration that this release cannot run.
    #[error("{key}={value} is not supported yet: {expected}")]
    Unsupported { key: &'static str, value: String, expected: &'static str },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Directory(#[from] DirError),
    #[error("cannot create the log directory {}: {source}", path.display())]
    Create { path: std::path::PathBuf, source: std::io::Error },
    #[error("{} is missing, but the directory holds data: put the file back, or run the format command", path.display())]
    LostMeta { path: std::path::PathBuf },
    #[error(
        "No `meta.properties` found in {}, while other directories of this node hold data. If its disk is not mounted, mount it. A new, empty \
         disk is formatted with: monedula format --ignore-formatted --cluster-id ID --config FILE", path.display()
    )]
    Unformatted { path: std::path::PathBuf },
    #[error("{} is not of version 1, which a node with KRaft needs: damaged, or from the days of ZooKeeper", path.display())]
    OldMeta { path: std::path::PathBuf },
    /// Which cluster an empty directory belongs to must be said where there are other nodes.
    #[error("{} is not formatted: run the format command with the cluster's id, or set cluster.id", path.display())]
    NotFormatted { path: std::path::PathBuf },
    #[error("cannot format the log directories: {0}")]
    Format(#[from] FormatError),
    #[error("the metadata directory {0} is not among the formatted ones")]
    NoMetadataDirectory(String),
    #[error("the metadata quorum does not start: {0}")]
    Quorum(#[from] QuorumError),
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    #[error("the quorum stopped while the node was starting{}", .0.as_deref().map(|r| format!(": {r}")).unwrap_or_default())]
    QuorumStopped(Option<String>),
    #[error("the controller does not take this broker's registration")]
    NotRegistered,
    #[error("directory id {0} is reserved")]
    ReservedDirectory(DirectoryId),
}

impl StartError {
    /// Whether the configuration is at fault: the process then exits with 2, and has touched no data.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// Whether a disk is at fault.
    pub fn is_disk_failure(&self) -> bool {
        match self {
            Self::Create { .. } => true,
            Self::Directory(fault) => fault.is_disk_failure(),
            _ => false,
        }
    }
}
