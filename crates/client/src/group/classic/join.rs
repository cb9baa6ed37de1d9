//! JoinGroup and SyncGroup: into the group, and to what this member gets.

use base::TopicPartition;
use protocol::ErrorCode;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_request::SyncGroupRequest;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::super::assignor::{Assignor, GroupMember};
use super::super::blob::{self, MemberSubscription};
use super::{ClassicMember, leader};
use crate::error::{Error, Result};

const PROTOCOL_TYPE: &str = "consumer";
/// The server answers a JoinGroup at the end of the rebalance at the latest; this is for its way.
const JOIN_GRACE_MS: u64 = 5_000;

/// What an answer to JoinGroup says.
pub(super) struct Joined {
    protocol: Assignor,
    /// The members, when this one has to assign.
    lead: Option<Vec<GroupMember>>,
}

impl ClassicMember {
    pub(super) async fn join(&mut self) -> Result<Joined> {
        let mut protocols = Vec::with_capacity(self.options.assignors.len());
        for assignor in &self.options.assignors {
            let (owned, generation) = &self.remembered;
            let own = self.options.cooperative();
            let subscription = MemberSubscription {
                topics: self.topics.names().to_vec(),
                owned: if own { self.owned.clone() } else { Vec::new() },
                generation: if own { self.generation } else { -1 },
                user_data: assignor
                    .user_data(owned, *generation)
                    .map_err(|source| unwritable("a subscription", source))?,
                rack: Some(self.options.rack.clone()).filter(|rack| !rack.is_empty()),
            };
            let metadata =
                subscription.encode().map_err(|source| unwritable("a subscription", source))?;
            protocols.push(JoinGroupRequestProtocol {
                name: assignor.name().into(),
                metadata: metadata.into(),
                ..Default::default()
            });
        }
        let request = JoinGroupRequest {
            group_id: (&**self.coordinator.group()).into(),
            session_timeout_ms: wire_ms(self.options.session_timeout_ms),
            rebalance_timeout_ms: wire_ms(self.options.max_poll_interval_ms),
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols,
            ..Default::default()
        };
        let patience_ms = u64::from(self.options.max_poll_interval_ms) + JOIN_GRACE_MS;
        let patience_ms = patience_ms.max(self.coordinator.request_timeout_ms());
        let reply = self.coordinator.call(&request, patience_ms).await?;
        let response: JoinGroupResponse<'_> = reply.decode()?;
        if ErrorCode::from_code(response.error_code) == ErrorCode::MemberIdRequired {
            self.member_id = response.member_id.to_string();
        }
        Error::check(response.error_code, None)?;
        self.member_id = response.member_id.to_string();
        self.generation = response.generation_id;
        self.link.is(&self.member_id, self.generation);
        let name = response.protocol_name.as_deref().unwrap_or_default();
        let protocol = Assignor::parse(name)
            .ok_or_else(|| Error::api(ErrorCode::InconsistentGroupProtocol, None))?;
        let leads = response.leader == response.member_id && !response.skip_assignment;
        let lead = if leads { Some(leader::members(&response)?) } else { None };
        self.assigned_by = None;
        if response.leader == response.member_id && response.skip_assignment {
            // A static leader that came back: the assignment stands, the topics are watched all the same.
            self.assigned_by = Some((self.topics.names().to_vec(), self.topics.counts().clone()));
        }
        Ok(Joined { protocol, lead })
    }

    pub(super) async fn sync(&mut self, joined: Joined) -> Result<Vec<TopicPartition>> {
        let mut assignments = Vec::new();
        if let Some(members) = joined.lead {
            let names = leader::topics_of(&members);
            let counts = self.topics.counts_for(&names).await?;
            assignments = leader::assign(joined.protocol, &members, &counts)?;
            self.assigned_by = Some((names, counts));
        }
        let request = SyncGroupRequest {
            group_id: (&**self.coordinator.group()).into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(joined.protocol.name().into()),
            assignments,
            ..Default::default()
        };
        let patience_ms = u64::from(self.options.max_poll_interval_ms) + JOIN_GRACE_MS;
        let reply = self.coordinator.call(&request, patience_ms).await?;
        let response: SyncGroupResponse<'_> = reply.decode()?;
        Error::check(response.error_code, None)?;
        let assigned = blob::decode_assignment(&response.assignment);
        assigned.map_err(|source| Error::Decode {
            what: "assignment",
            address: reply.address().to_owned(),
            source,
        })
    }
}

fn wire_ms(ms: u32) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}

fn unwritable(what: &'static str, source: protocol::EncodeError) -> Error {
    Error::Encode { what, source }
}
