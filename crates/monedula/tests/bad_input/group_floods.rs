//! Members in numbers: heartbeats without end, and fakes that really join.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::heartbeat_response::HeartbeatResponse;
use protocol::{ErrorCode, encode_to_vec};

use crate::common::{Node, Place, RaisedAtEnd, Reaction, WAIT_MAX, decoded, frame, request_bytes};
use crate::groups;
use crate::members::{
    SUBSCRIPTION, assert_other_goes_on, beat, consumer, described, join, join_request, node, sync,
};

const MIB: u64 = 1 << 20;
const FLOOD: usize = 5_000;
const FAKES: usize = 2_000;

/// One request of each kind, and the answer that Kafka has for it.
fn kinds<'a>(member: &'a str, epoch: i32) -> [(i16, Vec<u8>, ErrorCode); 4] {
    let classic = |member: &'a str| HeartbeatRequest {
        group_id: "flooded".into(),
        generation_id: 1,
        member_id: member.into(),
        ..Default::default()
    };
    let heartbeat = |member| encode_to_vec(&classic(member), 3).unwrap();
    let consumer = |who| encode_to_vec(&consumer("flooded-c", who, None), 1).unwrap();
    [
        (12, heartbeat("nosuch"), ErrorCode::UnknownMemberId),
        (12, heartbeat(member), ErrorCode::None),
        (68, consumer(("nosuch", 1)), ErrorCode::UnknownMemberId),
        (68, consumer(("m", epoch)), ErrorCode::None),
    ]
}

#[test]
fn a_flood_of_heartbeats_is_answered_in_order_and_others_go_on() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peer = node.connect();
    let (member, generation) = join(&mut peer, "flooded", SUBSCRIPTION).unwrap();
    sync(&mut peer, "flooded", (&member, generation), None, &[]).unwrap();
    let epoch = beat(&mut peer, &consumer("flooded-c", ("m", 0), None)).unwrap();
    let kinds = kinds(&member, epoch);
    node.assert_alive("joins");
    let before = node.peak_bytes();

    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let (key, body, _) = &kinds[number % kinds.len()];
        let mut request = request_bytes(*key, if *key == 12 { 3 } else { 1 }, body);
        request[4..8].copy_from_slice(&i32::try_from(number).unwrap().to_be_bytes());
        flood.extend(frame(&request));
    }
    let mut sender = peer.stream.try_clone().unwrap();
    let over = AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        let ended = RaisedAtEnd(&over);
        scope.spawn(move || sender.write_all(&flood).unwrap());
        let other = scope.spawn(|| slowest_of_other_group(&node, &over));
        for number in 0..FLOOD {
            let Reaction::Answer(answer) = peer.reaction() else { panic!("no answer {number}") };
            assert_eq!(answer[..4], i32::try_from(number).unwrap().to_be_bytes());
            let (key, _, expected) = &kinds[number % kinds.len()];
            let error = if *key == 12 {
                decoded::<HeartbeatResponse>(&answer[4..], 3).error_code
            } else {
                decoded::<ConsumerGroupHeartbeatResponse<'_>>(&answer[5..], 1).error_code
            };
            assert_eq!(ErrorCode::from_code(error), *expected, "{number}");
        }
        drop(ended);
        other.join().unwrap()
    });
    assert!(slowest < Duration::from_secs(20), "another group waited for {slowest:?}");
    let grown = node.peak_bytes() - before;
    assert!(grown < 32 * MIB, "grown by {} KiB", grown >> 10);
    assert_other_goes_on(&mut node, "a flood");
}

/// Another group's commits and joins, until the flood is over.
fn slowest_of_other_group(node: &Node, over: &AtomicBool) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0.. {
        let began = Instant::now();
        assert_eq!(groups::commit(node, "other", "t"), 0);
        join(&mut node.connect(), &format!("joiner-{number}"), SUBSCRIPTION).unwrap();
        slowest = slowest.max(began.elapsed());
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    slowest
}

#[test]
fn classic_fakes_that_join_and_vanish_cost_what_they_say() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let before = node.peak_bytes();
    let request = encode_to_vec(&join_request("fakes", &[7; 1_000]), 3).unwrap();
    let request = frame(&request_bytes(11, 3, &request));
    let alive = request_bytes(18, 0, &[]);
    for _ in 0..FAKES {
        let mut peer = node.connect();
        // Its connection is accepted: the system's queue of new ones is short.
        peer.send(&frame(&alive));
        assert!(matches!(peer.reaction(), Reaction::Answer(_)));
        peer.send(&request);
    }
    let began = Instant::now();
    let members = || described(&node, "fakes", |group| group.members.len());
    while members() < FAKES {
        assert!(began.elapsed() < WAIT_MAX, "{}", members());
        std::thread::sleep(Duration::from_millis(50));
    }
    let grown = node.peak_bytes() - before;
    assert!(grown < 64 * MIB, "grown by {} KiB", grown >> 10);
    assert_other_goes_on(&mut node, "fakes");
}

#[test]
fn group_max_size_holds_fakes_off() {
    let place = Place::new();
    let limits = [("group.max.size", "10"), ("group.consumer.max.size", "10")];
    let mut node = node(&place, &limits);
    let request = encode_to_vec(&join_request("few", SUBSCRIPTION), 3).unwrap();
    let request = frame(&request_bytes(11, 3, &request));
    // The first alone is a group of its own; nine more wait for it. One more than the limit may come while it is away.
    let (_, generation) = join(&mut node.connect(), "few", SUBSCRIPTION).unwrap();
    assert_eq!(generation, 1);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let mut peer = node.connect();
            peer.send(&request);
            peer
        })
        .collect();
    let began = Instant::now();
    while described(&node, "few", |group| group.members.len()) < 11 {
        assert!(began.elapsed() < WAIT_MAX);
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..1_000 {
        let error = join(&mut node.connect(), "few", SUBSCRIPTION);
        assert_eq!(error, Err(ErrorCode::GroupMaxSizeReached));
    }
    drop(waiting);
    let mut peer = node.connect();
    for number in 0..1_000 {
        let member = format!("m{number}");
        let joined = beat(&mut peer, &consumer("few-consumers", (&member, 0), None));
        let refused = joined == Err(ErrorCode::GroupMaxSizeReached);
        assert_eq!(refused, number >= 10, "{number}: {joined:?}");
    }
    assert_other_goes_on(&mut node, "fakes");
}

#[test]
fn consumer_fakes_cost_what_they_say() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let before = node.peak_bytes();
    let mut peer = node.connect();
    for number in 0..FAKES {
        let member = format!("m{number}");
        beat(&mut peer, &consumer("many", (&member, 0), None)).unwrap();
    }
    let grown = node.peak_bytes() - before;
    assert!(grown < 64 * MIB, "grown by {} KiB", grown >> 10);
    assert_other_goes_on(&mut node, "fakes");
}
