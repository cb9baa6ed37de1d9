//! Committed offsets of simple consumers, against Kafka's rules.
#![allow(clippy::unwrap_used)]

use base::{Offset, ProducerEpoch, ProducerId, Uuid};
use coordinator::testing::TestContext;
use coordinator::{Linger, Producer, RuntimeConfig, Shard};
use group::testing::Cluster;
use group::{
    DeletedTopic, GroupRecord, GroupShard, OffsetsConfig, Query, Reply, Request, partition_for,
};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

const HOUR_MS: u64 = 3_600_000;

fn topic_id(n: u8) -> Uuid {
    Uuid::from_random([n; 16]).unwrap()
}

fn context() -> TestContext<GroupShard> {
    let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
    let mut view = group::testing::view(Cluster::default());
    view.offsets =
        OffsetsConfig { metadata_max: 10, retention_ms: 24 * HOUR_MS, check_interval_ms: 600_000 };
    TestContext::new(GroupShard::default(), config, view)
}

fn commit(
    group: &'static str,
    generation: i32,
    offset: i64,
    metadata: Option<&'static str>,
) -> Request {
    commit_with(9, group, generation, offset, metadata, -1)
}

fn commit_with(
    version: i16,
    group: &'static str,
    generation: i32,
    offset: i64,
    metadata: Option<&'static str>,
    retention_time_ms: i64,
) -> Request {
    let partition = OffsetCommitRequestPartition {
        partition_index: 3,
        committed_offset: offset,
        committed_leader_epoch: 5,
        committed_metadata: metadata.map(Into::into),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        topic_id: topic_id(7),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        retention_time_ms,
        topics: vec![topic],
        ..Default::default()
    };
    Request::OffsetCommit { version, request }
}

fn partition_error(reply: Result<Reply, ErrorCode>) -> Result<ErrorCode, ErrorCode> {
    match reply? {
        Reply::OffsetCommit(reply) => {
            Ok(ErrorCode::from_code(reply?.topics[0].partitions[0].error_code))
        }
        other => panic!("{other:?}"),
    }
}

fn fetch_request(group: &'static str, topic_id: Uuid) -> OffsetFetchRequestGroup<'static> {
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        topic_id,
        partition_indexes: vec![3],
        ..Default::default()
    };
    OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    }
}

/// Offset, leader epoch, metadata, error.
type Row = (i64, i32, String, i16);

fn row(reply: Result<Reply, ErrorCode>) -> Row {
    let Ok(Reply::OffsetFetch(group)) = reply else { panic!("{reply:?}") };
    let p = &group.topics[0].partitions[0];
    let metadata = p.metadata.as_deref().unwrap_or("null").to_owned();
    (p.committed_offset, p.committed_leader_epoch, metadata, p.error_code)
}

fn fetched(test: &mut TestContext<GroupShard>, group: &'static str) -> Row {
    row(test.look(Query::OffsetFetch(fetch_request(group, topic_id(7)))))
}

const NOTHING: (i64, i32, &str, i16) = (-1, -1, "", 0);

fn check(test: &mut TestContext<GroupShard>, group: &'static str, expected: (i64, i32, &str, i16)) {
    let expected = (expected.0, expected.1, expected.2.to_owned(), expected.3);
    assert_eq!(fetched(test, group), expected);
    test.reload();
    assert_eq!(fetched(test, group), expected, "after a reload");
}

#[test]
fn commits_are_taken_or_refused_as_kafka_does() {
    let mut test = context();
    let cases = [
        // version, group, generation, metadata, outcome
        (9, "g", 0, None, Err(ErrorCode::GroupIdNotFound)),
        (8, "g", 0, None, Err(ErrorCode::IllegalGeneration)),
        (9, "g", -1, Some("12345678901"), Ok(ErrorCode::OffsetMetadataTooLarge)),
        (9, "g", -1, Some("äöü4567890"), Ok(ErrorCode::None)),
        (9, "g", 0, None, Err(ErrorCode::UnknownMemberId)),
        (9, "g", -1, None, Ok(ErrorCode::None)),
        (9, "", -1, None, Ok(ErrorCode::None)),
    ];
    for (version, group, generation, metadata, expected) in cases {
        let reply = test.ask(commit_with(version, group, generation, 1, metadata, -1));
        assert_eq!(partition_error(reply), expected, "v{version} {group} {generation}");
    }
}

