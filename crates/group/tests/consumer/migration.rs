//! Groups that change their protocol while they have members, and members that speak the classic one in a consumer group.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use base::machine::ReplyId;
use group::consumer::MigrationPolicy;
use group::{Caller, Kind, Reply, Request, classic};
use protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use protocol::messages::consumer_protocol_subscription::{
    self as subscription, ConsumerProtocolSubscription,
};
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use protocol::messages::sync_group_response::SyncGroupResponse;
use protocol::{Decode, Encode, ErrorCode, Reader, Writer};

use crate::harness::{GROUP, Test, alive, join, join_static, owned};

type ByName = BTreeMap<String, Vec<i32>>;

fn blob(version: i16, message: &impl Encode) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.raw(&version.to_be_bytes());
    message.encode(&mut writer, version).unwrap();
    writer.into_vec().unwrap()
}

fn said(topics: &[&'static str], owns: &ByName) -> Vec<u8> {
    let owned = owns.iter().map(|(topic, partitions)| subscription::TopicPartition {
        topic: topic.clone().into(),
        partitions: partitions.clone(),
    });
    let message = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        user_data: None,
        owned_partitions: owned.collect(),
        rack_id: None,
        ..Default::default()
    };
    blob(3, &message)
}

fn assigned(partitions: &ByName) -> Vec<u8> {
    let topics = partitions.iter().map(|(topic, partitions)| TopicPartition {
        topic: topic.clone().into(),
        partitions: partitions.clone(),
    });
    let message =
        ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    blob(3, &message)
}

fn read(assignment: &[u8]) -> ByName {
    let mut reader = Reader::new(assignment);
    let version = reader.i16().unwrap();
    let told = ConsumerProtocolAssignment::decode(&mut reader, version).unwrap();
    let topics = told.assigned_partitions.into_iter();
    topics.map(|topic| (topic.topic.to_string(), topic.partitions)).collect()
}

fn caller(version: i16) -> Caller {
    static IDS: AtomicU8 = AtomicU8::new(0);
    Caller {
        version,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        fresh_id: base::Uuid([IDS.fetch_add(1, Ordering::Relaxed); 16]),
    }
}

fn join_request(member: &str, instance: Option<&'static str>, owns: &ByName) -> Request {
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: said(&["a"], owns).into(),
        ..Default::default()
    };
    let request = JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.to_owned().into(),
        group_instance_id: instance.map(Into::into),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        reason: None,
        ..Default::default()
    };
    Request::Classic(classic::Request::JoinGroup { caller: caller(9), request })
}

fn sync_request(member: &str, generation: i32, leads: &[(&str, ByName)]) -> Request {
    let assignments = leads.iter().map(|(member, partitions)| SyncGroupRequestAssignment {
        member_id: (*member).to_owned().into(),
        assignment: assigned(partitions).into(),
        ..Default::default()
    });
    let request = SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: generation,
        member_id: member.to_owned().into(),
        group_instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.collect(),
        ..Default::default()
    };
    Request::Classic(classic::Request::SyncGroup { caller: caller(5), request })
}

impl Test {
    fn classic(&mut self, request: Request) -> classic::Reply {
        let id = self.context.request(request);
        self.context.advance(0);
        self.answer(id)
    }

    fn answer(&mut self, id: ReplyId) -> classic::Reply {
        match self.context.replies.remove(&id) {
            Some(Ok(Reply::Classic(reply))) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn classic_join(&mut self, member: &str, owns: &ByName) -> JoinGroupResponse<'static> {
        match self.classic(join_request(member, None, owns)) {
            classic::Reply::JoinGroup(response) => response,
            other => panic!("{other:?}"),
        }
    }

    fn classic_sync(&mut self, member: &str, generation: i32) -> SyncGroupResponse<'static> {
        match self.classic(sync_request(member, generation, &[])) {
            classic::Reply::SyncGroup(response) => response,
            other => panic!("{other:?}"),
        }
    }

