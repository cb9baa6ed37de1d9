//! What members say of themselves and of others: patterns, subscriptions, assignments and names that are broken or far too large.

use std::time::{Duration, Instant};

use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_delete_response::OffsetDeleteResponse;
use protocol::{ErrorCode, encode_to_vec};

use crate::common::{Node, Place, Reaction, decoded, frame, request_bytes};
use crate::members::{
    SUBSCRIPTION, assert_other_goes_on, beat, commit, consumer, described, heartbeat, join,
    join_static, node, sync,
};

const MIB: usize = 1 << 20;

#[test]
fn hostile_patterns_are_refused_or_resolved_and_hold_nobody_up() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let invalid = Err(ErrorCode::InvalidRegularExpression);
    let joined = Ok(());
    let rows = [
        ("open group", "(".to_owned(), invalid),
        ("open class", "[a".to_owned(), invalid),
        ("nothing to repeat", "*".to_owned(), invalid),
        ("a lone backslash", "\\".to_owned(), invalid),
        ("look-ahead", "(?=t)".to_owned(), invalid),
        ("back reference", "(t)\\1".to_owned(), invalid),
        ("too many repetitions", "a{1001}".to_owned(), invalid),
        ("nested repetition", "((a{100}){100}){100}".to_owned(), invalid),
        ("32,000 open groups", "(".repeat(32_000), invalid),
        // The text of the error would be longer than any text can be.
        ("the longest", "a".repeat(32_766) + "(", Err(ErrorCode::UnknownServerError)),
        // Kafka has no stack for that, and says UNKNOWN_SERVER_ERROR.
        ("16,000 nested groups", "(".repeat(16_000) + &")".repeat(16_000), joined),
        ("what backtracking never ends on", "(t+)+(t+)+(t+)+$".to_owned(), joined),
        ("NUL", "\0".to_owned(), joined),
    ];
    for (number, (name, pattern, expected)) in rows.into_iter().enumerate() {
        let member = format!("m{number}");
        let mut request = consumer("patterns", (&member, 0), None);
        request.subscribed_topic_names = None;
        request.subscribed_topic_regex = Some(pattern.into());
        let began = Instant::now();
        let mut peer = node.connect();
        assert_eq!(beat(&mut peer, &request).map(|_| ()), expected, "{name}");
        assert_other_goes_on(&mut node, name);
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
    }
    // No text is that long.
    let mut request = consumer("patterns", ("m", 0), None);
    request.subscribed_topic_regex = Some("pattern".into());
    let body = encode_to_vec(&request, 1).unwrap();
    let at = body.windows(7).position(|part| part == b"pattern").unwrap();
    let mut long = body[..at - 1].to_vec();
    // 100 KiB and one, as a variable-length number.
    long.extend([0x81, 0xa0, 0x06]);
    long.extend([b'a'; 100 << 10]);
    long.extend(&body[at + 7..]);
    let mut peer = node.connect();
    peer.send(&frame(&request_bytes(68, 1, &long)));
    assert_eq!(peer.reaction(), Reaction::Closed);
    assert_other_goes_on(&mut node, "100 KiB");
}

#[test]
fn assignments_that_cannot_be_read_are_handed_out_as_they_are() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peer = node.connect();
    let me = "";
    let rows: [(&str, &[(&str, &[u8])], &[u8]); 6] = [
        ("none", &[], b""),
        ("empty", &[(me, b"")], b""),
        ("garbage", &[(me, &[0xff; 100])], &[0xff; 100]),
        ("for nobody", &[("nosuch", b"x")], b""),
        ("twice", &[(me, b"1"), (me, b"2")], b"2"),
        ("for the empty name", &[(me, b"1"), (" ", b"2")], b"1"),
    ];
    for (number, (name, assignments, expected)) in rows.into_iter().enumerate() {
        let group = format!("assignments-{number}");
        let (member, generation) = join(&mut peer, &group, SUBSCRIPTION).unwrap();
        let named: Vec<_> = assignments
            .iter()
            .map(|&(who, blob)| (if who.is_empty() { &*member } else { who }, blob))
            .collect();
        let assigned = sync(&mut peer, &group, (&member, generation), None, &named).unwrap();
        assert_eq!(assigned, expected, "{name}");
        let told = described(&node, &group, |group| {
            (group.group_state.to_string(), group.members[0].member_assignment.to_vec())
        });
        assert_eq!(told, ("Stable".to_owned(), expected.to_vec()), "{name}");
        assert_eq!(heartbeat(&mut peer, &group, (&member, generation), None), ErrorCode::None);
    }
    assert_other_goes_on(&mut node, "assignments");
}

/// The error of the request, or of its partition.
fn delete_offset(node: &Node, group: &str) -> ErrorCode {
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions }];
    let request = OffsetDeleteRequest { group_id: group.into(), topics };
    let body = node.connect().call(&request, 0);
    let response: OffsetDeleteResponse<'_> = decoded(&body, 0);
    match response.topics.first() {
        Some(topic) => ErrorCode::from_code(topic.partitions[0].error_code),
        None => ErrorCode::from_code(response.error_code),
    }
}

