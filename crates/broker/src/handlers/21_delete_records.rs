//! DeleteRecords (21), versions 0-2: moves the start of logs forward. Offset -1 means the high watermark.
//!
//! Answered once the logs of all live replicas have moved: on a single node at once. A topic that is compacted only refuses with POLICY_VIOLATION.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{LeaderEpoch, MonoMs, Offset, PartitionIndex};
use protocol::ErrorCode;
use protocol::messages::delete_records_request::DeleteRecordsRequest;
use protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use storage::log::{Log, LogError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::authorizer::{Operation, Resource};
use crate::partitions::Use;
use crate::request::RequestContext;

crate::handler!(DeleteRecords, DeleteRecordsRequest<'_>, handle);

const HIGH_WATERMARK: i64 = -1;

/// What is owed for a partition.
enum Deleted {
    /// Where the logs of all replicas start.
    Everywhere(Offset),
    Awaited(oneshot::Receiver<Offset>),
}

async fn handle(
    context: &RequestContext,
    request: DeleteRecordsRequest<'_>,
) -> DeleteRecordsResponse<'static> {
    let timeout_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let parked_until = context.node.clock.mono().plus_ms(timeout_ms);
    let mut begun = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        // Of a partition that is named twice the last offset counts.
        let offsets = topic.partitions.iter().map(|p| (p.partition_index, p.offset));
        let offsets: BTreeMap<i32, i64> = offsets.collect();
        let mut partitions = Vec::with_capacity(offsets.len());
        for (index, offset) in offsets {
            let allowed = context.allows(Operation::Delete, Resource::Topic(&topic.name));
            let deleted = match allowed {
                true => delete(context, &topic.name, index, offset, parked_until).await,
                false => Err(ErrorCode::TopicAuthorizationFailed),
            };
            partitions.push((index, deleted));
        }
        begun.push((topic.name.to_string(), partitions));
    }
    let mut topics = Vec::with_capacity(begun.len());
    for (name, begun) in begun {
        let mut partitions = Vec::with_capacity(begun.len());
        for (partition_index, deleted) in begun {
            let deleted = match deleted {
                Ok(Deleted::Awaited(waiting)) => awaited(waiting, deadline).await,
                Ok(Deleted::Everywhere(low)) => Ok(low),
                Err(error) => Err(error),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: deleted.map_or(-1, Offset::get),
                error_code: deleted.err().map_or(0, ErrorCode::code),
                ..Default::default()
            });
        }
        topics.push(DeleteRecordsTopicResult {
            name: name.into(),
            partitions,
            ..Default::default()
        });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

async fn awaited(
    waiting: oneshot::Receiver<Offset>,
    deadline: Instant,
) -> Result<Offset, ErrorCode> {
    match tokio::time::timeout_at(deadline, waiting).await {
        Ok(Ok(low)) => Ok(low),
        Ok(Err(_closed)) if Instant::now() < deadline => Err(ErrorCode::NotLeaderOrFollower),
        Ok(Err(_)) | Err(_) => Err(ErrorCode::RequestTimedOut),
    }
}

/// Moves the start of this node's log.
async fn delete(
    context: &RequestContext,
    topic: &str,
    index: i32,
    offset: i64,
    deadline: MonoMs,
) -> Result<Deleted, ErrorCode> {
    let node = &context.node;
    let index = PartitionIndex(index);
    let partition = node.replica(topic, index)?;
    if crate::topics::is_internal(partition.topic()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !partition.settings().lets_records_be_deleted() {
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
        Ok(new_start)
    };
    let remove = || {
        let asked = partition.as_leader(LeaderEpoch::NONE, delete)?;
        node.note_appended();
        partition.with_consumers_told();
        partition.removed_everywhere(asked, deadline)
    };
    match partition.enter(Use::Write, remove).await {
        Ok(Ok(low)) => Ok(Deleted::Everywhere(low)),
        Ok(Err(waiting)) => Ok(Deleted::Awaited(waiting)),
        Err(error) => Err(error.code()),
    }
}
