//! Several log directories: replicas that move between them under load, and through crashes; cordoned ones; those that fail.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

#[path = "../common/mod.rs"]
mod common;
mod moves;
mod place;
