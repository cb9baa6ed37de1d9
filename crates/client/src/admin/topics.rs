//! Topics: list, describe, create, delete, more partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{NodeId, TopicId};
use protocol::ErrorCode;
use protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_partitions_response::CreatePartitionsResponse;
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use protocol::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;

use super::{Admin, PerItem, wrong_node};
use crate::cluster::Target;
use crate::error::{Error, Result};
use crate::metadata::{self, PartitionMetadata, TopicMetadata};

/// How long a server may take to create or delete.
const SERVER_TIMEOUT_MS: i32 = 30_000;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicListing {
    pub name: Arc<str>,
    pub id: TopicId,
    pub internal: bool,
}

/// A topic to create; `-1` partitions or replicas leave the number to the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    /// Replicas of each partition; when given, the two numbers must be -1.
    pub assignments: BTreeMap<i32, Vec<i32>>,
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: BTreeMap::new(),
            configs: BTreeMap::new(),
        }
    }
}

/// As the server created it; numbers are -1 from servers before 2.4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
}

/// The new number of partitions, and the replicas of those that are added (none: the cluster chooses).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPartitions {
    pub topic: String,
    pub total: i32,
    pub assignments: Option<Vec<Vec<i32>>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDescription {
    pub name: Arc<str>,
    pub id: TopicId,
    pub internal: bool,
    /// In the order of their index.
    pub partitions: Vec<DescribedPartition>,
}

/// A partition with its eligible leader replicas (KIP-966), where the server tells them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedPartition {
    pub metadata: PartitionMetadata,
    pub elr: Option<Vec<NodeId>>,
    pub last_known_elr: Option<Vec<NodeId>>,
}

