//! Assignments against those of Apache Kafka: `assignor/cases.txt` holds target assignments of groups that lived through random
//! histories in Kafka's own classes (`generate/Assignments.java`, which says how a case is written).

#![allow(clippy::unwrap_used)] // Helpers of tests: a table that is broken is a failed test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;
use group::assignor::{
    Assignor, GroupSpec, MemberId, MemberSpec, Partitions, SubscriptionType, Topics, assign,
    invariants,
};

/// Those marked with `~` are Kafka's, too, but not what its group got: there the order of insertion into a hash table mattered.
const CASES: &str = include_str!("assignor/cases.txt");

/// Name and partitions of each topic.
#[derive(Default)]
struct Cluster(BTreeMap<Uuid, (Arc<str>, i32)>);

impl Topics for Cluster {
    fn partitions(&self, topic: Uuid) -> Option<i32> {
        self.0.get(&topic).map(|(_, partitions)| *partitions)
    }

    fn name(&self, topic: Uuid) -> Option<Arc<str>> {
        self.0.get(&topic).map(|(name, _)| Arc::clone(name))
    }
}

struct Case {
    assignor: Assignor,
    spec: GroupSpec,
    cluster: Cluster,
    expected: BTreeMap<MemberId, Partitions>,
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let mut case = Self {
            assignor: Assignor::from_name(head[0]).unwrap(),
            spec: GroupSpec::default(),
            cluster: Cluster::default(),
            expected: BTreeMap::new(),
        };
        if head[1] == "heterogeneous" {
            case.spec.subscription_type = SubscriptionType::Heterogeneous;
        }
        let mut topics: Vec<Uuid> = Vec::new();
        let mut members: Vec<MemberId> = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "t" {
                topics.push(words[2].parse().unwrap());
                if let Ok(partitions) = words[3].parse() {
                    case.cluster.0.insert(*topics.last().unwrap(), (words[1].into(), partitions));
                }
                continue;
            }
            let id: MemberId = words[1].into();
            let subscribed = words[3].split(',').filter_map(|line| line.parse::<usize>().ok());
            let had = partitions(words[4], &topics);
            let gets = if words[5] == "=" { had.clone() } else { partitions(words[5], &topics) };
            let member = MemberSpec {
                instance_id: Some(words[2]).filter(|id| *id != "-").map(Arc::from),
                topics: Arc::new(subscribed.map(|line| topics[line]).collect()),
                assigned: Arc::new(had),
            };
            members.push(Arc::clone(&id));
            case.spec.members.insert(Arc::clone(&id), member);
            case.expected.insert(id, gets);
        }
        let joining = head[2].parse::<usize>().ok();
        case.spec.joining = joining.map(|line| Arc::clone(&members[line]));
        case
    }

    fn is_homogeneous(&self) -> bool {
        self.spec.subscription_type == SubscriptionType::Homogeneous
    }
}

/// `TOPIC:FIRST-LAST.ONE;TOPIC:...`, topics by their lines.
fn partitions(text: &str, topics: &[Uuid]) -> Partitions {
    let number = |text: &str| text.parse::<i32>().unwrap();
    let of_topic = |text: &str| -> BTreeSet<i32> {
        let ranges = text.split('.').map(|range| range.split_once('-').unwrap_or((range, range)));
        ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
    };
    let entries = text.split(';').filter_map(|entry| entry.split_once(':'));
    entries.map(|(line, set)| (topics[line.parse::<usize>().unwrap()], of_topic(set))).collect()
}

fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    CASES.split("case ").skip(1).map(|text| (text, Case::parse(text)))
}

#[test]
fn assignments_are_kafkas() {
    let mut total = 0;
    let mut wrong = Vec::new();
    for (text, case) in cases() {
        let assigned = assign(case.assignor, &case.spec, &case.cluster).unwrap();
        let same = assigned.len() == case.expected.len()
            && assigned.iter().all(|(id, partitions)| case.expected.get(id) == Some(&**partitions));
        total += 1;
        if !same {
            wrong.push((text, assigned));
        }
    }
    assert_eq!(total, 700);
    let first = wrong.first();
    assert!(wrong.is_empty(), "{} of {total} differ, first {first:?}", wrong.len());
}

