//! Somebody stands still with a partition's locks: the runtime does not, nor what has to do with other partitions.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::sync::mpsc;
use std::time::Duration;

use base::{MonoMs, PartitionEpoch};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::partitions::glimpse::tests::Place;

const LIMIT: Duration = Duration::from_secs(20);
/// Of the runtime.
const THREADS: usize = 2;

/// A partition within a runtime, which knows how many threads it has.
fn place() -> (Runtime, Place) {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let place = runtime.block_on(async { Place::new() });
    (runtime, place)
}

fn answer() -> IsrAnswer {
    IsrAnswer::Committed {
        isr: vec![NodeId(1)],
        leader_epoch: LeaderEpoch(1),
        partition_epoch: PartitionEpoch(2),
    }
}

#[test]
fn tasks_that_want_a_partition_briefly_hold_no_thread_of_the_runtime() {
    let (runtime, place) = place();
    let held = place.partition.lock();
    let (asked, answers) = mpsc::channel();
    for _ in 0..2 * THREADS {
        let (partition, asked) = (Arc::clone(&place.partition), asked.clone());
        runtime.spawn(async move {
            let turn = partition.ask(NodeId(2), MonoMs(0)).await;
            let durable = partition.until_durable().await;
            asked.send(turn.is_none() && durable.is_none()).unwrap();
        });
    }
    for _ in 0..2 * THREADS {
        let (done, is_done) = mpsc::channel();
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            done.send(()).unwrap();
        });
        is_done.recv_timeout(LIMIT).expect("the runtime goes on");
    }
    assert!(answers.try_recv().is_err());
    drop(held);
    for _ in 0..2 * THREADS {
        // It leads, and owes nothing to its disk.
        assert_eq!(answers.recv_timeout(LIMIT), Ok(true));
    }
}

#[test]
fn a_controllers_answer_waits_in_no_ones_way() {
    let (runtime, place) = place();
    let isr = |place: &Place| {
        let state = place.partition.lock();
        state.leader.as_ref().unwrap().isr().to_vec()
    };
    // The follower has not what was written long ago, and is left out.
    place.append(b"first");
    assert!(place.partition.try_tick(MonoMs(100_000), 30_000));
    let proposed = place.partition.neighbours().proposals.take();
    let proposed = runtime.block_on(async { tokio::time::timeout(LIMIT, proposed).await });
    let number = proposed.expect("it is proposed")[0].1.id;
    assert_eq!(isr(&place).len(), 2);
    let held = place.partition.lock();
    let (told, is_told) = mpsc::channel();
    let partition = Arc::clone(&place.partition);
    runtime.spawn(async move {
        partition.isr_answered(LeaderEpoch(1), number, answer(), Clock::new());
        told.send(()).unwrap();
    });
    is_told.recv_timeout(LIMIT).expect("others' answers are told");
    drop(held);
    let begin = std::time::Instant::now();
    while isr(&place).len() > 1 {
        assert!(begin.elapsed() < LIMIT, "the answer is taken");
        std::thread::sleep(Duration::from_millis(1));
    }
}
