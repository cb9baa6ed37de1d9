//! ListGroups: the groups of this shard, by state and type.

use protocol::messages::list_groups_response::ListedGroup;

use super::GroupShard;
use crate::java;

impl GroupShard {
    /// Empty filters let all through. Case does not matter.
    pub(super) fn list(&self, states: &[String], types: &[String]) -> Vec<ListedGroup<'static>> {
        let is_in = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|one| one.trim().eq_ignore_ascii_case(value))
        };
        // In Kafka's order, as far as the names alone give it.
        let named = self.groups.iter().map(|group| (java::string_hash(group.0), group)).collect();
        let groups = java::timeline_order(named).into_iter();
        groups
            .filter_map(|(name, kind)| kind.listed(name))
            .filter(|group| is_in(states, &group.group_state) && is_in(types, &group.group_type))
            .collect()
    }
}
