//! Names and shapes that every crate shares: ids, times, the contract of the pure machines.
//!
//! Must not know: the wire, any behaviour, clocks or randomness (they are arguments everywhere).

pub mod ids;
pub mod machine;
pub mod seeded;
pub mod time;
pub mod uuid;

pub use ids::*;
pub use time::{MonoMs, WallMs};
pub use uuid::Uuid;
