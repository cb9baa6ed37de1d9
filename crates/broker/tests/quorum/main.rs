//! The quorum's driver on a real directory, with a controller that can do nothing but create topics.

mod node;
mod several;
mod toy;

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use base::{NodeId, Uuid};
use broker::quorum::{
    Asker, METADATA_TOPIC, QuorumError, QuorumRequest, QuorumResponse, SubmitError,
};
use metadata::{Publisher, Update};
use protocol::messages::describe_quorum_request::{self, DescribeQuorumRequest};
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
use protocol::messages::fetch_snapshot_request::{
    FetchSnapshotRequest, PartitionSnapshot, SnapshotId, TopicSnapshot,
};
use protocol::messages::vote_request::{self, VoteRequest};
use toy::{Ask, Handle, config, create, started};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn topics(handle: &Handle) -> Vec<String> {
    handle.image().topics.iter().map(|topic| topic.name.to_string()).collect()
}

fn snapshots(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("__cluster_metadata-0")).expect("the metadata directory");
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".checkpoint")).collect();
    names.sort();
    names
}

#[test]
fn what_is_committed_survives_restarts() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(handle.status().epoch, 1);
        assert!(handle.status().active);
        assert_eq!(create(&handle, "a").await, Ok(()));
        assert_eq!(topics(&handle), ["a"], "a reply comes after publication");
        assert_eq!(create(&handle, "b").await, Ok(()));
        handle.shutdown().await;
        assert_eq!(create(&handle, "c").await, Err(SubmitError::Stopped));

        let handle = started(config(dir.path()));
        assert_eq!(handle.status().epoch, 2);
        assert_eq!(topics(&handle), ["a", "b"]);
        // A copy of the directory as a crash would leave it.
        let crashed = tempfile::tempdir().expect("a directory");
        assert_eq!(create(&handle, "c").await, Ok(()));
        copy(dir.path(), crashed.path());
        handle.shutdown().await;
        let handle = started(config(crashed.path()));
        assert_eq!(handle.status().epoch, 3);
        assert_eq!(topics(&handle), ["a", "b", "c"]);
        handle.shutdown().await;
    });
}

#[test]
fn a_torn_batch_is_cut() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "a").await, Ok(()));
        handle.shutdown().await;
        let log = dir.path().join("__cluster_metadata-0/00000000000000000000.log");
        let mut bytes = fs::read(&log).expect("the log");
        let torn = bytes[..70].to_vec();
        bytes.extend(torn);
        fs::write(&log, bytes).expect("written");
        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle), ["a"]);
        assert_eq!(create(&handle, "b").await, Ok(()));
        handle.shutdown().await;
        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle), ["a", "b"]);
        handle.shutdown().await;
    });
}

#[test]
fn snapshots_take_the_place_of_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let mut small = config(dir.path());
        small.snapshot_bytes = 2_000;
        let handle = started(small);
        for index in 0..100 {
            assert_eq!(create(&handle, &format!("topic-{index}")).await, Ok(()));
        }
        handle.shutdown().await;
        let names = snapshots(dir.path());
        assert!(!names.is_empty());
        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle).len(), 100);
        handle.shutdown().await;

        // The newest snapshot is damaged: the start is refused by its name.
        let newest = dir.path().join("__cluster_metadata-0").join(names.last().expect("one"));
        let whole = fs::read(&newest).expect("the snapshot");
        for damage in [100, whole.len() / 2, whole.len() - 5] {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            fs::write(&newest, &bytes).expect("written");
            refused(dir.path(), names.last().expect("one"));
        }
        fs::write(&newest, &whole[..whole.len() - 80]).expect("written");
        refused(dir.path(), names.last().expect("one"));
        fs::write(&newest, &whole).expect("written");
        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle).len(), 100);
        handle.shutdown().await;
    });
}

