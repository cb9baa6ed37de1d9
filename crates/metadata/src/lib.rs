//! The cluster's metadata: an immutable image, changed only by replaying records into it, told to publishers.
//!
//! Must not know: who made the records, consensus, the controller, sockets, files.
//!
//! [`Image`] is the state after a prefix of the metadata log; cloning it costs a few reference counts. [`Image::replay`]
//! is the only place where it changes; a [`Delta`] collects what was touched. [`Loader`] adds transactions and
//! publication, [`Image::to_records`] writes a snapshot.

mod acls;
mod cluster;
mod configs;
mod delta;
mod error;
mod features;
mod image;
mod loader;
mod local_changes;
mod partition;
mod producer_ids;
mod quotas;
mod replay;
mod scram;
mod snapshot;
mod tokens;
mod topics;
mod transaction;
mod version;

pub use acls::Acl;
pub use cluster::{BrokerRegistration, Cluster, ControllerRegistration, Endpoint, VersionRange};
pub use configs::{ConfigMap, ConfigResource, ConfigResourceType, Configs};
pub use delta::Delta;
pub use error::ReplayError;
pub use features::{FEATURES, Feature, FeatureLevel, FinalizedFeatures};
pub use image::{Image, Provenance};
pub use loader::{Committed, Loader, Publisher, Update};
pub use local_changes::{LocalPartition, LocalReplicaChanges};
pub use partition::{LeaderRecoveryState, Partition};
pub use producer_ids::NextProducerId;
pub use quotas::{QuotaEntity, Quotas};
pub use scram::{ScramCredential, ScramMechanism};
pub use snapshot::record_version;
pub use tokens::DelegationToken;
pub use topics::{Topic, Topics};
pub use transaction::{Transaction, TransactionError};
pub use version::MetadataVersion;
