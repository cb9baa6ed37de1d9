//! Names, patterns and assignors that members ask for, and topics that change under them.

use protocol::ErrorCode;

use crate::harness::{Heartbeat, Test, alive, join, join_regex};

#[test]
fn a_topic_that_is_given_up_goes_at_once() {
    let mut test = Test::new();
    let (a, b) = (test.topic("a"), test.topic("b"));
    test.join("m1", &["a", "b"]);
    let only_b = Heartbeat { subscribed_topic_names: Some(vec!["b".into()]), ..alive("m1", 2) };
    let answer = test.ok(only_b);
    let told = crate::harness::owned(&answer).unwrap();
    assert_eq!(told, [(b, vec![0, 1])].into());
    assert!(test.group().member("m1").unwrap().revoking.contains_key(&a));
    assert_eq!(test.owns("m1", answer.member_epoch, &told).0, 3);
    assert_eq!(test.group().state(), "Stable");
}

#[test]
fn topics_that_come_grow_and_go_are_assigned_anew() {
    let mut test = Test::new();
    let a = test.topic("a");
    assert_eq!(test.join("m1", &["a", "late"]).1.len(), 1);
    test.change(&["a"], false, |cluster| {
        cluster.put_topic("a", 1, 6);
    });
    assert_eq!(test.go_on("m1", 2).1.map(|owned| owned[&a].len()), Some(6));
    test.change(&["late"], true, |cluster| {
        cluster.put_topic("late", 3, 1);
    });
    assert_eq!(test.go_on("m1", 3).1.map(|owned| owned.len()), Some(2));
    test.change(&["a"], false, |cluster| {
        cluster.topics.remove("a");
    });
    assert_eq!(test.go_on("m1", 4).1.map(|owned| owned.contains_key(&a)), Some(false));
    // A topic that nobody reads changes nothing.
    test.settle();
    let epoch = test.group().epoch;
    test.change(&["b"], false, |cluster| {
        cluster.put_topic("b", 2, 9);
    });
    test.settle();
    assert_eq!(test.group().epoch, epoch);
}

#[test]
fn a_change_that_is_not_visible_yet_is_looked_at_later() {
    let mut test = Test::new();
    test.join("m1", &["a"]);
    let old = test.context.view.clone();
    test.change(&["a"], false, |cluster| {
        cluster.put_topic("a", 1, 6);
    });
    let new = std::mem::replace(&mut test.context.view, old);
    assert_eq!(test.go_on("m1", 2), (2, None));
    test.context.view = new;
    assert_eq!(test.go_on("m1", 2).0, 3);
}

#[test]
fn patterns_are_resolved_after_the_answer() {
    let mut test = Test::new();
    let answer = test.ok(join_regex("m1", "a|new.*"));
    assert_eq!(crate::harness::owned(&answer), Some([].into()));
    test.context.advance(0);
    let told = test.go_on("m1", answer.member_epoch).1.expect("the pattern is resolved");
    assert_eq!(told, [(test.topic("a"), vec![0, 1, 2, 3])].into());
    // A new topic is found with the first heartbeat after a while.
    test.change(&["new1"], true, |cluster| {
        cluster.put_topic("new1", 5, 1);
    });
    let epoch = test.group().member("m1").unwrap().epoch;
    test.go_on("m1", epoch);
    test.context.advance(10_001);
    assert_eq!(test.go_on("m1", epoch).1, None);
    test.context.advance(0);
    assert_eq!(test.go_on("m1", epoch).1.map(|owned| owned.len()), Some(2));
    // Another member with the same pattern gets on at once, and the pattern goes with the last one.
    test.ok(join_regex("m2", "a|new.*"));
    assert_eq!(test.group().epoch, epoch + 2);
    test.ok(alive("m1", -1));
    assert!(test.group().is_subscribed_to("new1"));
    test.ok(alive("m2", -1));
    assert!(!test.group().is_subscribed_to("new1"));
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused() {
    let mut test = Test::new();
    assert_eq!(test.error(join_regex("m1", "(")), ErrorCode::InvalidRegularExpression);
    assert!(test.try_group().is_none());
}

#[test]
fn most_members_choose_the_assignor() {
    let asking = |member, assignor: &'static str| Heartbeat {
        server_assignor: Some(assignor.into()),
        ..join(member, &["a"])
    };
    let mut test = Test::new();
    test.join("m1", &["a"]);
    assert_eq!(test.describe("g").assignor_name, "uniform");
    test.ok(asking("m2", "range"));
    assert_eq!(test.describe("g").assignor_name, "range");
    let epoch = test.group().epoch;
    test.ok(asking("m3", "uniform"));
    test.ok(asking("m4", "uniform"));
    assert_eq!(test.describe("g").assignor_name, "uniform");
    assert_eq!(test.group().epoch, epoch + 2);
    // It alone is a reason to assign anew.
    let epoch = test.group().epoch;
    let member = test.group().member("m1").unwrap().epoch;
    test.ok(Heartbeat { server_assignor: Some("range".into()), ..alive("m1", member) });
    test.ok(Heartbeat { server_assignor: Some("range".into()), ..alive("m3", epoch - 1) });
    assert_eq!(test.describe("g").assignor_name, "range");
    assert!(test.group().epoch > epoch);
}

#[test]
fn a_tie_of_assignors_is_at_rest() {
    let asking = |member, assignor: &'static str| Heartbeat {
        server_assignor: Some(assignor.into()),
        ..join(member, &["a"])
    };
    let mut test = Test::new();
    test.ok(asking("m1", "uniform"));
    test.ok(asking("m2", "range"));
    test.settle();
    let epoch = test.group().epoch;
    for member in ["m1", "m2", "m1", "m2"] {
        assert_eq!(test.go_on(member, epoch), (epoch, None));
    }
    assert_eq!(test.group().epoch, epoch);
}

#[test]
fn a_pattern_that_is_not_resolved_yet_takes_nothing_from_others() {
    let mut test = Test::new();
    let epoch = test.ok(join_regex("m1", "a.*")).member_epoch;
    test.context.advance(0);
    // Too early to resolve patterns again.
    test.ok(join_regex("m2", "b.*"));
    test.context.advance(0);
    let told = test.go_on("m1", epoch).1;
    assert_eq!(told, Some([(test.topic("a"), vec![0, 1, 2, 3])].into()));
    test.context.advance(10_001);
    test.settle();
    let member = test.group().member("m2").unwrap();
    assert_eq!(member.assigned[&test.topic("b")].len(), 2);
}
