//! ListOffsets (2), versions 1-11: offsets by timestamp, and the special ones.
//!
//! v2 adds the isolation level, v4 leader epochs, v7 -3 (largest timestamp), v8 -4 (earliest local), v9 -5 (latest tiered), v10 a time-out
//! for remote look-ups, v11 -6 (earliest pending upload). A special timestamp that the request's version does not know is
//! answered UNSUPPORTED_VERSION, a partition named twice INVALID_REQUEST.

use std::collections::HashSet;

use base::{LeaderEpoch, Offset, PartitionIndex};
use protocol::ErrorCode;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use storage::log::{Log, LogError, TimestampOffset};

use crate::authorizer::{Operation, Resource};
use crate::partitions::Use;
use crate::request::RequestContext;

crate::handler!(ListOffsets, ListOffsetsRequest<'_>, handle);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

const CONSUMER: i32 = -1;
/// The replica id of a client that only wants to debug: it may see up to the log's end, as followers do, and ask any of them.
const DEBUGGING_REPLICA: i32 = -2;

async fn handle(
    context: &RequestContext,
    request: ListOffsetsRequest<'_>,
) -> ListOffsetsResponse<'static> {
    let duplicates = duplicates(&request);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let denied = !context.allows(Operation::Describe, Resource::Topic(&topic.name));
        // A partition that is named twice is answered once.
        let mut answered = HashSet::new();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            if !answered.insert(partition.partition_index) {
                continue;
            }
            let found = if denied {
                Err(ErrorCode::TopicAuthorizationFailed)
            } else if duplicates.contains(&(&*topic.name, partition.partition_index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                look_up(context, &request, topic, partition).await
            };
            partitions.push(found.unwrap_or_else(|error| failed(partition, error)));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name.to_string().into(),
            partitions,
            ..Default::default()
        });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

fn duplicates<'r>(request: &'r ListOffsetsRequest<'_>) -> HashSet<(&'r str, i32)> {
    let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (&*topic.name, partition.partition_index);
            if !seen.insert(key) {
                twice.insert(key);
            }
        }
    }
    twice
}

fn failed(partition: &ListOffsetsPartition, error: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: partition.partition_index,
        error_code: error.code(),
        timestamp: -1,
        offset: -1,
        ..Default::default()
    }
}

async fn look_up(
    context: &RequestContext,
    request: &ListOffsetsRequest<'_>,
    topic: &ListOffsetsTopic<'_>,
    partition: &ListOffsetsPartition,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let since = match partition.timestamp {
        timestamp if timestamp >= EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    if context.version < since {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let node = &context.node;
    let index = PartitionIndex(partition.partition_index);
    let hosted = node.replica(&topic.name, index)?;
    let epoch = LeaderEpoch(partition.current_leader_epoch);
    let upper = |log: &Log| match request.replica_id {
        CONSUMER if request.isolation_level == 1 => log.last_stable_offset(),
        CONSUMER => log.high_watermark(),
        _ => log.end_offset(),
    };
    // A new leader does not know yet what of the time before it is committed: what it says of it could go back.
    let find = |log: &mut Log| find(log, partition.timestamp, upper(log));
    let look = || {
        let uncertain = request.replica_id == CONSUMER && hosted.is_uncertain();
        let found = match request.replica_id {
            DEBUGGING_REPLICA => hosted.as_replica(epoch, find),
            _ => hosted.as_leader(epoch, find),
        };
        (uncertain, found)
    };
    let (uncertain, found) = hosted.enter(Use::Read, look).await;
    let found = found.map_err(|failure| failure.code())?;
    let in_doubt = match partition.timestamp {
        EARLIEST | EARLIEST_LOCAL | LATEST_TIERED | EARLIEST_PENDING_UPLOAD => false,
        LATEST => uncertain,
        _ => uncertain && !found.offset.is_some(),
    };
    if in_doubt {
        return Err(match context.version {
            5.. => ErrorCode::OffsetNotAvailable,
            _ => ErrorCode::LeaderNotAvailable,
        });
    }
    Ok(ListOffsetsPartitionResponse {
        partition_index: partition.partition_index,
        error_code: 0,
        timestamp: found.timestamp,
        offset: found.offset.get(),
        leader_epoch: if context.version >= 4 { found.leader_epoch.get() } else { -1 },
        ..Default::default()
    })
}

fn find(log: &Log, timestamp: i64, upper: Offset) -> Result<TimestampOffset, LogError> {
    let nothing = log.latest_tiered();
    let found = match timestamp {
        LATEST => return Ok(log.latest(upper)),
        EARLIEST | EARLIEST_LOCAL => return Ok(log.earliest()),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(nothing),
        MAX_TIMESTAMP => log.offset_of_max_timestamp()?,
        timestamp => log.offset_for_timestamp(timestamp)?,
    };
    // What the asker may not read yet is not there.
    Ok(found.filter(|found| found.offset < upper).unwrap_or(nothing))
}
