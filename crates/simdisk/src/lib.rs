//! Disks for tests: one in memory that forgets what was not synced, one that ends the process at a named point, and one of which a part
//! stands still.
//!
//! Development only. Must not know: logs, brokers, what is in a file. Start reading at [`SimDisk`].

mod file;
mod image;
pub mod kill;
mod loss;
mod names;
pub mod rng;
mod sim;
mod stall;

pub use kill::KillDisk;
pub use loss::Loss;
pub use sim::{Photo, SimDisk};
pub use stall::{Gate, StallDisk};
