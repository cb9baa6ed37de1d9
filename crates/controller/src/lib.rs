//! The controller's decisions: topics, partitions, brokers, configs, features, producer ids.
//! `handle(at, request, random) -> { records, reply, timers }`; state changes only by replay.
//!
//! Must not know: consensus, network, files, clocks, randomness (they are arguments).
//!
//! The driver appends the records of every outcome, replays each of them here at once with its offset, and releases
//! the reply when they are committed; a reply without records waits for what was appended before it. When an append
//! fails it calls [`Controller::reset`] with the committed image. Start reading at [`Controller::handle`].

mod activation;
mod brokers;
mod configs;
mod effective;
mod error;
mod features;
mod handle;
pub mod invariants;
pub mod lifecycle;
mod partitions;
mod producer_ids;
mod random;
mod request;
mod settings;
mod state;
mod topics;

pub use error::ApiError;
pub use handle::{At, Controller, Outcome};
pub use random::Random;
pub use request::{ControllerReply, ControllerRequest, ControllerTimer};
pub use settings::Settings;
pub use topics::names::why_invalid as why_topic_name_invalid;
