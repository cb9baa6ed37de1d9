//! Static members: replacement, fencing, duels (KIP-345, KIP-814).

use base::machine::ReplyId;
use group::classic::State;
use protocol::ErrorCode;

use crate::world::{DELAY_MS, Join, REBALANCE_MS, SESSION_MS, World, subscription};

fn static_join(instance: &'static str) -> Join {
    Join { instance: Some(instance), ..Join::default() }
}

/// A stable group of one static leader and one static follower.
fn stable(world: &mut World) -> [String; 2] {
    let joins = ["leader", "follower"].map(|instance| world.join(&static_join(instance)));
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    let members = joins.map(|id| world.joined(id).member_id.into_owned());
    world.assign(&members, 1);
    members
}

#[test]
fn a_static_member_comes_back_and_nobody_notices() {
    // Who, at which version, what it is told.
    let cases = [("leader", 9, true, 2), ("leader", 8, false, 0), ("follower", 9, false, 0)];
    for (who, version, skip, shown) in cases {
        let mut world = World::new();
        let members = stable(&mut world);
        let old = if who == "leader" { &members[0] } else { &members[1] };
        let id = world.join(&Join { version, ..static_join(who) });
        let reply = world.joined(id);
        assert_eq!((reply.error_code, reply.generation_id), (0, 1));
        assert_eq!((reply.skip_assignment, reply.members.len()), (skip, shown), "{who} {version}");
        // Versions that cannot be told otherwise keep the leader's old id: it shall not assign.
        let new = reply.member_id.into_owned();
        let leader_shown =
            if who == "leader" && version >= 9 { new.clone() } else { members[0].clone() };
        assert_eq!(reply.leader, leader_shown);
        assert_eq!(world.state(), State::Stable);
        // Its assignment is the old one's, who is fenced.
        let sync = world.sync_as(&new, Some(who), 1, &[]);
        let own = if who == "leader" { "0" } else { "1" };
        assert_eq!(world.assigned(sync), Ok(own.to_owned()));
        assert_eq!(world.heartbeat(old, Some(who), 1), ErrorCode::FencedInstanceId);
        assert_eq!(world.heartbeat(old, None, 1), ErrorCode::UnknownMemberId);
        assert_eq!(world.heartbeat(&new, Some(who), 1), ErrorCode::None);
        let fenced = world.sync_as(old, Some(who), 1, &[]);
        assert_eq!(world.assigned(fenced), Err(ErrorCode::FencedInstanceId));
        let mut again = static_join(who);
        again.member = old.clone();
        let fenced = world.join(&again);
        assert_eq!(world.join_error(fenced), ErrorCode::FencedInstanceId);
        assert_eq!(world.leave(&[(old, Some(who))]), [ErrorCode::FencedInstanceId]);
        // The log knows the new one.
        world.test.reload();
        assert!(world.members().contains(&new));
        assert_eq!(world.heartbeat(&new, Some(who), 1), ErrorCode::None);
    }
}

#[test]
fn a_static_member_with_other_protocols_may_change_the_choice() {
    for (name, rebalances) in [("range", false), ("sticky", true)] {
        let mut world = World::new();
        let both = || vec![("range", subscription(&["t"])), ("sticky", subscription(&["t"]))];
        let join = |instance| Join { protocols: both(), ..static_join(instance) };
        let id = world.join(&join("i"));
        world.test.advance(DELAY_MS);
        let member = world.joined(id).member_id.into_owned();
        world.assign(&[member], 1);
        let mut other = both();
        if name == "sticky" {
            other.reverse();
        }
        other[0].1 = subscription(&["t", "u"]);
        let id = world.join(&Join { protocols: other, ..static_join("i") });
        assert!(!world.waits(id));
        let reply = world.joined(id);
        assert_eq!(reply.generation_id, if rebalances { 2 } else { 1 });
        assert_eq!(reply.protocol_name.as_deref(), Some(name));
    }
}

#[test]
fn a_static_member_replaced_while_others_wait_makes_them_join_again() {
    let mut world = World::new();
    let members = stable(&mut world);
    let rejoin = |world: &mut World, at: usize, instance| {
        let mut join = static_join(instance);
        join.member = members[at].clone();
        world.join(&join)
    };
    let joins = [rejoin(&mut world, 0, "leader"), rejoin(&mut world, 1, "follower")];
    world.all_joined(joins, 2);
    let waiting = world.sync_as(&members[1], Some("follower"), 2, &[]);
    let replacing = world.join(&static_join("follower"));
    assert_eq!(world.assigned(waiting), Err(ErrorCode::FencedInstanceId));
    assert_eq!(world.state(), State::PreparingRebalance);
    let leader = rejoin(&mut world, 0, "leader");
    for id in [replacing, leader] {
        assert_eq!(world.joined(id).generation_id, 3);
    }
}

#[test]
fn of_two_with_one_instance_id_the_last_wins() {
    let mut world = World::new();
    let duel: Vec<ReplyId> = (0..5).map(|_| world.join(&static_join("i"))).collect();
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    for id in &duel[..4] {
        assert_eq!(world.join_error(*id), ErrorCode::FencedInstanceId);
    }
    let winner = world.joined(duel[4]);
    assert_eq!((winner.error_code, winner.generation_id), (0, 1));
    assert_eq!(world.members(), [winner.member_id.into_owned()]);
}

#[test]
fn static_members_are_kept_until_their_session_ends() {
    let mut world = World::new();
    let members = stable(&mut world);
    let third = world.fresh_member();
    let newcomer = world.rejoin(&third);
    let stay_alive = |world: &mut World, until_ms: i32| {
        for _ in 0..until_ms / 5_000 {
            world.test.advance(5_000);
            world.heartbeat(&members[0], Some("leader"), 1);
            world.heartbeat(&members[1], Some("follower"), 1);
        }
    };
    stay_alive(&mut world, REBALANCE_MS);
    // The static members did not join: they stay, and lead no more.
    let reply = world.joined(newcomer);
    assert_eq!((reply.generation_id, reply.members.len()), (2, 3));
    assert_eq!(*reply.leader, *third);
    let sync = world.sync(&third, 2, &[(&third, "all")]);
    assert_eq!(world.assigned(sync), Ok("all".to_owned()));
    for _ in 0..3 {
        world.test.advance(u64::try_from(SESSION_MS).unwrap() / 2);
        world.heartbeat(&third, None, 2);
    }
    assert_eq!(world.members(), [third]);
}

#[test]
fn an_administrator_removes_static_members_by_instance() {
    let mut world = World::new();
    stable(&mut world);
    let rows = world.leave(&[("", Some("leader")), ("", Some("nobody")), ("", Some("follower"))]);
    assert_eq!(rows, [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::None]);
    assert_eq!(world.state(), State::Empty);
}

#[test]
fn an_id_that_was_given_out_cannot_become_static() {
    let mut world = World::new();
    let member = world.fresh_member();
    let id = world.join(&Join { member, ..static_join("i") });
    assert_eq!(world.join_error(id), ErrorCode::UnknownServerError);
    assert!(world.members().is_empty());
}
