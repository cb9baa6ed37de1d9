//! Commits of members, and how long offsets are kept while there are some.

use group::classic::State;
use group::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

use crate::world::{DELAY_MS, GROUP, Join, World, subscription};

fn commit(
    world: &mut World,
    member: &str,
    instance: Option<&'static str>,
    generation: i32,
    topic: &'static str,
) -> ErrorCode {
    let partition = OffsetCommitRequestPartition { committed_offset: 7, ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.to_owned().into(),
        group_instance_id: instance.map(Into::into),
        topics: vec![topic],
        ..Default::default()
    };
    match world.test.ask(Request::OffsetCommit { version: 9, request }) {
        Ok(Reply::OffsetCommit(Ok(reply))) => {
            ErrorCode::from_code(reply.topics[0].partitions[0].error_code)
        }
        Ok(Reply::OffsetCommit(Err(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commits_follow_the_state_of_the_group() {
    let mut world = World::new();
    let members = world.stable(2);
    let cases = [
        (&*members[0], None, 1, ErrorCode::None),
        (&*members[1], None, 1, ErrorCode::None),
        (&*members[0], None, 0, ErrorCode::IllegalGeneration),
        (&*members[0], None, -1, ErrorCode::IllegalGeneration),
        ("x", None, 1, ErrorCode::UnknownMemberId),
        ("", None, 1, ErrorCode::UnknownMemberId),
        ("", None, -1, ErrorCode::UnknownMemberId),
        (&*members[0], Some("i"), 1, ErrorCode::UnknownMemberId),
    ];
    for (member, instance, generation, expected) in cases {
        let error = commit(&mut world, member, instance, generation, "t");
        assert_eq!(error, expected, "{member} {generation}");
    }
    let joins = [world.rejoin(&members[0])];
    assert_eq!(world.state(), State::PreparingRebalance);
    assert_eq!(commit(&mut world, &members[1], None, 1, "t"), ErrorCode::None);
    let second = world.rejoin(&members[1]);
    for id in joins.into_iter().chain([second]) {
        assert_eq!(world.joined(id).generation_id, 2);
    }
    let rebalancing = ErrorCode::RebalanceInProgress;
    assert_eq!(commit(&mut world, &members[1], None, 2, "t"), rebalancing);
    assert_eq!(commit(&mut world, &members[1], None, 1, "t"), ErrorCode::IllegalGeneration);
    world.leave(&[(&members[0], None), (&members[1], None)]);
    assert_eq!(world.state(), State::Empty);
    assert_eq!(commit(&mut world, "", None, -1, "t"), ErrorCode::None);
    assert_eq!(commit(&mut world, &members[0], None, 2, "t"), ErrorCode::UnknownMemberId);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut world = World::new();
    let members = world.stable(1);
    for _ in 0..6 {
        world.test.advance(5_000);
        assert_eq!(commit(&mut world, &members[0], None, 1, "t"), ErrorCode::None);
    }
    world.test.advance(10_000);
    assert_eq!(world.state(), State::Empty);
}

fn delete(world: &mut World, topic: &'static str) -> Result<ErrorCode, ErrorCode> {
    let partition = OffsetDeleteRequestPartition { partition_index: 0 };
    let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions: vec![partition] };
    let request = OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![topic] };
    let Ok(Reply::OffsetDelete(reply)) = world.test.ask(Request::OffsetDelete(request)) else {
        panic!()
    };
    match ErrorCode::from_code(reply.error_code) {
        ErrorCode::None => Ok(ErrorCode::from_code(reply.topics[0].partitions[0].error_code)),
        error => Err(error),
    }
}

fn stable_with(protocol_type: &'static str, said: Vec<u8>) -> (World, String) {
    let mut world = World::new();
    let join = Join {
        version: 3,
        protocol_type,
        protocols: vec![("range", said)],
        session_ms: 1_200_000,
        ..Join::default()
    };
    let id = world.join(&join);
    world.test.advance(DELAY_MS);
    let member = world.joined(id).member_id.into_owned();
    if protocol_type == "consumer" {
        world.assign(std::slice::from_ref(&member), 1);
    }
    (world, member)
}

#[test]
fn offsets_in_use_are_not_deleted() {
    let in_use = Ok(ErrorCode::GroupSubscribedToTopic);
    let malformed = [0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1].to_vec();
    let cases = [
        ("consumer", subscription(&["t"]), "t", in_use),
        ("consumer", subscription(&["t"]), "u", Ok(ErrorCode::None)),
        ("consumer", subscription(&[]), "t", Ok(ErrorCode::None)),
        // Nobody knows what it reads.
        ("consumer", malformed, "u", in_use),
        ("consumer", Vec::new(), "u", in_use),
        ("connect", Vec::new(), "t", Err(ErrorCode::NonEmptyGroup)),
    ];
    for (protocol_type, said, topic, expected) in cases {
        let (mut world, member) = stable_with(protocol_type, said);
        assert_eq!(delete(&mut world, topic), expected, "{protocol_type} {topic}");
        world.leave(&[(&member, None)]);
        assert_eq!(delete(&mut world, topic), Ok(ErrorCode::None));
    }
}

#[test]
fn offsets_expire_by_the_state_of_their_group() {
    const DAY_MS: u64 = 24 * 3_600_000;
    // The topic of the commit, does the member stay, is it kept after the retention of seven days?
    let cases = [("t", true, true), ("u", true, false), ("t", false, false)];
    for (topic, stays, kept) in cases {
        let (mut world, member) = stable_with("consumer", subscription(&["t"]));
        assert_eq!(commit(&mut world, &member, None, 1, topic), ErrorCode::None);
        if !stays {
            world.test.advance(DAY_MS);
            assert_eq!(world.state(), State::Empty);
        }
        let offsets = |world: &World| world.test.runtime.tip().offsets().all().count();
        for _ in 0..8 * 24 * 6 {
            world.test.advance(600_000);
            if stays {
                assert_eq!(world.heartbeat(&member, None, 1), ErrorCode::None);
            }
            if world.test.now.mono.0 < 7 * DAY_MS {
                assert_eq!(offsets(&world), 1);
            }
        }
        assert_eq!(offsets(&world) == 1, kept, "{topic} {stays}");
        assert_eq!(world.is_there(), stays);
        let before = world.test.runtime.tip().groups().size();
        world.test.reload();
        assert_eq!(world.test.runtime.tip().groups().size(), before);
    }
}

#[test]
fn a_simple_group_takes_members() {
    let mut world = World::new();
    assert_eq!(commit(&mut world, "", None, -1, "t"), ErrorCode::None);
    assert_eq!(&*world.describe().group_state, "Empty");
    world.stable(1);
    world.test.reload();
    assert_eq!(world.state(), State::Stable);
    assert_eq!(world.test.runtime.tip().offsets().all().count(), 1);
}
