//! The cluster as a whole: its nodes and their log directories.

use std::collections::{BTreeMap, BTreeSet};

use base::{NodeId, TopicPartition};
use protocol::ErrorCode;
use protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::DescribeLogDirsResponse;
use protocol::messages::unregister_broker_request::UnregisterBrokerRequest;
use protocol::messages::unregister_broker_response::UnregisterBrokerResponse;

use super::{Admin, PerItem};
use crate::cluster::{BROKERS, CONTROLLERS, Target};
use crate::error::{Error, Result};
use crate::metadata::{self, Node};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller: Option<NodeId>,
    pub nodes: Vec<Node>,
    /// Which of them are fenced; only when those were asked for.
    pub fenced: BTreeSet<NodeId>,
}

/// A log directory of one broker; sizes in bytes, -1 when not told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDir {
    pub path: String,
    pub error: ErrorCode,
    pub total_bytes: i64,
    pub usable_bytes: i64,
    pub partitions: Vec<LogDirPartition>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirPartition {
    pub topic: String,
    pub partition: i32,
    pub size: i64,
    pub offset_lag: i64,
    pub future: bool,
}

impl Admin {
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        self.describe_cluster_with(false).await
    }

    /// With the fenced brokers, too, when they are asked for. A client of controllers describes those.
    pub async fn describe_cluster_with(&self, fenced: bool) -> Result<ClusterDescription> {
        let endpoint_type = if self.client.options().controllers { CONTROLLERS } else { BROKERS };
        let request = DescribeClusterRequest {
            endpoint_type,
            include_fenced_brokers: fenced,
            ..Default::default()
        };
        self.ask("describeCluster", Target::Any, &request, |reply| {
            let response: DescribeClusterResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let fenced = response.brokers.iter().filter(|broker| broker.is_fenced);
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller: Some(NodeId(response.controller_id)).filter(|id| id.is_some()),
                nodes: response.brokers.iter().filter_map(metadata::described_node).collect(),
                fenced: fenced.map(|broker| NodeId(broker.broker_id)).collect(),
            })
        })
        .await
    }

    /// Takes a broker that is down out of the cluster.
    pub async fn unregister_broker(&self, broker: NodeId) -> Result<()> {
        let request = UnregisterBrokerRequest { broker_id: broker.0, ..Default::default() };
        self.ask("unregisterBroker", self.decider(), &request, |reply| {
            let response: UnregisterBrokerResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())
        })
        .await
    }

    /// All log directories of one broker.
    pub async fn describe_log_dirs(&self, node: NodeId) -> Result<Vec<LogDir>> {
        let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
        self.ask("describeLogDirs", Target::Node(node), &request, |reply| {
            let response: DescribeLogDirsResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let mut dirs = Vec::with_capacity(response.results.len());
            for dir in &response.results {
                let partitions = dir.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(|p| LogDirPartition {
                        topic: topic.name.to_string(),
                        partition: p.partition_index,
                        size: p.partition_size,
                        offset_lag: p.offset_lag,
                        future: p.is_future_key,
                    })
                });
                dirs.push(LogDir {
                    path: dir.log_dir.to_string(),
                    error: ErrorCode::from_code(dir.error_code),
                    total_bytes: dir.total_bytes,
                    usable_bytes: dir.usable_bytes,
                    partitions: partitions.collect(),
                });
            }
            Ok(dirs)
        })
        .await
    }

    /// Moves replicas of one broker to other directories of it.
    pub async fn alter_replica_log_dirs(
        &self,
        node: NodeId,
        moves: &[(TopicPartition, String)],
    ) -> Result<PerItem<TopicPartition, ()>> {
        let mut dirs: BTreeMap<&str, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
        for (partition, path) in moves {
            let topics = dirs.entry(path).or_default();
            topics.entry(&partition.topic).or_default().push(partition.partition.get());
        }
        let topic = |(name, partitions): (&str, Vec<i32>)| AlterReplicaLogDirTopic {
            name: name.to_owned().into(),
            partitions,
            ..Default::default()
        };
        let dir = |(path, topics): (&str, BTreeMap<&str, Vec<i32>>)| AlterReplicaLogDir {
            path: path.to_owned().into(),
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let request = AlterReplicaLogDirsRequest {
            dirs: dirs.into_iter().map(dir).collect(),
            ..Default::default()
        };
        self.ask("alterReplicaLogDirs", Target::Node(node), &request, |reply| {
            let response: AlterReplicaLogDirsResponse<'_> = reply.decode()?;
            let results = response.results.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| {
                    let partition = TopicPartition::new(&*topic.topic_name, p.partition_index);
                    (partition, Error::check(p.error_code, None))
                })
            });
            Ok(results.collect())
        })
        .await
    }
}
