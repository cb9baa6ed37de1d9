//! What can go wrong on the disk side of the quorum; every error names its file.

use std::io;
use std::path::{Path, PathBuf};

use protocol::{DecodeError, EncodeError};
use records::{BuildError, RecordsError};

#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} cannot be read: {source}", path.display())]
    Decode { path: PathBuf, source: DecodeError },
    #[error("a record cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("a batch cannot be written: {0}")]
    Build(#[from] BuildError),
    #[error(transparent)]
    Directory(#[from] storage::dirs::DirError),
    #[error("the metadata log: {0}")]
    Log(#[from] storage::log::LogError),
    #[error("{}: record at offset {offset} cannot be applied: {source}", path.display())]
    Replay { path: PathBuf, offset: i64, source: metadata::ReplayError },
    #[error("a record of the metadata log cannot be applied: {0}")]
    Apply(#[from] metadata::ReplayError),
    #[error(transparent)]
    Start(#[from] kraft::StartError),
    #[error("the thread that tells of metadata has panicked")]
    Publishing,
    #[error(
        "a batch of {bytes} bytes is larger than the metadata log allows ({max}); split the request"
    )]
    BatchTooLarge { bytes: usize, max: usize },
}

impl QuorumError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), reason: reason.into() }
    }

    pub(super) fn records(path: &Path) -> impl FnOnce(RecordsError) -> Self {
        move |source| Self::damaged(path, source.to_string())
    }

    pub(super) fn decode(path: &Path) -> impl FnOnce(DecodeError) -> Self {
        move |source| Self::Decode { path: path.to_path_buf(), source }
    }
}