#[test]
fn subscriptions_that_cannot_be_read_make_a_group_nonetheless() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let mut peer = node.connect();
    let rows: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("half a version", &[0]),
        ("garbage", &[0xff; 300]),
        ("cut", &SUBSCRIPTION[..7]),
        ("two thousand million topics", &[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, b't']),
        ("a version of the future", &[0x7f, 0xff, 0, 0, 0, 9]),
    ];
    for (number, (name, blob)) in rows.into_iter().enumerate() {
        let group = format!("subscriptions-{number}");
        let (member, generation) = join(&mut peer, &group, blob).unwrap();
        let me = (&*member, generation);
        sync(&mut peer, &group, me, None, &[(&member, b"x")]).unwrap();
        assert_eq!(commit(&mut peer, &group, me, None, ("t", 0, 1)), ErrorCode::None, "{name}");
        let told = described(&node, &group, |group| group.members[0].member_metadata.to_vec());
        assert_eq!(told, blob, "{name}");
        // It may read anything.
        let error = delete_offset(&node, &group);
        assert_eq!(error, ErrorCode::GroupSubscribedToTopic, "{name}");
        // Nobody makes a consumer group of it.
        let error = beat(&mut peer, &consumer(&group, ("m", 0), None));
        assert_eq!(error, Err(ErrorCode::GroupIdNotFound), "{name}");
        assert_eq!(heartbeat(&mut peer, &group, me, None), ErrorCode::None, "{name}");
    }
    assert_other_goes_on(&mut node, "subscriptions");
}

#[test]
fn subscriptions_have_a_cap() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let before = node.peak_bytes();
    let mut peer = node.connect();
    let (member, generation) = join(&mut peer, "huge", &vec![1; 2 * MIB]).unwrap();
    // No record holds that.
    let error = sync(&mut peer, "huge", (&member, generation), None, &[]);
    assert_eq!(error, Err(ErrorCode::UnknownServerError));
    for _ in 0..20 {
        let error = join(&mut peer, "larger", &vec![1; 17 * MIB]);
        assert_eq!(error, Err(ErrorCode::GroupMaxSizeReached));
    }
    let grown = node.peak_bytes() - before;
    assert!(grown < 160 * MIB as u64, "grown by {} KiB", grown >> 10);
    assert_other_goes_on(&mut node, "huge subscriptions");
}

#[test]
fn names_of_every_length_and_kind() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let longest = "q".repeat(32_767);
    // Kafka cannot say that there is no such group.
    let error = described(&node, &longest, |group| group.error_code);
    assert_eq!(ErrorCode::from_code(error), ErrorCode::UnknownServerError);
    // Its member id would be longer still.
    let error = join_static(&mut node.connect(), "names", "", &longest);
    assert_eq!(error, Err(ErrorCode::UnknownServerError));
    let longest = "q".repeat(32_700);
    let rows = [&*longest, "\0", "a\0b", "\u{1f40e}", "\u{fffd}", "../..", "a\nb\u{7f}"];
    for name in rows {
        let shown = &name[..name.len().min(8)];
        let mut peer = node.connect();
        // As a group's, an instance's and a member's.
        let (member, generation) = join_static(&mut peer, name, "", name).unwrap();
        assert!(member.starts_with("bad-") || member.starts_with(name), "{shown:?}");
        let synced = sync(&mut peer, name, (&member, generation), Some(name), &[(name, b"")]);
        assert_eq!(synced, Ok(Vec::new()), "{shown:?}");
        let error = heartbeat(&mut peer, name, (name, 1), None);
        assert_eq!(error, ErrorCode::UnknownMemberId, "{shown:?}");
        let group = format!("consumer{name}");
        let joined = beat(&mut peer, &consumer(&group, (name, 0), Some(name)));
        let blank = name.trim_matches(|c| c <= ' ').is_empty();
        let expected = if blank { Err(ErrorCode::InvalidRequest) } else { Ok(()) };
        assert_eq!(joined.map(|_| ()), expected, "{shown:?}");
    }
    assert_other_goes_on(&mut node, "names");
}

#[test]
fn a_subscription_of_a_hundred_thousand_names() {
    let place = Place::new();
    let mut node = node(&place, &[]);
    let before = node.peak_bytes();
    let mut request = consumer("names", ("m", 0), None);
    request.subscribed_topic_names =
        Some((0..100_000).map(|number| format!("{number:0>200}").into()).collect());
    let began = Instant::now();
    let error = beat(&mut node.connect(), &request);
    // One record cannot hold it.
    assert_eq!(error, Err(ErrorCode::UnknownServerError));
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    let grown = node.peak_bytes() - before;
    assert!(grown < 256 * MIB as u64, "grown by {} KiB", grown >> 10);
    assert_other_goes_on(&mut node, "names");
}
