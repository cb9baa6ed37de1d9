//! Sessions, deadlines of rebalances, and members that are slow.

use group::classic::State;
use protocol::ErrorCode;

use crate::world::{DELAY_MS, Join, REBALANCE_MS, SESSION_MS, World};

const HALF_SESSION_MS: u64 = 5_000;

fn session_ms() -> u64 {
    u64::try_from(SESSION_MS).unwrap()
}

fn rebalance_ms() -> u64 {
    u64::try_from(REBALANCE_MS).unwrap()
}

#[test]
fn a_silent_member_is_removed() {
    let mut world = World::new();
    let members = world.stable(2);
    for _ in 0..2 {
        world.test.advance(HALF_SESSION_MS);
        let _rebalancing = world.heartbeat(&members[0], None, 1);
    }
    assert_eq!(world.members(), [members[0].clone()]);
    assert_eq!(world.heartbeat(&members[1], None, 1), ErrorCode::UnknownMemberId);
    assert_eq!(world.heartbeat(&members[0], None, 1), ErrorCode::RebalanceInProgress);
    let join = world.rejoin(&members[0]);
    assert_eq!(world.joined(join).generation_id, 2);
}

#[test]
fn all_silent_leave_an_empty_group() {
    let mut world = World::new();
    world.stable(3);
    world.test.advance(session_ms());
    assert_eq!((world.state(), world.members().len()), (State::Empty, 0));
}

#[test]
fn who_waits_for_the_coordinator_is_not_silent() {
    let mut world = World::new();
    let members = world.stable(2);
    let waiting = world.rejoin(&members[0]);
    for _ in 0..4 {
        world.test.advance(HALF_SESSION_MS);
        assert_eq!(world.heartbeat(&members[1], None, 1), ErrorCode::RebalanceInProgress);
    }
    assert!(world.waits(waiting));
    // The other never joins: the rebalance goes on without it.
    for _ in 0..8 {
        world.test.advance(HALF_SESSION_MS);
        world.heartbeat(&members[1], None, 1);
    }
    let reply = world.joined(waiting);
    assert_eq!((reply.generation_id, reply.members.len()), (2, 1));
    assert_eq!(world.heartbeat(&members[1], None, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_leader_that_does_not_come_is_replaced() {
    let mut world = World::new();
    let members = world.stable(2);
    let newcomer = world.fresh_member();
    world.rejoin(&newcomer);
    let join = world.rejoin(&members[1]);
    for _ in 0..rebalance_ms() / HALF_SESSION_MS {
        world.test.advance(HALF_SESSION_MS);
        world.heartbeat(&members[0], None, 1);
    }
    let reply = world.joined(join);
    assert_ne!(*reply.leader, *members[0]);
    assert_eq!(world.members().len(), 2);
}

#[test]
fn an_id_that_was_given_out_holds_up_a_rebalance_until_it_expires() {
    let mut world = World::new();
    let members = world.stable(1);
    world.fresh_member();
    let join = world.rejoin(&members[0]);
    assert!(world.waits(join));
    world.test.advance(session_ms());
    assert_eq!(world.joined(join).generation_id, 2);
}

#[test]
fn the_longest_rebalance_timeout_counts() {
    let mut world = World::new();
    let join = |rebalance_ms| Join { version: 3, rebalance_ms, ..Join::default() };
    let joins = [world.join(&join(10_000)), world.join(&join(30_000))];
    world.test.advance(DELAY_MS);
    world.test.advance(DELAY_MS);
    let ids = joins.map(|id| world.joined(id).member_id.into_owned());
    world.assign(&ids, 1);
    let mut leader = join(10_000);
    leader.member = ids[0].clone();
    let waiting = world.join(&leader);
    let mut passed_ms = 0;
    while world.waits(waiting) {
        world.test.advance(1_000);
        world.heartbeat(&ids[1], None, 1);
        passed_ms += 1_000;
    }
    assert_eq!(passed_ms, 30_000);
}

#[test]
fn members_that_do_not_sync_are_removed() {
    let mut world = World::new();
    let members = world.stable(3);
    let joins: Vec<_> = members.iter().map(|member| world.rejoin(member)).collect();
    for id in joins {
        assert_eq!(world.joined(id).generation_id, 2);
    }
    let sync = world.sync(&members[0], 2, &[(&members[0], "all")]);
    assert_eq!(world.assigned(sync), Ok("all".to_owned()));
    let follower = world.sync(&members[1], 2, &[]);
    assert_eq!(world.assigned(follower), Ok(String::new()));
    for _ in 0..rebalance_ms() / HALF_SESSION_MS {
        world.test.advance(HALF_SESSION_MS);
        for member in &members {
            world.heartbeat(member, None, 2);
        }
    }
    let mut left = vec![members[0].clone(), members[1].clone()];
    left.sort();
    assert_eq!(world.members(), left);
    assert_eq!(world.state(), State::PreparingRebalance);
}

#[test]
fn a_leader_that_does_not_sync_is_removed_with_its_generation() {
    let mut world = World::new();
    let members = world.stable(2);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
    let follower = world.sync(&members[1], 2, &[]);
    for _ in 0..rebalance_ms() / HALF_SESSION_MS {
        world.test.advance(HALF_SESSION_MS);
        world.heartbeat(&members[0], None, 2);
    }
    assert_eq!(world.assigned(follower), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(world.members(), [members[1].clone()]);
    let join = world.rejoin(&members[1]);
    assert_eq!(world.joined(join).generation_id, 3);
}

#[test]
fn a_new_member_may_wait_long_but_not_for_ever() {
    let mut world = World::new();
    let members = world.stable(1);
    let newcomer = world.fresh_member();
    let mut join = Join { member: newcomer, ..Join::default() };
    join.rebalance_ms = 1_000_000;
    let waiting = world.join(&join);
    for passed_s in 0..300 {
        assert!(world.waits(waiting), "{passed_s} s");
        world.test.advance(1_000);
        world.heartbeat(&members[0], None, 1);
    }
    assert_eq!(world.join_error(waiting), ErrorCode::UnknownMemberId);
}