#[test]
fn what_is_out_of_retention_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut short = config(dir.path());
    short.snapshot_bytes = 2_000;
    short.segment_bytes = 4_000;
    short.retention.bytes = 1;
    short.clean_interval_ms = 50;
    let first_segment = dir.path().join("__cluster_metadata-0").join(format!("{:020}.log", 0));
    runtime().block_on(async {
        let handle = started(short.clone());
        let mut count = 0;
        while first_segment.exists() || snapshots(dir.path()).len() > 3 {
            assert!(count < 5_000, "nothing is removed");
            assert_eq!(create(&handle, &format!("topic-{count}")).await, Ok(()));
            count += 1;
        }
        // An observer with nothing is sent to the newest snapshot, and gets it in pieces.
        let answer = handle.ask(fetch(1, 0), asker()).await.expect("answered");
        let QuorumResponse::Fetch(answer) = answer else { panic!("another answer") };
        let partition = &answer.responses[0].partitions[0];
        assert!(partition.log_start_offset > 0);
        let id = SnapshotId {
            end_offset: partition.snapshot_id.end_offset,
            epoch: partition.snapshot_id.epoch,
            ..Default::default()
        };
        let name = format!("{:020}-{:010}.checkpoint", id.end_offset, id.epoch);
        let whole = fs::read(dir.path().join("__cluster_metadata-0").join(name)).expect("there");
        let mut copied = Vec::new();
        while copied.len() < whole.len() {
            let request = QuorumRequest::FetchSnapshot(FetchSnapshotRequest {
                replica_id: 5,
                max_bytes: 1_000,
                topics: vec![TopicSnapshot {
                    name: METADATA_TOPIC.into(),
                    partitions: vec![PartitionSnapshot {
                        current_leader_epoch: 1,
                        snapshot_id: id.clone(),
                        position: copied.len() as i64,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            });
            let answer = handle
                .ask(request, asker())
                .await
                .unwrap_or_else(|e| panic!("{e} {:?}", handle.status()));
            let QuorumResponse::FetchSnapshot(answer) = answer else { panic!("another answer") };
            let partition = &answer.topics[0].partitions[0];
            assert_eq!((partition.error_code, partition.size), (0, whole.len() as i64));
            let bytes = partition.unaligned_records.as_ref().and_then(|part| part.bytes());
            copied.extend_from_slice(bytes.expect("bytes"));
        }
        assert_eq!(copied, whole);
        handle.shutdown().await;

        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle).len(), count);
        handle.shutdown().await;
        for name in snapshots(dir.path()) {
            fs::remove_file(dir.path().join("__cluster_metadata-0").join(name)).expect("removed");
        }
        let error = toy::start(config(dir.path())).err().expect("refused");
        assert!(error.to_string().contains("a snapshot at or after"), "{error}");
    });
}

#[test]
fn a_log_without_its_beginning_needs_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "a").await, Ok(()));
        handle.shutdown().await;
        let partition = dir.path().join("__cluster_metadata-0");
        for kind in ["log", "index", "timeindex"] {
            let from = partition.join(format!("{:020}.{kind}", 0));
            fs::rename(from, partition.join(format!("{:020}.{kind}", 7))).expect("renamed");
        }
        let error = toy::start(config(dir.path())).err().expect("refused");
        assert!(
            matches!(
                &error,
                QuorumError::Start(_) | QuorumError::Log(_) | QuorumError::Damaged { .. }
            ),
            "{error}"
        );
    });
}

#[track_caller]
fn refused(dir: &Path, name: &str) {
    match toy::start(config(dir)) {
        Ok(_) => panic!("it started on a damaged snapshot"),
        Err(error) => assert!(error.to_string().contains(name), "{error}"),
    }
}

