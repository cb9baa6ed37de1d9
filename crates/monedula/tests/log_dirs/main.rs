//! Several log directories: one that stands still, replicas that move between them under load, and through crashes; cordoned ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

mod cleaner;
#[path = "../common/mod.rs"]
mod common;
mod faulty;
mod heals;
mod late;
mod moves;
mod place;
#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "../transactions/producer.rs"]
mod producer;
mod slow;
mod standing;
mod transactions;
