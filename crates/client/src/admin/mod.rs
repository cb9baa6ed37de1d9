//! Administration: topics, configurations, offsets, groups, the cluster. One method per request, retried until the deadline.

mod cluster;
mod configs;
mod features;
mod group_offsets;
mod groups;
mod offsets;
mod quorum;
mod reassign;
mod topics;
mod transactions;

use protocol::{Encode, ErrorCode, Message};

pub use cluster::{ClusterDescription, LogDir, LogDirPartition};
pub use configs::{
    AlterConfig, AlterOperation, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym,
};
pub use features::{FeatureDescription, Upgrade};
pub use groups::{ConsumerGroup, GroupEpochs, GroupListing, GroupMember, MemberToRemove};
pub(crate) use offsets::list_offsets;
pub use offsets::{ListedOffset, OffsetSpec};
pub use quorum::{QuorumDescription, QuorumReplica, VoterEndpoint};
pub use reassign::{Election, ReassignedPartition};
pub use topics::{
    CreatedTopic, DescribedPartition, NewPartitions, NewTopic, TopicDescription, TopicListing,
};
pub use transactions::{
    AbortSpec, ActiveProducer, TransactionDescription, TransactionFilter, TransactionListing,
};

use crate::cluster::{Client, Target};
use crate::error::{Error, Result};
use crate::transport::Reply;

/// What happened to one item of a request: a topic, a partition, a resource.
pub type PerItem<K, T> = Vec<(K, Result<T>)>;

/// Administrative requests on a [`Client`].
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Who decides about the cluster: the active controller, or a broker, which forwards.
    fn decider(&self) -> Target {
        if self.client.options().controllers { Target::Controller } else { Target::Any }
    }

    /// Sends until it is answered; `accept` looks at the answer and may ask for another try by a retriable error.
    async fn ask<R, T>(
        &self,
        what: &'static str,
        target: Target,
        request: &R,
        accept: impl Fn(&Reply) -> Result<T>,
    ) -> Result<T>
    where
        R: Message + Encode,
    {
        let accept = &accept;
        let attempt = || async move {
            self.client.ensure_nodes().await?;
            let reply = self.client.call(target, request).await?;
            accept(&reply)
        };
        self.client.retry(what, self.client.deadline(), attempt).await
    }
}

/// Errors of an item that speak of the node that was asked, not of the item: worth another node, another moment.
fn wrong_node(code: i16) -> Result<()> {
    match ErrorCode::from_code(code) {
        code @ (ErrorCode::NotController | ErrorCode::CoordinatorLoadInProgress) => {
            Err(Error::api(code, None))
        }
        _ => Ok(()),
    }
}
