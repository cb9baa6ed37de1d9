//! Kafka client: metadata, admin, producer, consumer. What the command line and the applications use.
//!
//! Must not know: any server crate.

pub mod admin;
pub mod backoff;
pub mod cluster;
pub mod consumer;
pub mod error;
pub mod group;
pub mod metadata;
pub mod murmur2;
pub mod options;
pub mod producer;
pub mod transport;

pub use admin::Admin;
pub use cluster::{Client, Target};
pub use consumer::Consumer;
pub use error::{Error, Result, TransactionFault};
pub use group::GroupConsumer;
pub use metadata::Metadata;
pub use options::{Address, ClientOptions};
pub use producer::Producer;