#[test]
fn a_decision_that_cannot_be_written_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        let reply = handle.submit(Ask::Huge).await;
        assert!(matches!(reply, Err(SubmitError::Refused(_))), "{reply:?}");
        assert_eq!(create(&handle, "a").await, Ok(()));
        assert_eq!(topics(&handle), ["a"]);
        // Several batches, committed before the reply.
        assert_eq!(handle.submit(Ask::CreateMany(25_000)).await, Ok(()));
        assert_eq!(topics(&handle).len(), 25_001);
        handle.shutdown().await;
        let handle = started(config(dir.path()));
        assert_eq!(topics(&handle).len(), 25_001);
        handle.shutdown().await;
    });
}

struct Told(mpsc::Sender<Vec<String>>);

impl Publisher for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn publish(&mut self, update: &Update) {
        let names = update.created_topics().map(|topic| topic.name.to_string()).collect();
        self.0.send(names).expect("the test listens");
    }
}

#[test]
fn publishers_learn_the_past_and_every_change() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "a").await, Ok(()));
        let (sender, receiver) = mpsc::channel();
        handle.add_publisher(Box::new(Told(sender))).await.expect("added");
        assert_eq!(receiver.try_recv(), Ok(vec!["a".to_owned()]));
        assert_eq!(create(&handle, "b").await, Ok(()));
        assert_eq!(receiver.try_recv(), Ok(vec!["b".to_owned()]), "before the reply");
        handle.shutdown().await;
    });
}

/// Publishes when it is let; panics when nobody lets it any more.
struct Slow(mpsc::Receiver<()>);

impl Publisher for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn publish(&mut self, _update: &Update) {
        self.0.recv().expect("somebody lets it go on");
    }
}

#[test]
fn a_slow_publisher_holds_up_replies_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        let (go, wait) = mpsc::channel();
        go.send(()).expect("the publisher lives");
        handle.add_publisher(Box::new(Slow(wait))).await.expect("added");
        let asking = handle.clone();
        let mut reply = tokio::spawn(async move { create(&asking, "a").await });
        let early = tokio::time::timeout(Duration::from_millis(200), &mut reply).await;
        early.expect_err("replies wait for publishers");
        let described = handle.ask(describe(METADATA_TOPIC), asker()).await.expect("answered");
        assert!(matches!(described, QuorumResponse::DescribeQuorum(_)));
        assert!(topics(&handle).is_empty(), "readers see nothing before the publishers");
        go.send(()).expect("the publisher lives");
        assert_eq!(reply.await.expect("no panic"), Ok(()));
        assert_eq!(topics(&handle), ["a"]);

        let asking = handle.clone();
        let reply = tokio::spawn(async move { create(&asking, "b").await });
        let mut status = handle.watch_status();
        drop(go);
        assert_eq!(reply.await.expect("no panic"), Err(SubmitError::Stopped));
        status.wait_for(|status| status.failure.is_some()).await.expect("it is told");
    });
}

/// An observer's fetch of the metadata log.
/// Of a version that all requests of this test have.
fn asker() -> Asker {
    Asker { version: 2, listener: "CONTROLLER".into() }
}

fn fetch(leader_epoch: i32, offset: i64) -> QuorumRequest {
    let partition = FetchPartition {
        current_leader_epoch: leader_epoch,
        fetch_offset: offset,
        last_fetched_epoch: 0,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic_id: Uuid::METADATA_TOPIC,
        partitions: vec![partition],
        ..Default::default()
    };
    QuorumRequest::Fetch(FetchRequest {
        replica_state: ReplicaState { replica_id: 5, ..Default::default() },
        max_bytes: 1,
        topics: vec![topic],
        ..Default::default()
    })
}

