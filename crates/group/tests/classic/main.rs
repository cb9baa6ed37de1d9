//! Classic groups against Kafka's rules: scenarios on a shard without a broker.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod joining;
mod leaving;
mod log;
mod offsets;
mod statics;
mod time;
mod world;
