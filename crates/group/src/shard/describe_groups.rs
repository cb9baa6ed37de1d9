//! DescribeGroups: classic groups and their members.

use protocol::messages::describe_groups_response::DescribedGroup;

use super::GroupShard;
use crate::consumer::Refusal;
use crate::groups::Kind;

/// From this version on a group that is not there is an error.
const VERSION_OF_GROUP_ID_NOT_FOUND: i16 = 6;

impl GroupShard {
    pub(super) fn describe(&self, version: i16, groups: &[String]) -> Vec<DescribedGroup<'static>> {
        groups.iter().map(|group| self.describe_one(version, group)).collect()
    }

    fn describe_one(&self, version: i16, group: &str) -> DescribedGroup<'static> {
        let fault = match self.groups.get(group) {
            Some(Kind::Classic(classic)) => return classic.described(group),
            Some(Kind::Consumer(_) | Kind::Other) => "is not a classic group.",
            None => "not found.",
        };
        let mut dead = DescribedGroup {
            group_id: group.to_owned().into(),
            group_state: "Dead".into(),
            ..Default::default()
        };
        if version >= VERSION_OF_GROUP_ID_NOT_FOUND {
            let refusal = Refusal::group_not_found(format!("Group {group} {fault}"));
            (dead.error_code, dead.error_message) = refusal.told();
        }
        dead
    }
}
