//! The runtime of every coordinator: a shard decides, its log remembers, replies wait for the high watermark.
//!
//! Pure. Must not know: which coordinator it hosts, partitions, files, sockets. One [`ShardRuntime`] per partition of an internal
//! topic; the driver feeds events, executes effects and owns the only road to the log.

mod load;
mod placement;
mod runtime;
mod shard;
pub mod testing;
mod timers;

pub use load::LoadError;
pub use placement::{partition_for, string_hash};
pub use runtime::{Effect, Event, Linger, RuntimeConfig, ShardRuntime};
pub use shard::{Decision, LogRecord, Producer, Shard, decision, error_for_client};
pub use timers::Timers;
