//! Log directories: their small files, and the manager of all logs in them.
//!
//! Everything is in Kafka's own formats and written so that a crash leaves the old or the new file. Start reading at
//! [`LogManager`].

pub mod checkpoint;
pub mod clean_shutdown;
mod cleaning;
pub mod error;
mod failing;
mod load;
pub mod lock;
pub mod manager;
pub mod meta;
mod moves;
pub mod names;
pub mod partition_metadata;
mod progress;
mod properties;
mod removals;
mod small_file;
mod space;
mod unopened;
mod upkeep;

pub use checkpoint::{Offsets, read_offsets, write_offsets};
pub use cleaning::{CleanResult, Grabbed};
pub use error::DirError;
pub use load::{Assigned, LoadOptions, LoadReport};
pub use lock::DirLock;
pub use manager::{DirFailure, DirStatus, LogEntry, LogManager, NewLog, SharedLog, Unique};
pub use meta::{DirMeta, MetaEnsemble, MetaProperties, MetaVersion};
pub use moves::{Changes, NewFuture, Promoted};
pub use names::{DirKind, dir_name, fits_future, marked_dir_name, parse_dir_name};
pub use upkeep::Deleted;
