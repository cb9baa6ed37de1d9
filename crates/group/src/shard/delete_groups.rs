//! DeleteGroups: empty groups go, with their offsets.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::delete_groups_response::DeletableGroupResult;

use super::GroupShard;
use crate::record::GroupRecord;

impl GroupShard {
    pub(super) fn delete_groups(
        &self,
        groups: &[String],
    ) -> (Vec<GroupRecord>, Vec<DeletableGroupResult<'static>>) {
        let mut records = Vec::new();
        let results = groups.iter().map(|group| {
            let name: Arc<str> = Arc::from(&**group);
            let refused = match self.groups.get(&name) {
                None => Some(ErrorCode::GroupIdNotFound),
                Some(kind) => kind.may_delete().err().or_else(|| {
                    records.extend(self.offsets_of(&name));
                    records.extend(kind.tombstones(&name));
                    None
                }),
            };
            DeletableGroupResult {
                group_id: group.clone().into(),
                error_code: refused.unwrap_or(ErrorCode::None).code(),
                ..Default::default()
            }
        });
        let results = results.collect();
        (records, results)
    }

    /// Tombstones of all offsets of a group, and of what open transactions would bring.
    fn offsets_of(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        let committed = self.offsets.of_group(group).map(|(place, _)| place);
        let pending = self.offsets.pending_of_group(group);
        let open = pending.filter(|place| self.offsets.get(place).is_none());
        let gone = committed.chain(open);
        gone.map(|place| GroupRecord::Offset { place: place.clone(), value: None }).collect()
    }
}
