//! Where the leader's logs begin and end, asked by replicas whose place is not in them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{LeaderEpoch, NodeId, Offset, TopicIdPartition};
use protocol::ErrorCode;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use replication::{Ask, FollowerEvent};

use super::request::refusal;
use crate::partitions::Partition;
use crate::peers::{Address, Channel, PeerError, Peers};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// One partition's question.
pub struct Question {
    pub partition: Arc<Partition>,
    pub epoch: LeaderEpoch,
    pub ask: Ask,
}

impl Question {
    fn timestamp(&self) -> i64 {
        if self.ask == Ask::LogEnd { LATEST } else { EARLIEST }
    }
}

/// Asks all; what is not answered counts as unreachable.
pub async fn ask(
    peers: &Peers,
    to: &Address,
    channel: Channel,
    within: Duration,
    own: NodeId,
    questions: &[Question],
) -> HashMap<TopicIdPartition, FollowerEvent> {
    let answered = peers.send(to, channel, within, |_| Ok(request(own, questions))).await;
    let told = answered.and_then(|answered| {
        let response: ListOffsetsResponse<'_> = answered.decode()?;
        Ok(events(&response, questions))
    });
    told.unwrap_or_else(|error: PeerError| {
        tracing::info!(leader = %to, "the offsets of logs are not told: {error}");
        HashMap::new()
    })
}

fn request(own: NodeId, questions: &[Question]) -> ListOffsetsRequest<'static> {
    let topic = |question: &Question| ListOffsetsTopic {
        name: question.partition.topic().to_string().into(),
        partitions: vec![ListOffsetsPartition {
            partition_index: question.partition.id().partition.get(),
            current_leader_epoch: question.epoch.get(),
            timestamp: question.timestamp(),
            ..Default::default()
        }],
        ..Default::default()
    };
    ListOffsetsRequest {
        replica_id: own.get(),
        topics: questions.iter().map(topic).collect(),
        ..Default::default()
    }
}

fn events(
    response: &ListOffsetsResponse<'_>,
    questions: &[Question],
) -> HashMap<TopicIdPartition, FollowerEvent> {
    let by_name: HashMap<(&str, i32), &Question> = questions
        .iter()
        .map(|question| {
            let (topic, id) = (question.partition.topic(), question.partition.id());
            ((&**topic, id.partition.get()), question)
        })
        .collect();
    let rows =
        response.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    let events = rows.filter_map(|(topic, partition)| {
        let question = by_name.get(&(&*topic.name, partition.partition_index))?;
        let offset = Offset(partition.offset);
        let event = match (ErrorCode::from_code(partition.error_code), question.ask) {
            (ErrorCode::None, _) if !offset.is_some() => FollowerEvent::Unreachable,
            (ErrorCode::None, Ask::LogEnd) => FollowerEvent::LogEnd { end: offset },
            (ErrorCode::None, _) => FollowerEvent::LogStart { start: offset },
            (error, _) => FollowerEvent::Refused(refusal(error)),
        };
        Some((question.partition.id(), event))
    });
    events.collect()
}