#[test]
fn offsets_come_back_with_epoch_and_metadata_also_after_a_reload() {
    let mut test = context();
    check(&mut test, "g", NOTHING);
    partition_error(test.ask(commit("g", -1, 42, Some("m")))).unwrap();
    check(&mut test, "g", (42, 5, "m", 0));
    check(&mut test, "h", NOTHING);
    partition_error(test.ask(commit("g", -1, 41, None))).unwrap();
    check(&mut test, "g", (41, 5, "", 0));
    // Another topic of that name.
    let other = fetch_request("g", topic_id(8));
    assert_eq!(row(test.look(Query::OffsetFetch(other))).0, -1);
    // All topics.
    let all = OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() };
    assert_eq!(row(test.look(Query::OffsetFetch(all))).0, 41);
}

#[test]
fn offsets_are_deleted_on_request_and_with_their_topic() {
    let delete = |group: &'static str| {
        let partition = OffsetDeleteRequestPartition { partition_index: 3 };
        let topic = OffsetDeleteRequestTopic { name: "t".into(), partitions: vec![partition] };
        let topics = vec![topic];
        Request::OffsetDelete(OffsetDeleteRequest { group_id: group.into(), topics })
    };
    let code = |reply| match reply {
        Ok(Reply::OffsetDelete(reply)) => ErrorCode::from_code(reply.error_code),
        other => panic!("{other:?}"),
    };
    let mut test = context();
    assert_eq!(code(test.ask(delete("g"))), ErrorCode::GroupIdNotFound);
    partition_error(test.ask(commit("g", -1, 42, None))).unwrap();
    assert_eq!(code(test.ask(delete("g"))), ErrorCode::None);
    check(&mut test, "g", NOTHING);

    for (id, kept) in [(topic_id(8), true), (topic_id(7), false)] {
        partition_error(test.ask(commit("g", -1, 42, None))).unwrap();
        let gone = vec![DeletedTopic { name: "t".into(), id }];
        assert_eq!(test.ask(Request::TopicsDeleted(gone)), Ok(Reply::Done));
        check(&mut test, "g", if kept { (42, 5, "", 0) } else { NOTHING });
    }
}

#[test]
fn offsets_expire_by_their_age_and_simple_groups_with_them() {
    // Retention asked for by the client, hours that pass, kept?
    let cases = [
        (-1, 23, true),
        (-1, 25, false),
        (HOUR_MS as i64, 2, false),
        (30 * HOUR_MS as i64, 25, true),
    ];
    for (retention_ms, hours, kept) in cases {
        let mut test = context();
        partition_error(test.ask(commit_with(4, "g", -1, 42, None, retention_ms))).unwrap();
        test.advance(hours * HOUR_MS);
        assert_eq!(fetched(&mut test, "g").0, if kept { 42 } else { -1 }, "{retention_ms} {hours}");
        assert_eq!(test.runtime.tip().groups().is_empty(), !kept, "{retention_ms} {hours}");
        let state = test.runtime.tip().clone();
        test.reload();
        assert_eq!(test.runtime.tip(), &state);
        // It looks again and again.
        test.advance(100 * HOUR_MS);
        assert!(test.runtime.tip().groups().is_empty());
    }
}

#[test]
fn offsets_of_open_transactions_are_unstable_until_their_end() {
    let producer = Producer { id: ProducerId(1), epoch: ProducerEpoch(0) };
    let mut source = context();
    partition_error(source.ask(commit("g", -1, 42, None))).unwrap();
    let record = source.log[0][0].clone();
    let record = GroupShard::decode(&record.key, record.value.as_deref()).unwrap().unwrap();
    // The transaction ends how, and an ordinary commit after its record?
    let cases = [(true, None, 42), (false, None, -1), (true, Some(50), 50), (false, Some(50), 50)];
    for (committed, later, expected) in cases {
        let mut shard = GroupShard::default();
        shard.replay(Offset(0), Some(producer), &record);
        let fetch = |shard: &mut GroupShard| {
            let request = Request::OffsetFetch(fetch_request("g", topic_id(7)));
            let id = base::machine::ReplyId(1);
            let mut outcome = shard.handle(base::time::Now::default(), id, request, &source.view);
            row(Ok(outcome.reply.remove(0).1))
        };
        let unstable = ErrorCode::UnstableOffsetCommit.code();
        assert_eq!(fetch(&mut shard), (-1, -1, String::new(), unstable));
        if let Some(offset) = later {
            let GroupRecord::Offset { place, value: Some(mut value) } = record.clone() else {
                panic!()
            };
            value.offset = offset;
            shard.replay(Offset(1), None, &GroupRecord::Offset { place, value: Some(value) });
        }
        shard.replay_marker(producer, committed);
        assert_eq!(fetch(&mut shard).0, expected, "{committed} {later:?}");
    }
}

const PRODUCER: Producer = Producer { id: ProducerId(1), epoch: ProducerEpoch(0) };

fn in_transaction(version: i16, group: &'static str, generation: i32, offset: i64) -> Request {
    match commit(group, generation, offset, None) {
        Request::OffsetCommit { request, .. } => Request::TxnOffsetCommit { version, request },
        other => panic!("{other:?}"),
    }
}

