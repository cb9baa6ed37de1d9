//! Settings of the quorum's driver, filled from the broker's configuration.

use std::path::PathBuf;
use std::sync::Arc;

use base::{DirectoryId, NodeId};
use kraft::cleaning::Retention;
use kraft::{Endpoint, Times, VersionRange, VoterSet};

use super::check::Reached;
use crate::peers::Address;

/// Named after the configuration keys; defaults are Kafka's.
#[derive(Clone, Debug)]
pub struct QuorumConfig {
    pub node_id: NodeId,
    pub cluster_id: String,
    /// Directory that holds `__cluster_metadata-0`: `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_log_dir: PathBuf,
    /// `directory.id` of that directory's `meta.properties`.
    pub directory_id: DirectoryId,
    /// What other files tell of the metadata log's length.
    pub reached: Option<Reached>,
    /// The first of `controller.listener.names`: through it this node reaches others.
    pub listener: Arc<str>,
    /// `process.roles` has `controller`; otherwise this node only observes.
    pub can_be_voter: bool,
    /// Advertised controller listeners of this node.
    pub endpoints: Vec<Endpoint>,
    /// `controller.quorum.voters`; empty when not set.
    pub static_voters: VoterSet,
    /// `controller.quorum.bootstrap.servers`; without any, the voters are asked for the leader.
    pub bootstrap_servers: Vec<Address>,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
    /// Time-outs of elections and fetches.
    pub times: Times,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// `metadata.log.segment.bytes`
    pub segment_bytes: u32,
    /// `metadata.log.segment.ms`
    pub segment_ms: i64,
    /// `metadata.max.retention.bytes` and `metadata.max.retention.ms`
    pub retention: Retention,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0: no snapshots by time.
    pub snapshot_interval_ms: u64,
    /// `metadata.max.idle.interval.ms`; 0: no NoOp records.
    pub idle_interval_ms: u64,
    /// How often old snapshots and segments are looked for; no key sets it in Kafka.
    pub clean_interval_ms: u64,
}

impl QuorumConfig {
    /// Kafka's defaults for all that has one.
    pub fn new(
        node_id: NodeId,
        cluster_id: String,
        metadata_log_dir: PathBuf,
        directory_id: DirectoryId,
    ) -> Self {
        Self {
            node_id,
            cluster_id,
            metadata_log_dir,
            directory_id,
            reached: None,
            listener: "CONTROLLER".into(),
            can_be_voter: true,
            endpoints: Vec::new(),
            static_voters: VoterSet::default(),
            bootstrap_servers: Vec::new(),
            auto_join: false,
            times: Times::default(),
            fetch_max_bytes: 1 << 20,
            fetch_snapshot_max_bytes: 1 << 20,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            retention: Retention { bytes: 100 << 20, ms: 7 * 24 * 3_600_000 },
            snapshot_bytes: 20 << 20,
            snapshot_interval_ms: 3_600_000,
            idle_interval_ms: 500,
            clean_interval_ms: 60_000,
        }
    }

    pub(super) fn partition_dir(&self) -> PathBuf {
        self.metadata_log_dir.join("__cluster_metadata-0")
    }

    /// Where to reach a node that listens on `endpoints`.
    pub(super) fn address_of(&self, endpoints: &[Endpoint]) -> Option<Address> {
        let ours = |endpoint: &&Endpoint| endpoint.name.eq_ignore_ascii_case(&self.listener);
        let endpoint = endpoints.iter().find(ours)?;
        Some(Address::new(&endpoint.host, endpoint.port))
    }

    /// Levels of `kraft.version` that this node understands.
    pub(super) const KRAFT_VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };
}
