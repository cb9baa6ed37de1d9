//! CreateTopics.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;
use metadata::{ConfigResource, Partition};
use protocol::ErrorCode;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::topic_record::TopicRecord;

use super::assignment::{check_manual, new_partition};
use super::names::{CLUSTER_METADATA_TOPIC, why_invalid};
use super::{MAX_PARTITIONS_PER_REQUEST, placement};
use crate::error::{ApiError, Result, check_size};
use crate::handle::{Controller, Records};
use crate::{Random, configs, random};

type Topic = CreatableTopic<'static>;
type TopicResult = CreatableTopicResult<'static>;

pub(crate) fn handle(
    controller: &Controller,
    request: &CreateTopicsRequest<'static>,
    random: &mut dyn Random,
) -> (Records, CreateTopicsResponse<'static>) {
    let (topics, refused) = sift(request);
    let refuse_all = |error: ApiError| {
        let topics =
            request.topics.iter().map(|topic| failure(&topic.name, error.clone())).collect();
        (Records::none(), CreateTopicsResponse { topics, ..Default::default() })
    };
    if let Err(error) = check_total(controller, &topics) {
        return refuse_all(error);
    }
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in topics {
        match create(controller, topic, random) {
            Ok((mut made, result)) => {
                records.append(&mut made);
                results.push(result);
            }
            Err(error) => results.push(failure(&topic.name, error)),
        }
    }
    results.extend(refused);
    if let Err(error) = check_size(&records) {
        return refuse_all(error);
    }
    if request.validate_only {
        records.clear();
    }
    (Records::atomic(records), CreateTopicsResponse { topics: results, ..Default::default() })
}

/// The topics to look at, and the answers for those named twice or never allowed.
fn sift<'a>(request: &'a CreateTopicsRequest<'static>) -> (Vec<&'a Topic>, Vec<TopicResult>) {
    let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        if !once.insert(&topic.name) {
            twice.insert(&topic.name);
        }
    }
    let invalid = |name: &str, message: &str| {
        failure(name, ApiError::new(ErrorCode::InvalidRequest, message))
    };
    let mut refused: Vec<TopicResult> =
        twice.iter().map(|name| invalid(name, "Duplicate topic name.")).collect();
    if once.iter().any(|name| *name == CLUSTER_METADATA_TOPIC)
        && !twice.iter().any(|n| *n == CLUSTER_METADATA_TOPIC)
    {
        let message = format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.");
        refused.push(invalid(CLUSTER_METADATA_TOPIC, &message));
    }
    let wanted =
        |topic: &&Topic| !twice.contains(&topic.name) && topic.name != CLUSTER_METADATA_TOPIC;
    (request.topics.iter().filter(wanted).collect(), refused)
}

fn failure(name: &str, error: ApiError) -> TopicResult {
    let (error_code, error_message) = error.fields();
    TopicResult {
        name: Cow::Owned(name.to_owned()),
        error_code,
        error_message,
        ..Default::default()
    }
}

