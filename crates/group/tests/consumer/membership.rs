//! Joining, going on, leaving: epochs, what is given up, and who is fenced.

use crate::harness::{Heartbeat, Test, alive, join, join_static, owned, telling};
use protocol::ErrorCode;

#[test]
fn partitions_move_only_after_they_were_given_up() {
    let mut test = Test::new();
    let a = test.topic("a");
    let all = [(a, vec![0, 1, 2, 3])].into();
    assert_eq!(test.join("m1", &["a"]), (2, all));
    assert_eq!(test.group().state(), "Stable");
    // The second gets nothing while the first has all.
    assert_eq!(test.join("m2", &["a"]), (3, [].into()));
    assert_eq!(test.group().state(), "Reconciling");
    let (epoch, kept) = test.go_on("m1", 2);
    let kept = kept.expect("it is told what to keep");
    assert_eq!((epoch, kept[&a].len()), (2, 2));
    // Silence is no consent.
    assert_eq!(test.go_on("m1", 2), (2, None));
    assert_eq!(test.go_on("m2", 3), (3, None));
    assert_eq!(test.owns("m1", 2, &kept), (3, None));
    let (epoch, got) = test.go_on("m2", 3);
    let got = got.expect("what was given up is free");
    assert_eq!((epoch, got[&a].len()), (3, 2));
    assert!(got[&a].iter().all(|partition| !kept[&a].contains(partition)));
    assert_eq!(test.group().state(), "Stable");
    // Nothing to tell any more, nothing to write.
    let written = test.context.log.len();
    assert_eq!(test.go_on("m1", 3), (3, None));
    assert_eq!(test.context.log.len(), written);
}

#[test]
fn epochs_are_held_against_what_is_known() {
    let owning = |epoch, partitions: &[i32], test: &Test| {
        telling("m1", epoch, &[(test.topic("a"), partitions.to_vec())].into())
    };
    let mut test = Test::new();
    test.join("m1", &["a"]);
    test.join("m2", &["a"]);
    test.settle();
    let epoch = test.group().member("m1").unwrap().epoch;
    assert_eq!(epoch, 3);
    let own: Vec<i32> = {
        let member = test.group().member("m1").unwrap();
        member.assigned.values().flat_map(|set| set.keys().copied()).collect()
    };
    let cases = [
        (alive("m1", epoch), ErrorCode::None),
        (alive("m1", epoch + 1), ErrorCode::FencedMemberEpoch),
        (alive("m1", epoch - 1), ErrorCode::FencedMemberEpoch),
        // The last answer was lost.
        (owning(epoch - 1, &own, &test), ErrorCode::None),
        (owning(epoch - 1, &[0, 1, 2, 3], &test), ErrorCode::FencedMemberEpoch),
        (alive("stranger", 1), ErrorCode::UnknownMemberId),
        (Heartbeat { group_id: "h".into(), ..alive("m1", 1) }, ErrorCode::GroupIdNotFound),
        // Joining again is always allowed.
        (join("m1", &["a"]), ErrorCode::None),
    ];
    for (request, expected) in cases {
        let shown = format!("{request:?}");
        assert_eq!(test.error(request), expected, "{shown}");
    }
}

#[test]
fn a_member_that_leaves_frees_its_partitions() {
    let mut test = Test::new();
    let a = test.topic("a");
    test.join("m1", &["a"]);
    test.join("m2", &["a"]);
    test.settle();
    let answer = test.ok(alive("m1", -1));
    assert_eq!((answer.member_epoch, answer.member_id.as_deref()), (-1, Some("m1")));
    test.settle();
    let member = test.group().member("m2").unwrap();
    assert_eq!((member.epoch, member.assigned[&a].len()), (4, 4));
    test.ok(alive("m2", -1));
    assert_eq!(test.group().state(), "Empty");
    assert_eq!(test.group().epoch, 5);
    assert_eq!(test.error(alive("m2", -1)), ErrorCode::UnknownMemberId);
    // The next one goes on from there.
    assert_eq!(test.join("m3", &["a"]).0, 6);
}

#[test]
fn members_that_are_not_heard_of_are_removed() {
    let mut test = Test::new();
    test.join("m1", &["a"]);
    test.context.advance(44_000);
    test.go_on("m1", 2);
    test.context.advance(44_000);
    assert!(test.group().member("m1").is_some());
    test.context.advance(1_000);
    assert!(test.group().is_empty());

    // A group may have its own timeout, which the broker's limits hold.
    for (own, removed_after_ms) in [("50000", 50_000), ("70000", 60_000), ("10", 45_000)] {
        let mut test = Test::new();
        let key = ("g".to_owned(), "consumer.session.timeout.ms".to_owned());
        test.change(&[], false, |cluster| {
            cluster.group_settings.insert(key, own.to_owned());
        });
        test.join("m1", &["a"]);
        test.context.advance(removed_after_ms - 1);
        assert!(!test.group().is_empty(), "{own}");
        test.context.advance(1);
        assert!(test.group().is_empty(), "{own}");
    }
}

