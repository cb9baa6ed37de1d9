//! What a client knows about the cluster: nodes, topics, leaders. An immutable picture, replaced as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{LeaderEpoch, NodeId, TopicId};
use protocol::ErrorCode;
use protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};

use crate::options::Address;

/// A broker as clients reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub id: NodeId,
    pub address: Address,
    pub rack: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionMetadata {
    pub index: i32,
    /// None while there is no leader.
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub offline: Vec<NodeId>,
    pub error: ErrorCode,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicMetadata {
    pub name: Arc<str>,
    /// Zero when the server does not know ids (before 2.8).
    pub id: TopicId,
    pub internal: bool,
    pub error: ErrorCode,
    /// In the order of their index.
    pub partitions: Vec<PartitionMetadata>,
}

impl TopicMetadata {
    pub fn partition(&self, index: i32) -> Option<&PartitionMetadata> {
        let at = self.partitions.binary_search_by_key(&index, |p| p.index).ok()?;
        self.partitions.get(at)
    }
}

/// The cluster at one moment.
#[derive(Clone, Default, Debug)]
pub struct Metadata {
    pub cluster_id: Option<String>,
    pub controller: Option<NodeId>,
    pub nodes: BTreeMap<NodeId, Node>,
    pub topics: HashMap<Arc<str>, TopicMetadata>,
}

impl Metadata {
    pub fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.get(name)
    }

    pub fn partition(&self, topic: &str, index: i32) -> Option<&PartitionMetadata> {
        self.topic(topic)?.partition(index)
    }

    /// The node that leads this partition, when it is known and listed.
    pub fn leader(&self, topic: &str, index: i32) -> Option<&Node> {
        self.nodes.get(&self.partition(topic, index)?.leader?)
    }

    /// The picture after a response: its nodes, and its topics over those known before. An answer about all topics
    /// (`complete`) drops what it does not name.
    pub(crate) fn updated(&self, response: &MetadataResponse<'_>, complete: bool) -> Self {
        let node = |b: &protocol::messages::metadata_response::MetadataResponseBroker<'_>| {
            let port = u16::try_from(b.port).ok()?;
            let address = Address { host: b.host.to_string(), port };
            let id = NodeId(b.node_id);
            Some((id, Node { id, address, rack: b.rack.as_ref().map(ToString::to_string) }))
        };
        let mut topics = if complete { HashMap::new() } else { self.topics.clone() };
        for topic in response.topics.iter().filter_map(topic_from) {
            if topic.error == ErrorCode::UnknownTopicOrPartition {
                topics.remove(&topic.name);
            } else {
                topics.insert(Arc::clone(&topic.name), topic);
            }
        }
        Self {
            cluster_id: response.cluster_id.as_ref().map(ToString::to_string),
            controller: Some(NodeId(response.controller_id)).filter(|id| id.is_some()),
            nodes: response.brokers.iter().filter_map(node).collect(),
            topics,
        }
    }

    /// The picture of controllers, which tell only each other.
    pub(crate) fn of_controllers(response: &DescribeClusterResponse<'_>) -> Self {
        let nodes = response.brokers.iter().filter_map(described_node);
        Self {
            cluster_id: Some(response.cluster_id.to_string()),
            controller: Some(NodeId(response.controller_id)).filter(|id| id.is_some()),
            nodes: nodes.map(|node| (node.id, node)).collect(),
            topics: HashMap::new(),
        }
    }
}

/// A node as DescribeCluster names it; None when its port is none.
pub(crate) fn described_node(node: &DescribeClusterBroker<'_>) -> Option<Node> {
    let address = Address { host: node.host.to_string(), port: u16::try_from(node.port).ok()? };
    let rack = node.rack.as_ref().map(ToString::to_string);
    Some(Node { id: NodeId(node.broker_id), address, rack })
}

/// A topic asked for by its name.
pub(crate) fn asked(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

/// A topic asked for by its id.
pub(crate) fn asked_id(id: TopicId) -> MetadataRequestTopic<'static> {
    MetadataRequestTopic { topic_id: id, name: None, ..Default::default() }
}

/// A topic as an answer describes it; None for one without a name.
pub(crate) fn topic_from(topic: &MetadataResponseTopic<'_>) -> Option<TopicMetadata> {
    let ids = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let mut partitions: Vec<PartitionMetadata> = topic
        .partitions
        .iter()
        .map(|p| PartitionMetadata {
            index: p.partition_index,
            leader: Some(NodeId(p.leader_id)).filter(|id| id.is_some()),
            leader_epoch: LeaderEpoch(p.leader_epoch),
            replicas: ids(&p.replica_nodes),
            isr: ids(&p.isr_nodes),
            offline: ids(&p.offline_replicas),
            error: ErrorCode::from_code(p.error_code),
        })
        .collect();
    partitions.sort_unstable_by_key(|p| p.index);
    Some(TopicMetadata {
        name: topic.name.as_deref()?.into(),
        id: topic.topic_id,
        internal: topic.is_internal,
        error: ErrorCode::from_code(topic.error_code),
        partitions,
    })
}
