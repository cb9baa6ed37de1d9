//! OffsetDelete, and the offsets of topics that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::offset_delete_request::OffsetDeleteRequest;
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::{DeletedTopic, GroupShard};
use crate::offsets::Place;
use crate::record::GroupRecord;

impl GroupShard {
    pub(super) fn delete_offsets(
        &self,
        request: &OffsetDeleteRequest<'_>,
    ) -> (Vec<GroupRecord>, OffsetDeleteResponse<'static>) {
        let group: Arc<str> = Arc::from(&*request.group_id);
        let refused = match self.groups.get(&group) {
            None => Some(ErrorCode::GroupIdNotFound),
            Some(kind) => kind.may_delete_offsets().err(),
        };
        let (None, Some(kind)) = (refused, self.groups.get(&group)) else {
            let error = refused.unwrap_or(ErrorCode::GroupIdNotFound);
            let error_code = error.code();
            return (Vec::new(), OffsetDeleteResponse { error_code, ..Default::default() });
        };
        let mut records = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let name: Arc<str> = Arc::from(&*topic.name);
            let subscribed = kind.is_subscribed(&name);
            let partitions = topic.partitions.iter().map(|partition| {
                let partition_index = partition.partition_index;
                if subscribed {
                    let error_code = ErrorCode::GroupSubscribedToTopic.code();
                    return OffsetDeleteResponsePartition { partition_index, error_code };
                }
                let place = (Arc::clone(&group), Arc::clone(&name), partition_index);
                if self.offsets.get(&place).is_some() || self.offsets.is_pending(&place) {
                    records.push(GroupRecord::Offset { place, value: None });
                }
                OffsetDeleteResponsePartition { partition_index, ..Default::default() }
            });
            OffsetDeleteResponseTopic {
                name: topic.name.to_string().into(),
                partitions: partitions.collect(),
            }
        });
        let topics = topics.collect();
        (records, OffsetDeleteResponse { topics, ..Default::default() })
    }

    /// Offsets of the deleted topics, or of topics of their names where the id was not known; also what open transactions would
    /// bring.
    pub(super) fn topics_deleted(&self, topics: &[DeletedTopic]) -> Vec<GroupRecord> {
        let gone = |name: &Arc<str>, id: Uuid| {
            topics.iter().any(|topic| topic.name == *name && (id == Uuid::ZERO || id == topic.id))
        };
        let all = self.offsets.all().chain(self.offsets.all_pending());
        let gone = all.filter(|(place, committed)| gone(&place.1, committed.topic_id));
        let places: BTreeSet<&Place> = gone.map(|(place, _)| place).collect();
        let tombstone = |place: &Place| GroupRecord::Offset { place: place.clone(), value: None };
        places.into_iter().map(tombstone).collect()
    }
}
