//! Members that are not who they say, or not any more: commits and heartbeats of the past, and two that share one instance id.

use protocol::ErrorCode;

use crate::common::{Peer, Place};
use crate::members::{
    SUBSCRIPTION, assert_other_goes_on, beat, commit, consumer, heartbeat, join, join_static, node,
    sync,
};

const DUELS: usize = 30;

#[test]
fn commits_of_a_classic_group() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peer = node.connect();
    let (member, generation) = join(&mut peer, "classic", SUBSCRIPTION).unwrap();
    let me = (&*member, generation);
    sync(&mut peer, "classic", me, None, &[]).unwrap();
    let t0 = ("t", 0, 5);
    let nowhere = ErrorCode::UnknownTopicOrPartition;
    let rows = [
        ("not assigned to it", me, None, t0, ErrorCode::None),
        ("a negative offset", me, None, ("t", 0, -7), ErrorCode::None),
        ("no such partition", me, None, ("t", 99, 5), nowhere),
        ("a negative partition", me, None, ("t", -1, 5), nowhere),
        ("no such topic", me, None, ("nosuch", 0, 5), nowhere),
        ("the generation before", (&member, 0), None, t0, ErrorCode::IllegalGeneration),
        ("the generation after", (&member, 2), None, t0, ErrorCode::IllegalGeneration),
        ("nobody, while there are members", ("", -1), None, t0, ErrorCode::UnknownMemberId),
        ("somebody else", ("somebody", 1), None, t0, ErrorCode::UnknownMemberId),
        ("no static member", me, Some("i"), t0, ErrorCode::UnknownMemberId),
    ];
    for (name, who, instance, what, expected) in rows {
        assert_eq!(commit(&mut peer, "classic", who, instance, what), expected, "{name}");
    }
    let error = commit(&mut peer, "nosuch", ("m", 1), None, t0);
    assert_eq!(error, ErrorCode::GroupIdNotFound);
    assert_other_goes_on(&mut node, "commits");
}

#[test]
fn commits_and_heartbeats_of_a_consumer_group() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peer = node.connect();
    let epoch = beat(&mut peer, &consumer("consumer", ("m", 0), None)).unwrap();
    let t0 = ("t", 0, 5);
    let nowhere = ErrorCode::UnknownTopicOrPartition;
    let rows = [
        ("its own", ("m", epoch), t0, ErrorCode::None),
        ("no such partition", ("m", epoch), ("t", 99, 5), nowhere),
        ("no such topic", ("m", epoch), ("nosuch", 0, 5), nowhere),
        ("a negative offset", ("m", epoch), ("t", 0, -7), ErrorCode::None),
        ("the epoch after", ("m", epoch + 1), t0, ErrorCode::StaleMemberEpoch),
        ("the epoch before", ("m", 0), t0, ErrorCode::StaleMemberEpoch),
        ("no epoch", ("m", -1), t0, ErrorCode::StaleMemberEpoch),
        ("somebody else", ("somebody", epoch), t0, ErrorCode::UnknownMemberId),
        ("nobody, while there are members", ("", -1), t0, ErrorCode::UnknownMemberId),
    ];
    for (name, who, what, expected) in rows {
        assert_eq!(commit(&mut peer, "consumer", who, None, what), expected, "{name}");
    }
    let rows = [
        ("the epoch after", ("m", epoch + 1), ErrorCode::FencedMemberEpoch),
        ("somebody else", ("somebody", epoch), ErrorCode::UnknownMemberId),
        ("no epoch", ("m", -3), ErrorCode::InvalidRequest),
    ];
    for (name, who, expected) in rows {
        assert_eq!(beat(&mut peer, &consumer("consumer", who, None)), Err(expected), "{name}");
    }
    assert_eq!(
        beat(&mut peer, &consumer("nosuch", ("m", 1), None)),
        Err(ErrorCode::GroupIdNotFound)
    );
    assert_eq!(beat(&mut peer, &consumer("consumer", ("m", epoch), None)), Ok(epoch));
    assert_other_goes_on(&mut node, "commits");
}

#[test]
fn two_classic_members_of_one_instance_id_take_turns() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peers = [node.connect(), node.connect()];
    let mut last: Option<(String, i32)> = None;
    for duel in 0..DUELS {
        let [one, two] = &mut peers;
        let (mine, theirs): (&mut Peer, &mut Peer) =
            if duel % 2 == 0 { (one, two) } else { (two, one) };
        let (member, generation) = join_static(mine, "duel", "", "i").unwrap();
        let me = (&*member, generation);
        let assigned = sync(mine, "duel", me, Some("i"), &[(&member, b"all")]);
        assert_eq!(assigned.unwrap(), b"all", "{duel}");
        if let Some((member, generation)) = &last {
            let loser = (&**member, *generation);
            let fenced = ErrorCode::FencedInstanceId;
            let instance = Some("i");
            assert_eq!(heartbeat(theirs, "duel", loser, instance), fenced, "{duel}");
            assert_eq!(join_static(theirs, "duel", member, "i"), Err(fenced), "{duel}");
            assert_eq!(sync(theirs, "duel", loser, instance, &[]), Err(fenced), "{duel}");
            assert_eq!(commit(theirs, "duel", loser, instance, ("t", 0, 1)), fenced, "{duel}");
        }
        assert_eq!(heartbeat(mine, "duel", me, Some("i")), ErrorCode::None, "{duel}");
        assert_eq!(commit(mine, "duel", me, Some("i"), ("t", 0, 1)), ErrorCode::None, "{duel}");
        last = Some((member, generation));
    }
    assert_other_goes_on(&mut node, "duels");
}

#[test]
fn two_consumer_members_of_one_instance_id_take_turns() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peers = [node.connect(), node.connect()];
    let instance = Some("i");
    for duel in 0..DUELS {
        let [one, two] = &mut peers;
        let (mine, theirs): (&mut Peer, &mut Peer) =
            if duel % 2 == 0 { (one, two) } else { (two, one) };
        let names = [format!("m{duel}"), format!("m{}", duel + 1)];
        if duel == 0 {
            beat(mine, &consumer("duel-c", (&names[0], 0), instance)).unwrap();
        }
        // As long as the first holds the instance id nobody else gets it.
        let intruder = consumer("duel-c", (&names[1], 0), instance);
        assert_eq!(beat(theirs, &intruder), Err(ErrorCode::UnreleasedInstanceId), "{duel}");
        // It leaves for a while; the other is in its place, and it is fenced.
        let leave = consumer("duel-c", (&names[0], -2), instance);
        assert_eq!(beat(mine, &leave), Ok(-2), "{duel}");
        let epoch = beat(theirs, &intruder).unwrap();
        for late in [epoch, -2, -1] {
            let late = consumer("duel-c", (&names[0], late), instance);
            assert_eq!(beat(mine, &late), Err(ErrorCode::FencedInstanceId), "{duel}");
        }
        let who = (&*names[1], epoch);
        assert_eq!(commit(theirs, "duel-c", who, instance, ("t", 0, 1)), ErrorCode::None);
        let loser = (&*names[0], epoch);
        let error = commit(mine, "duel-c", loser, instance, ("t", 0, 1));
        assert_eq!(error, ErrorCode::UnknownMemberId, "{duel}");
    }
    assert_other_goes_on(&mut node, "duels");
}
