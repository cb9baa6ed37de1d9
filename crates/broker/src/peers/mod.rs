//! The way to other nodes: one connection per address and channel, opened when first needed, with the versions that both sides
//! speak.
//!
//! A connection that is lost is opened anew by the next request, after a pause that grows; nothing is sent twice. Whoever asks
//! decides whether to ask again.
//!
//! Must not know: what requests are for, who leads what.

mod error;
mod open;
mod slot;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use bytes::Bytes;
use config::BrokerConfig;
use net::{Budget, BudgetPermit, LinkLimits};
use parking_lot::Mutex;
use protocol::{Decode, Encode, Message, OfferedVersions};
use tokio::time::Instant;

pub use error::PeerError;
use slot::Slot;

/// Requests that one connection may have under way.
const IN_FLIGHT_MAX: usize = 256;
/// What an answer may be larger than the records it was asked for: names, errors, the first batch of a fetch.
const ANSWER_BYTES_ROOM: usize = 16 << 20;
/// What the answers of all peers together may take: as much as two of the largest, at least this.
const BUDGET_BYTES_MIN: usize = 256 << 20;
/// Connections are looked through for old ones when there are more than this.
const SLOTS_WANTED: usize = 64;

/// Where a node listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    pub host: Arc<str>,
    pub port: u16,
}

impl Address {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a connection is for. Requests of one channel to one address follow each other; those of others do not wait for them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// The metadata quorum.
    Quorum,
    /// Registrations, heartbeats and what else a node itself asks the active controller.
    Controller,
    /// Requests of clients on their way to the active controller.
    Forward,
    AlterPartition,
    ProducerIds,
    /// AssignReplicasToDirs.
    Directories,
    ControllerRegistration,
    /// Replication, by the fetcher's number.
    Fetcher(u16),
    /// OffsetForLeaderEpoch and ListOffsets of that fetcher.
    Epochs(u16),
    /// Transaction markers, by the lane's number.
    Markers(u8),
    /// Questions to the coordinators of transactions.
    Transactions,
}

/// A request that can be sent to a peer.
pub trait OutRequest: Message + Encode {}

impl<T: Message + Encode> OutRequest for T {}

/// An answer: the version it is in, and its bytes, of which slices can be kept.
#[derive(Debug)]
pub struct Answered {
    pub version: i16,
    body: Bytes,
    /// The memory stays charged as long as the answer is held.
    _permit: BudgetPermit,
}

impl Answered {
    /// The message; bytes that are left over are an error.
    pub fn decode<'a, M: Message + Decode<'a>>(&'a self) -> Result<M, PeerError> {
        protocol::decode_exact(&self.body, self.version)
            .map_err(|source| PeerError::Unreadable { what: M::NAME, source })
    }

    /// The bytes after the header. Slices of them share the memory, but not its charge.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// How this node reaches others.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    pub node_id: NodeId,
    pub limits: LinkLimits,
    /// Offer and use versions that are not stable yet.
    pub unstable: bool,
}

impl PeersConfig {
    pub fn new(config: &BrokerConfig) -> Self {
        let ms = |value: i64| u64::try_from(value).unwrap_or(0);
        let bytes = |value: i32| usize::try_from(value).unwrap_or(0);
        let socket = &config.socket;
        let records =
            bytes(socket.request_max_bytes).max(bytes(config.replication.fetch_response_max_bytes));
        let answer_bytes_max = records.saturating_add(ANSWER_BYTES_ROOM);
        let limits = LinkLimits {
            answer_bytes_max,
            budget: Budget::new(answer_bytes_max.saturating_mul(2).max(BUDGET_BYTES_MIN)),
            in_flight_max: IN_FLIGHT_MAX,
            connect_timeout_ms: ms(socket.connection_setup_timeout_ms),
            // A negative time is none.
            idle_ms_max: u64::try_from(socket.connections_max_idle_ms).unwrap_or(u64::MAX),
        };
        Self { node_id: config.node_id, limits, unstable: config.node.unstable_api_versions_enable }
    }
}

/// All connections of this node to others. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    config: PeersConfig,
    slots: Mutex<HashMap<(Address, Channel), Arc<Slot>>>,
}

impl Peers {
    pub fn new(config: PeersConfig) -> Self {
        Self { inner: Arc::new(Inner { config, slots: Mutex::default() }) }
    }

    /// Sends a request in the highest version that both sides speak and waits for the answer, `within` in all. `build` makes the
    /// request for that version.
    ///
    /// # Errors
    /// When there is no answer, or none that can be asked for. Whether the request was carried out is then known only for
    /// [`PeerError::unsent`].
    pub async fn send<R: OutRequest>(
        &self,
        to: &Address,
        channel: Channel,
        within: Duration,
        build: impl FnOnce(i16) -> Result<R, PeerError>,
    ) -> Result<Answered, PeerError> {
        self.send_up_to(to, channel, within, i16::MAX, build).await
    }

    /// As [`Self::send`], at most in version `cap`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_up_to<R: OutRequest>(
        &self,
        to: &Address,
        channel: Channel,
        within: Duration,
        cap: i16,
        build: impl FnOnce(i16) -> Result<R, PeerError>,
    ) -> Result<Answered, PeerError> {
        let deadline = Instant::now() + within;
        let slot = self.slot(to, channel);
        slot.send(&self.inner.config, deadline, cap, build).await
    }

    /// Which versions that peer serves.
    ///
    /// # Errors
    /// When the peer cannot be reached.
    pub async fn versions(
        &self,
        to: &Address,
        channel: Channel,
        within: Duration,
    ) -> Result<Arc<OfferedVersions>, PeerError> {
        let deadline = Instant::now() + within;
        self.slot(to, channel).versions(&self.inner.config, deadline).await
    }

    /// As [`Self::versions`], as far as an open connection of that channel knows.
    pub fn known_versions(&self, to: &Address, channel: Channel) -> Option<Arc<OfferedVersions>> {
        let slots = self.inner.slots.lock();
        slots.get(&(to.clone(), channel))?.known_versions()
    }

    /// Ends the connection of a channel: answers come in order, and what is asked next would wait for one that nobody wants any
    /// more.
    pub fn close(&self, to: &Address, channel: Channel) {
        let slots = self.inner.slots.lock();
        if let Some(slot) = slots.get(&(to.clone(), channel)) {
            slot.close();
        }
    }

    fn slot(&self, to: &Address, channel: Channel) -> Arc<Slot> {
        let mut slots = self.inner.slots.lock();
        let key = (to.clone(), channel);
        if let Some(slot) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS_WANTED {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_open());
        }
        let slot = Arc::new(Slot::new(to.clone(), self.client_id(channel)));
        slots.insert(key, Arc::clone(&slot));
        slot
    }

    /// The client id of a channel, as Kafka's brokers call themselves.
    fn client_id(&self, channel: Channel) -> Arc<str> {
        let id = self.inner.config.node_id;
        match channel {
            Channel::Quorum => format!("raft-client-{id}"),
            Channel::Fetcher(n) | Channel::Epochs(n) => format!("broker-{id}-fetcher-{n}"),
            _ => id.to_string(),
        }
        .into()
    }
}
