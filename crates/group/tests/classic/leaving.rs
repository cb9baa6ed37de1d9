//! LeaveGroup, empty groups, and what lists and descriptions show.

use group::classic::State;
use group::{Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::world::{DELAY_MS, GROUP, Join, World};

#[test]
fn members_leave_and_the_rest_joins_again() {
    let mut world = World::new();
    assert_eq!(world.leave(&[("x", None)]), [ErrorCode::UnknownMemberId], "no group");
    let members = world.stable(3);
    let pending = world.fresh_member();
    let rows = world.leave(&[
        ("x", None),
        (&members[2], None),
        ("", Some("i")),
        (&members[1], Some("i")),
        (&pending, None),
    ]);
    let unknown = ErrorCode::UnknownMemberId;
    assert_eq!(rows, [unknown, ErrorCode::None, unknown, unknown, ErrorCode::None]);
    assert_eq!(world.state(), State::PreparingRebalance);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
}

#[test]
fn the_last_one_leaves_an_empty_group() {
    let mut world = World::new();
    let members = world.stable(1);
    assert_eq!(world.leave(&[(&members[0], None)]), [ErrorCode::None]);
    assert_eq!((world.state(), world.group().generation()), (State::Empty, 2));
    assert_eq!(world.group().protocol_type(), Some("consumer"));
    assert_eq!(world.heartbeat(&members[0], None, 2), ErrorCode::UnknownMemberId);
    let again = world.rejoin(&members[0]);
    assert_eq!(world.join_error(again), ErrorCode::UnknownMemberId);
    // The next generation begins where this one ended.
    let member = world.fresh_member();
    let join = world.rejoin(&member);
    world.test.advance(DELAY_MS);
    assert_eq!(world.joined(join).generation_id, 3);
}

#[test]
fn who_waits_is_told_that_it_is_no_member_any_more() {
    let mut world = World::new();
    let members = world.stable(2);
    let waiting = world.rejoin(&members[0]);
    assert_eq!(world.leave(&[(&members[0], None)]), [ErrorCode::None]);
    assert_eq!(world.join_error(waiting), ErrorCode::UnknownMemberId);
    let second = world.rejoin(&members[1]);
    let reply = world.joined(second);
    assert_eq!((reply.generation_id, reply.leader), (2, members[1].clone().into()));
    let sync = world.sync(&members[1], 2, &[]);
    assert_eq!(world.assigned(sync), Ok(String::new()));
}

#[test]
fn a_leader_that_leaves_before_it_assigns_is_replaced() {
    let mut world = World::new();
    let members = world.stable(2);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
    let follower = world.sync(&members[1], 2, &[]);
    world.leave(&[(&members[0], None)]);
    assert_eq!(world.assigned(follower), Err(ErrorCode::RebalanceInProgress));
    let join = world.rejoin(&members[1]);
    let reply = world.joined(join);
    assert_eq!((reply.generation_id, reply.leader), (3, members[1].clone().into()));
}

#[test]
fn descriptions_show_every_state() {
    let mut world = World::new();
    let gone = world.describe();
    assert_eq!((&*gone.group_state, gone.error_code), ("Dead", 69));
    assert_eq!(gone.error_message.as_deref(), Some("Group g not found."));
    world.fresh_member();
    assert_eq!(world.describe().group_state, "Empty");
    let member = world.fresh_member();
    let join = world.rejoin(&member);
    // No record tells of this.
    assert_eq!(world.describe().group_state, "PreparingRebalance");
    world.test.advance(DELAY_MS);
    assert_eq!(world.joined(join).generation_id, 1);
    let described = world.describe();
    assert_eq!((&*described.group_state, &*described.protocol_data), ("CompletingRebalance", ""));
    assert!(described.members[0].member_metadata.is_empty());
    world.sync(&member, 1, &[(&member, "mine")]);
    let described = world.describe();
    assert_eq!((&*described.group_state, &*described.protocol_data), ("Stable", "range"));
    let row = &described.members[0];
    assert_eq!((&*row.member_id, &*row.client_id, &*row.client_host), (&*member, "c", "/10.0.0.1"));
    assert_eq!(&*row.member_assignment, b"mine");
    assert!(!row.member_metadata.is_empty());
}

#[test]
fn lists_are_filtered_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    let cases: [(&[&str], &[&str], bool); 7] = [
        (&[], &[], true),
        (&["Stable"], &[], true),
        (&["empty", " stable "], &[], true),
        (&["Empty"], &[], false),
        (&[], &["Classic"], true),
        (&[], &["consumer"], false),
        (&["Stable"], &["nonsense"], false),
    ];
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    for (states, types, shown) in cases {
        let query = Query::ListGroups { states: owned(states), types: owned(types) };
        let Ok(Reply::ListGroups(groups)) = world.test.look(query) else { panic!() };
        assert_eq!(groups.len(), usize::from(shown), "{states:?} {types:?}");
        if let Some(group) = groups.first() {
            let row = (&*group.group_id, &*group.protocol_type, &*group.group_type);
            assert_eq!(row, (GROUP, "consumer", "classic"));
        }
    }
}

#[test]
fn lists_have_kafkas_order() {
    // Kafka 4.4.0 lists six groups of these names so.
    let expected = ["grp-4", "grp-1"];
    let mut test = World::new().test;
    for group in ["grp-1", "grp-2", "grp-3", "grp-4", "grp-5", "grp-6"] {
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![OffsetCommitRequestPartition::default()],
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(test.ask(Request::OffsetCommit { version: 9, request }).is_ok());
    }
    let query = Query::ListGroups { states: Vec::new(), types: Vec::new() };
    let Ok(Reply::ListGroups(groups)) = test.look(query) else { panic!() };
    let names = groups.iter().map(|group| &*group.group_id);
    let names: Vec<&str> = names.filter(|name| expected.contains(name)).collect();
    assert_eq!((groups.len(), names), (6, expected.to_vec()));
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut world = World::new();
    let delete = |world: &mut World| {
        let reply = world.test.ask(Request::DeleteGroups(vec![GROUP.to_owned()]));
        let Ok(Reply::DeleteGroups(rows)) = reply else { panic!("{reply:?}") };
        ErrorCode::from_code(rows[0].error_code)
    };
    assert_eq!(delete(&mut world), ErrorCode::GroupIdNotFound);
    let members = world.stable(1);
    assert_eq!(delete(&mut world), ErrorCode::NonEmptyGroup);
    world.rejoin(&members[0]);
    assert_eq!(delete(&mut world), ErrorCode::NonEmptyGroup);
    world.leave(&[(&members[0], None)]);
    assert_eq!(delete(&mut world), ErrorCode::None);
    assert!(!world.is_there());
    world.test.reload();
    assert!(!world.is_there());
    // A new group begins from the start.
    let join = world.join(&Join { version: 3, ..Join::default() });
    world.test.advance(DELAY_MS);
    assert_eq!(world.joined(join).generation_id, 1);
}