#[test]
fn assignments_hold_what_every_assignment_must() {
    for (text, case) in cases() {
        let assigned = assign(case.assignor, &case.spec, &case.cluster).unwrap();
        let mut checks = vec![
            invariants::no_partition_twice(&assigned),
            invariants::only_subscribed(&case.spec, &case.cluster, &assigned),
            invariants::nothing_left(&case.spec, &case.cluster, &assigned),
        ];
        if case.assignor == Assignor::Uniform && case.is_homogeneous() {
            checks.push(invariants::balanced(&assigned));
            checks.push(invariants::sticky(&case.spec, &case.cluster, &assigned));
        }
        for check in checks {
            assert_eq!(check, Ok(()), "{text}");
        }
    }
}

#[test]
fn who_keeps_everything_keeps_the_same_value() {
    let mut kept = 0;
    for (text, case) in cases() {
        let assigned = assign(case.assignor, &case.spec, &case.cluster).unwrap();
        for (id, member) in &case.spec.members {
            let same = *member.assigned == case.expected[id];
            assert_eq!(Arc::ptr_eq(&member.assigned, &assigned[id]), same, "{id} of {text}");
            kept += usize::from(same);
        }
    }
    assert!(kept > 100);
}

mod any {
    //! Groups that Kafka would never build: owners twice, partitions that do not exist, types that are wrong.

    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    const TOPICS: u8 = 4;

    fn topic(number: u8) -> Uuid {
        Uuid([number.wrapping_mul(0x51); 16])
    }

    prop_compose! {
        fn member()(
            instance in proptest::option::of(0u8..3),
            topics in btree_set((0..TOPICS).prop_map(topic), 0..4),
            assigned in btree_map((0..=TOPICS).prop_map(topic), btree_set(-2i32..30, 1..9), 0..4),
        ) -> MemberSpec {
            MemberSpec {
                instance_id: instance.map(|number| number.to_string().into()),
                topics: Arc::new(topics),
                assigned: Arc::new(assigned),
            }
        }
    }

    prop_compose! {
        fn group()(
            members in btree_map("[a-f]{1,3}", member(), 0..8),
            heterogeneous in any::<bool>(),
            joining in proptest::option::of("[a-f]"),
        ) -> GroupSpec {
            let heterogeneous = heterogeneous.then_some(SubscriptionType::Heterogeneous);
            GroupSpec {
                members: members.into_iter().map(|(id, member)| (id.into(), member)).collect(),
                subscription_type: heterogeneous.unwrap_or_default(),
                joining: joining.map(Arc::from),
            }
        }
    }

    fn cluster(partitions: Vec<i32>) -> Cluster {
        let named =
            |(number, count): (u8, i32)| (topic(number), (format!("t{number}").into(), count));
        Cluster((0..TOPICS).zip(partitions).map(named).collect())
    }

    proptest! {
        #[test]
        fn no_group_breaks_an_assignor(spec in group(), partitions in vec(0i32..40, 2..5)) {
            let cluster = cluster(partitions);
            for assignor in Assignor::ALL {
                if let Ok(assigned) = assign(assignor, &spec, &cluster) {
                    prop_assert!(assigned.keys().eq(spec.members.keys()));
                }
            }
        }

        #[test]
        fn range_and_new_groups_hold_what_every_assignment_must(
            mut spec in group(),
            partitions in vec(0i32..40, 4),
        ) {
            let cluster = cluster(partitions);
            // Real groups have no instance twice, and their type tells the truth.
            for member in spec.members.values_mut() {
                member.instance_id = None;
                member.assigned = Arc::default();
            }
            spec.subscription_type = SubscriptionType::Heterogeneous;
            for assignor in Assignor::ALL {
                let assigned = assign(assignor, &spec, &cluster).unwrap();
                prop_assert_eq!(invariants::no_partition_twice(&assigned), Ok(()));
                prop_assert_eq!(invariants::only_subscribed(&spec, &cluster, &assigned), Ok(()));
                prop_assert_eq!(invariants::nothing_left(&spec, &cluster, &assigned), Ok(()));
            }
        }
    }
}
