//! `.kafka_cleanshutdown`: the last thing written at a clean stop, and removed at the next start.

use std::path::Path;

use base::BrokerEpoch;

use super::error::{DirError, Result};
use super::small_file;
use crate::disk::{Disk, OpenMode};

pub const FILE_NAME: &str = ".kafka_cleanshutdown";
const MAX_BYTES: usize = 4096;
/// An epoch is an offset of the metadata log, which a million records a second do not bring here in eight years.
const EPOCH_MAX: i64 = 1 << 48;

/// The log directory was stopped cleanly. What the file says does not matter for that.
pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let path = dir.join(FILE_NAME);
    Ok(disk.stat(&path).map_err(DirError::io("read", &path))?.is_some())
}

/// Takes the marker away, durably: from now on a stop is unclean. Tells whether it was there.
pub fn remove(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    small_file::remove(disk, &dir.join(FILE_NAME))
}

/// Marks the directory as stopped cleanly by the broker with this epoch (-1 without one).
pub fn write(disk: &dyn Disk, dir: &Path, epoch: BrokerEpoch) -> Result<()> {
    let path = dir.join(FILE_NAME);
    let text = format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}");
    let file = disk.open(&path, OpenMode::CreateEmpty).map_err(DirError::io("create", &path))?;
    file.write_at(text.as_bytes(), 0).map_err(DirError::io("write", &path))?;
    file.sync_data().map_err(DirError::io("sync", &path))?;
    small_file::sync_parent(disk, &path)
}

/// The epoch in the marker; `None` when there is none or it cannot be read, as older Kafka versions left it empty, or when no broker
/// can have had it: a damaged number says nothing about the metadata log.
pub fn read_epoch(disk: &dyn Disk, dir: &Path) -> Option<BrokerEpoch> {
    let path = dir.join(FILE_NAME);
    let text = small_file::read_text(disk, &path, "clean shutdown marker", MAX_BYTES).ok()??;
    let (_, value) = text.split_once("\"brokerEpoch\"")?;
    let value = value.trim_start().strip_prefix(':')?.trim_start();
    let end = value.find([',', '}']).unwrap_or(value.len());
    let epoch = value.get(..end)?.trim_end().parse().ok();
    epoch.filter(|epoch| *epoch <= EPOCH_MAX).map(BrokerEpoch)
}

/// The epoch that all directories agree on, which the broker tells the controller to prove its clean stop.
pub fn common_epoch<'a>(
    disk: &dyn Disk,
    dirs: impl IntoIterator<Item = &'a Path>,
) -> Option<BrokerEpoch> {
    let mut epochs = dirs.into_iter().map(|dir| read_epoch(disk, dir));
    let first = epochs.next()??;
    epochs.all(|epoch| epoch == Some(first)).then_some(first)
}