#[test]
fn a_member_has_its_rebalance_timeout_to_give_up_partitions() {
    let mut test = Test::new();
    test.join("m1", &["a"]);
    test.join("m2", &["a"]);
    test.go_on("m1", 2);
    for _ in 0..2 {
        test.context.advance(14_999);
        test.go_on("m1", 2);
        test.go_on("m2", 3);
    }
    assert!(test.group().member("m1").is_some());
    test.context.advance(2);
    assert!(test.group().member("m1").is_none());
    test.settle();
    assert_eq!(test.group().member("m2").unwrap().assigned[&test.topic("a")].len(), 4);

    // Waiting for others costs nothing.
    let mut test = Test::new();
    test.join("m1", &["a"]);
    test.join("m2", &["a"]);
    for _ in 0..2 {
        test.context.advance(20_000);
        assert_eq!(test.go_on("m2", 3), (3, None));
    }
    assert!(test.group().member("m1").is_some());
}

#[test]
fn static_members_come_back_to_what_they_had() {
    let mut test = Test::new();
    let answer = test.ok(join_static("m1", "i1", &["a"]));
    let had = owned(&answer).unwrap();
    let away = |member| Heartbeat { instance_id: Some("i1".into()), ..alive(member, -2) };
    let unreleased = test.error(join_static("m2", "i1", &["a"]));
    assert_eq!(unreleased, ErrorCode::UnreleasedInstanceId);
    assert_eq!(test.error(away("m9")), ErrorCode::FencedInstanceId);
    assert_eq!(test.ok(away("m1")).member_epoch, -2);
    let epoch = test.group().epoch;
    let answer = test.ok(join_static("m2", "i1", &["a"]));
    assert_eq!((owned(&answer).unwrap(), answer.member_epoch), (had, 2));
    assert_eq!(test.group().epoch, epoch, "no rebalance");
    assert!(test.group().member("m1").is_none());
    let fenced = Heartbeat { instance_id: Some("i1".into()), ..alive("m1", 2) };
    assert_eq!(test.error(fenced), ErrorCode::FencedInstanceId);
    let unknown = Heartbeat { instance_id: Some("i9".into()), ..alive("m1", 2) };
    assert_eq!(test.error(unknown), ErrorCode::UnknownMemberId);
    // Away for too long.
    test.ok(away("m2"));
    test.context.advance(45_000);
    assert!(test.group().is_empty());
}

#[test]
fn a_full_group_lets_nobody_in_but_its_own() {
    let mut test = Test::new();
    test.context.view.consumer.members_max = 1;
    test.ok(join_static("m1", "i1", &["a"]));
    assert_eq!(test.error(join("m2", &["a"])), ErrorCode::GroupMaxSizeReached);
    test.ok(Heartbeat { instance_id: Some("i1".into()), ..alive("m1", -2) });
    test.ok(join_static("m3", "i1", &["a"]));
}

#[test]
fn targets_are_not_made_more_often_than_configured() {
    let mut test = Test::new();
    test.context.view.consumer.assignment_interval_ms = 1_000;
    test.context.advance(1_000);
    assert_eq!(test.join("m1", &["a"]).0, 2);
    // Too early: it joins at the epoch of the assignment that there is, with nothing.
    assert_eq!(test.join("m2", &["a"]), (2, [].into()));
    assert_eq!(test.group().state(), "Assigning");
    test.context.advance(999);
    assert_eq!(test.go_on("m1", 2), (2, None));
    test.context.advance(1);
    assert_eq!(test.go_on("m1", 2).1.map(|owned| owned[&test.topic("a")].len()), Some(2));
    test.settle();
    assert_eq!(test.group().state(), "Stable");
}

#[test]
fn nobody_waits_for_a_clock_that_went_ahead() {
    let mut test = Test::new();
    test.context.view.consumer.assignment_interval_ms = 1_000;
    test.context.now.wall.0 += 86_400_000;
    assert_eq!(test.join("m1", &["a"]).0, 2);
    // Another coordinator's clock is right.
    test.context.now.wall.0 -= 86_400_000;
    test.join("m2", &["a"]);
    test.settle();
    assert_eq!(test.group().state(), "Stable");
}
