//! A member of a classic group as Java's client is one: joins, syncs, sends heartbeats, joins again when it is told to.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::TopicPartition;
use client::group::assignor::{Assignor, GroupMember, PartitionCounts};
use client::group::blob::{MemberSubscription, decode_assignment, encode_assignment};
use group::classic::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::turn::{Ask, Lane, Told, Turn, Waiting};
use super::work::{Who, Work};

const HEARTBEAT_MS: u64 = 3_000;
const PATIENCE_MS: u64 = 5_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// No member; joins from then on.
    Apart {
        from_ms: u64,
    },
    Joining,
    Syncing,
    Member,
    /// For good.
    Gone,
}

#[derive(Clone, Debug)]
pub struct ClassicMember {
    pub group: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub assignor: Assignor,
    pub topics: BTreeSet<Arc<str>>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Of JoinGroup.
    pub version: i16,
    pub phase: Phase,
    pub work: Work,
    pub member_id: String,
    pub generation: i32,
    protocol: String,
    waiting: Option<Waiting>,
    heartbeat_ms: u64,
    /// It has to tell the group that it gave up partitions.
    gives_up: bool,
    /// The generation in which it was assigned what it has.
    assigned_in: i32,
    /// Of a leader: the topics of its group, and what it assigned of them.
    watched: BTreeSet<Arc<str>>,
    counts: Option<PartitionCounts>,
}

impl ClassicMember {
    pub fn new(group: &Arc<str>, assignor: Assignor, topics: BTreeSet<Arc<str>>) -> Self {
        Self {
            group: Arc::clone(group),
            instance_id: None,
            assignor,
            topics,
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            version: 9,
            phase: Phase::Apart { from_ms: 0 },
            work: Work::new(group),
            member_id: String::new(),
            generation: -1,
            protocol: String::new(),
            waiting: None,
            heartbeat_ms: 0,
            gives_up: false,
            assigned_in: -1,
            watched: BTreeSet::new(),
            counts: None,
        }
    }

