//! Consumer groups against Kafka's rules, without a broker.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod errors;
mod harness;
mod log;
mod membership;
mod migration;
mod offsets;
mod subscriptions;
