//! A shard with one group, and short words for what its members do.

use std::sync::Arc;

use base::Uuid;
use base::machine::ReplyId;
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, RuntimeConfig};
use group::classic::{self, Classic, State};
use group::testing::Cluster;
use group::{Caller, GroupShard, Kind, Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;

pub const GROUP: &str = "g";
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 60_000;
pub const DELAY_MS: u64 = 3_000;

/// A JoinGroup, to be changed where a test needs it otherwise.
#[derive(Clone)]
pub struct Join {
    pub version: i16,
    pub member: String,
    pub instance: Option<&'static str>,
    pub protocol_type: &'static str,
    /// Name and subscription.
    pub protocols: Vec<(&'static str, Vec<u8>)>,
    pub session_ms: i32,
    pub rebalance_ms: i32,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            version: 9,
            member: String::new(),
            instance: None,
            protocol_type: "consumer",
            protocols: vec![("range", subscription(&["t"]))],
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
        }
    }
}

/// Version 0 of what a consumer tells its leader.
pub fn subscription(topics: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes
}

pub struct World {
    pub test: TestContext<GroupShard>,
    callers: u32,
}

impl World {
    pub fn new() -> Self {
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        let view = group::testing::view(Cluster::default());
        Self { test: TestContext::new(GroupShard::default(), config, view), callers: 0 }
    }

    fn caller(&mut self, version: i16) -> Caller {
        self.callers += 1;
        let mut random = [1; 16];
        random[12..].copy_from_slice(&self.callers.to_be_bytes());
        let fresh_id = Uuid::from_random(random).unwrap();
        Caller { version, client_id: "c".into(), client_host: "/10.0.0.1".into(), fresh_id }
    }

    pub fn ask(&mut self, request: classic::Request) -> ReplyId {
        let id = self.test.request(Request::Classic(request));
        self.test.event(Event::Drained);
        id
    }

