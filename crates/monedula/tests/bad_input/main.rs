//! Bad input of every kind against the whole binary: answered as Kafka answers, refused with a reason, or recovered; the node lives on
//! and its memory stays flat.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod configuration;
mod damage;
mod damages;
mod directories;
mod frames;
mod group_fences;
mod group_floods;
mod group_words;
mod groups;
mod members;
mod mutations;
mod peers;
mod produce;
mod requests;
mod verify;
