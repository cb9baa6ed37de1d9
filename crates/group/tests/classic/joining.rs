//! Who may join, how a generation comes about, and what its members are told.

use group::classic::State;
use protocol::ErrorCode;

use crate::world::{DELAY_MS, Join, REBALANCE_MS, World, subscription};

#[test]
fn requests_are_refused_as_kafka_does() {
    let named = |member: &str| Join { member: member.to_owned(), ..Join::default() };
    let cases = [
        ("no such member", named("x"), ErrorCode::UnknownMemberId),
        (
            "short session",
            Join { session_ms: 5_999, ..Join::default() },
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            "long session",
            Join { session_ms: 1_800_001, ..Join::default() },
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            "no protocol",
            Join { protocols: Vec::new(), ..Join::default() },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            "no protocol type",
            Join { protocol_type: "", ..Join::default() },
            ErrorCode::InconsistentGroupProtocol,
        ),
        ("the first time", Join::default(), ErrorCode::MemberIdRequired),
    ];
    for (name, join, expected) in cases {
        let mut world = World::new();
        let id = world.join(&join);
        assert_eq!(world.join_error(id), expected, "{name}");
    }
    let others = [
        ("another type", Join { protocol_type: "connect", ..Join::default() }),
        ("no common protocol", Join { protocols: vec![("sticky", Vec::new())], ..Join::default() }),
    ];
    for (name, join) in others {
        let mut world = World::new();
        world.stable(1);
        let id = world.join(&join);
        assert_eq!(world.join_error(id), ErrorCode::InconsistentGroupProtocol, "{name}");
        assert_eq!(world.state(), State::Stable);
    }
}

#[test]
fn a_member_id_is_the_client_and_a_random_uuid() {
    let mut world = World::new();
    let member = world.fresh_member();
    assert_eq!(member, "c-01010101-0101-4101-8101-010100000001");
    assert!(world.members().is_empty());
    let id = world.join(&Join { instance: Some("i"), ..Join::default() });
    assert!(world.waits(id));
    assert_eq!(world.members(), ["i-01010101-0101-4101-8101-010100000002"]);
}

#[test]
fn old_versions_join_without_an_id_first() {
    let mut world = World::new();
    let id = world.join(&Join { version: 3, ..Join::default() });
    assert!(world.waits(id));
    world.test.advance(DELAY_MS);
    let reply = world.joined(id);
    assert_eq!((reply.error_code, reply.generation_id), (0, 1));
    assert_eq!(reply.leader, reply.member_id);
}

#[test]
fn only_the_leader_sees_the_members() {
    let mut world = World::new();
    let members = [world.fresh_member(), world.fresh_member()];
    let joins = members.each_ref().map(|member| world.rejoin(member));
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    let replies = joins.map(|id| world.joined(id));
    assert_eq!(replies[0].members.len(), 2);
    assert!(replies[1].members.is_empty());
    for (reply, member) in replies.iter().zip(&members) {
        assert_eq!(*reply.member_id, **member);
        assert_eq!(*reply.leader, *members[0]);
        assert_eq!(reply.protocol_name.as_deref(), Some("range"));
        assert_eq!(reply.protocol_type.as_deref(), Some("consumer"));
        assert!(!reply.skip_assignment);
    }
    assert_eq!(*replies[0].members[1].metadata, *subscription(&["t"]));
}

#[test]
fn an_empty_group_waits_for_more_members_but_not_for_ever() {
    // How long the rebalance may take, when the second member comes, when both are answered.
    let cases = [(60_000, None, 3_000), (60_000, Some(2_000), 6_000), (4_000, Some(2_000), 4_000)];
    for (rebalance_ms, second_at_ms, answered_ms) in cases {
        let mut world = World::new();
        let join = |member| Join { member, rebalance_ms, ..Join::default() };
        let (first, second) = (world.fresh_member(), world.fresh_member());
        let mut joins = vec![world.join(&join(first))];
        let mut passed_ms = 0;
        while joins.iter().any(|id| world.waits(*id)) {
            world.test.advance(500);
            passed_ms += 500;
            assert!(passed_ms < 100_000);
            if second_at_ms == Some(passed_ms) {
                joins.push(world.join(&join(second.clone())));
            }
        }
        // A second that was given an id and does not come holds up later rebalances, not the first.
        assert_eq!(passed_ms, answered_ms, "{rebalance_ms} {second_at_ms:?}");
    }
}

