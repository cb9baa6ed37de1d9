//! OffsetCommit and TxnOffsetCommit: Kafka's rules by the kind and state of the group.

use std::sync::Arc;

use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::Decision;
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::{GroupShard, Reply, Timer};
use crate::classic::Turn;
use crate::consumer::CommitCheck;
use crate::groups::Kind;
use crate::offsets::Committed;
use crate::record::{GroupRecord, without_new_fields};
use crate::view::View;

/// From this version on an unknown group has its own error.
const VERSION_OF_GROUP_ID_NOT_FOUND: i16 = 9;
/// From this version on TxnOffsetCommit has the errors of groups and of member epochs.
const TXN_VERSION_OF_EPOCHS: i16 = 6;

impl GroupShard {
    pub(super) fn commit(
        &self,
        now: Now,
        id: ReplyId,
        version: i16,
        request: &OffsetCommitRequest<'_>,
        view: &View,
    ) -> Decision<Self> {
        let group: Arc<str> = Arc::from(&*request.group_id);
        match self.may_commit(&group, now, version, request, view) {
            Ok(timers) => {
                let (records, response) = accepted(&group, now, request, view);
                let reply = vec![(id, Reply::OffsetCommit(Ok(response)))];
                Outcome { records, reply, timers, atomic: true }
            }
            Err(error) => Outcome::reply(vec![(id, Reply::OffsetCommit(Err(error)))]),
        }
    }

    /// A commit within a transaction: no sign of life, and a rebalance is no reason to refuse it.
    pub(super) fn commit_in_transaction(
        &self,
        now: Now,
        id: ReplyId,
        version: i16,
        request: &OffsetCommitRequest<'_>,
        view: &View,
    ) -> Decision<Self> {
        let group: Arc<str> = Arc::from(&*request.group_id);
        let old = version < TXN_VERSION_OF_EPOCHS;
        match self.may_commit_in_transaction(&group, old, request, view) {
            Ok(()) => {
                let (records, response) = accepted(&group, now, request, view);
                Outcome::atomic(records, vec![(id, Reply::OffsetCommit(Ok(response)))])
            }
            Err(error) => {
                let error = match error {
                    ErrorCode::StaleMemberEpoch if old => ErrorCode::IllegalGeneration,
                    other => other,
                };
                Outcome::reply(vec![(id, Reply::OffsetCommit(Err(error)))])
            }
        }
    }

    fn may_commit_in_transaction(
        &self,
        group: &Arc<str>,
        old: bool,
        request: &OffsetCommitRequest<'_>,
        view: &View,
    ) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        match self.groups.get(group) {
            None if generation < 0 => Ok(()),
            None if old => Err(ErrorCode::IllegalGeneration),
            None => Err(ErrorCode::GroupIdNotFound),
            Some(Kind::Classic(classic)) => classic.may_commit_in_transaction(request),
            Some(Kind::Consumer(consumer)) => {
                all_pass(consumer.check_commit_in_transaction(request)?, request, view)
            }
            Some(Kind::Other) => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The timers that a commit moves: it is a sign of life.
    fn may_commit(
        &self,
        group: &Arc<str>,
        now: Now,
        version: i16,
        request: &OffsetCommitRequest<'_>,
        view: &View,
    ) -> Result<Vec<TimerChange<Timer>>, ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        match self.groups.get(group) {
            // A simple group comes into being with its first commit.
            None if generation < 0 => Ok(Vec::new()),
            None if version >= VERSION_OF_GROUP_ID_NOT_FOUND => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
            Some(Kind::Classic(classic)) => {
                let Some(member) = classic.may_commit(request)? else { return Ok(Vec::new()) };
                let mut turn = Turn::new(now, &view.classic, group, classic.clone());
                turn.renew_session(&member);
                Ok(turn.timers.into_iter().map(super::classic::wrap).collect())
            }
            Some(Kind::Consumer(consumer)) => {
                let check = consumer.check_commit(&request.member_id, generation, version)?;
                all_pass(check, request, view)?;
                Ok(Vec::new())
            }
            // Nobody is a member here.
            Some(Kind::Other) => Err(ErrorCode::UnknownMemberId),
        }
    }
}

/// The records of a commit that may be.
fn accepted(
    group: &Arc<str>,
    now: Now,
    request: &OffsetCommitRequest<'_>,
    view: &View,
) -> (Vec<GroupRecord>, OffsetCommitResponse<'static>) {
    let mut records = Vec::new();
    let topics = request.topics.iter().map(|topic| {
        let name: Arc<str> = Arc::from(&*topic.name);
        let partitions = topic.partitions.iter().map(|partition| {
            let error = if is_metadata_too_large(partition, view) {
                ErrorCode::OffsetMetadataTooLarge
            } else {
                let value = Some(committed(now, request.retention_time_ms, topic, partition));
                let place = (Arc::clone(group), Arc::clone(&name), partition.partition_index);
                records.push(GroupRecord::Offset { place, value });
                ErrorCode::None
            };
            OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
                ..Default::default()
            }
        });
        OffsetCommitResponseTopic {
            name: topic.name.to_string().into(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    let topics = topics.collect();
    (records, OffsetCommitResponse { topics, ..Default::default() })
}

/// One partition that fails fails the commit.
fn all_pass(
    check: CommitCheck<'_>,
    request: &OffsetCommitRequest<'_>,
    view: &View,
) -> Result<(), ErrorCode> {
    let topics = request.topics.iter();
    let mut all = topics.flat_map(|topic| topic.partitions.iter().map(move |one| (topic, one)));
    all.try_for_each(|(topic, partition)| {
        if is_metadata_too_large(partition, view) {
            return Ok(());
        }
        check.check(topic.topic_id, partition.partition_index)
    })
}

fn is_metadata_too_large(partition: &OffsetCommitRequestPartition<'_>, view: &View) -> bool {
    let metadata = partition.committed_metadata.as_deref().unwrap_or("");
    metadata.encode_utf16().count() > view.offsets.metadata_max
}

fn committed(
    now: Now,
    retention_time_ms: i64,
    topic: &OffsetCommitRequestTopic<'_>,
    partition: &OffsetCommitRequestPartition<'_>,
) -> Committed {
    let expires = retention_time_ms != -1;
    without_new_fields(Committed {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_deref().unwrap_or("").into(),
        commit_ms: now.wall.0,
        expire_ms: expires.then(|| now.wall.0.saturating_add(retention_time_ms)),
        topic_id: topic.topic_id,
    })
}