    fn classic_heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.to_owned().into(),
            group_instance_id: None,
            ..Default::default()
        };
        let request = classic::Request::Heartbeat { caller: caller(4), request };
        match self.classic(Request::Classic(request)) {
            classic::Reply::Heartbeat(response) => ErrorCode::from_code(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    fn classic_leave(&mut self, member: &str) -> ErrorCode {
        let member = MemberIdentity {
            member_id: member.to_owned().into(),
            group_instance_id: None,
            reason: None,
            ..Default::default()
        };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![member],
            ..Default::default()
        };
        let request = classic::Request::LeaveGroup { caller: caller(5), request };
        match self.classic(Request::Classic(request)) {
            classic::Reply::LeaveGroup(response) => {
                ErrorCode::from_code(response.members[0].error_code)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A stable classic group with one member that owns all of `a`: its id and generation.
    fn classic_group(&mut self) -> (String, i32) {
        let id = self.classic_join("", &ByName::new()).member_id.to_string();
        let waiting = self.context.request(join_request(&id, None, &ByName::new()));
        self.context.advance(3_000);
        let classic::Reply::JoinGroup(joined) = self.answer(waiting) else { panic!() };
        let all = ByName::from([("a".to_owned(), vec![0, 1, 2, 3])]);
        self.classic(sync_request(&id, joined.generation_id, &[(&id, all)]));
        (id, joined.generation_id)
    }

    fn kind(&self) -> &Kind {
        self.context.runtime.tip().groups().get(GROUP).expect("the group is there")
    }
}

fn all_of_a() -> ByName {
    [("a".to_owned(), vec![0, 1, 2, 3])].into()
}

#[test]
fn a_classic_group_becomes_a_consumer_group_and_goes_back() {
    let mut test = Test::new();
    let (id, generation) = test.classic_group();
    let answer = test.ok(join("m2", &["a"]));
    assert_eq!((answer.member_epoch, owned(&answer)), (generation + 1, Some([].into())));
    let group = test.group();
    assert_eq!((group.state(), group.members().count()), ("Reconciling", 2));
    let state = test.context.runtime.tip().clone();
    test.context.reload();
    assert_eq!(test.context.runtime.tip(), &state);

    // The classic member is called, gives up what it must, and goes on with the rest.
    assert_eq!(test.classic_heartbeat(&id, generation), ErrorCode::RebalanceInProgress);
    let joined = test.classic_join(&id, &all_of_a());
    assert_eq!((joined.error_code, joined.generation_id), (0, generation));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    let synced = test.classic_sync(&id, generation);
    let kept = read(&synced.assignment);
    assert_eq!(kept["a"].len(), 2);
    assert_eq!(test.classic_heartbeat(&id, generation), ErrorCode::RebalanceInProgress);
    let joined = test.classic_join(&id, &kept);
    assert_eq!(joined.generation_id, generation + 1);
    assert_eq!(read(&test.classic_sync(&id, generation + 1).assignment), kept);
    assert_eq!(test.classic_heartbeat(&id, generation + 1), ErrorCode::None);
    let got = test.go_on("m2", generation + 1).1.expect("the rest is free");
    assert_eq!(got[&test.topic("a")].len(), 2);
    assert_eq!(test.group().state(), "Stable");
    let described = test.describe(GROUP);
    let kinds: Vec<i8> = described.members.iter().map(|member| member.member_type).collect();
    assert!(kinds.contains(&0) && kinds.contains(&1), "{kinds:?}");

    // The last member of the consumer protocol goes: the group is a classic one again, and rebalances.
    let epoch = test.group().epoch;
    test.ok(alive("m2", -1));
    let Kind::Classic(group) = test.kind() else { panic!("{:?}", test.kind()) };
    assert_eq!(group.state(), classic::State::PreparingRebalance);
    assert_eq!((group.generation(), group.protocol()), (epoch, Some("range")));
    assert_eq!(test.classic_heartbeat(&id, epoch), ErrorCode::RebalanceInProgress);
    let joined = test.classic_join(&id, &kept);
    assert_eq!((joined.error_code, joined.generation_id), (0, epoch + 1));
    // What the log holds of it is a classic group with its member.
    test.context.reload();
    let Kind::Classic(group) = test.kind() else { panic!() };
    assert_eq!((group.members().count(), group.state()), (1, classic::State::Stable));
}

#[test]
fn waiting_members_are_turned_away_by_an_upgrade() {
    let mut test = Test::new();
    let (id, generation) = test.classic_group();
    let fresh = test.classic_join("", &ByName::new()).member_id.to_string();
    let waiting = test.context.request(join_request(&fresh, None, &ByName::new()));
    test.context.advance(0);
    assert!(!test.context.replies.contains_key(&waiting));
    test.context.append_error = Some(ErrorCode::NotEnoughReplicas);
    let before = test.context.runtime.tip().clone();
    assert!(test.send(join("m2", &["a"])).is_err());
    assert_eq!(test.context.runtime.tip(), &before);
    test.context.append_error = None;
    test.ok(join("m2", &["a"]));
    let classic::Reply::JoinGroup(told) = test.answer(waiting) else { panic!() };
    assert_eq!(told.error_code, ErrorCode::RebalanceInProgress.code());
    assert_eq!(test.group().members().count(), 3);
    assert!(test.group().member(&id).is_some_and(|member| member.epoch == generation));
}

#[test]
fn the_policy_says_what_may_change() {
    let policy = |upgrade, downgrade| MigrationPolicy { upgrade, downgrade };
    // Without upgrades the classic group stays.
    for (policy, expected) in [
        (policy(true, true), ErrorCode::None),
        (policy(true, false), ErrorCode::None),
        (policy(false, true), ErrorCode::GroupIdNotFound),
        (policy(false, false), ErrorCode::GroupIdNotFound),
    ] {
        let mut test = Test::new();
        test.context.view.consumer.migration = policy;
        test.classic_group();
        assert_eq!(test.error(join("m2", &["a"])), expected, "{policy:?}");
    }
    // Classic members may come into a consumer group unless nothing may change, and it stays one without downgrades.
    for (policy, expected) in [
        (policy(true, true), ErrorCode::MemberIdRequired),
        (policy(true, false), ErrorCode::MemberIdRequired),
        (policy(false, true), ErrorCode::MemberIdRequired),
        (policy(false, false), ErrorCode::InconsistentGroupProtocol),
    ] {
        let mut test = Test::new();
        test.context.view.consumer.migration = policy;
        test.join("m1", &["a"]);
        let told = test.classic_join("", &ByName::new());
        assert_eq!(ErrorCode::from_code(told.error_code), expected, "{policy:?}");
        if told.error_code != ErrorCode::MemberIdRequired.code() {
            continue;
        }
        assert_eq!(test.classic_join(&told.member_id, &ByName::new()).error_code, 0);
        test.ok(alive("m1", -1));
        let is_classic = matches!(test.kind(), Kind::Classic(_));
        assert_eq!(is_classic, policy.downgrade, "{policy:?}");
    }
    // A group that nobody is in changes its kind under any policy.
    let mut test = Test::new();
    test.context.view.consumer.migration = policy(false, false);
    let (id, _) = test.classic_group();
    assert_eq!(test.classic_leave(&id), ErrorCode::None);
    test.context.advance(30_000);
    test.join("m1", &["a"]);
    test.ok(alive("m1", -1));
    let told = test.classic_join("", &ByName::new());
    assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
    assert!(matches!(test.kind(), Kind::Classic(_)));
    test.context.reload();
    assert!(matches!(test.kind(), Kind::Classic(_)));
}

#[test]
fn classic_members_are_held_to_their_timeouts() {
    let joined = |test: &mut Test| {
        test.join("m1", &["a"]);
        let id = test.classic_join("", &ByName::new()).member_id.to_string();
        assert_eq!(test.classic_join(&id, &ByName::new()).error_code, 0);
        id
    };
    // It has its own session timeout.
    let mut test = Test::new();
    let id = joined(&mut test);
    test.context.advance(9_999);
    assert!(test.group().member(&id).is_some());
    test.context.advance(1);
    assert!(test.group().member(&id).is_none());
    // Heartbeats keep it, but it has to come for its assignment, too.
    let mut test = Test::new();
    let id = joined(&mut test);
    for second in [9, 18, 27] {
        test.context.advance(9_000);
        test.go_on("m1", 2);
        test.classic_heartbeat(&id, 3);
        assert!(test.group().member(&id).is_some(), "{second}");
    }
    test.context.advance(3_000);
    assert!(test.group().member(&id).is_none());
}

#[test]
fn classic_members_are_held_to_their_generation_and_protocol() {
    let mut test = Test::new();
    test.join("m1", &["a"]);
    let id = test.classic_join("", &ByName::new()).member_id.to_string();
    let generation = test.classic_join(&id, &ByName::new()).generation_id;
    assert_eq!(test.classic_heartbeat(&id, generation + 1), ErrorCode::IllegalGeneration);
    assert_eq!(test.classic_heartbeat("m1", 2), ErrorCode::UnknownMemberId);
    assert_eq!(test.classic_heartbeat("m9", 2), ErrorCode::UnknownMemberId);
    let synced = test.classic_sync(&id, generation + 1);
    assert_eq!(synced.error_code, ErrorCode::IllegalGeneration.code());
    assert_eq!(test.classic_leave("m9"), ErrorCode::UnknownMemberId);
    assert_eq!(test.classic_leave(&id), ErrorCode::None);
    assert!(test.group().member(&id).is_none());
    assert_eq!(test.group().members().count(), 1);
}

#[test]
fn a_static_member_that_comes_back_with_the_classic_protocol_takes_the_group_along() {
    let mut test = Test::new();
    test.ok(join_static("m1", "i1", &["a"]));
    let classic::Reply::JoinGroup(joined) =
        test.classic(join_request("", Some("i1"), &ByName::new()))
    else {
        panic!()
    };
    assert_eq!(joined.error_code, 0);
    let Kind::Classic(group) = test.kind() else { panic!("{:?}", test.kind()) };
    assert_eq!(group.members().count(), 1);
    assert!(group.member(&joined.member_id).is_some());
    let state = group.state();
    assert_eq!(state, classic::State::Stable);
    let synced = test.classic_sync(&joined.member_id, joined.generation_id);
    assert_eq!((synced.error_code, read(&synced.assignment)), (0, all_of_a()));
    test.context.reload();
    assert!(matches!(test.kind(), Kind::Classic(_)));
}
