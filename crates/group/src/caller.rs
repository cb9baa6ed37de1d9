//! Who asks, as far as a group cares.

use std::sync::Arc;

use base::Uuid;

/// The client behind a request that may make it a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Of the request's API.
    pub version: i16,
    pub client_id: Arc<str>,
    /// As Kafka prints addresses: `/127.0.0.1`.
    pub client_host: Arc<str>,
    /// Random, for a member id that the coordinator makes.
    pub fresh_id: Uuid,
}
