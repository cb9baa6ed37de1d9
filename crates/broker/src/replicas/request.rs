//! The words of a fetch between brokers, and what its answer means for each partition.

use std::collections::BTreeMap;

use base::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicId};
use config::broker::ReplicationConfig;
use protocol::ErrorCode;
use protocol::messages::fetch_request::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState,
};
use protocol::messages::fetch_response::PartitionData;
use replication::Refusal;

use super::session::Words;
use crate::partitions::FetchedPart;
use crate::peers::PeerError;

/// The first version that names topics by id; every Kafka 4 speaks it.
const IDS_FROM_VERSION: i16 = 13;
/// The first version in which a replica tells its broker's epoch (KIP-903).
const REPLICA_STATE_FROM_VERSION: i16 = 15;

/// Who asks, and for how much.
pub struct Asker<'a> {
    pub id: NodeId,
    pub broker_epoch: BrokerEpoch,
    pub config: &'a ReplicationConfig,
}

pub fn fetch(
    asker: &Asker<'_>,
    words: &Words,
    version: i16,
) -> Result<FetchRequest<'static>, PeerError> {
    if version < IDS_FROM_VERSION {
        return Err(PeerError::Unsayable("a fetch that names topics by id"));
    }
    let config = asker.config;
    let mut topics: BTreeMap<TopicId, Vec<FetchPartition>> = BTreeMap::new();
    for (id, at) in &words.partitions {
        topics.entry(id.topic_id).or_default().push(FetchPartition {
            partition: id.partition.get(),
            current_leader_epoch: at.leader_epoch.get(),
            fetch_offset: at.offset.get(),
            last_fetched_epoch: at.last_fetched_epoch.get(),
            log_start_offset: at.log_start.get(),
            partition_max_bytes: config.fetch_max_bytes,
            ..Default::default()
        });
    }
    let mut forgotten: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for id in &words.forgotten {
        forgotten.entry(id.topic_id).or_default().push(id.partition.get());
    }
    let mut request = FetchRequest {
        max_wait_ms: config.fetch_wait_max_ms,
        min_bytes: config.fetch_min_bytes,
        max_bytes: config.fetch_response_max_bytes,
        session_id: words.session_id,
        session_epoch: words.epoch,
        topics: topics
            .into_iter()
            .map(|(topic_id, partitions)| FetchTopic { topic_id, partitions, ..Default::default() })
            .collect(),
        forgotten_topics_data: forgotten
            .into_iter()
            .map(|(topic_id, partitions)| ForgottenTopic {
                topic_id,
                partitions,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    if version >= REPLICA_STATE_FROM_VERSION {
        request.replica_state = ReplicaState {
            replica_id: asker.id.get(),
            replica_epoch: asker.broker_epoch.get(),
            ..Default::default()
        };
    } else {
        request.replica_id = asker.id.get();
    }
    Ok(request)
}

pub fn part<'a>(data: &'a PartitionData<'_>) -> FetchedPart<'a> {
    let refusal = match ErrorCode::from_code(data.error_code) {
        ErrorCode::None => None,
        error => Some(refusal(error)),
    };
    if let Some(refusal) = refusal {
        return FetchedPart::Refused(refusal);
    }
    if data.diverging_epoch.epoch >= 0 && data.diverging_epoch.end_offset < 0 {
        return FetchedPart::Refused(Refusal::Retry); // no place to cut at
    }
    if data.diverging_epoch.epoch >= 0 {
        return FetchedPart::Diverging {
            epoch: LeaderEpoch(data.diverging_epoch.epoch),
            end: Offset(data.diverging_epoch.end_offset),
        };
    }
    FetchedPart::Records {
        bytes: data.records.as_ref().and_then(|records| records.bytes()).unwrap_or_default(),
        high_watermark: Offset(data.high_watermark),
        log_start: Offset(data.log_start_offset),
    }
}

pub fn refusal(error: ErrorCode) -> Refusal {
    match error {
        ErrorCode::OffsetOutOfRange => Refusal::OutOfRange,
        ErrorCode::FencedLeaderEpoch => Refusal::Fenced,
        _ => Refusal::Retry,
    }
}
