//! Bad input of every kind against the whole binary: answered as Kafka answers, refused with a reason, or recovered; the node lives on
//! and its memory stays flat.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod configuration;
mod damage;
mod directories;
mod frames;
mod groups;
mod mutations;
mod peers;
mod produce;
mod requests;