    fn who(&self) -> Who {
        Who {
            member_id: self.member_id.clone(),
            epoch: self.generation,
            instance_id: self.instance_id.clone(),
            consumer_protocol: false,
        }
    }

    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        let late = self.waiting.is_some_and(|waiting| waiting.until_ms <= turn.now_ms);
        if late {
            self.waiting = None;
        }
        match self.phase {
            Phase::Apart { from_ms } if from_ms <= turn.now_ms => self.join(turn),
            Phase::Joining | Phase::Syncing if late => {
                // There may have been a generation of which it has not heard, and others may have what it had.
                self.work.lose_all();
                self.join(turn);
            }
            Phase::Member => self.be_member(turn),
            _ => {}
        }
    }

    fn be_member(&mut self, turn: &mut Turn<'_>) {
        self.say_what_it_gave_up(turn);
        if self.phase != Phase::Member {
            return;
        }
        let who = self.who();
        if !self.gives_up {
            self.work.go_on(turn, &who);
        }
        let changed =
            self.counts.as_ref().is_some_and(|known| *known != turn.counts(&self.watched));
        if changed && self.waiting.is_none() {
            self.join(turn);
        } else if self.heartbeat_ms <= turn.now_ms && self.waiting.is_none() {
            self.heartbeat_ms = turn.now_ms + HEARTBEAT_MS;
            let request = HeartbeatRequest {
                group_id: self.group.to_string().into(),
                generation_id: self.generation,
                member_id: self.member_id.clone().into(),
                group_instance_id: self.instance(),
                ..Default::default()
            };
            let caller = turn.caller(4);
            self.send(turn, Request::Heartbeat { caller, request }, PATIENCE_MS);
        }
    }

    fn instance(&self) -> Option<std::borrow::Cow<'static, str>> {
        self.instance_id.as_ref().map(|id| id.to_string().into())
    }

    fn send(&mut self, turn: &mut Turn<'_>, request: Request, patience_ms: u64) {
        let call = turn.send(Lane::Group, Ask::Request(group::Request::Classic(request)));
        self.waiting = Some(Waiting { call, until_ms: turn.now_ms + patience_ms });
    }

    /// It watches over the topics of its group.
    pub fn leads(&self) -> bool {
        self.counts.is_some()
    }

    pub fn join(&mut self, turn: &mut Turn<'_>) {
        let owned: Vec<TopicPartition> = self.work.owned().into_iter().collect();
        let subscription = MemberSubscription {
            topics: self.topics.iter().cloned().collect(),
            generation: self.generation,
            user_data: self.assignor.user_data(&owned, self.generation).unwrap_or_default(),
            owned: if self.assignor.is_cooperative() { owned } else { Vec::new() },
            rack: None,
        };
        if !self.assignor.is_cooperative() {
            let who = self.who();
            self.work.commit(turn, &who);
            self.work.lose_all();
        }
        self.counts = None;
        self.gives_up = false;
        self.phase = Phase::Joining;
        let request = JoinGroupRequest {
            group_id: self.group.to_string().into(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            member_id: self.member_id.clone().into(),
            group_instance_id: self.instance(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: self.assignor.name().into(),
                metadata: subscription.encode().unwrap_or_default().into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let patience_ms = u64::try_from(self.rebalance_timeout_ms).unwrap_or(0) + PATIENCE_MS;
        let caller = turn.caller(self.version);
        self.send(turn, Request::JoinGroup { caller, request }, patience_ms);
    }

    pub fn leave(&mut self, turn: &mut Turn<'_>) {
        let who = self.who();
        self.work.commit(turn, &who);
        let request = LeaveGroupRequest {
            group_id: self.group.to_string().into(),
            members: vec![MemberIdentity {
                member_id: self.member_id.clone().into(),
                group_instance_id: self.instance(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let caller = turn.caller(5);
        self.send(turn, Request::LeaveGroup { caller, request }, PATIENCE_MS);
        self.work.lose_all();
        self.phase = Phase::Gone;
    }

    pub fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        call: u64,
        reply: Result<group::Reply, ErrorCode>,
    ) {
        if self.waiting.is_none_or(|waiting| waiting.call != call) {
            return;
        }
        self.waiting = None;
        match reply {
            Ok(group::Reply::Classic(Reply::JoinGroup(reply))) => self.joined(turn, &reply),
            Ok(group::Reply::Classic(Reply::SyncGroup(reply))) => match reply.error_code {
                0 => self.synced(turn, &reply.assignment),
                error => self.refused(turn, ErrorCode::from_code(error)),
            },
            Ok(group::Reply::Classic(Reply::Heartbeat(reply))) if reply.error_code != 0 => {
                self.refused(turn, ErrorCode::from_code(reply.error_code));
            }
            Err(error) => self.refused(turn, error),
            Ok(_) => {}
        }
    }

    fn joined(&mut self, turn: &mut Turn<'_>, reply: &JoinGroupResponse<'_>) {
        if reply.error_code != 0 {
            if ErrorCode::from_code(reply.error_code) == ErrorCode::MemberIdRequired {
                self.member_id = reply.member_id.to_string();
            }
            return self.refused(turn, ErrorCode::from_code(reply.error_code));
        }
        self.member_id = reply.member_id.to_string();
        self.generation = reply.generation_id;
        self.protocol = reply.protocol_name.as_deref().unwrap_or_default().to_owned();
        let leads = reply.leader == reply.member_id && !reply.skip_assignment;
        let assignments = if leads { self.assign(turn, reply) } else { Vec::new() };
        if reply.skip_assignment {
            // What its predecessor assigned it cannot know: it will ask for a rebalance.
            self.watched = self.topics.clone();
            self.counts = Some([(Arc::from(""), 0)].into());
        }
        self.phase = Phase::Syncing;
        let request = SyncGroupRequest {
            group_id: self.group.to_string().into(),
            generation_id: self.generation,
            member_id: self.member_id.clone().into(),
            group_instance_id: self.instance(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some(self.protocol.clone().into()),
            assignments,
            ..Default::default()
        };
        let patience_ms = u64::try_from(self.rebalance_timeout_ms).unwrap_or(0) + PATIENCE_MS;
        let caller = turn.caller(5);
        self.send(turn, Request::SyncGroup { caller, request }, patience_ms);
    }

    fn assign(
        &mut self,
        turn: &mut Turn<'_>,
        reply: &JoinGroupResponse<'_>,
    ) -> Vec<SyncGroupRequestAssignment<'static>> {
        let member = |member: &protocol::messages::join_group_response::JoinGroupResponseMember<
            '_,
        >| GroupMember {
            id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
            subscription: MemberSubscription::decode(&member.metadata).unwrap_or_default(),
        };
        let members: Vec<GroupMember> = reply.members.iter().map(member).collect();
        let topics = members.iter().flat_map(|member| member.subscription.topics.clone());
        self.watched = topics.collect();
        let counts = turn.counts(&self.watched);
        let assignor = Assignor::parse(&self.protocol).unwrap_or(self.assignor);
        let assignment = assignor.assign(&members, &counts);
        self.counts = Some(counts);
        let row = |(id, partitions): (String, Vec<TopicPartition>)| SyncGroupRequestAssignment {
            member_id: id.into(),
            assignment: encode_assignment(&partitions).unwrap_or_default().into(),
            ..Default::default()
        };
        assignment.into_iter().map(row).collect()
    }

    fn synced(&mut self, turn: &mut Turn<'_>, assignment: &[u8]) {
        let assigned = decode_assignment(assignment).unwrap_or_default();
        let assigned: BTreeSet<TopicPartition> = assigned.into_iter().collect();
        turn.told
            .push(Told::Assigned { generation: self.generation, partitions: assigned.clone() });
        self.phase = Phase::Member;
        self.heartbeat_ms = turn.now_ms + HEARTBEAT_MS;
        let gives_up = self.work.owned().difference(&assigned).next().is_some();
        let missed = self.generation > self.assigned_in.saturating_add(1);
        self.assigned_in = self.generation;
        if missed {
            // A static member stays one without joining, and the leader does not know what it has: in a generation between, that
            // may have been somebody else's, who came further. Two generations may have one number, of which one was never written.
            self.work.lose_all();
        } else if gives_up {
            let who = self.who();
            self.work.commit(turn, &who);
        }
        self.work.own(&assigned);
        self.gives_up = gives_up && self.assignor.is_cooperative();
        self.say_what_it_gave_up(turn);
    }

    /// Joins again once the commit is answered: others have the partitions from then on.
    fn say_what_it_gave_up(&mut self, turn: &mut Turn<'_>) {
        if self.gives_up && self.waiting.is_none() && self.work.is_done(turn) {
            self.join(turn);
        }
    }

    fn refused(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let soon = turn.now_ms + turn.rng.range(50, 500);
        match error {
            ErrorCode::MemberIdRequired => self.join(turn),
            ErrorCode::RebalanceInProgress => match self.phase {
                Phase::Gone => {}
                _ => self.join(turn),
            },
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                turn.told.push(Told::Fenced);
                if error == ErrorCode::UnknownMemberId {
                    self.member_id.clear();
                }
                self.generation = -1;
                self.work.lose_all();
                self.counts = None;
                self.phase = Phase::Apart { from_ms: soon };
            }
            ErrorCode::FencedInstanceId => {
                turn.told.push(Told::Fenced);
                self.work.lose_all();
                self.phase = Phase::Gone;
            }
            // The coordinator is looked for; a member stays one until it is told otherwise.
            _ if self.phase == Phase::Member => self.heartbeat_ms = soon,
            _ if self.phase == Phase::Gone => {}
            _ => self.phase = Phase::Apart { from_ms: soon },
        }
    }
}