    pub fn join(&mut self, join: &Join) -> ReplyId {
        let caller = self.caller(join.version);
        let protocols = join.protocols.iter().map(|(name, said)| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: said.clone().into(),
            ..Default::default()
        });
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: join.session_ms,
            rebalance_timeout_ms: join.rebalance_ms,
            member_id: join.member.clone().into(),
            group_instance_id: join.instance.map(Into::into),
            protocol_type: join.protocol_type.into(),
            protocols: protocols.collect(),
            ..Default::default()
        };
        self.ask(classic::Request::JoinGroup { caller, request })
    }

    pub fn sync(&mut self, member: &str, generation: i32, assignments: &[(&str, &str)]) -> ReplyId {
        self.sync_as(member, None, generation, assignments)
    }

    pub fn sync_as(
        &mut self,
        member: &str,
        instance: Option<&'static str>,
        generation: i32,
        assignments: &[(&str, &str)],
    ) -> ReplyId {
        let caller = self.caller(5);
        let assignments = assignments.iter().map(|(member, own)| SyncGroupRequestAssignment {
            member_id: (*member).to_owned().into(),
            assignment: own.as_bytes().to_vec().into(),
            ..Default::default()
        });
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.to_owned().into(),
            group_instance_id: instance.map(Into::into),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.collect(),
            ..Default::default()
        };
        self.ask(classic::Request::SyncGroup { caller, request })
    }

    pub fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&'static str>,
        generation: i32,
    ) -> ErrorCode {
        let caller = self.caller(4);
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.to_owned().into(),
            group_instance_id: instance.map(Into::into),
            ..Default::default()
        };
        let id = self.ask(classic::Request::Heartbeat { caller, request });
        match self.take(id) {
            classic::Reply::Heartbeat(reply) => ErrorCode::from_code(reply.error_code),
            other => panic!("{other:?}"),
        }
    }

    /// Of each, member id and instance id; the error of each.
    pub fn leave(&mut self, members: &[(&str, Option<&'static str>)]) -> Vec<ErrorCode> {
        let caller = self.caller(5);
        let members = members.iter().map(|(member, instance)| MemberIdentity {
            member_id: (*member).to_owned().into(),
            group_instance_id: instance.map(Into::into),
            ..Default::default()
        });
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: members.collect(),
            ..Default::default()
        };
        let id = self.ask(classic::Request::LeaveGroup { caller, request });
        match self.take(id) {
            classic::Reply::LeaveGroup(reply) => {
                assert_eq!(reply.error_code, 0);
                let rows = reply.members.iter();
                rows.map(|row| ErrorCode::from_code(row.error_code)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn waits(&self, id: ReplyId) -> bool {
        !self.test.replies.contains_key(&id)
    }

    fn take(&mut self, id: ReplyId) -> classic::Reply {
        match self.test.replies.remove(&id) {
            Some(Ok(Reply::Classic(reply))) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn joined(&mut self, id: ReplyId) -> JoinGroupResponse<'static> {
        match self.take(id) {
            classic::Reply::JoinGroup(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn all_joined(&mut self, joins: impl IntoIterator<Item = ReplyId>, generation: i32) {
        for id in joins {
            assert_eq!(self.joined(id).generation_id, generation);
        }
    }

    pub fn join_error(&mut self, id: ReplyId) -> ErrorCode {
        ErrorCode::from_code(self.joined(id).error_code)
    }

    pub fn synced(&mut self, id: ReplyId) -> SyncGroupResponse<'static> {
        match self.take(id) {
            classic::Reply::SyncGroup(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The assignment, or the error.
    pub fn assigned(&mut self, id: ReplyId) -> Result<String, ErrorCode> {
        let reply = self.synced(id);
        match ErrorCode::from_code(reply.error_code) {
            ErrorCode::None => Ok(String::from_utf8(reply.assignment.into_owned()).unwrap()),
            error => Err(error),
        }
    }

    /// A member id, which has not joined.
    pub fn fresh_member(&mut self) -> String {
        let id = self.join(&Join::default());
        let reply = self.joined(id);
        assert_eq!(ErrorCode::from_code(reply.error_code), ErrorCode::MemberIdRequired);
        reply.member_id.into_owned()
    }

    /// Joins as a member that knows its id.
    pub fn rejoin(&mut self, member: &str) -> ReplyId {
        self.join(&Join { member: member.to_owned(), ..Join::default() })
    }

    /// A stable group of so many dynamic members, the leader first. Each is assigned its index.
    pub fn stable(&mut self, count: usize) -> Vec<String> {
        let members: Vec<String> = (0..count).map(|_| self.fresh_member()).collect();
        let joins: Vec<ReplyId> = members.iter().map(|member| self.rejoin(member)).collect();
        // Once more for those who came after the first.
        self.test.advance(DELAY_MS);
        self.test.advance(DELAY_MS);
        for join in joins {
            let reply = self.joined(join);
            assert_eq!((reply.error_code, reply.generation_id), (0, 1));
            assert_eq!(*reply.leader, *members[0]);
        }
        self.assign(&members, 1);
        members
    }

    /// All sync, the first with the assignment: each its index.
    pub fn assign(&mut self, members: &[String], generation: i32) {
        let own: Vec<String> = (0..members.len()).map(|at| at.to_string()).collect();
        let pairs: Vec<(&str, &str)> =
            members.iter().map(String::as_str).zip(own.iter().map(String::as_str)).collect();
        let mut syncs: Vec<ReplyId> =
            members[1..].iter().map(|member| self.sync(member, generation, &[])).collect();
        assert!(syncs.iter().all(|id| self.waits(*id)));
        syncs.insert(0, self.sync(&members[0], generation, &pairs));
        for (own, id) in own.into_iter().zip(syncs) {
            assert_eq!(self.assigned(id), Ok(own));
        }
        assert_eq!(self.state(), State::Stable);
    }

    pub fn group(&self) -> &Classic {
        match self.test.runtime.tip().groups().get(&Arc::from(GROUP)) {
            Some(Kind::Classic(group)) => group,
            other => panic!("{other:?}"),
        }
    }

    pub fn is_there(&self) -> bool {
        self.test.runtime.tip().groups().contains_key(&Arc::from(GROUP))
    }

    pub fn state(&self) -> State {
        self.group().state()
    }

    pub fn members(&self) -> Vec<String> {
        self.group().members().map(|member| member.id.to_string()).collect()
    }

    pub fn describe(&mut self) -> DescribedGroup<'static> {
        let query = Query::DescribeGroups { version: 6, groups: vec![GROUP.to_owned()] };
        match self.test.look(query) {
            Ok(Reply::DescribeGroups(mut groups)) => groups.remove(0),
            other => panic!("{other:?}"),
        }
    }
}
