//! What the log holds of a group: reloads, failed appends, records as Kafka writes them.

use coordinator::{LogRecord, Shard};
use group::classic::State;
use group::{GroupRecord, GroupShard, Query, Reply};
use protocol::ErrorCode;

use crate::world::{DELAY_MS, GROUP, Join, REBALANCE_MS, SESSION_MS, World};

/// What must be the same after a reload.
fn durable(world: &World) -> String {
    let group = world.group();
    let members: Vec<String> = group
        .members()
        .map(|member| {
            let said = member.metadata(group.protocol().unwrap_or_default());
            format!(
                "{} {:?} {} {} {} {} {said:?} {:?}",
                member.id,
                member.instance_id,
                member.client_id,
                member.client_host,
                member.rebalance_timeout_ms,
                member.session_timeout_ms,
                member.assignment
            )
        })
        .collect();
    format!(
        "{:?} {} {:?} {:?} {:?} {members:?}",
        group.state(),
        group.generation(),
        group.leader(),
        group.protocol(),
        group.protocol_type()
    )
}

#[test]
fn a_stable_and_an_empty_group_survive_a_reload() {
    let mut world = World::new();
    let members = world.stable(3);
    let before = durable(&world);
    world.test.reload();
    assert_eq!(durable(&world), before);
    assert_eq!(world.heartbeat(&members[2], None, 1), ErrorCode::None);
    let again = world.sync(&members[1], 1, &[]);
    assert_eq!(world.assigned(again), Ok("1".to_owned()));
    // Sessions begin anew, and end.
    world.test.advance(u64::try_from(SESSION_MS).unwrap() - 1);
    assert_eq!(world.members().len(), 3);
    world.test.advance(1);
    assert_eq!(world.state(), State::Empty);
    let before = durable(&world);
    world.test.reload();
    assert_eq!(durable(&world), before);
}

#[test]
fn a_rebalance_that_runs_is_forgotten_by_a_reload() {
    let mut world = World::new();
    let members = world.stable(2);
    let waiting = world.rejoin(&members[0]);
    world.fresh_member();
    world.test.reload();
    assert!(world.waits(waiting));
    assert_eq!((world.state(), world.group().generation()), (State::Stable, 1));
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
}

#[test]
fn a_group_over_its_size_rebalances_after_a_reload() {
    let mut world = World::new();
    let members = world.stable(3);
    world.test.view.classic.members_max = 2;
    world.test.reload();
    assert_eq!(world.state(), State::PreparingRebalance);
    let joins: Vec<_> = members.iter().map(|member| world.rejoin(member)).collect();
    assert_eq!(world.join_error(joins[2]), ErrorCode::GroupMaxSizeReached);
    world.test.advance(u64::try_from(REBALANCE_MS).unwrap());
    assert_eq!(world.joined(joins[0]).generation_id, 2);
    assert_eq!(world.members().len(), 2);
}

#[test]
fn an_assignment_that_cannot_be_written_never_was() {
    let mut world = World::new();
    let members = world.stable(2);
    let joins = [world.rejoin(&members[0]), world.rejoin(&members[1])];
    world.all_joined(joins, 2);
    let follower = world.sync(&members[1], 2, &[]);
    world.test.append_error = Some(ErrorCode::NotEnoughReplicas);
    let leader = world.sync(&members[0], 2, &[(&members[0], "all")]);
    for id in [leader, follower] {
        let reply = world.test.replies.remove(&id);
        assert!(matches!(reply, Some(Err(ErrorCode::CoordinatorNotAvailable))), "{reply:?}");
    }
    assert_eq!(world.state(), State::CompletingRebalance);
    world.test.append_error = None;
    // Both look for the coordinator, and join again: the same generation.
    let again = world.rejoin(&members[0]);
    assert_eq!(world.joined(again).generation_id, 2);
    world.assign(&members, 2);
}

#[test]
fn nobody_is_told_before_the_log_is_committed() {
    let mut world = World::new();
    let member = world.fresh_member();
    let join = world.rejoin(&member);
    world.test.advance(DELAY_MS);
    assert_eq!(world.joined(join).generation_id, 1);
    world.test.hold_commits = true;
    let sync = world.sync(&member, 1, &[(&member, "all")]);
    assert!(world.waits(sync));
    assert_eq!(world.describe().group_state, "CompletingRebalance");
    world.test.commit();
    assert_eq!(world.assigned(sync), Ok("all".to_owned()));
    assert_eq!(world.describe().group_state, "Stable");
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn a_new_group_is_written_without_members() {
    let mut world = World::new();
    world.test.now.wall.0 = 0x0102;
    world.join(&Join { version: 3, ..Join::default() });
    let records: Vec<&LogRecord> = world.test.log.iter().flatten().collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key, hex("0002 0001 67"));
    let value = hex("0003 0000 00000000 ffff ffff 0000000000000102 00000000");
    assert_eq!(records[0].value.as_deref(), Some(&value[..]));
    // Two requests without id do not write it twice.
    world.join(&Join { version: 3, ..Join::default() });
    assert_eq!(world.test.log.len(), 1);
}

#[test]
fn tombstones_and_records_in_any_order_leave_the_last() {
    let mut world = World::new();
    world.stable(1);
    let stable = world.test.log.last().unwrap()[0].clone();
    let stable = GroupShard::decode(&stable.key, stable.value.as_deref()).unwrap().unwrap();
    let gone = GroupRecord::Classic { group: GROUP.into(), value: None };
    let there = |records: &[&GroupRecord]| {
        let mut shard = GroupShard::default();
        for record in records {
            shard.replay(base::Offset::ZERO, None, record);
        }
        shard.groups().size() == 1
    };
    assert!(there(&[&stable]) && there(&[&gone, &stable]) && there(&[&stable, &gone, &stable]));
    assert!(!there(&[&stable, &gone]) && !there(&[&gone]));
}

#[test]
fn a_corrupt_record_is_an_error_not_a_panic() {
    let mut world = World::new();
    world.stable(2);
    let record = world.test.log.last().unwrap()[0].clone();
    let value = record.value.unwrap();
    for cut in 0..value.len() {
        assert!(GroupShard::decode(&record.key, Some(&value[..cut])).is_err(), "{cut}");
    }
    for at in 0..value.len() {
        let mut broken = value.clone();
        broken[at] ^= 0xff;
        // Whatever it is taken for, loading it works, and so does describing it.
        if let Ok(Some(record)) = GroupShard::decode(&record.key, Some(&broken)) {
            let mut shard = GroupShard::default();
            shard.replay(base::Offset::ZERO, None, &record);
            shard.loaded(world.test.now, &world.test.view);
            let query = Query::DescribeGroups { version: 6, groups: vec![GROUP.to_owned()] };
            let described = shard.query(query, &world.test.view);
            assert!(matches!(described, Reply::DescribeGroups(_)));
        }
    }
}
