//! Simulations: pure machines of the product in made-up worlds where one seed decides everything that happens.
//!
//! Development only. Worlds must not know: brokers, sockets, files, real clocks.

pub mod cluster;
pub mod groups;
mod rng;
pub mod seeds;
pub mod transactions;

pub use rng::Rng;
