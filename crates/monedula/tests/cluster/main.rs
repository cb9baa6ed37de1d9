//! Clusters of several processes: separate and combined roles, requests that travel to the active controller.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod envelope;
mod failed_dir;
mod fetchers;
mod forwarded;
mod replication;
mod roles;
