//! Where a consumer should rather read (KIP-392): a replica in its own rack.

use std::sync::Arc;

use base::{MonoMs, NodeId, Offset};
use metadata::Image;

use super::locked::Locked;

/// The selector that Kafka brings with it, by the name of its class; any other cannot be loaded.
pub const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// What is known of a consumer that may be sent elsewhere.
#[derive(Clone, Debug)]
pub struct Client {
    pub rack: Box<str>,
    /// The listener it came by: a replica that it cannot reach there is none for it.
    pub listener: Arc<str>,
}

impl Locked<'_> {
    /// The replica in sync in the consumer's rack that has the most; `None` when the leader itself is as good.
    pub fn preferred_replica(
        &self,
        client: &Client,
        offset: Offset,
        image: &Image,
        own: NodeId,
        now: MonoMs,
    ) -> Option<NodeId> {
        let leader = self.leader.as_ref()?;
        if client.rack.is_empty() || rack(image, own) == Some(&client.rack) {
            return None;
        }
        let candidates = leader.followers().filter(|(id, progress)| {
            leader.isr().contains(id)
                && progress.log_end >= offset
                && progress.log_start <= offset
                && rack(image, *id) == Some(&client.rack)
                && image.cluster.is_unfenced(*id)
                && image.cluster.broker(*id).is_some_and(|b| b.endpoint(&client.listener).is_some())
        });
        let best = candidates.max_by_key(|(id, progress)| {
            let behind_ms = progress.caught_up_at.map_or(u64::MAX, |at| now.since(at));
            (progress.log_end, std::cmp::Reverse(behind_ms), std::cmp::Reverse(*id))
        });
        best.map(|(id, _)| id)
    }
}

fn rack(image: &Image, id: NodeId) -> Option<&str> {
    image.cluster.broker(id)?.rack.as_deref()
}
