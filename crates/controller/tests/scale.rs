//! Ten thousand partitions: made in one piece, and led again after a broker's death. Times are printed, not judged.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use std::time::Instant;

use base::NodeId;
use common::{TestContext, topic};
use controller::{ControllerReply, ControllerRequest, ControllerTimer, Outcome};
use metadata::{Image, record_version};
use protocol::messages as m;

/// One less than the records of one request: the topic is one, too.
const PARTITIONS: i32 = 9_999;
/// What one batch of the metadata log holds.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Decides and replays, without the checks of `TestContext`: they take longer than what is measured.
fn decide(cx: &mut TestContext, what: &str, request: ControllerRequest) -> Outcome {
    let (at, start) = (cx.at(), Instant::now());
    let outcome = cx.controller.handle(at, request, &mut cx.random);
    let decided = start.elapsed();
    for record in &outcome.records {
        let offset = cx.at().next_offset;
        cx.controller.replay(record, offset).unwrap();
        cx.log.push(record.clone());
    }
    let (count, all) = (outcome.records.len(), start.elapsed());
    println!("{what}: {count} records decided in {decided:?}, with replay {all:?}");
    outcome
}

fn leaderless(image: &Image) -> usize {
    let topic = image.topics.by_name("big").unwrap();
    topic.partitions().filter(|(_, partition)| !partition.has_leader()).count()
}

#[test]
fn ten_thousand_partitions() {
    let mut cx = TestContext::with_brokers(4);
    let topics = vec![topic("big", PARTITIONS, 3)];
    let request = m::create_topics_request::CreateTopicsRequest { topics, ..Default::default() };
    let created = decide(&mut cx, "create", ControllerRequest::CreateTopics(request));
    assert!(created.atomic && created.records.len() == 10_000);
    let version = cx.image().features.metadata_version_or_minimum();
    let bytes = |record| record_version(record, version);
    let sizes = created.records.iter().map(|r| r.encode_value(bytes(r)).unwrap().len() + 32);
    assert!(sizes.sum::<usize>() < BATCH_BYTES_MAX, "the topic does not fit one batch");

    // One more is one too many, and nothing of it is there.
    let topics = vec![topic("bigger", PARTITIONS + 1, 3)];
    let request = m::create_topics_request::CreateTopicsRequest { topics, ..Default::default() };
    let refused = decide(&mut cx, "refuse", ControllerRequest::CreateTopics(request));
    let ControllerReply::CreateTopics(reply) = &refused.reply else { panic!("{refused:?}") };
    assert_eq!(reply.topics[0].error_code, protocol::ErrorCode::PolicyViolation.code());
    assert!(refused.records.is_empty());

    cx.now_ms += 9_001;
    for id in 1..4 {
        cx.heartbeat(id, |_| {});
    }
    let fence = ControllerRequest::Timer(ControllerTimer::FenceStaleBrokers);
    let fenced = decide(&mut cx, "death", fence);
    assert!(cx.image().cluster.broker(NodeId(0)).unwrap().fenced);
    // Who was in sync there left, and everything is led by somebody else.
    assert!(fenced.records.len() > 7_000);
    assert_eq!(leaderless(cx.image()), 0);
    let dead_is_in_sync = |image: &Image| {
        let topic = image.topics.by_name("big").unwrap();
        topic.partitions().any(|(_, partition)| partition.isr.contains(&NodeId(0)))
    };
    assert!(!dead_is_in_sync(cx.image()));

    // The second one takes the last in sync of some; they are led again when it is back.
    cx.now_ms += 9_001;
    for id in 2..4 {
        cx.heartbeat(id, |_| {});
    }
    let fence = ControllerRequest::Timer(ControllerTimer::FenceStaleBrokers);
    decide(&mut cx, "second death", fence);
    cx.unfence(0);
    assert_eq!(leaderless(cx.image()), 0);
    assert!(cx.replayed() == *cx.image(), "replay from nothing leads elsewhere");
}
