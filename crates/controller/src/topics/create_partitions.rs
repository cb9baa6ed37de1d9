//! CreatePartitions: more partitions for existing topics.

use std::collections::BTreeSet;

use base::NodeId;
use protocol::ErrorCode;
use protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use protocol::metadata_records::MetadataRecord;

use super::assignment::{check_manual, new_partition};
use super::{MAX_PARTITIONS_PER_REQUEST, placement};
use crate::Random;
use crate::error::{ApiError, Result, fields};
use crate::handle::{Controller, Records};

pub(crate) fn handle(
    controller: &Controller,
    request: &CreatePartitionsRequest<'static>,
    random: &mut dyn Random,
) -> (Records, CreatePartitionsResponse<'static>) {
    let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for topic in &request.topics {
        if !once.insert(&topic.name) {
            twice.insert(&topic.name);
        }
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for name in &twice {
        let error = ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
        results.push(result(name, Err(error)));
    }
    let topics: Vec<_> =
        request.topics.iter().filter(|topic| !twice.contains(&topic.name)).collect();
    if let Err(error) = check_total(controller, &topics) {
        let refused = request.topics.iter().map(|topic| result(&topic.name, Err(error.clone())));
        let refused = CreatePartitionsResponse { results: refused.collect(), ..Default::default() };
        return (Records::none(), refused);
    }
    let mut records = Vec::new();
    for topic in topics {
        let made = grow(controller, topic, random);
        results.push(result(&topic.name, made.map(|mut made| records.append(&mut made))));
    }
    if request.validate_only {
        records.clear();
    }
    (Records::atomic(records), CreatePartitionsResponse { results, ..Default::default() })
}

fn result(name: &str, made: Result<()>) -> CreatePartitionsTopicResult<'static> {
    let (error_code, error_message) = fields(made);
    CreatePartitionsTopicResult {
        name: name.to_owned().into(),
        error_code,
        error_message,
        ..Default::default()
    }
}

fn check_total(controller: &Controller, topics: &[&CreatePartitionsTopic<'static>]) -> Result<()> {
    let additional = |topic: &&CreatePartitionsTopic<'static>| {
        let existing = controller.image().topics.by_name(&topic.name)?;
        let existing = i64::try_from(existing.partition_count()).unwrap_or(i64::MAX);
        Some((i64::from(topic.count) - existing).max(0))
    };
    let total = topics.iter().filter_map(additional).fold(0_i64, i64::saturating_add);
    if total > MAX_PARTITIONS_PER_REQUEST {
        let message = "Excessively large number of additional partitions per request.";
        return Err(ApiError::new(ErrorCode::PolicyViolation, message));
    }
    Ok(())
}

fn grow(
    controller: &Controller,
    request: &CreatePartitionsTopic<'static>,
    random: &mut dyn Random,
) -> Result<Vec<MetadataRecord<'static>>> {
    let topic = controller.image().topics.by_name(&request.name);
    let topic = topic.ok_or_else(|| ApiError::bare(ErrorCode::UnknownTopicOrPartition))?;
    let existing = topic.partition_count();
    let wanted = usize::try_from(request.count).unwrap_or(0);
    let refuse = |code, message| Err(ApiError::new(code, message));
    if request.count >= 0 && wanted == existing {
        let message = format!("Topic already has {existing} partition(s).");
        return refuse(ErrorCode::InvalidPartitions, message);
    }
    if request.count < 0 || wanted < existing {
        let message = format!(
            "The topic {} currently has {existing} partition(s); {} would not be an increase.",
            request.name, request.count
        );
        return refuse(ErrorCode::InvalidPartitions, message);
    }
    let additional = wanted - existing;
    if let Some(assignments) = &request.assignments
        && assignments.len() != additional
    {
        let message = format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return refuse(ErrorCode::InvalidReplicaAssignment, message);
    }
    let Some((_, first)) = topic.partitions().next() else {
        // Kafka hides the text of this one.
        return Err(ApiError::bare(ErrorCode::UnknownServerError));
    };
    let factor = first.replicas.len();
    let replicas: Vec<Vec<NodeId>> = match &request.assignments {
        Some(assignments) => assignments
            .iter()
            .map(|assignment| assignment.broker_ids.iter().copied().map(NodeId).collect())
            .collect(),
        None => {
            let factor =
                i16::try_from(factor).map_err(|_| ApiError::bare(ErrorCode::UnknownServerError))?;
            let invalid = |why| ApiError::new(ErrorCode::InvalidReplicationFactor, why);
            placement::place(controller, additional, factor, random).map_err(invalid)?
        }
    };
    let elr = controller.image().features.elr_enabled();
    let directories = controller.metadata_version().supports_directory_assignment();
    let mut records = Vec::with_capacity(additional);
    for (index, replicas) in (existing..).zip(&replicas) {
        if request.assignments.is_some() {
            check_manual(controller, replicas, Some(factor))?;
        }
        let Some(partition) = new_partition(controller, replicas) else {
            return match request.assignments {
                Some(_) => refuse(
                    ErrorCode::InvalidReplicaAssignment,
                    format!(
                        "All brokers specified in the manual partition assignment for partition {index} are fenced \
                         or in controlled shutdown."
                    ),
                ),
                None => refuse(
                    ErrorCode::InvalidReplicationFactor,
                    format!(
                        "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in \
                         controlled shutdown."
                    ),
                ),
            };
        };
        let index =
            i32::try_from(index).map_err(|_| ApiError::bare(ErrorCode::UnknownServerError))?;
        records.push(partition.to_record(topic.id, index, elr, directories).into());
    }
    Ok(records)
}