impl Admin {
    /// All topics that may be seen, internal ones included.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        let request =
            MetadataRequest { topics: None, allow_auto_topic_creation: true, ..Default::default() };
        self.ask("listTopics", Target::Any, &request, |reply| {
            let response: MetadataResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let listing = |topic: TopicMetadata| TopicListing {
                name: topic.name,
                id: topic.id,
                internal: topic.internal,
            };
            Ok(response.topics.iter().filter_map(metadata::topic_from).map(listing).collect())
        })
        .await
    }

    /// Creates topics. With `validate_only` nothing changes, all checks are made.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<PerItem<String, CreatedTopic>> {
        let assignment = |(index, brokers): (&i32, &Vec<i32>)| CreatableReplicaAssignment {
            partition_index: *index,
            broker_ids: brokers.clone(),
            ..Default::default()
        };
        let topic = |topic: &NewTopic| CreatableTopic {
            name: topic.name.clone().into(),
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            assignments: topic.assignments.iter().map(assignment).collect(),
            configs: topic
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: name.clone().into(),
                    value: Some(value.clone().into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: topics.iter().map(topic).collect(),
            timeout_ms: SERVER_TIMEOUT_MS,
            validate_only,
            ..Default::default()
        };
        self.ask("createTopics", Target::Controller, &request, |reply| {
            let response: CreateTopicsResponse<'_> = reply.decode()?;
            let mut results = Vec::with_capacity(response.topics.len());
            for topic in &response.topics {
                wrong_node(topic.error_code)?;
                let result =
                    Error::check(topic.error_code, topic.error_message.as_deref()).map(|()| {
                        CreatedTopic {
                            id: topic.topic_id,
                            partitions: topic.num_partitions,
                            replication_factor: topic.replication_factor,
                        }
                    });
                results.push((topic.name.to_string(), result));
            }
            Ok(results)
        })
        .await
    }

    pub async fn delete_topics(&self, names: &[String]) -> Result<PerItem<String, ()>> {
        let state = |name: &String| DeleteTopicState {
            name: Some(name.clone().into()),
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: names.iter().map(state).collect(),
            topic_names: names.iter().map(|name| name.clone().into()).collect(),
            timeout_ms: SERVER_TIMEOUT_MS,
            ..Default::default()
        };
        self.ask("deleteTopics", Target::Controller, &request, |reply| {
            let response: DeleteTopicsResponse<'_> = reply.decode()?;
            let mut results = Vec::with_capacity(response.responses.len());
            for topic in &response.responses {
                wrong_node(topic.error_code)?;
                let name = topic.name.as_deref().unwrap_or_default().to_owned();
                results
                    .push((name, Error::check(topic.error_code, topic.error_message.as_deref())));
            }
            Ok(results)
        })
        .await
    }

    pub async fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<PerItem<String, ()>> {
        let assignment = |brokers: &Vec<i32>| CreatePartitionsAssignment {
            broker_ids: brokers.clone(),
            ..Default::default()
        };
        let topic = |topic: &NewPartitions| CreatePartitionsTopic {
            name: topic.topic.clone().into(),
            count: topic.total,
            assignments: topic.assignments.as_ref().map(|all| all.iter().map(assignment).collect()),
            ..Default::default()
        };
        let request = CreatePartitionsRequest {
            topics: topics.iter().map(topic).collect(),
            timeout_ms: SERVER_TIMEOUT_MS,
            validate_only,
            ..Default::default()
        };
        self.ask("createPartitions", Target::Controller, &request, |reply| {
            let response: CreatePartitionsResponse<'_> = reply.decode()?;
            let mut results = Vec::with_capacity(response.results.len());
            for topic in &response.results {
                wrong_node(topic.error_code)?;
                let result = Error::check(topic.error_code, topic.error_message.as_deref());
                results.push((topic.name.to_string(), result));
            }
            Ok(results)
        })
        .await
    }

    /// Describes topics by name, at most `partitions_per_answer` at a time where the server can do that.
    pub async fn describe_topics(
        &self,
        names: &[Arc<str>],
        partitions_per_answer: i32,
    ) -> Result<PerItem<Arc<str>, TopicDescription>> {
        match self.describe_by_partitions(names, partitions_per_answer).await {
            Err(Error::UnsupportedVersion { .. }) => {
                let topics = names.iter().map(|name| metadata::asked(name)).collect();
                self.describe_by_metadata(topics).await
            }
            result => result,
        }
    }

    /// Describes topics by id. The name of one that does not exist is empty.
    pub async fn describe_topic_ids(
        &self,
        ids: &[TopicId],
    ) -> Result<PerItem<Arc<str>, TopicDescription>> {
        let topic =
            |id: &TopicId| MetadataRequestTopic { topic_id: *id, name: None, ..Default::default() };
        self.describe_by_metadata(ids.iter().map(topic).collect()).await
    }

    async fn describe_by_metadata(
        &self,
        topics: Vec<MetadataRequestTopic<'_>>,
    ) -> Result<PerItem<Arc<str>, TopicDescription>> {
        let request = MetadataRequest {
            topics: Some(topics),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.ask("describeTopics", Target::Any, &request, |reply| {
            let response: MetadataResponse<'_> = reply.decode()?;
            Error::check(response.error_code, None)?;
            let described = |topic: TopicMetadata| TopicDescription {
                name: topic.name,
                id: topic.id,
                internal: topic.internal,
                partitions: topic
                    .partitions
                    .into_iter()
                    .map(|metadata| DescribedPartition {
                        metadata,
                        elr: None,
                        last_known_elr: None,
                    })
                    .collect(),
            };
            let mut results = Vec::with_capacity(response.topics.len());
            for topic in &response.topics {
                let name: Arc<str> = topic.name.as_deref().unwrap_or_default().into();
                let result = Error::check(topic.error_code, None);
                let topic = metadata::topic_from(topic);
                results.push((
                    name,
                    result.and_then(|()| {
                        topic.map(described).ok_or_else(|| nameless(reply.address()))
                    }),
                ));
            }
            Ok(results)
        })
        .await
    }

    async fn describe_by_partitions(
        &self,
        names: &[Arc<str>],
        limit: i32,
    ) -> Result<PerItem<Arc<str>, TopicDescription>> {
        let mut names: Vec<Arc<str>> = names.to_vec();
        names.sort_unstable();
        let mut found: BTreeMap<Arc<str>, Result<TopicDescription>> = BTreeMap::new();
        let mut cursor: Option<(String, i32)> = None;
        loop {
            let from = cursor.as_ref().map_or("", |(topic, _)| topic);
            let rest = names.iter().filter(|name| name.as_ref() >= from);
            let topic = |name: &Arc<str>| TopicRequest {
                name: name.to_string().into(),
                ..Default::default()
            };
            let request = DescribeTopicPartitionsRequest {
                topics: rest.map(topic).collect(),
                response_partition_limit: limit,
                cursor: cursor.as_ref().map(|(topic, partition)| Cursor {
                    topic_name: topic.as_str().into(),
                    partition_index: *partition,
                    ..Default::default()
                }),
                ..Default::default()
            };
            let (topics, next) = self
                .ask("describeTopics", Target::Any, &request, |reply| {
                    let response: DescribeTopicPartitionsResponse<'_> = reply.decode()?;
                    let next = response
                        .next_cursor
                        .as_ref()
                        .map(|c| (c.topic_name.to_string(), c.partition_index));
                    let topics: Vec<_> = response.topics.iter().map(described).collect();
                    Ok((topics, next))
                })
                .await?;
            for (name, result) in topics {
                match (found.get_mut(&name), result) {
                    (Some(Ok(known)), Ok(more)) => known.partitions.extend(more.partitions),
                    (_, result) => {
                        found.insert(name, result);
                    }
                }
            }
            match next {
                // A cursor that does not move would ask for ever.
                Some(next) if cursor.as_ref().is_none_or(|before| *before < next) => {
                    cursor = Some(next)
                }
                _ => return Ok(found.into_iter().collect()),
            }
        }
    }
}

fn nameless(address: &str) -> Error {
    Error::Incomplete { what: String::from("the name of a topic"), address: address.to_owned() }
}

fn described(
    topic: &DescribeTopicPartitionsResponseTopic<'_>,
) -> (Arc<str>, Result<TopicDescription>) {
    let name: Arc<str> = topic.name.as_deref().unwrap_or_default().into();
    if let Err(error) = Error::check(topic.error_code, None) {
        return (name, Err(error));
    }
    let ids = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let partitions = topic.partitions.iter().map(|p| DescribedPartition {
        metadata: PartitionMetadata {
            index: p.partition_index,
            leader: Some(NodeId(p.leader_id)).filter(|id| id.is_some()),
            leader_epoch: base::LeaderEpoch(p.leader_epoch),
            replicas: ids(&p.replica_nodes),
            isr: ids(&p.isr_nodes),
            offline: ids(&p.offline_replicas),
            error: ErrorCode::from_code(p.error_code),
        },
        elr: p.eligible_leader_replicas.as_deref().map(ids),
        last_known_elr: p.last_known_elr.as_deref().map(ids),
    });
    let description = TopicDescription {
        name: Arc::clone(&name),
        id: topic.topic_id,
        internal: topic.is_internal,
        partitions: partitions.collect(),
    };
    (name, Ok(description))
}
