//! AssignReplicasToDirs: a broker tells in which of its directories replicas live (KIP-858).

use base::{NodeId, PartitionIndex};
use protocol::ErrorCode;
use protocol::messages::assign_replicas_to_dirs_request::AssignReplicasToDirsRequest;
use protocol::messages::assign_replicas_to_dirs_response as response;
use protocol::metadata_records::MetadataRecord;

use super::change::PartitionChange;
use super::leadership;
use crate::brokers::check_epoch;
use crate::handle::{Controller, Records};

pub(crate) fn handle(
    controller: &Controller,
    request: &AssignReplicasToDirsRequest,
) -> (Records, response::AssignReplicasToDirsResponse) {
    let refused = |code: ErrorCode| {
        let error_code = code.code();
        (
            Records::none(),
            response::AssignReplicasToDirsResponse { error_code, ..Default::default() },
        )
    };
    if !controller.metadata_version().supports_directory_assignment() {
        return refused(ErrorCode::UnsupportedVersion);
    }
    if let Err(error) = check_epoch(controller, request.broker_id, request.broker_epoch) {
        return refused(error.code);
    }
    let id = NodeId(request.broker_id);
    let Some(broker) = controller.image().cluster.broker(id) else {
        return refused(ErrorCode::BrokerIdNotRegistered);
    };
    let mut records: Vec<MetadataRecord<'static>> = Vec::new();
    let mut directories = Vec::new();
    for directory in &request.directories {
        let is_offline = !broker.has_online_directory(directory.id);
        let mut topics = Vec::new();
        for asked in &directory.topics {
            let topic = controller.image().topics.by_id(asked.topic_id);
            let mut assign = |index: i32| -> Result<(), ErrorCode> {
                let index = PartitionIndex(index);
                let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
                let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
                if !partition.replicas.contains(&id) {
                    return Err(ErrorCode::NotLeaderOrFollower);
                }
                // One record for both, the place and what follows from it: two, each made from the state before,
                // could name a leader and then take it out of the in-sync set.
                records.extend(if is_offline {
                    leadership::assign_to_broken(controller, id, topic, index, directory.id)
                } else {
                    let change = PartitionChange::of(controller, topic, index);
                    let change = change.map(|change| change.directory(id, directory.id));
                    change.and_then(PartitionChange::build).map(Into::into)
                });
                Ok(())
            };
            let partitions = asked.partitions.iter().map(|partition| response::PartitionData {
                partition_index: partition.partition_index,
                error_code: assign(partition.partition_index).err().map_or(0, ErrorCode::code),
                ..Default::default()
            });
            let partitions = partitions.collect();
            topics.push(response::TopicData {
                topic_id: asked.topic_id,
                partitions,
                ..Default::default()
            });
        }
        directories.push(response::DirectoryData {
            id: directory.id,
            topics,
            ..Default::default()
        });
    }
    let reply = response::AssignReplicasToDirsResponse { directories, ..Default::default() };
    (Records::loose(records), reply)
}
