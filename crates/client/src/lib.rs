//! Kafka client: metadata, admin, producer, consumer. What the command line and the applications use.
//!
//! Must not know: any server crate.