/// What a consumer is told that wants stable offsets only.
fn stable(test: &mut TestContext<GroupShard>) -> (i64, ErrorCode) {
    let (offset, _, _, error) =
        row(test.ask(Request::OffsetFetch(fetch_request("g", topic_id(7)))));
    (offset, ErrorCode::from_code(error))
}

#[test]
fn offsets_committed_in_a_transaction_are_seen_after_its_end() {
    for (commits, expected) in [(true, 42), (false, 7)] {
        let mut test = context();
        partition_error(test.ask(commit("g", -1, 7, None))).unwrap();
        let reply = test.request_in_transaction(PRODUCER, in_transaction(5, "g", -1, 42));
        assert_eq!(partition_error(reply), Ok(ErrorCode::None));
        check(&mut test, "g", (7, 5, "", 0));
        assert_eq!(stable(&mut test), (-1, ErrorCode::UnstableOffsetCommit));
        // A marker that is not written ends nothing.
        test.append_error = Some(ErrorCode::NotEnoughReplicas);
        let id = test.end_transaction(PRODUCER, commits, Reply::Done);
        assert_eq!(test.replies.remove(&id), Some(Err(ErrorCode::CoordinatorNotAvailable)));
        assert_eq!(stable(&mut test), (-1, ErrorCode::UnstableOffsetCommit));
        test.append_error = None;
        test.hold_commits = true;
        let id = test.end_transaction(PRODUCER, commits, Reply::Done);
        assert_eq!(test.replies.remove(&id), None, "it is not committed yet");
        test.commit();
        assert_eq!(test.replies.remove(&id), Some(Ok(Reply::Done)));
        test.hold_commits = false;
        assert_eq!(stable(&mut test), (expected, ErrorCode::None));
        let state = test.runtime.tip().clone();
        check(&mut test, "g", (expected, 5, "", 0));
        assert_eq!(test.runtime.tip(), &state);
    }
}

#[test]
fn commits_in_transactions_are_taken_or_refused_as_kafka_does() {
    let mut test = context();
    partition_error(test.ask(commit("g", -1, 7, None))).unwrap();
    let cases = [
        (5, "h", 0, Err(ErrorCode::IllegalGeneration)),
        (6, "h", 0, Err(ErrorCode::GroupIdNotFound)),
        (5, "h", -1, Ok(ErrorCode::None)),
        (6, "i", -1, Ok(ErrorCode::None)),
        (5, "g", 0, Err(ErrorCode::UnknownMemberId)),
        (5, "g", -1, Ok(ErrorCode::None)),
    ];
    for (version, group, generation, expected) in cases {
        let request = in_transaction(version, group, generation, 1);
        let reply = test.request_in_transaction(PRODUCER, request);
        assert_eq!(partition_error(reply), expected, "v{version} {group} {generation}");
    }
}

#[test]
fn groups_are_spread_as_in_kafka() {
    // From Java: Math.abs(id.hashCode()) % 50, and 0 for the one hash that has no absolute value.
    let cases = [("", 0), ("a", 47), ("test-group", 12), ("polygenelubricants", 0)];
    for (group, partition) in cases {
        assert_eq!(partition_for(group, 50), partition, "{group}");
    }
}

/// A batch of `__consumer_offsets` as Kafka 4.4.0 wrote it: group g-k, topic tt, partition 1, offset 2, epoch 0, metadata "k".
const KAFKAS_BATCH: &str = "00000000000000000000007300000006023a5273ff000000000000000001a1fdfff588000001a1fdfff588ffffff\
    ffffffffffffff000000000000000180010000001e00010003672d6b000274740000000156000400000000000000\
    0200000000026b000001a1fdfff585010010026f163be373492eaf50696ca065940400";

#[test]
fn a_batch_of_kafka_is_read_and_its_record_written_alike() {
    let hex = |at: usize| u8::from_str_radix(&KAFKAS_BATCH[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..KAFKAS_BATCH.len()).step_by(2).map(hex).collect();
    let mut test = context();
    assert_eq!(test.runtime.load(&bytes, Offset(0), Offset(1)).unwrap(), Offset(1));
    let shard = test.runtime.tip().clone();
    let (place, committed) = shard.offsets().all().next().unwrap();
    assert_eq!((&*place.0, &*place.1, place.2), ("g-k", "tt", 1));
    assert_eq!((committed.offset, committed.leader_epoch, &*committed.metadata), (2, 0, "k"));
    let record = GroupRecord::Offset { place: place.clone(), value: Some(committed.clone()) };
    let written = GroupShard::encode(&record).unwrap();
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(holds(&written.key) && holds(&written.value.unwrap()));
}