fn describe(topic: &'static str) -> QuorumRequest {
    let partition = describe_quorum_request::PartitionData::default();
    let topic = describe_quorum_request::TopicData {
        topic_name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    QuorumRequest::DescribeQuorum(request)
}

#[test]
fn the_quorum_is_described() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        let QuorumResponse::Fetch(answer) =
            handle.ask(fetch(1, 0), asker()).await.expect("answered")
        else {
            panic!("another answer");
        };
        let partition = &answer.responses[0].partitions[0];
        assert_eq!((answer.error_code, partition.error_code), (0, 0));
        let records =
            partition.records.as_ref().and_then(|records| records.bytes()).expect("bytes");
        assert_eq!(records.len(), 91, "the leader's first batch alone, as long as Kafka's");
        assert_eq!(partition.current_leader.leader_id, 1);

        let answer = handle.ask(describe(METADATA_TOPIC), asker()).await.expect("answered");
        let QuorumResponse::DescribeQuorum(answer) = answer else { panic!("another answer") };
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.leader_id, partition.leader_epoch), (1, 1));
        assert_eq!(partition.current_voters.len(), 1);
        assert_eq!(partition.observers[0].replica_id, 5);
        assert_eq!(answer.nodes[0].listeners[0].name, "CONTROLLER");

        let answer = handle.ask(describe("other"), asker()).await.expect("answered");
        let QuorumResponse::DescribeQuorum(answer) = answer else { panic!("another answer") };
        assert_eq!(answer.topics[0].partitions[0].error_code, 3);
        handle.shutdown().await;
    });
}

#[test]
fn a_deposed_controller_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let mut slow = config(dir.path());
        // Long enough for a busy machine to ask in between.
        slow.times.election_timeout_ms = 3_000;
        let handle = started(slow);
        assert_eq!(create(&handle, "a").await, Ok(()));
        let partition = vote_request::PartitionData {
            replica_epoch: 7,
            replica_id: 9,
            last_offset_epoch: 1,
            last_offset: 1_000,
            ..Default::default()
        };
        let topic = vote_request::TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let vote = VoteRequest { topics: vec![topic], ..Default::default() };
        let answer = handle.ask(QuorumRequest::Vote(vote), asker()).await.expect("answered");
        let QuorumResponse::Vote(answer) = answer else { panic!("another answer") };
        assert!(answer.topics[0].partitions[0].vote_granted);
        assert_eq!(create(&handle, "lost").await, Err(SubmitError::NotController));
        let mut status = handle.watch_status();
        let back = status.wait_for(|status| status.active && status.epoch == 8);
        tokio::time::timeout(Duration::from_secs(60), back).await.expect("in time").expect("alive");
        assert_eq!(create(&handle, "b").await, Ok(()));
        assert_eq!(topics(&handle), ["a", "b"]);
        assert_eq!(handle.status().leader, Some(NodeId(1)));
        handle.shutdown().await;
    });
}

#[test]
fn a_controller_that_fails_on_a_request_gives_up_the_lead_and_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "a").await, Ok(()));
        let epoch = handle.status().epoch;
        let reply = handle.submit(Ask::Panic).await;
        assert!(matches!(reply, Err(SubmitError::Refused(_))), "{reply:?}");
        let mut status = handle.watch_status();
        let back = status.wait_for(|status| status.active && status.epoch > epoch);
        tokio::time::timeout(Duration::from_secs(60), back).await.expect("in time").expect("alive");
        assert_eq!(create(&handle, "b").await, Ok(()));
        assert_eq!(topics(&handle), ["a", "b"]);
        handle.shutdown().await;
        assert_eq!(handle.status().failure, None);
    });
}

#[test]
fn a_record_that_cannot_be_applied_does_not_come_into_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "a").await, Ok(()));
        assert_eq!(handle.submit(Ask::Contradict).await, Err(SubmitError::Stopped));
        let mut status = handle.watch_status();
        let ended = status.wait_for(|status| status.stopped);
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("in time").expect("told");
        assert!(handle.status().failure.is_some(), "the node is to end");
        let handle = started(config(dir.path()));
        assert_eq!(create(&handle, "b").await, Ok(()));
        assert_eq!(topics(&handle), ["a", "b"]);
        handle.shutdown().await;
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
