//! Registered brokers and controllers.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{BrokerEpoch, DirectoryId, NodeId, Uuid};
use rpds::RedBlackTreeMapSync;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener.
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// Kafka's code: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// Levels of a feature that a node supports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    pub min: i16,
    pub max: i16,
}

impl VersionRange {
    pub const fn contains(self, level: i16) -> bool {
        self.min <= level && level <= self.max
    }
}

/// One registration of a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerRegistration {
    pub id: NodeId,
    /// Offset of the registration record.
    pub epoch: BrokerEpoch,
    /// New at every start of the process.
    pub incarnation_id: Uuid,
    pub endpoints: Box<[Endpoint]>,
    pub features: BTreeMap<Arc<str>, VersionRange>,
    pub rack: Option<Arc<str>>,
    /// May not lead nor be in sync: not caught up yet, or silent for too long.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Left over from migrations; kept as it was read.
    pub is_migrating_zk_broker: bool,
    /// Online log directories, sorted.
    pub directories: Box<[DirectoryId]>,
    /// Directories that take no new replicas, sorted; `None` when the broker never told.
    pub cordoned_directories: Option<Box<[DirectoryId]>>,
}

impl BrokerRegistration {
    /// Neither fenced nor leaving: may lead and be in sync.
    pub const fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == listener)
    }

    /// Whether a replica in `directory` can work; a broker that names no directories, and the ids that stand for
    /// "not chosen yet" and "never told", count as working.
    pub fn has_online_directory(&self, directory: DirectoryId) -> bool {
        directory == Uuid::DIR_UNASSIGNED
            || directory == Uuid::DIR_MIGRATING
            || directory != Uuid::DIR_LOST
                && (self.directories.is_empty()
                    || self.directories.binary_search(&directory).is_ok())
    }

    /// False when every directory is cordoned: the broker takes no new replicas.
    pub fn has_uncordoned_directory(&self) -> bool {
        let Some(cordoned) = &self.cordoned_directories else { return true };
        self.directories.is_empty()
            || self.directories.iter().any(|directory| !cordoned.contains(directory))
    }

    /// Where a new replica goes as far as that is known: the only directory, else the broker chooses.
    pub fn default_directory(&self) -> DirectoryId {
        match &*self.directories {
            [] => Uuid::DIR_MIGRATING,
            [only] => *only,
            _ => Uuid::DIR_UNASSIGNED,
        }
    }
}

/// A controller's registration (KIP-919).
#[derive(Clone, Debug, PartialEq)]
pub struct ControllerRegistration {
    pub id: NodeId,
    pub incarnation_id: Uuid,
    /// Left over from migrations; kept as it was read.
    pub zk_migration_ready: bool,
    pub endpoints: Box<[Endpoint]>,
    pub features: BTreeMap<Arc<str>, VersionRange>,
}

/// Every registered node.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Cluster {
    pub brokers: RedBlackTreeMapSync<NodeId, BrokerRegistration>,
    pub controllers: RedBlackTreeMapSync<NodeId, ControllerRegistration>,
}

impl Cluster {
    pub fn broker(&self, id: NodeId) -> Option<&BrokerRegistration> {
        self.brokers.get(&id)
    }

    /// Whether the broker is registered, unfenced and not leaving.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(BrokerRegistration::is_active)
    }

    /// Registered and not fenced.
    pub fn is_unfenced(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(|broker| !broker.fenced)
    }
}
