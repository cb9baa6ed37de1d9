//! The log on disk, exactly in Kafka's layout: segments, indexes, recovery, producer state, checkpoints, log directories.
//!
//! Must not know: replication, the metadata image, coordinators, sockets. Start reading at [`log::Log`], the log of one
//! partition; [`disk`] is the trait under all of it, [`pool`] bounds the open files, [`verify`] looks for damage without changing anything.

pub mod dirs;
pub mod disk;
pub mod log;
pub mod pool;
pub mod space;
pub mod verify;

pub use disk::{Disk, DiskFile, RealDisk};
pub use log::{Log, LogConfig, LogError};
pub use pool::FilePool;

/// Bytes of the volume that holds `dir`: all of them, and those that are left for this process.
pub fn volume_bytes(dir: &std::path::Path) -> std::io::Result<(i64, i64)> {
    let volume = rustix::fs::statvfs(dir)?;
    let bytes =
        |blocks: u64| i64::try_from(blocks.saturating_mul(volume.f_frsize)).unwrap_or(i64::MAX);
    Ok((bytes(volume.f_blocks), bytes(volume.f_bavail)))
}
