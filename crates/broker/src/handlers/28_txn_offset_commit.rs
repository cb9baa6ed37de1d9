//! TxnOffsetCommit (28), versions 0-6: how far a group has come, once the producer's transaction commits.
//!
//! v2 adds leader epochs, v3 members, v5 makes the partition of the group part of the transaction (transactions v2; before, the
//! client does that), v6 names topics by id.

use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;
use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::OffsetCommitResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use crate::authorizer::{Operation, Resource};
use crate::commits::{Rows, all_failed, sort_out};
use crate::coordinators::GroupCoordinators;
use crate::request::RequestContext;
use crate::transactions::verify_commit;

crate::handler!(TxnOffsetCommit, TxnOffsetCommitRequest<'_>, handle);

/// From this version on producers understand that a coordinator is loading.
const VERSION_OF_LOADING: i16 = 2;
const VERSION_OF_IDS: i16 = 6;

async fn handle(
    context: &RequestContext,
    request: TxnOffsetCommitRequest<'_>,
) -> TxnOffsetCommitResponse<'static> {
    let request = request.into_owned();
    let topics: Vec<_> = request.topics.iter().map(topic_of).collect();
    if !context.allows(Operation::Write, Resource::TransactionalId(&request.transactional_id)) {
        let error = ErrorCode::TransactionalIdAuthorizationFailed;
        return response(context, all_failed(topics, error));
    }
    if !context.allows(Operation::Read, Resource::Group(&request.group_id)) {
        return response(context, all_failed(topics, ErrorCode::GroupAuthorizationFailed));
    }
    let mut rows = Rows::default();
    let mut asked = Vec::new();
    for topic in topics {
        asked.extend(sort_out(context, context.version >= VERSION_OF_IDS, topic, &mut rows));
    }
    if asked.is_empty() {
        return response(context, rows.response);
    }
    let back = asked.clone();
    let committed = commit(context, request, asked).await;
    for topic in committed.unwrap_or_else(|error| all_failed(back, error)).topics {
        rows.add(topic);
    }
    response(context, rows.response)
}

async fn commit(
    context: &RequestContext,
    request: TxnOffsetCommitRequest<'static>,
    topics: Vec<OffsetCommitRequestTopic<'static>>,
) -> Result<OffsetCommitResponse<'static>, ErrorCode> {
    let node = &context.node;
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let at = GroupCoordinators::partition_of(node, &request.group_id);
    let at = at.ok_or(ErrorCode::NotCoordinator)?;
    let producer = Producer {
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    let guard = verify_commit(context, at, &request.transactional_id, producer).await?;
    let commit = OffsetCommitRequest {
        group_id: request.group_id,
        generation_id_or_member_epoch: request.generation_id_or_member_epoch,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        topics,
        ..Default::default()
    };
    let commit = Request::TxnOffsetCommit { version: context.version, request: commit };
    match node.coordinators.request_in_transaction(at, commit, producer, guard).await? {
        Reply::OffsetCommit(committed) => committed,
        _ => Err(ErrorCode::UnknownServerError),
    }
}

fn topic_of(topic: &TxnOffsetCommitRequestTopic<'static>) -> OffsetCommitRequestTopic<'static> {
    let partition =
        |partition: &TxnOffsetCommitRequestPartition<'static>| OffsetCommitRequestPartition {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            committed_metadata: partition.committed_metadata.clone(),
            ..Default::default()
        };
    OffsetCommitRequestTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}

fn response(
    context: &RequestContext,
    committed: OffsetCommitResponse<'static>,
) -> TxnOffsetCommitResponse<'static> {
    let old = context.version < VERSION_OF_LOADING;
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    let topics = committed.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.iter().map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: match partition.error_code {
                    code if old && code == loading => ErrorCode::CoordinatorNotAvailable.code(),
                    code => code,
                },
                ..Default::default()
            });
        TxnOffsetCommitResponseTopic {
            partitions: partitions.collect(),
            name: topic.name,
            topic_id: topic.topic_id,
            ..Default::default()
        }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}
