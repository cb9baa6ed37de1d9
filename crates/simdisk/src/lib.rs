//! Disks for tests: one in memory that forgets what was not synced, and one that ends the process at a named point.
//!
//! Development only. Must not know: logs, brokers, what is in a file. Start reading at [`SimDisk`].

mod file;
pub mod kill;
mod loss;
mod names;
pub mod rng;
mod sim;

pub use kill::KillDisk;
pub use loss::Loss;
pub use sim::{Photo, SimDisk};
