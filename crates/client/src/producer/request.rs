//! Produce requests and what their answers mean for each batch.

use std::collections::HashMap;

use base::{TopicId, TopicPartition};
use protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::messages::produce_response::ProduceResponse;
use protocol::{ErrorCode, Records};

use super::Shared;
use super::batch::Batch;
use super::delivery::Stored;
use super::options::ProducerOptions;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::transport::Reply;

/// The last version that names topics; later ones carry their ids.
const LAST_BY_NAME: i16 = 12;

/// The last version for transactions of the first kind; a later one adds partitions to the transaction by itself.
const LAST_V1: i16 = 11;

/// The highest version possible: ids must be known for all topics.
pub(crate) fn version_cap(batches: &[Batch], shared: &Shared, metadata: &Metadata) -> i16 {
    if shared.transactional.as_ref().is_some_and(|t| !t.machine.lock().sends_v2()) {
        return LAST_V1;
    }
    let known = |b: &Batch| metadata.topic(&b.partition.topic).is_some_and(|t| !t.id.is_zero());
    if batches.iter().all(known) { i16::MAX } else { LAST_BY_NAME }
}

/// The request with all these batches, whose bytes it borrows.
pub(crate) fn request<'a>(
    batches: &'a mut [Batch],
    options: &ProducerOptions,
    metadata: &Metadata,
) -> Result<ProduceRequest<'a>> {
    let mut topics: Vec<TopicProduceData<'a>> = Vec::new();
    for batch in batches {
        let (topic, index) = (batch.partition.topic.to_string(), batch.partition.partition.get());
        let records = Some(Records::borrowed(batch.build()?));
        let data = PartitionProduceData { index, records, ..Default::default() };
        match topics.iter_mut().find(|t| t.name == topic) {
            Some(known) => known.partition_data.push(data),
            None => topics.push(TopicProduceData {
                topic_id: metadata.topic(&topic).map_or(TopicId::ZERO, |t| t.id),
                name: topic.into(),
                partition_data: vec![data],
                ..Default::default()
            }),
        }
    }
    Ok(ProduceRequest {
        transactional_id: options.transactional_id.clone().map(Into::into),
        acks: options.acks.code(),
        timeout_ms: i32::try_from(options.request_timeout_ms).unwrap_or(i32::MAX),
        topic_data: topics,
        ..Default::default()
    })
}

/// What the server says of each partition.
pub(crate) fn answers(
    reply: &Reply,
    metadata: &Metadata,
) -> Result<HashMap<TopicPartition, Result<Stored>>> {
    let response: ProduceResponse<'_> = reply.decode()?;
    let by_id =
        |id: TopicId| metadata.topics.values().find(|t| t.id == id).map(|t| t.name.to_string());
    let mut answers = HashMap::new();
    for topic in &response.responses {
        let name = if reply.version > LAST_BY_NAME {
            by_id(topic.topic_id)
        } else {
            Some(topic.name.to_string())
        };
        let Some(name) = name else { continue };
        for p in &topic.partition_responses {
            let stored =
                Stored { base_offset: p.base_offset, log_append_time: p.log_append_time_ms };
            let first_fault =
                p.record_errors.iter().find_map(|e| e.batch_index_error_message.as_deref());
            let message = p.error_message.as_deref().or(first_fault);
            let result = match ErrorCode::from_code(p.error_code) {
                // Stored before: the answer got lost, the record did not.
                ErrorCode::DuplicateSequenceNumber => {
                    Ok(Stored { base_offset: -1, log_append_time: -1 })
                }
                code => Error::check(code.code(), message).map(|()| stored),
            };
            answers.insert(TopicPartition::new(name.as_str(), p.index), result);
        }
    }
    Ok(answers)
}
