//! What the owners of shards must know of the coordinator that they host.

use std::sync::Arc;

use base::{LeaderEpoch, PartitionIndex};
use config::BrokerConfig;
use coordinator::{Linger, Shard};
use metadata::Image;
use records::Compression;

use crate::node::Node;

/// How a coordinator reads and writes its log.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub linger: Linger,
    pub compression: Compression,
    pub load_bytes: u32,
    /// How long replication may take.
    pub append_timeout_ms: u64,
}

/// A shard that this node can own.
pub trait Hosted:
    Shard<
        Request: Clone + Send,
        Query: Clone + Send,
        Reply: Send,
        Timer: Send + Sync,
        Duty: Send,
        View: Send,
    > + Default
    + Send
    + 'static
{
    /// The topic that is its log.
    const TOPIC: &'static str;
    /// What it holds, in log lines.
    const WHAT: &'static str;

    fn settings(config: &BrokerConfig) -> Settings;

    fn view(config: &BrokerConfig, image: &Arc<Image>) -> Self::View;

    /// How many there are, for a log line.
    fn size(&self) -> usize;

    /// Begins work outside of the log, for the shard of this partition that leads in `epoch`.
    fn carry_out(node: &Arc<Node>, at: PartitionIndex, epoch: LeaderEpoch, duty: Self::Duty);

    /// Forgets what was begun by a shard that led in `epoch`: it starts anew, or leads no more.
    fn forget_duties(node: &Arc<Node>, at: PartitionIndex, epoch: LeaderEpoch);
}
