//! A leader's proposals as the request AlterPartition says them, and what the controller's answer means for each.

use std::collections::BTreeMap;

use base::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, TopicId, TopicIdPartition};
use protocol::ErrorCode;
use protocol::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use protocol::messages::alter_partition_response::{self, AlterPartitionResponse};

use super::{IsrAnswer, IsrProposal};

impl IsrProposal {
    /// The version of AlterPartition that names the epochs of brokers.
    pub const VERSION: i16 = 3;

    /// The proposals of many partitions in one request of the broker `own`, under the epoch of its registration.
    pub fn request<'a>(
        own: (NodeId, BrokerEpoch),
        proposals: impl IntoIterator<Item = (TopicIdPartition, &'a Self)>,
    ) -> AlterPartitionRequest {
        let (broker, broker_epoch) = own;
        let mut topics: BTreeMap<TopicId, Vec<PartitionData>> = BTreeMap::new();
        for (id, proposal) in proposals {
            topics.entry(id.topic_id).or_default().push(PartitionData {
                partition_index: id.partition.get(),
                leader_epoch: proposal.leader_epoch.get(),
                new_isr_with_epochs: proposal.isr.iter().map(|each| state(own, *each)).collect(),
                partition_epoch: proposal.partition_epoch.get(),
                ..Default::default()
            });
        }
        let topics = topics.into_iter().map(|(topic_id, partitions)| TopicData {
            topic_id,
            partitions,
            ..Default::default()
        });
        AlterPartitionRequest {
            broker_id: broker.get(),
            broker_epoch: broker_epoch.get(),
            topics: topics.collect(),
            ..Default::default()
        }
    }
}

/// Proposals do not know the leader's own registration.
fn state(own: (NodeId, BrokerEpoch), (id, epoch): (NodeId, BrokerEpoch)) -> BrokerState {
    let epoch = if id == own.0 { own.1 } else { epoch };
    BrokerState { broker_id: id.get(), broker_epoch: epoch.get(), ..Default::default() }
}

impl IsrAnswer {
    /// What the controller said of one partition.
    pub fn of(partition: &alter_partition_response::PartitionData) -> Self {
        match ErrorCode::from_code(partition.error_code) {
            ErrorCode::None => Self::Committed {
                leader_epoch: LeaderEpoch(partition.leader_epoch),
                partition_epoch: PartitionEpoch(partition.partition_epoch),
                isr: partition.isr.iter().copied().map(NodeId).collect(),
            },
            ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => Self::Refused,
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::NewLeaderElected => Self::Outdated,
            _ => Self::Unknown,
        }
    }

    /// What it said of all: of none, where the whole request was refused.
    pub fn all_of(response: &AlterPartitionResponse) -> BTreeMap<TopicIdPartition, Self> {
        let partitions = response.topics.iter().flat_map(|topic| {
            let id = |index| TopicIdPartition::new(topic.topic_id, index);
            topic.partitions.iter().map(move |data| (id(data.partition_index), Self::of(data)))
        });
        partitions.collect()
    }
}

#[cfg(test)]
mod tests {
    use base::Uuid;

    use super::*;

    #[test]
    fn the_leader_stands_in_its_request_under_its_own_registration_and_others_as_they_fetched() {
        let topics = [Uuid([1; 16]), Uuid([2; 16])];
        let proposal = IsrProposal {
            id: 7,
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(4),
            isr: vec![(NodeId(1), BrokerEpoch::NONE), (NodeId(2), BrokerEpoch(20))],
        };
        let partitions = [(topics[1], 0), (topics[0], 5), (topics[1], 1)];
        let proposals =
            partitions.map(|(topic, index)| (TopicIdPartition::new(topic, index), &proposal));
        let request = IsrProposal::request((NodeId(1), BrokerEpoch(10)), proposals);
        assert_eq!((request.broker_id, request.broker_epoch), (1, 10));
        let asked: Vec<_> = request
            .topics
            .iter()
            .map(|t| (t.topic_id, t.partitions.iter().map(|p| p.partition_index).collect()))
            .collect::<Vec<(TopicId, Vec<i32>)>>();
        assert_eq!(asked, [(topics[0], vec![5]), (topics[1], vec![0, 1])]);
        let data = &request.topics[0].partitions[0];
        assert_eq!((data.leader_epoch, data.partition_epoch), (3, 4));
        let isr = data.new_isr_with_epochs.iter().map(|s| (s.broker_id, s.broker_epoch));
        assert_eq!(isr.collect::<Vec<_>>(), [(1, 10), (2, 20)]);
    }

    #[test]
    fn what_is_not_known_to_be_refused_is_asked_again() {
        let answer = |error: ErrorCode| {
            IsrAnswer::of(&alter_partition_response::PartitionData {
                error_code: error.code(),
                isr: vec![1, 2],
                leader_epoch: 3,
                partition_epoch: 4,
                ..Default::default()
            })
        };
        let committed = IsrAnswer::Committed {
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(4),
            isr: vec![NodeId(1), NodeId(2)],
        };
        assert_eq!(answer(ErrorCode::None), committed);
        assert_eq!(answer(ErrorCode::IneligibleReplica), IsrAnswer::Refused);
        assert_eq!(answer(ErrorCode::FencedLeaderEpoch), IsrAnswer::Outdated);
        assert_eq!(answer(ErrorCode::UnknownServerError), IsrAnswer::Unknown);
        assert_eq!(answer(ErrorCode::RequestTimedOut), IsrAnswer::Unknown);
    }
}
