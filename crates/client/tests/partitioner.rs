//! Records without a key: one partition until a batch is full, then another; those with a leader.

use std::collections::BTreeSet;

use base::{LeaderEpoch, NodeId, TopicId};
use client::metadata::{PartitionMetadata, TopicMetadata};
use client::producer::Partitioner;
use protocol::ErrorCode;

fn topic(leaders: &[bool]) -> TopicMetadata {
    let partition = |(index, led): (i32, &bool)| PartitionMetadata {
        index,
        leader: led.then_some(NodeId(1)),
        leader_epoch: LeaderEpoch(0),
        replicas: Vec::new(),
        isr: Vec::new(),
        offline: Vec::new(),
        error: ErrorCode::None,
    };
    TopicMetadata {
        name: "t".into(),
        id: TopicId::ZERO,
        internal: false,
        error: ErrorCode::None,
        partitions: (0..).zip(leaders).map(partition).collect(),
    }
}

#[test]
fn sticks_until_a_batch_is_full() {
    let mut partitioner = Partitioner::new(100, 42);
    let topic = topic(&[true; 8]);
    let mut changes = 0;
    let mut seen = BTreeSet::new();
    let mut last = partitioner.sticky(&topic);
    for sent in 1..=800 {
        partitioner.sent("t", 10);
        let now = partitioner.sticky(&topic);
        if now != last {
            assert_eq!(sent % 10, 0, "changed inside a batch");
            changes += 1;
        }
        seen.insert(now);
        last = now;
    }
    assert!(changes > 40, "{changes} changes in 80 batches");
    assert_eq!(seen.len(), 8);
}

#[test]
fn partitions_without_a_leader_are_passed_over() {
    let check = |leaders: &[bool], expected: &[i32]| {
        let mut partitioner = Partitioner::new(1, 7);
        let topic = topic(leaders);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            seen.insert(partitioner.sticky(&topic));
            partitioner.sent("t", 1);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "{leaders:?}");
    };
    check(&[true, false, true], &[0, 2]);
    check(&[false, false], &[0, 1]);
    check(&[true], &[0]);
}

#[test]
fn the_same_seed_gives_the_same_partitions() {
    let run = |seed: u64| {
        let mut partitioner = Partitioner::new(1, seed);
        let topic = topic(&[true; 16]);
        let step = |_| {
            partitioner.sent("t", 1);
            partitioner.sticky(&topic)
        };
        (0..50).map(step).collect::<Vec<i32>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
