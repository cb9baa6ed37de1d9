//! Transactions over the wire: committed, aborted, fenced, timed out; on one node and on several; and what is no transaction.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

#[path = "../common/mod.rs"]
mod common;
mod damaged;
mod limits;
mod many;
mod nodes;
mod producer;
mod single;
mod strangers;
