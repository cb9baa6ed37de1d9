//! DeleteRecords (21), versions 0-2: moves the start of logs forward. Offset -1 means the high watermark.
//!
//! Answered once all replicas have moved: on a single node at once. A topic that is compacted only refuses with POLICY_VIOLATION.

use std::collections::BTreeMap;

use base::{LeaderEpoch, Offset, PartitionIndex};
use protocol::ErrorCode;
use protocol::messages::delete_records_request::DeleteRecordsRequest;
use protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use storage::log::{Log, LogError};

use crate::authorizer::{Operation, Resource};
use crate::request::RequestContext;

crate::handler!(DeleteRecords, DeleteRecordsRequest<'_>, handle);

const HIGH_WATERMARK: i64 = -1;

async fn handle(
    context: &RequestContext,
    request: DeleteRecordsRequest<'_>,
) -> DeleteRecordsResponse<'static> {
    let topics = request.topics.iter().map(|topic| {
        // Of a partition that is named twice the last offset counts.
        let offsets = topic.partitions.iter().map(|p| (p.partition_index, p.offset));
        let offsets: BTreeMap<i32, i64> = offsets.collect();
        let partitions = offsets.into_iter().map(|(partition_index, offset)| {
            let deleted = if context.allows(Operation::Delete, Resource::Topic(&topic.name)) {
                delete(context, &topic.name, partition_index, offset)
            } else {
                Err(ErrorCode::TopicAuthorizationFailed)
            };
            DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: deleted.map_or(-1, Offset::get),
                error_code: deleted.err().map_or(0, ErrorCode::code),
                ..Default::default()
            }
        });
        DeleteRecordsTopicResult {
            name: topic.name.to_string().into(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
}

/// Returns the new start of the log.
fn delete(
    context: &RequestContext,
    topic: &str,
    index: i32,
    offset: i64,
) -> Result<Offset, ErrorCode> {
    let node = &context.node;
    let image = node.image();
    let index = PartitionIndex(index);
    let topic = image.topics.by_name(topic).filter(|topic| topic.partition(index).is_some());
    let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = node.partitions.get(topic.id, index).ok_or(ErrorCode::NotLeaderOrFollower)?;
    if crate::topics::is_internal(partition.topic()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !partition.settings().deletes() {
        return Err(ErrorCode::PolicyViolation);
    }
    let delete = |log: &mut Log| {
        let new_start = match offset {
            HIGH_WATERMARK => log.high_watermark(),
            offset if offset < 0 => {
                return Err(LogError::OffsetOutOfRange {
                    log: log.name().to_string(),
                    requested: Offset(offset),
                    start: log.start_offset(),
                    end: log.end_offset(),
                });
            }
            offset => Offset(offset),
        };
        log.delete_records(new_start)?;
        Ok(log.start_offset())
    };
    let started = partition.as_leader(LeaderEpoch::NONE, delete).map_err(|error| error.code())?;
    node.note_appended();
    partition.with_consumers_told();
    Ok(started)
}
