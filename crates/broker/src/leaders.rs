//! Where a client finds the leaders of other partitions (KIP-951).

use base::{LeaderEpoch, NodeId, TopicIdPartition};

use crate::node::Node;
use crate::request::RequestContext;

/// A broker that serves the listener a request came by.
struct Reachable {
    id: NodeId,
    host: String,
    port: i32,
    rack: Option<String>,
}

/// All brokers that serve.
fn reachable(context: &RequestContext) -> Vec<Reachable> {
    let image = context.node.image();
    let brokers = image.cluster.brokers.values().filter(|broker| !broker.fenced);
    let reachable = brokers.filter_map(|broker| {
        let endpoint = broker.endpoint(&context.connection.listener)?;
        Some(Reachable {
            id: broker.id,
            host: endpoint.host.to_string(),
            port: endpoint.port.into(),
            rack: broker.rack.as_ref().map(ToString::to_string),
        })
    });
    reachable.collect()
}

/// Who leads a partition, and in which epoch. A change reaches the replica here before requests see it in the metadata, and whoever
/// waited at the old leader is turned away in between.
fn leader_of(node: &Node, id: TopicIdPartition) -> (NodeId, LeaderEpoch) {
    let none = (NodeId::NONE, LeaderEpoch::NONE);
    let image = node.image();
    let registered = image.topics.partition(id.topic_id, id.partition);
    let told = registered.map_or(none, |partition| (partition.leader, partition.leader_epoch));
    let replica = node.partitions.get(id.topic_id, id.partition);
    match replica.as_ref().and_then(|replica| replica.followed()) {
        Some(here) if here.1 > told.1 => here,
        // Who asks as a replica that it is not, is told that it asked the leader.
        _ if replica.is_some_and(|replica| replica.is_leader()) => told,
        // Nobody, by now.
        _ if told.0 == node.static_config.node_id => none,
        _ => told,
    }
}

/// The same words in the responses of two APIs.
macro_rules! words {
    ($api:ident, $module:ident) => {
        pub mod $api {
            use protocol::messages::$module::{LeaderIdAndEpoch, NodeEndpoint};

            use base::TopicIdPartition;

            use super::{leader_of, reachable};
            use crate::node::Node;
            use crate::request::RequestContext;

            pub fn node_endpoints(context: &RequestContext) -> Vec<NodeEndpoint<'static>> {
                let endpoints = reachable(context).into_iter().map(|broker| NodeEndpoint {
                    node_id: broker.id.get(),
                    host: broker.host.into(),
                    port: broker.port,
                    rack: broker.rack.map(Into::into),
                    ..Default::default()
                });
                endpoints.collect()
            }

            pub fn current_leader(node: &Node, id: TopicIdPartition) -> LeaderIdAndEpoch {
                let (leader, epoch) = leader_of(node, id);
                LeaderIdAndEpoch {
                    leader_id: leader.get(),
                    leader_epoch: epoch.get(),
                    ..Default::default()
                }
            }
        }
    };
}

words!(produce, produce_response);
words!(fetch, fetch_response);