#[test]
fn members_vote_for_a_protocol_that_all_know() {
    type Names = &'static [&'static str];
    let cases: [(&[Names], &str); 6] = [
        (&[&["a", "b"], &["b", "a"], &["b"]], "b"),
        (&[&["a", "b"], &["a", "b"], &["b", "a"]], "a"),
        (&[&["x", "b"], &["b", "y"]], "b"),
        (&[&["x", "y"]], "x"),
        // Repeated names are passed over, unless there is nothing else.
        (&[&["x", "x", "y"]], "y"),
        (&[&["x", "x"]], "x"),
    ];
    for (members, chosen) in cases {
        let mut world = World::new();
        let mut joins = Vec::new();
        for names in members {
            let protocols = names.iter().map(|name| (*name, name.as_bytes().to_vec())).collect();
            let join = Join { version: 3, protocols, protocol_type: "x", ..Join::default() };
            joins.push(world.join(&join));
        }
        world.test.advance(DELAY_MS);
        world.test.advance(DELAY_MS);
        for id in joins {
            assert_eq!(world.joined(id).protocol_name.as_deref(), Some(chosen));
        }
        let said = world.group().members().next().unwrap().metadata(chosen).to_vec();
        assert_eq!(said, chosen.as_bytes());
    }
}

#[test]
fn a_newcomer_makes_all_join_again() {
    let mut world = World::new();
    let members = world.stable(2);
    let third = world.fresh_member();
    assert_eq!(world.heartbeat(&members[0], None, 1), ErrorCode::None);
    let late = world.rejoin(&third);
    assert_eq!(world.state(), State::PreparingRebalance);
    for member in &members {
        assert_eq!(world.heartbeat(member, None, 1), ErrorCode::RebalanceInProgress);
    }
    let first = world.rejoin(&members[0]);
    assert!(world.waits(first) && world.waits(late));
    let second = world.rejoin(&members[1]);
    for id in [first, second, late] {
        assert_eq!(world.joined(id).generation_id, 2);
    }
    let all = [members[0].clone(), members[1].clone(), third];
    assert_eq!(world.heartbeat(&members[1], None, 1), ErrorCode::IllegalGeneration);
    assert_eq!(world.heartbeat(&members[1], None, 2), ErrorCode::None);
    world.assign(&all, 2);
}

#[test]
fn a_member_that_joins_again_unchanged_only_disturbs_as_leader() {
    let changed = vec![("range", subscription(&["u"]))];
    // Who joins, with other words?, and whether all are to join again.
    let cases = [(0, false, true), (0, true, true), (1, false, false), (1, true, true)];
    for (who, change, rebalances) in cases {
        let mut world = World::new();
        let members = world.stable(2);
        let mut join = Join { member: members[who].clone(), ..Join::default() };
        if change {
            join.protocols = changed.clone();
        }
        let id = world.join(&join);
        assert_eq!(world.waits(id), rebalances, "{who} {change}");
        if !rebalances {
            let reply = world.joined(id);
            assert_eq!((reply.error_code, reply.generation_id), (0, 1));
            assert!(reply.members.is_empty());
        }
        let expected = if rebalances { State::PreparingRebalance } else { State::Stable };
        assert_eq!(world.state(), expected, "{who} {change}");
    }
}

