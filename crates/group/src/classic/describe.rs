//! What is told of a classic group to those who look at it.

use protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};

use super::group::{Classic, State};

impl Classic {
    pub(crate) fn described(&self, group: &str) -> DescribedGroup<'static> {
        let stable = self.state() == State::Stable;
        let protocol = self.protocol().filter(|_| stable);
        let members = self.members().map(|member| DescribedGroupMember {
            member_id: member.id.to_string().into(),
            group_instance_id: member.instance_id.as_ref().map(|id| id.to_string().into()),
            client_id: member.client_id.to_string().into(),
            client_host: member.client_host.to_string().into(),
            member_metadata: protocol
                .map(|protocol| member.metadata(protocol).to_vec())
                .unwrap_or_default()
                .into(),
            member_assignment: member.assignment.to_vec().into(),
            ..Default::default()
        });
        DescribedGroup {
            group_id: group.to_owned().into(),
            group_state: self.state().name().into(),
            protocol_type: self.protocol_type().unwrap_or_default().to_owned().into(),
            protocol_data: protocol.unwrap_or_default().to_owned().into(),
            members: members.collect(),
            ..Default::default()
        }
    }
}
