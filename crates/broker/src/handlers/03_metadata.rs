//! Metadata (3), versions 0-13: brokers, topics and their partitions, as this broker knows them.
//!
//! v0 takes an empty list of topics for all; from v1 null means all. v4 allows automatic creation to be refused, v8 adds
//! authorized operations (the cluster's until v10), v10 topic ids, v12 asking by id. v13 adds a top-level error.
//! A missing topic is created on the way when the request, `auto.create.topics.enable` and the name allow it; the answer is
//! UNKNOWN_TOPIC_OR_PARTITION until it is there, as in Kafka.

use std::borrow::Cow;
use std::collections::HashSet;

use base::{NodeId, Uuid};
use metadata::{BrokerRegistration, Image, Partition, Topic};
use protocol::ErrorCode;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;
use crate::topics::{auto_create, is_internal, is_valid_name};

crate::handler!(Metadata, MetadataRequest<'_>, handle);

/// "Not asked for", in the fields of authorized operations.
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

async fn handle(
    context: &RequestContext,
    request: MetadataRequest<'_>,
) -> MetadataResponse<'static> {
    let image = context.node.image();
    let all = request.topics.is_none()
        || context.version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty);
    let mut topics = Vec::new();
    let mut missing = Vec::new();
    if all {
        for topic in image.topics.iter() {
            if context.allows(Operation::Describe, Resource::Topic(&topic.name)) {
                topics.push(describe(context, &image, topic, &request));
            }
        }
    }
    let asked = || request.topics.iter().flatten().filter(|_| !all);
    // Kafka looks at sets: of ids where there is any, else of names.
    let by_id = asked().any(|asked| !asked.topic_id.is_zero());
    let mut seen = HashSet::new();
    for asked in asked() {
        if context.version < 12 && (by_id || asked.name.is_none()) {
            return refused(context, &request);
        }
        let key = if by_id { (asked.topic_id, None) } else { (Uuid::ZERO, asked.name.as_deref()) };
        if by_id && asked.topic_id.is_zero() || !seen.insert(key) {
            continue;
        }
        let found = if by_id {
            image.topics.by_id(asked.topic_id)
        } else {
            image.topics.by_name(asked.name.as_deref().unwrap_or(""))
        };
        topics.push(match (found, asked.name.as_deref()) {
            (Some(topic), _)
                if !context.allows(Operation::Describe, Resource::Topic(&topic.name)) =>
            {
                // Whoever may not describe a topic does not learn its name from its id.
                if by_id {
                    failed(ErrorCode::UnknownTopicId, None, asked.topic_id)
                } else {
                    failed(ErrorCode::TopicAuthorizationFailed, Some(&topic.name), Uuid::ZERO)
                }
            }
            (Some(topic), _) => describe(context, &image, topic, &request),
            (None, _) if by_id => failed(ErrorCode::UnknownTopicId, None, asked.topic_id),
            (None, name) => {
                let name = name.unwrap_or("");
                if !context.allows(Operation::Describe, Resource::Topic(name)) {
                    failed(ErrorCode::TopicAuthorizationFailed, Some(name), Uuid::ZERO)
                } else {
                    missing.push((topics.len(), name.to_owned()));
                    let error = if is_valid_name(name) {
                        ErrorCode::UnknownTopicOrPartition
                    } else {
                        ErrorCode::InvalidTopicException
                    };
                    MetadataResponseTopic {
                        topic_authorized_operations: operations(context, name, &request),
                        ..failed(error, Some(name), Uuid::ZERO)
                    }
                }
            }
        });
    }
    let allowed = request.allow_auto_topic_creation || context.version < 4;
    if allowed && context.node.config().topics.auto_create_topics_enable && !missing.is_empty() {
        for (index, error) in auto_create(context, &missing).await {
            topics[index].error_code = error.code();
        }
    }
    let operations = request.include_cluster_authorized_operations
        && context.allows(Operation::Describe, Resource::Cluster);
    MetadataResponse {
        brokers: brokers(context, &image),
        cluster_id: Some(context.node.cluster_id.clone().into()),
        controller_id: context.node.some_broker(&image).get(),
        topics,
        cluster_authorized_operations: if operations {
            context.node.authorizer.allowed_operations(&context.principal, Resource::Cluster)
        } else {
            OPERATIONS_NOT_ASKED
        },
        ..Default::default()
    }
}

