//! ListGroups: the groups of this shard, by state and type.

use protocol::messages::list_groups_response::ListedGroup;

use super::GroupShard;

impl GroupShard {
    /// Empty filters let all through. Case does not matter.
    pub(super) fn list(&self, states: &[String], types: &[String]) -> Vec<ListedGroup<'static>> {
        let is_in = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|one| one.trim().eq_ignore_ascii_case(value))
        };
        let listed = self.groups.iter().filter_map(|(name, kind)| kind.listed(name));
        listed
            .filter(|group| is_in(states, &group.group_state) && is_in(types, &group.group_type))
            .collect()
    }
}
