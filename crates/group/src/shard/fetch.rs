//! OffsetFetch of one group: some partitions, or all.

use std::sync::Arc;

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::GroupShard;
use crate::groups::Kind;
use crate::offsets::{Committed, Place};

impl GroupShard {
    pub(super) fn fetch(
        &self,
        request: &OffsetFetchRequestGroup<'_>,
        require_stable: bool,
    ) -> OffsetFetchResponseGroup<'static> {
        let group: Arc<str> = Arc::from(&*request.group_id);
        let known = self.groups.contains_key(&group);
        let mut response = OffsetFetchResponseGroup {
            group_id: request.group_id.to_string().into(),
            ..Default::default()
        };
        if let Some(Kind::Consumer(consumer)) = self.groups.get(&group)
            && let Err(error) =
                consumer.check_fetch(request.member_id.as_deref(), request.member_epoch)
        {
            response.error_code = error.code();
            return response;
        }
        let Some(topics) = &request.topics else {
            if known {
                response.topics = self.fetch_all(&group, require_stable);
            }
            return response;
        };
        for topic in topics {
            let name: Arc<str> = Arc::from(&*topic.name);
            let partitions = topic.partition_indexes.iter().map(|index| {
                let place = (Arc::clone(&group), Arc::clone(&name), *index);
                if require_stable && known && self.offsets.is_pending(&place) {
                    return unstable(*index);
                }
                let committed = self.offsets.get(&place).filter(|_| known);
                // The offsets of an earlier topic of this name are not this one's.
                let fits = |committed: &&Committed| {
                    [topic.topic_id, Uuid::ZERO].contains(&committed.topic_id)
                        || topic.topic_id == Uuid::ZERO
                };
                shown(*index, committed.filter(fits))
            });
            response.topics.push(OffsetFetchResponseTopics {
                name: topic.name.to_string().into(),
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
                ..Default::default()
            });
        }
        response
    }

    fn fetch_all(
        &self,
        group: &Arc<str>,
        require_stable: bool,
    ) -> Vec<OffsetFetchResponseTopics<'static>> {
        let mut topics: Vec<OffsetFetchResponseTopics<'static>> = Vec::new();
        for ((_, name, index), committed) in self.offsets.of_group(group) {
            let place: Place = (Arc::clone(group), Arc::clone(name), *index);
            let row = if require_stable && self.offsets.is_pending(&place) {
                unstable(*index)
            } else {
                shown(*index, Some(committed))
            };
            match topics.last_mut().filter(|last| last.name == **name) {
                Some(last) => last.partitions.push(row),
                None => topics.push(OffsetFetchResponseTopics {
                    name: name.to_string().into(),
                    partitions: vec![row],
                    ..Default::default()
                }),
            }
        }
        topics
    }
}

fn shown(index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.map_or(-1, |c| c.offset),
        committed_leader_epoch: committed.map_or(-1, |c| c.leader_epoch),
        metadata: Some(committed.map_or_else(String::new, |c| c.metadata.to_string()).into()),
        ..Default::default()
    }
}

fn unstable(index: i32) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        error_code: ErrorCode::UnstableOffsetCommit.code(),
        ..shown(index, None)
    }
}