/// Names must be there and ids absent before version 12: the whole request is invalid.
fn refused(context: &RequestContext, request: &MetadataRequest<'_>) -> MetadataResponse<'static> {
    let invalid =
        |name: Option<&str>, id| failed(ErrorCode::InvalidRequest, Some(name.unwrap_or("")), id);
    let topics = request.topics.iter().flatten();
    MetadataResponse {
        topics: topics.map(|t| invalid(t.name.as_deref(), t.topic_id)).collect(),
        controller_id: -1,
        error_code: if context.version >= 13 { ErrorCode::InvalidRequest.code() } else { 0 },
        ..Default::default()
    }
}

fn failed(error: ErrorCode, name: Option<&str>, id: Uuid) -> MetadataResponseTopic<'static> {
    MetadataResponseTopic {
        error_code: error.code(),
        name: name.map(|name| Cow::Owned(name.to_owned())),
        topic_id: id,
        is_internal: name.is_some_and(is_internal),
        ..Default::default()
    }
}

fn brokers(context: &RequestContext, image: &Image) -> Vec<MetadataResponseBroker<'static>> {
    let brokers = &image.cluster.brokers;
    let alive = brokers.values().filter(|broker| !broker.fenced);
    let alive: Vec<_> = alive.filter_map(|broker| described(context, broker)).collect();
    // The last one, on its way out, names itself: librdkafka forgets all whom an answer leaves out, and asks nobody ever after.
    if alive.is_empty() && context.node.is_leaving() {
        let own = brokers.get(&context.node.static_config.node_id);
        return own.and_then(|own| described(context, own)).into_iter().collect();
    }
    alive
}

fn described(
    context: &RequestContext,
    broker: &BrokerRegistration,
) -> Option<MetadataResponseBroker<'static>> {
    let endpoint = broker.endpoint(&context.connection.listener)?;
    Some(MetadataResponseBroker {
        node_id: broker.id.get(),
        host: endpoint.host.to_string().into(),
        port: endpoint.port.into(),
        rack: broker.rack.as_ref().map(|rack| rack.to_string().into()),
        ..Default::default()
    })
}

fn describe(
    context: &RequestContext,
    image: &Image,
    topic: &Topic,
    request: &MetadataRequest<'_>,
) -> MetadataResponseTopic<'static> {
    let partitions = topic.partitions().map(|(index, partition)| {
        let shown = shown(context, image, partition);
        MetadataResponsePartition {
            error_code: shown.error.code(),
            partition_index: index.get(),
            leader_id: shown.leader.get(),
            leader_epoch: partition.leader_epoch.get(),
            replica_nodes: numbers(&partition.replicas),
            isr_nodes: numbers(&partition.isr),
            offline_replicas: shown.offline,
            ..Default::default()
        }
    });
    MetadataResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        topic_authorized_operations: operations(context, &topic.name, request),
        ..Default::default()
    }
}

/// Told of a topic that does not exist, too.
fn operations(context: &RequestContext, topic: &str, request: &MetadataRequest<'_>) -> i32 {
    match request.include_topic_authorized_operations {
        true => {
            let resource = Resource::Topic(topic);
            context.node.authorizer.allowed_operations(&context.principal, resource)
        }
        false => OPERATIONS_NOT_ASKED,
    }
}

/// What clients are told of a partition's leader and replicas.
pub(super) struct Shown {
    pub error: ErrorCode,
    pub leader: NodeId,
    pub offline: Vec<i32>,
}

/// A leader without an endpoint on the asker's listener is none to the asker.
pub(super) fn shown(context: &RequestContext, image: &Image, partition: &Partition) -> Shown {
    let listener = &context.connection.listener;
    let reachable = |id: NodeId| {
        let broker = image.cluster.broker(id).filter(|broker| !broker.fenced);
        broker.is_some_and(|broker| broker.endpoint(listener).is_some())
    };
    let alive = image.cluster.is_unfenced(partition.leader);
    let error = if reachable(partition.leader) {
        ErrorCode::None
    } else if alive && context.version >= 6 {
        ErrorCode::ListenerNotFound
    } else {
        ErrorCode::LeaderNotAvailable
    };
    let offline = |id: &&NodeId| {
        let broker = image.cluster.broker(**id).filter(|broker| !broker.fenced);
        let directory = partition.directory(**id).unwrap_or(Uuid::DIR_MIGRATING);
        !broker.is_some_and(|broker| broker.has_online_directory(directory))
    };
    Shown {
        error,
        leader: if error.is_none() { partition.leader } else { NodeId::NONE },
        offline: partition.replicas.iter().filter(offline).map(|id| id.get()).collect(),
    }
}

pub(super) fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.get()).collect()
}