fn check_total(controller: &Controller, topics: &[&Topic]) -> Result<()> {
    let default = i64::from(controller.settings.node.topics.num_partitions);
    let count = |topic: &&Topic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => default,
        (0, given) => i64::from(given.max(0)),
        (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
    };
    let total = topics.iter().map(count).fold(0_i64, i64::saturating_add);
    if total > MAX_PARTITIONS_PER_REQUEST {
        let message = "Excessively large number of partitions per request.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn check_name(controller: &Controller, name: &str) -> Result<()> {
    if controller.image().topics.id_of(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
    }
    let invalid = |message| Err(ApiError::new(ErrorCode::InvalidTopicException, message));
    if let Some(other) = controller.tip().colliding_topic(name) {
        return invalid(format!("Topic '{name}' collides with existing topic: {other}"));
    }
    why_invalid(name).map_or(Ok(()), invalid)
}

fn create(
    controller: &Controller,
    topic: &Topic,
    random: &mut dyn Random,
) -> Result<(Vec<MetadataRecord<'static>>, TopicResult)> {
    check_name(controller, &topic.name)?;
    let null: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| &*config.name)
        .collect();
    if !null.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", null.join(","));
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let given = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.clone(), config.value.clone()?)));
    let given: BTreeMap<Cow<'static, str>, Cow<'static, str>> = given.collect();
    let config_records = if given.is_empty() {
        Vec::new()
    } else {
        configs::for_new_topic(controller, &ConfigResource::topic(&*topic.name), &given)?
    };
    let partitions = if topic.assignments.is_empty() {
        placed(controller, topic, random)?
    } else {
        assigned(controller, topic)?
    };

    let topic_id = random::uuid(random);
    let mut records: Vec<MetadataRecord<'static>> =
        vec![TopicRecord { name: topic.name.clone(), topic_id, ..Default::default() }.into()];
    records.extend(config_records);
    let elr = controller.image().features.elr_enabled();
    let directories = controller.metadata_version().supports_directory_assignment();
    for (index, partition) in (0..).zip(&partitions) {
        records.push(partition.to_record(topic_id, index, elr, directories).into());
    }
    let replicas = partitions.first().map_or(0, |first| first.replicas.len());
    let result = TopicResult {
        name: topic.name.clone(),
        topic_id,
        error_message: None,
        num_partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs: Some(configs::effective_for_new_topic(controller, &given)),
        ..Default::default()
    };
    Ok((records, result))
}

/// Partitions as the client assigned them.
fn assigned(controller: &Controller, topic: &Topic) -> Result<Vec<Partition>> {
    let refuse = |code, message: String| Err(ApiError::new(code, message));
    if topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but replication factor was not set to -1.";
        return refuse(ErrorCode::InvalidRequest, message.to_owned());
    }
    if topic.num_partitions != -1 {
        let message =
            "A manual partition assignment was specified, but numPartitions was not set to -1.";
        return refuse(ErrorCode::InvalidRequest, message.to_owned());
    }
    let mut partitions = BTreeMap::new();
    let mut replication_factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if partitions.contains_key(&index) {
            let message =
                format!("Found multiple manual partition assignments for partition {index}");
            return refuse(ErrorCode::InvalidReplicaAssignment, message);
        }
        let replicas: Vec<NodeId> = assignment.broker_ids.iter().copied().map(NodeId).collect();
        check_manual(controller, &replicas, replication_factor)?;
        replication_factor = Some(replicas.len());
        let Some(partition) = new_partition(controller, &replicas) else {
            let message = format!(
                "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
                 controlled shutdown."
            );
            return refuse(ErrorCode::InvalidReplicaAssignment, message);
        };
        partitions.insert(index, partition);
    }
    if (0..).zip(partitions.keys()).any(|(expected, index)| expected != *index) {
        let message = "partitions should be a consecutive 0-based integer sequence".to_owned();
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    }
    Ok(partitions.into_values().collect())
}

/// Partitions placed over the cluster.
fn placed(
    controller: &Controller,
    topic: &Topic,
    random: &mut dyn Random,
) -> Result<Vec<Partition>> {
    let invalid_factor =
        |message: String| ApiError::new(ErrorCode::InvalidReplicationFactor, message);
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(invalid_factor(message.to_owned()));
    }
    if topic.num_partitions < -1 || topic.num_partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let defaults = &controller.settings.node.topics;
    let count =
        if topic.num_partitions == -1 { defaults.num_partitions } else { topic.num_partitions };
    let factor = match topic.replication_factor {
        -1 => i16::try_from(defaults.default_replication_factor).unwrap_or(i16::MAX),
        given => given,
    };
    let unable = |why: &str| {
        invalid_factor(format!("Unable to replicate the partition {factor} time(s): {why}"))
    };
    let count = usize::try_from(count).unwrap_or(0);
    let placed = placement::place(controller, count, factor, random).map_err(|why| unable(&why))?;
    let partition = |replicas: Vec<NodeId>| {
        let nobody = "All brokers are currently fenced or in controlled shutdown.";
        new_partition(controller, &replicas).ok_or_else(|| unable(nobody))
    };
    placed.into_iter().map(partition).collect()
}
