//! One partition of a fetch: what was found, and what is told of it.

use std::sync::Arc;

use base::{PartitionIndex, TopicId, TopicIdPartition};
use metadata::Image;
use net::Chunk;
use protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use protocol::{ErrorCode, Records};
use tracing::warn;

use super::region::{into_records, read_small};
use super::session::{PartitionKey, TopicKey};
use crate::leaders::fetch::current_leader;
use crate::partitions::{Partition, ReadResult};
use crate::request::RequestContext;

/// The first version that tells who leads instead (KIP-951).
const LEADER_FROM_VERSION: i16 = 16;

pub(super) struct Entry {
    pub place: u64,
    pub key: PartitionKey,
    pub partition: Option<Arc<Partition>>,
    pub result: Result<ReadResult, ErrorCode>,
    /// Records that are few enough to leave with the response's own bytes.
    pub small: Option<Vec<u8>>,
}

impl Entry {
    /// Reads the records if they are few.
    pub async fn read_small(&mut self) {
        let (Some(partition), Ok(result)) = (&self.partition, &self.result) else { return };
        let Some(slice) = result.data.as_ref().and_then(|data| data.records.as_ref()) else {
            return;
        };
        match read_small(slice, &partition.lane()).await {
            Ok(small) => self.small = small,
            Err(error) => {
                warn!("read failed: {error}");
                self.result = Err(ErrorCode::KafkaStorageError);
            }
        }
    }

    pub fn into_data(
        self,
        context: &RequestContext,
        regions: &mut Vec<Option<Chunk>>,
        elsewhere: &mut bool,
    ) -> PartitionData<'static> {
        let index = self.key.1;
        let result = match self.result {
            Ok(result) => result,
            Err(error) => {
                let mut failed = failure(index, error);
                if self.partition.is_some() {
                    // Null for what could not be read, empty for what is not there, as in Kafka.
                    failed.aborted_transactions = None;
                }
                if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
                    && context.version >= LEADER_FROM_VERSION
                    && let Some(id) = registered(&context.node.image(), &self.key)
                {
                    *elsewhere = true;
                    failed.current_leader = current_leader(&context.node, id);
                }
                return failed;
            }
        };
        let (slice, aborted) = match result.data {
            Some(data) => (data.records, data.aborted),
            None => (None, None),
        };
        let aborted = aborted.map(|aborted| {
            let row = |txn: storage::log::AbortedTxn| AbortedTransaction {
                producer_id: txn.producer_id.get(),
                first_offset: txn.first_offset,
                ..Default::default()
            };
            aborted.into_iter().map(row).collect()
        });
        let records = match (self.small, slice, self.partition) {
            (Some(bytes), ..) => bytes.into(),
            (None, Some(slice), Some(partition)) => into_records(slice, partition.lane(), regions),
            _ => Records::borrowed(&[]),
        };
        let mut data = PartitionData {
            partition_index: index.get(),
            high_watermark: result.high_watermark.get(),
            last_stable_offset: result.last_stable_offset.get(),
            log_start_offset: result.log_start.get(),
            aborted_transactions: aborted,
            records: Some(records),
            ..Default::default()
        };
        if let Some(preferred) = result.preferred {
            data.preferred_read_replica = preferred.get();
        }
        if let Some((epoch, end)) = result.diverging {
            data.diverging_epoch =
                EpochEndOffset { epoch: epoch.get(), end_offset: end.get(), ..Default::default() };
        }
        data
    }
}

fn failure(index: PartitionIndex, error: ErrorCode) -> PartitionData<'static> {
    PartitionData {
        partition_index: index.get(),
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Some(Records::borrowed(&[])),
        ..Default::default()
    }
}

/// Partitions of one topic that follow each other share an entry, as in Kafka's responses.
pub(super) fn push(
    responses: &mut Vec<FetchableTopicResponse<'static>>,
    topic: TopicKey,
    data: PartitionData<'static>,
) {
    let (name, topic_id) = match topic {
        TopicKey::Id(id) => (String::new(), id),
        TopicKey::Name(name) => (String::from(name), TopicId::ZERO),
    };
    if let Some(last) = responses.last_mut()
        && last.topic_id == topic_id
        && last.topic == name
    {
        last.partitions.push(data);
        return;
    }
    responses.push(FetchableTopicResponse {
        topic: name.into(),
        topic_id,
        partitions: vec![data],
        ..Default::default()
    });
}

fn registered(image: &Image, (topic, index): &PartitionKey) -> Option<TopicIdPartition> {
    let topic = match topic {
        TopicKey::Id(id) => image.topics.by_id(*id)?,
        TopicKey::Name(name) => image.topics.by_name(name)?,
    };
    topic.partition(*index)?;
    Some(TopicIdPartition { topic_id: topic.id, partition: *index })
}
