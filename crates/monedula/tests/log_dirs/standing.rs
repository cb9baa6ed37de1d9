//! What does not wait for a log directory that stands still, although it deals with all of them.

use std::time::{Duration, Instant};

use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use protocol::messages::produce_response::ProduceResponse;

use crate::common::{Peer, batch, decoded, produce_request};
use crate::slow::{CLIENTS, THREADS_MAX, World, answer, assert_marks_are_written, error};

/// Somebody who writes to a partition of the directory that stands still.
fn writer(world: &World, partition: i32) -> Peer {
    world.gate.shut();
    let writer = world.asked(&produce_request("t", partition, &batch(&[b"x"])));
    world.gate.until_waiting(1);
    writer
}

fn assert_written(writer: Peer) {
    assert_eq!(error(&decoded::<ProduceResponse<'_>>(&answer(writer, 5), 12)), 0);
}

/// However many ask, the threads for what blocks are not used up.
#[test]
fn questions_of_a_partition_that_stands_still_leave_threads_for_others() {
    let world = World::with(&[], THREADS_MAX + 13);
    world.create("t");
    let still = world.partitions(1, "t");
    let writer = writer(&world, still[0]);
    let epoch = OffsetForLeaderPartition {
        partition: still[0],
        current_leader_epoch: -1,
        ..Default::default()
    };
    let epoch =
        OffsetForLeaderTopic { topic: "t".into(), partitions: vec![epoch], ..Default::default() };
    let epochs =
        OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![epoch], ..Default::default() };
    let producers =
        TopicRequest { name: "t".into(), partition_indexes: vec![still[0]], ..Default::default() };
    let producers = DescribeProducersRequest { topics: vec![producers], ..Default::default() };
    let mut asking = Vec::new();
    for _ in 0..CLIENTS {
        let mut peers = [0; 3].map(|_| world.connect());
        peers[0].ask(&epochs, 4);
        peers[1].ask(&producers, 0);
        peers[2].ask(&DescribeLogDirsRequest::default(), 1);
        asking.extend(peers);
    }
    std::thread::sleep(Duration::from_millis(500));
    world.assert_serves("t");
    world.gate.open();
    assert_written(writer);
    for peer in asking {
        answer(peer, 0);
    }
    world.stop();
}

/// A directory that fails while it stands still is taken offline, and the others' upkeep goes on.
#[test]
fn a_directory_that_fails_while_it_stands_still_holds_no_other() {
    let world = World::new();
    world.create("t");
    let (moving, still) = (world.partitions(0, "t"), world.partitions(1, "t"));
    let writer = writer(&world, still[0]);
    std::fs::remove_file(world.dirs[1].join(".lock")).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_marks_are_written(&world, moving[0]);
    // Whoever writes to its other partitions hears of it.
    let begin = Instant::now();
    while world.produce("t", still[1], &batch(&[b"x"])) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    world.gate.open();
    drop(writer);
    world.stop();
}
