//! What can be wrong with a log directory; every variant names the file or directory.

use std::io;
use std::path::{Path, PathBuf};

use base::{TopicId, TopicPartition, Uuid};

use crate::disk;
use crate::log::LogError;

pub type Result<T, E = DirError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The disk failed: the directory must go offline.
    #[error("Cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A small file whose content is not what its name promises.
    #[error("{path} is not a valid {what}: {reason}", path = path.display())]
    Invalid { path: PathBuf, what: &'static str, reason: String },
    #[error(
        "Failed to acquire lock on file .lock in {dir}. A Kafka instance in another process or thread is using this directory.",
        dir = dir.display()
    )]
    Locked { dir: PathBuf },
    #[error("Duplicate log directory found: {dir}", dir = dir.display())]
    DuplicateDir { dir: PathBuf },
    #[error("{path} is not a directory", path = path.display())]
    NotADirectory { path: PathBuf },
    #[error(
        "Found directory {path}, '{name}' is not in the form of topic-partition or topic-partition.uniqueId-delete (if marked for deletion). Log directories (and children) should only contain Kafka topic data.",
        path = path.display()
    )]
    NotAPartition { path: PathBuf, name: String },
    #[error("Invalid cluster.id in: {path}. Expected {expected}, but read {found}", path = path.display())]
    WrongClusterId { path: PathBuf, expected: String, found: String },
    #[error(
        "Stored node id {found} doesn't match previous node id {expected} in {path}. If you moved your data, make sure your configured node id matches.",
        path = path.display()
    )]
    WrongNodeId { path: PathBuf, expected: i32, found: i32 },
    #[error("Invalid reserved directory ID {id} found in {path}", path = path.display())]
    ReservedDirectoryId { path: PathBuf, id: Uuid },
    #[error(
        "Duplicate directory ID {id} found. It was the ID of {first}, but also of {second}",
        first = first.display(), second = second.display()
    )]
    DuplicateDirectoryId { id: Uuid, first: PathBuf, second: PathBuf },
    #[error("No readable meta.properties files found.")]
    NoMetaProperties,
    #[error(
        "Duplicate log directories for {partition} are found in both {first} and {second}. It is likely because log directory failure happened while broker was replacing current replica with future replica. Recover broker from this failure by manually deleting one of the two directories for this partition. It is recommended to delete the partition in the log directory that is known to have failed recently.",
        first = first.display(), second = second.display()
    )]
    DuplicateLog { partition: TopicPartition, first: PathBuf, second: PathBuf },
    #[error("None of the log directories is online: {dirs}")]
    NoneOnline { dirs: String },
    #[error("Log directory {dir} is offline: {cause}", dir = dir.display())]
    Offline { dir: PathBuf, cause: String },
    #[error("Log directory {dir} is cordoned", dir = dir.display())]
    Cordoned { dir: PathBuf },
    #[error("Can not create log for {partition} because log directories {dirs} are offline")]
    MaybeOffline { partition: TopicPartition, dirs: String },
    #[error("Log directory {dir} is not one of the configured ones")]
    UnknownDir { dir: String },
    #[error(
        "Tried to assign topic ID {wanted} to log for topic partition {partition}, but log already contained topic ID {found}"
    )]
    TopicId { partition: TopicPartition, wanted: TopicId, found: TopicId },
    #[error(transparent)]
    Log(#[from] LogError),
}

impl DirError {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    pub(crate) fn invalid(
        path: impl AsRef<Path>,
        what: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self::Invalid { path: path.as_ref().to_path_buf(), what, reason: reason.into() }
    }

    /// The disk failed: the log directory must go offline.
    pub fn is_disk_failure(&self) -> bool {
        match self {
            Self::Io { .. } => !self.is_full(),
            Self::Log(fault) => fault.is_disk_failure(),
            _ => false,
        }
    }

    /// The disk is well, but full: the operation can be repeated when there is space again. A failed sync never is.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { action, source, .. } => *action != "sync" && disk::is_full(source),
            Self::Log(fault) => fault.is_full(),
            _ => false,
        }
    }
}
