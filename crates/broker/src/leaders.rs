//! Where a client finds the leaders of other partitions (KIP-951).

use base::NodeId;

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

/// The same words in the responses of two APIs.
macro_rules! words {
    ($api:ident, $module:ident) => {
        pub mod $api {
            use protocol::messages::$module::{LeaderIdAndEpoch, NodeEndpoint};

            use super::reachable;
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

            pub fn current_leader(registered: &metadata::Partition) -> LeaderIdAndEpoch {
                LeaderIdAndEpoch {
                    leader_id: registered.leader.get(),
                    leader_epoch: registered.leader_epoch.get(),
                    ..Default::default()
                }
            }
        }
    };
}

words!(produce, produce_response);
words!(fetch, fetch_response);
