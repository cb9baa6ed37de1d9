//! Assignments as text: members with what they want and have, and what they get.

use super::*;

/// `ID[/INSTANCE] TOPICS [OWNED...]`, topics apart by commas, partitions as `t0`; a generation as `@5`.
fn member(line: &str) -> GroupMember {
    let mut words = line.split_whitespace();
    let id = words.next().expect("id");
    let (id, instance_id) = match id.split_once('/') {
        Some((id, instance)) => (id, Some(instance.to_owned())),
        None => (id, None),
    };
    let topics = words.next().expect("topics").split(',').map(Arc::from).collect();
    let mut subscription = MemberSubscription { topics, generation: -1, ..Default::default() };
    for word in words {
        match word.strip_prefix('@') {
            Some(generation) => subscription.generation = generation.parse().expect("number"),
            None => subscription.owned.push(partition(word)),
        }
    }
    GroupMember { id: id.to_owned(), instance_id, subscription }
}

fn partition(word: &str) -> TopicPartition {
    let (topic, index) = word.split_at(1);
    TopicPartition::new(topic, index.parse::<i32>().expect("index"))
}

fn counts(text: &str) -> PartitionCounts {
    let count = |word: &str| {
        let (topic, count) = word.split_once('=').expect("topic=count");
        (topic.into(), count.parse().expect("count"))
    };
    text.split_whitespace().map(count).collect()
}

fn shown(assignment: &Assignment) -> String {
    let line = |(id, list): (&String, &Vec<TopicPartition>)| {
        let words: Vec<String> =
            list.iter().map(|tp| format!(" {}{}", tp.topic, tp.partition)).collect();
        format!("{id}:{}", words.concat())
    };
    assignment.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn check(assignor: Assignor, topics: &str, members: &[&str], expected: &str) {
    let members: Vec<GroupMember> = members.iter().map(|line| member(line)).collect();
    let mut sticky = members.clone();
    if assignor == Assignor::Sticky {
        for member in &mut sticky {
            let s = &mut member.subscription;
            let data = blob::encode_sticky(&s.owned, s.generation).expect("encodes");
            s.user_data = Some(data);
        }
    }
    let assignment = assignor.assign(&sticky, &counts(topics));
    assert_eq!(shown(&assignment), expected, "{assignor:?} {topics} {members:?}");
}

#[test]
fn range_gives_consecutive_pieces_of_each_topic() {
    use Assignor::Range;
    check(Range, "t=3 u=3", &["a t,u", "b t,u"], "a: t0 t1 u0 u1; b: t2 u2");
    check(Range, "t=1", &["a t", "b t"], "a: t0; b:");
    check(Range, "t=2", &["a t,x", "b x"], "a: t0 t1; b:");
    // Static members come first, by their instance.
    check(Range, "t=3", &["z/1 t", "a t", "b/0 t"], "a: t2; b: t0; z: t1");
}

#[test]
fn round_robin_gives_all_partitions_in_turn() {
    use Assignor::RoundRobin;
    check(RoundRobin, "t=3 u=3", &["a t,u", "b t,u"], "a: t0 t2 u1; b: t1 u0 u2");
    check(RoundRobin, "t=2 u=2", &["a t", "b t,u"], "a: t0; b: t1 u0 u1");
    check(RoundRobin, "", &["a t"], "a:");
}

#[test]
fn sticky_keeps_what_the_balance_allows() {
    use Assignor::Sticky;
    check(Sticky, "t=4", &["a t", "b t"], "a: t0 t2; b: t1 t3");
    // One joins: two of six move, the others stay.
    check(
        Sticky,
        "t=6",
        &["a t t0 t1 t2 @1", "b t t3 t4 t5 @1", "c t"],
        "a: t0 t1; b: t3 t4; c: t2 t5",
    );
    // One leaves: its partitions are spread, the others stay.
    check(Sticky, "t=6", &["a t t0 t1 @2", "b t t3 t4 @2"], "a: t0 t1 t2; b: t3 t4 t5");
    // The newer generation is believed; of two in the same nobody is.
    check(Sticky, "t=2", &["a t t0 t1 @1", "b t t0 @2"], "a: t1; b: t0");
    check(Sticky, "t=1", &["b t t0 @1", "a t t0 @1"], "a: t0; b:");
    // What only one wants goes there, and the rest makes up for it.
    check(Sticky, "t=2 u=2", &["a t,u", "b u"], "a: t0 t1; b: u0 u1");
}

#[test]
fn cooperative_members_give_up_before_others_get() {
    use Assignor::CooperativeSticky;
    check(CooperativeSticky, "t=4", &["a t t0 t1 t2 t3 @3", "b t"], "a: t0 t1; b:");
    check(CooperativeSticky, "t=4", &["a t t0 t1 @4", "b t @4"], "a: t0 t1; b: t2 t3");
}

#[test]
fn nothing_is_given_twice_or_forgotten() {
    let topics = counts("t=7 u=1 v=13");
    let lines = ["a t,u", "b u,v", "c v", "d t,v t0 t1 t2 t3 v0 v1 @2", "e t,u,v"];
    let members: Vec<GroupMember> = lines.iter().map(|line| member(line)).collect();
    for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
        let assignment = assignor.assign(&members, &topics);
        let mut all: Vec<&TopicPartition> = assignment.values().flatten().collect();
        all.sort_unstable();
        let given = all.len();
        all.dedup();
        assert_eq!((all.len(), given), (21, 21), "{assignor:?}");
        for member in &members {
            let topics = &member.subscription.topics;
            assert!(assignment[&member.id].iter().all(|tp| topics.contains(&tp.topic)));
        }
    }
}
