//! The cluster as a whole: its nodes, log directories, ongoing reassignments.

use base::NodeId;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::DescribeLogDirsResponse;
use protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use super::Admin;
use crate::cluster::Target;
use crate::error::{Error, Result};
use crate::metadata::Node;
use crate::options::Address;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller: Option<NodeId>,
    /// Brokers that are not fenced.
    pub nodes: Vec<Node>,
}

/// A log directory of one broker; sizes in bytes, -1 when not told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDir {
    pub path: String,
    pub error: Option<String>,
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

/// A partition whose replicas are being moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReassignedPartition {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

impl Admin {
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        let request = DescribeClusterRequest::default();
        self.ask("describeCluster", Target::Any, &request, |reply| {
            let response: DescribeClusterResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let node =
                |b: &protocol::messages::describe_cluster_response::DescribeClusterBroker<'_>| {
                    let address =
                        Address { host: b.host.to_string(), port: u16::try_from(b.port).ok()? };
                    Some(Node {
                        id: NodeId(b.broker_id),
                        address,
                        rack: b.rack.as_ref().map(ToString::to_string),
                    })
                };
            Ok(ClusterDescription {
                cluster_id: response.cluster_id.to_string(),
                controller: Some(NodeId(response.controller_id)).filter(|id| id.is_some()),
                nodes: response.brokers.iter().filter_map(node).collect(),
            })
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
                    error: Error::check(dir.error_code, None).err().map(|e| e.to_string()),
                    total_bytes: dir.total_bytes,
                    usable_bytes: dir.usable_bytes,
                    partitions: partitions.collect(),
                });
            }
            Ok(dirs)
        })
        .await
    }

    /// Ongoing reassignments of these partitions (topic, indexes).
    pub async fn list_reassignments(
        &self,
        topics: &[(String, Vec<i32>)],
    ) -> Result<Vec<ReassignedPartition>> {
        let topic = |(name, partitions): &(String, Vec<i32>)| ListPartitionReassignmentsTopics {
            name: name.clone().into(),
            partition_indexes: partitions.clone(),
            ..Default::default()
        };
        let request = ListPartitionReassignmentsRequest {
            topics: Some(topics.iter().map(topic).collect()),
            ..Default::default()
        };
        self.ask("listPartitionReassignments", Target::Controller, &request, |reply| {
            let response: ListPartitionReassignmentsResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let partitions = response.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| ReassignedPartition {
                    topic: topic.name.to_string(),
                    partition: p.partition_index,
                    replicas: p.replicas.clone(),
                    adding: p.adding_replicas.clone(),
                    removing: p.removing_replicas.clone(),
                })
            });
            Ok(partitions.collect())
        })
        .await
    }
}
