//! A broker tells the controller where its replicas lie, if the metadata says otherwise: after a disk was replaced (KIP-858).

use std::collections::BTreeMap;

use base::{NodeId, TopicId};
use controller::{ControllerReply, ControllerRequest};
use metadata::Image;
use protocol::messages::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};

use super::context::Context;
use super::message::{Ask, Purpose, Tell};
use super::replicas::Replicas;

const TIMEOUT_MS: u64 = 1_500;
const AGAIN_MS: u64 = 200;

impl Replicas {
    pub fn tell_directories(
        &mut self,
        cx: &mut Context<'_>,
        image: &Image,
        leader: Option<NodeId>,
    ) {
        let (Some(leader), Some(own)) = (leader, image.cluster.broker(cx.id)) else { return };
        if self.assigning || self.misplaced.is_empty() || self.assign_at > cx.now.mono {
            return;
        }
        let mut topics: BTreeMap<TopicId, Vec<PartitionData>> = BTreeMap::new();
        for id in &self.misplaced {
            let partition_index = id.partition.get();
            let row = PartitionData { partition_index, ..Default::default() };
            topics.entry(id.topic_id).or_default().push(row);
        }
        let topic =
            |(topic_id, partitions)| TopicData { topic_id, partitions, ..Default::default() };
        let topics = topics.into_iter().map(topic).collect();
        let request = AssignReplicasToDirsRequest {
            broker_id: own.id.get(),
            broker_epoch: own.epoch.get(),
            directories: vec![DirectoryData { id: self.directory, topics, ..Default::default() }],
            ..Default::default()
        };
        self.assigning = true;
        let ask = Ask::Controller(ControllerRequest::AssignReplicasToDirs(request));
        cx.call(leader, Purpose::AssignDirectories, ask, TIMEOUT_MS);
    }

    /// What is not taken is told again.
    pub fn directories_answered(&mut self, cx: &mut Context<'_>, tell: &Tell) {
        self.assigning = false;
        self.assign_at = cx.now.mono.plus_ms(AGAIN_MS);
        if let Tell::Controller(Some(ControllerReply::AssignReplicasToDirs(reply))) = tell
            && reply.error_code == 0
        {
            self.misplaced.clear();
        }
    }
}