#[test]
fn a_join_again_before_the_assignment_gives_the_same_generation() {
    let mut world = World::new();
    let members = [world.fresh_member(), world.fresh_member()];
    let joins = members.each_ref().map(|member| world.rejoin(member));
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    world.all_joined(joins, 1);
    let id = world.rejoin(&members[0]);
    let reply = world.joined(id);
    assert_eq!((reply.generation_id, reply.members.len()), (1, 2));
    let id = world.rejoin(&members[1]);
    let reply = world.joined(id);
    assert_eq!((reply.generation_id, reply.members.len()), (1, 0));
    // Other words force a rebalance, and those who wait for their assignment join again.
    let follower = world.sync(&members[1], 1, &[]);
    let protocols = vec![("range", subscription(&["u"]))];
    let id = world.join(&Join { member: members[0].clone(), protocols, ..Join::default() });
    assert!(world.waits(id));
    assert_eq!(world.assigned(follower), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn syncs_are_refused_as_kafka_does() {
    let mut world = World::new();
    let id = world.sync("x", 1, &[]);
    assert_eq!(world.assigned(id), Err(ErrorCode::UnknownMemberId), "no group");
    let members = world.stable(2);
    let newcomer = world.fresh_member();
    let cases = [
        ("x", None, 1, ErrorCode::UnknownMemberId),
        (&*newcomer, None, 1, ErrorCode::UnknownMemberId),
        (&*members[0], None, 0, ErrorCode::IllegalGeneration),
        (&*members[0], None, 2, ErrorCode::IllegalGeneration),
        (&*members[0], Some("i"), 1, ErrorCode::UnknownMemberId),
    ];
    for (member, instance, generation, expected) in cases {
        let id = world.sync_as(member, instance, generation, &[]);
        assert_eq!(world.assigned(id), Err(expected), "{member} {generation}");
    }
    let again = world.sync(&members[1], 1, &[]);
    assert_eq!(world.assigned(again), Ok("1".to_owned()), "a stable group tells again");
    world.rejoin(&members[0]);
    let id = world.sync(&members[1], 1, &[]);
    assert_eq!(world.assigned(id), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn who_is_not_in_the_assignment_has_nothing() {
    let mut world = World::new();
    let members = world.stable(2);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
    let follower = world.sync(&members[1], 2, &[]);
    let leader = world.sync(&members[0], 2, &[(&members[0], "all"), ("stranger", "none")]);
    assert_eq!(world.assigned(leader), Ok("all".to_owned()));
    assert_eq!(world.assigned(follower), Ok(String::new()));
}

#[test]
fn a_full_group_takes_no_more() {
    let mut world = World::new();
    world.test.view.classic.members_max = 2;
    let members = world.stable(2);
    let id = world.join(&Join::default());
    let reply = world.joined(id);
    assert_eq!(ErrorCode::from_code(reply.error_code), ErrorCode::GroupMaxSizeReached);
    assert_eq!(reply.member_id, "");
    // While all join again, those who come first stay.
    world.test.view.classic.members_max = 3;
    let third = world.fresh_member();
    let late = world.rejoin(&third);
    world.test.view.classic.members_max = 2;
    let second = world.rejoin(&members[1]);
    let first = world.rejoin(&members[0]);
    assert_eq!(world.join_error(first), ErrorCode::GroupMaxSizeReached);
    assert_eq!(world.members().len(), 2);
    world.test.advance(u64::try_from(REBALANCE_MS).unwrap());
    for id in [second, late] {
        assert_eq!(world.joined(id).generation_id, 2);
    }
}

#[test]
fn requests_that_are_replaced_are_answered() {
    let mut world = World::new();
    let member = world.fresh_member();
    let early = world.rejoin(&member);
    let again = world.rejoin(&member);
    assert_eq!(world.join_error(early), ErrorCode::RebalanceInProgress);
    world.test.advance(DELAY_MS);
    assert_eq!(world.join_error(again), ErrorCode::None);
}

#[test]
fn a_group_that_cannot_be_written_is_told_so_and_joins_again() {
    let mut world = World::new();
    let members = world.stable(2);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
    let follower = world.sync(&members[1], 2, &[]);
    let huge = "x".repeat(world.test.view.classic.record_bytes_max);
    let leader = world.sync(&members[0], 2, &[(&members[1], &huge)]);
    for id in [leader, follower] {
        assert_eq!(world.assigned(id), Err(ErrorCode::UnknownServerError));
    }
    assert_eq!(world.state(), State::PreparingRebalance);
    assert!(world.group().members().all(|member| member.assignment.is_empty()));
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 3);
    world.assign(&members, 3);
    // What just fits is written.
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 4);
    let large = "x".repeat(world.test.view.classic.record_bytes_max - 1_000);
    let leader = world.sync(&members[0], 4, &[(&members[0], &large)]);
    assert_eq!(world.assigned(leader), Ok(large));
}

#[test]
fn what_members_say_is_bounded() {
    let mut world = World::new();
    world.test.view.classic.record_bytes_max = 1_000;
    let large = Join { version: 3, protocols: vec![("range", vec![0; 7_000])], ..Join::default() };
    let (first, second, third) = (world.join(&large), world.join(&large), world.join(&large));
    assert!(world.waits(first) && world.waits(second));
    assert_eq!(world.join_error(third), ErrorCode::GroupMaxSizeReached);
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    let member = world.joined(first).member_id.into_owned();
    // Who is in it may say something else, and room comes back with those who leave.
    let again = world.join(&Join { member: member.clone(), ..large.clone() });
    assert_eq!(world.join_error(again), ErrorCode::None);
    world.leave(&[(&member, None)]);
    let fourth = world.join(&large);
    assert!(world.waits(fourth));
}
