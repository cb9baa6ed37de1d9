//! AlterPartition: a leader tells who is in sync.

use std::collections::BTreeSet;

use base::{NodeId, PartitionIndex};
use metadata::{BrokerRegistration, LeaderRecoveryState, Partition, Topic};
use protocol::ErrorCode;
use protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData,
};
use protocol::messages::alter_partition_response as response;
use protocol::metadata_records::MetadataRecord;

use super::change::PartitionChange;
use crate::brokers::check_epoch;
use crate::handle::{Controller, Records};

pub(crate) fn handle(
    controller: &Controller,
    request: &AlterPartitionRequest,
    version: i16,
) -> (Records, response::AlterPartitionResponse) {
    if let Err(error) = check_epoch(controller, request.broker_id, request.broker_epoch) {
        let error_code = error.code.code();
        return (
            Records::none(),
            response::AlterPartitionResponse { error_code, ..Default::default() },
        );
    }
    let mut records = Vec::new();
    let mut topics = Vec::new();
    for asked in &request.topics {
        let topic =
            controller.image().topics.by_id(asked.topic_id).filter(|_| !asked.topic_id.is_zero());
        let answers = asked.partitions.iter().map(|data| match topic {
            None => refused(data, ErrorCode::UnknownTopicId),
            Some(topic) => {
                let asked =
                    Asked { leader: NodeId(request.broker_id), data, isr: new_isr(data, version) };
                match alter(controller, topic, &asked, &mut records) {
                    Ok(partition) => accepted(data, &partition),
                    Err(code) => refused(data, code),
                }
            }
        });
        topics.push(response::TopicData {
            topic_id: asked.topic_id,
            partitions: answers.collect(),
            ..Default::default()
        });
    }
    (Records::loose(records), response::AlterPartitionResponse { topics, ..Default::default() })
}

/// Who shall be in sync; before version 3 without broker epochs.
fn new_isr(data: &PartitionData, version: i16) -> Vec<BrokerState> {
    if version >= 3 {
        return data.new_isr_with_epochs.clone();
    }
    let state = |id: &i32| BrokerState { broker_id: *id, broker_epoch: -1, ..Default::default() };
    data.new_isr.iter().map(state).collect()
}

struct Asked<'a> {
    leader: NodeId,
    data: &'a PartitionData,
    isr: Vec<BrokerState>,
}

fn alter(
    controller: &Controller,
    topic: &Topic,
    asked: &Asked<'_>,
    records: &mut Vec<MetadataRecord<'static>>,
) -> Result<Partition, ErrorCode> {
    let index = PartitionIndex(asked.data.partition_index);
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let recovery = check(controller, partition, asked)?;
    let change =
        PartitionChange::of(controller, topic, index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let isr = asked.isr.iter().map(|state| NodeId(state.broker_id)).collect();
    let Some(record) = change.unclean_where_allowed().isr(isr).recovery(recovery).build() else {
        return Ok(partition.clone());
    };
    let after = partition.changed(&record).map_err(|_| ErrorCode::UnknownServerError);
    let leader = record.leader;
    records.push(record.into());
    if leader != -2 && NodeId(leader) != asked.leader {
        // The in-sync set completed a reassignment that takes the leader away.
        return Err(ErrorCode::NewLeaderElected);
    }
    after
}

/// The checks in Kafka's order.
fn check(
    controller: &Controller,
    partition: &Partition,
    asked: &Asked<'_>,
) -> Result<LeaderRecoveryState, ErrorCode> {
    let data = asked.data;
    if data.leader_epoch > partition.leader_epoch.0
        || data.partition_epoch > partition.partition_epoch.0
    {
        return Err(ErrorCode::NotController);
    }
    if data.leader_epoch < partition.leader_epoch.0 {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if asked.leader != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if data.partition_epoch < partition.partition_epoch.0 {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let ids: BTreeSet<NodeId> = asked.isr.iter().map(|state| NodeId(state.broker_id)).collect();
    let valid =
        ids.len() == asked.isr.len() && ids.iter().all(|id| partition.replicas.contains(id));
    if !valid || !ids.contains(&partition.leader) {
        return Err(ErrorCode::InvalidRequest);
    }
    let recovery = LeaderRecoveryState::from_code(data.leader_recovery_state)
        .ok_or(ErrorCode::InvalidRequest)?;
    if recovery == LeaderRecoveryState::Recovering
        && (ids.len() > 1 || partition.leader_recovery_state == LeaderRecoveryState::Recovered)
    {
        return Err(ErrorCode::InvalidRequest);
    }
    let eligible = |state: &BrokerState| {
        let id = NodeId(state.broker_id);
        let epoch_fits = |epoch: i64| state.broker_epoch == -1 || state.broker_epoch == epoch;
        // A fetch that was on its way when the disk failed does not bring its replica back.
        let holds = |broker: &BrokerRegistration| {
            let directory = partition.directory(id);
            partition.isr.contains(&id)
                || directory.is_none_or(|directory| broker.has_online_directory(directory))
        };
        let broker = controller.image().cluster.broker(id);
        broker.is_some_and(|b| b.is_active() && epoch_fits(b.epoch.0) && holds(b))
    };
    if asked.isr.iter().all(eligible) { Ok(recovery) } else { Err(ErrorCode::IneligibleReplica) }
}

fn refused(data: &PartitionData, code: ErrorCode) -> response::PartitionData {
    response::PartitionData {
        partition_index: data.partition_index,
        error_code: code.code(),
        ..Default::default()
    }
}

fn accepted(data: &PartitionData, partition: &Partition) -> response::PartitionData {
    response::PartitionData {
        partition_index: data.partition_index,
        error_code: 0,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        isr: partition.isr.iter().map(|id| id.0).collect(),
        leader_recovery_state: partition.leader_recovery_state.code(),
        partition_epoch: partition.partition_epoch.0,
        ..Default::default()
    }
}
