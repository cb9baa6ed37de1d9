//! Where replicas are: reassignments, and elections of leaders.

use std::collections::BTreeMap;

use base::TopicPartition;
use protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use protocol::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use protocol::messages::elect_leaders_response::ElectLeadersResponse;
use protocol::messages::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};
use protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use super::{Admin, PerItem, wrong_node};
use crate::error::{Error, Result};

/// A partition whose replicas are being moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReassignedPartition {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

/// Who may be elected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// The first of the replicas.
    Preferred,
    /// Any replica, at the price of records.
    Unclean,
}

impl Admin {
    /// Ongoing reassignments of these partitions (topic, indexes), or all.
    pub async fn list_reassignments(
        &self,
        topics: Option<&[(String, Vec<i32>)]>,
    ) -> Result<Vec<ReassignedPartition>> {
        let topic = |(name, partitions): &(String, Vec<i32>)| ListPartitionReassignmentsTopics {
            name: name.clone().into(),
            partition_indexes: partitions.clone(),
            ..Default::default()
        };
        let request = ListPartitionReassignmentsRequest {
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
            ..Default::default()
        };
        self.ask("listPartitionReassignments", self.decider(), &request, |reply| {
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

    /// Gives partitions other replicas; None ends a reassignment that is under way.
    pub async fn alter_reassignments(
        &self,
        wanted: &[(TopicPartition, Option<Vec<i32>>)],
        may_change_count: bool,
    ) -> Result<PerItem<TopicPartition, ()>> {
        let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
        for (partition, replicas) in wanted {
            topics.entry(&partition.topic).or_default().push(ReassignablePartition {
                partition_index: partition.partition.get(),
                replicas: replicas.clone(),
                ..Default::default()
            });
        }
        let topic = |(name, partitions): (&str, Vec<ReassignablePartition>)| ReassignableTopic {
            name: name.to_owned().into(),
            partitions,
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: may_change_count,
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        self.ask("alterPartitionReassignments", self.decider(), &request, |reply| {
            let response: AlterPartitionReassignmentsResponse<'_> = reply.decode()?;
            Error::check(response.error_code, response.error_message.as_deref())?;
            let mut results = Vec::new();
            for topic in &response.responses {
                for p in &topic.partitions {
                    wrong_node(p.error_code)?;
                    let partition = TopicPartition::new(&*topic.name, p.partition_index);
                    let result = Error::check(p.error_code, p.error_message.as_deref());
                    results.push((partition, result));
                }
            }
            Ok(results)
        })
        .await
    }

    /// Elects leaders of these partitions, or of all that need one.
    pub async fn elect_leaders(
        &self,
        election: Election,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PerItem<TopicPartition, ()>> {
        let by_topic = |partitions: &[TopicPartition]| {
            let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
            for partition in partitions {
                topics.entry(&partition.topic).or_default().push(partition.partition.get());
            }
            let topic = |(name, partitions): (&str, Vec<i32>)| TopicPartitions {
                topic: name.to_owned().into(),
                partitions,
                ..Default::default()
            };
            topics.into_iter().map(topic).collect()
        };
        let request = ElectLeadersRequest {
            election_type: match election {
                Election::Preferred => 0,
                Election::Unclean => 1,
            },
            topic_partitions: partitions.map(by_topic),
            timeout_ms: i32::try_from(self.client.options().request_timeout_ms).unwrap_or(i32::MAX),
            ..Default::default()
        };
        self.ask("electLeaders", self.decider(), &request, |reply| {
            let response: ElectLeadersResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let results = response.replica_election_results.iter().flat_map(|topic| {
                topic.partition_result.iter().map(|p| {
                    let partition = TopicPartition::new(&*topic.topic, p.partition_id);
                    (partition, Error::check(p.error_code, p.error_message.as_deref()))
                })
            });
            Ok(results.collect())
        })
        .await
    }
}
