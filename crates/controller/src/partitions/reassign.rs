//! AlterPartitionReassignments and ListPartitionReassignments: replicas move from broker to broker.

use std::collections::BTreeSet;

use base::{NodeId, PartitionIndex};
use metadata::{Partition, Topic};
use protocol::ErrorCode;
use protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use protocol::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;

use super::change::PartitionChange;
use crate::effective;
use crate::error::{ApiError, MAX_RECORDS_PER_REQUEST, Result, fields};
use crate::handle::{Controller, Records};
use crate::topics::assignment::check_manual;

pub(crate) fn alter(
    controller: &Controller,
    request: &AlterPartitionReassignmentsRequest<'static>,
) -> (Records, AlterPartitionReassignmentsResponse<'static>) {
    let mut records = Vec::new();
    let mut responses = Vec::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for asked in &topic.partitions {
            let target = Target {
                index: PartitionIndex(asked.partition_index),
                replicas: asked
                    .replicas
                    .as_ref()
                    .map(|ids| ids.iter().copied().map(NodeId).collect()),
                may_change_factor: request.allow_replication_factor_change,
            };
            let altered = alter_one(controller, &topic.name, &target).and_then(|record| {
                // Kafka has no word for this.
                let full = record.is_some() && records.len() >= MAX_RECORDS_PER_REQUEST;
                if full { Err(ApiError::bare(ErrorCode::UnknownServerError)) } else { Ok(record) }
            });
            let (error_code, error_message) =
                fields(altered.map(|record| records.extend(record.map(Into::into))));
            partitions.push(ReassignablePartitionResponse {
                partition_index: asked.partition_index,
                error_code,
                error_message,
                ..Default::default()
            });
        }
        responses.push(ReassignableTopicResponse {
            name: topic.name.clone(),
            partitions,
            ..Default::default()
        });
    }
    let reply = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        responses,
        ..Default::default()
    };
    (Records::atomic(records), reply)
}

struct Target {
    index: PartitionIndex,
    /// `None` cancels what is under way.
    replicas: Option<Vec<NodeId>>,
    may_change_factor: bool,
}

fn alter_one(
    controller: &Controller,
    name: &str,
    target: &Target,
) -> Result<Option<PartitionChangeRecord>> {
    let unknown = |message| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = controller.image().topics.by_name(name);
    let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let missing = || unknown(format!("Unable to find partition {name}:{}.", target.index));
    let partition = topic.partition(target.index).ok_or_else(missing)?;
    let change = PartitionChange::of(controller, topic, target.index).ok_or_else(missing)?;
    match &target.replicas {
        None => cancel(controller, topic, target.index, partition, change),
        Some(replicas) => start(controller, partition, change, replicas, target.may_change_factor),
    }
}

fn cancel(
    controller: &Controller,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    change: PartitionChange<'_>,
) -> Result<Option<PartitionChangeRecord>> {
    if !partition.is_reassigning() {
        return Err(ApiError::bare(ErrorCode::NoReassignmentInProgress));
    }
    let invalid = |message| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    let stays = |id: &NodeId| !partition.adding_replicas.contains(id);
    let replicas: Vec<NodeId> = partition.replicas.iter().copied().filter(stays).collect();
    let mut isr: Vec<NodeId> = partition.isr.iter().copied().filter(stays).collect();
    if isr.is_empty() {
        let nobody = "Invalid replica assignment: addingReplicas contains all replicas.";
        isr.push(*replicas.first().ok_or_else(|| invalid(nobody.to_owned()))?);
        if !effective::unclean_leader_election(controller, &topic.name) {
            return Err(invalid(format!(
                "Unable to revert partition assignment for {}:{index} because it would require an unclean leader \
                 election.",
                topic.name
            )));
        }
    }
    let change = change.unclean_where_allowed().isr(isr).replicas(replicas);
    Ok(change.removing(Vec::new()).adding(Vec::new()).build())
}

fn start(
    controller: &Controller,
    partition: &Partition,
    change: PartitionChange<'_>,
    wanted: &[NodeId],
    may_change_factor: bool,
) -> Result<Option<PartitionChangeRecord>> {
    check_manual(controller, wanted, None)?;
    let replicas: BTreeSet<NodeId> = partition.replicas.iter().copied().collect();
    let target: BTreeSet<NodeId> = wanted.iter().copied().collect();
    if !may_change_factor {
        let mut settled = replicas.clone();
        settled.extend(&*partition.adding_replicas);
        settled.retain(|id| !partition.removing_replicas.contains(id));
        let current =
            if partition.is_reassigning() { settled.len() } else { partition.replicas.len() };
        if current != wanted.len() {
            let message =
                format!("The replication factor is changed from {current} to {}", wanted.len());
            return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
        }
    }
    let removing: Vec<NodeId> = replicas.difference(&target).copied().collect();
    let adding: Vec<NodeId> = target.difference(&replicas).copied().collect();
    // Those to remove stay, behind the others, until the new ones are in sync.
    let all = wanted.iter().chain(&removing).copied().collect();
    let mut change = change.replicas(all);
    if !removing.is_empty() {
        change = change.removing(removing);
    }
    if !adding.is_empty() {
        change = change.adding(adding);
    }
    Ok(change.build())
}

pub(crate) fn list(
    controller: &Controller,
    request: &ListPartitionReassignmentsRequest<'static>,
) -> (Records, ListPartitionReassignmentsResponse<'static>) {
    let image = controller.image();
    let topics: Vec<_> = match &request.topics {
        None => image.topics.iter().map(|topic| ongoing(topic, |_| true)).collect(),
        Some(asked) => {
            let known =
                asked.iter().filter_map(|asked| Some((asked, image.topics.by_name(&asked.name)?)));
            known
                .map(|(asked, topic)| {
                    ongoing(topic, |index| asked.partition_indexes.contains(&index))
                })
                .collect()
        }
    };
    let topics = topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect();
    (
        Records::none(),
        ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() },
    )
}

fn ongoing(topic: &Topic, asked: impl Fn(i32) -> bool) -> OngoingTopicReassignment<'static> {
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    let moving = topic
        .partitions()
        .filter(|(index, partition)| partition.is_reassigning() && asked(index.0));
    let partitions = moving.map(|(index, partition)| OngoingPartitionReassignment {
        partition_index: index.0,
        replicas: numbers(&partition.replicas),
        adding_replicas: numbers(&partition.adding_replicas),
        removing_replicas: numbers(&partition.removing_replicas),
        ..Default::default()
    });
    OngoingTopicReassignment {
        name: topic.name.to_string().into(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}
