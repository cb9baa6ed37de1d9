//! The log on disk, exactly in Kafka's layout: segments, indexes, recovery, producer state, checkpoints, log directories.
//!
//! Must not know: replication, the metadata image, coordinators, sockets. Start reading at [`log::Log`], the log of one
//! partition; [`disk`] is the trait under all of it, [`pool`] bounds the open files.

pub mod disk;
pub mod log;
pub mod pool;

pub use disk::{Disk, DiskFile, RealDisk};
pub use log::{Log, LogConfig, LogError};
pub use pool::FilePool;
