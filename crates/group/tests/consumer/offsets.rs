//! Committed offsets of members: by their epochs, and only of what they owned.

use group::{Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;

use crate::harness::{GROUP, Test, alive};

const HOUR_MS: u64 = 3_600_000;

fn commit(
    test: &mut Test,
    version: i16,
    member: &'static str,
    epoch: i32,
    partition: i32,
) -> ErrorCode {
    let topic_id = test.topic("a");
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: 5,
        committed_metadata: None,
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "a".into(),
        topic_id,
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP.into(),
        member_id: member.into(),
        generation_id_or_member_epoch: epoch,
        retention_time_ms: -1,
        group_instance_id: None,
        topics: vec![topic],
        ..Default::default()
    };
    match test.context.ask(Request::OffsetCommit { version, request }) {
        Ok(Reply::OffsetCommit(Ok(response))) => {
            ErrorCode::from_code(response.topics[0].partitions[0].error_code)
        }
        Ok(Reply::OffsetCommit(Err(error))) => error,
        other => panic!("{other:?}"),
    }
}

fn fetch(test: &mut Test, member: Option<&'static str>, epoch: i32) -> ErrorCode {
    let request = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        member_id: member.map(Into::into),
        member_epoch: epoch,
        topics: None,
        ..Default::default()
    };
    match test.context.look(Query::OffsetFetch(request)) {
        Ok(Reply::OffsetFetch(group)) => ErrorCode::from_code(group.error_code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn commits_are_held_against_the_members_epoch() {
    let mut test = Test::new();
    test.join("m1", &["a"]);
    test.join("m2", &["a"]);
    test.settle();
    // m1 is at epoch 3 and has kept what it got at epoch 2.
    let member = test.group().member("m1").unwrap();
    let own = *member.assigned[&test.topic("a")].keys().next().unwrap();
    let foreign = (0..4).find(|one| !member.assigned[&test.topic("a")].contains_key(one)).unwrap();
    let cases = [
        (9, "m1", 3, own, ErrorCode::None),
        (8, "m1", 3, own, ErrorCode::UnsupportedVersion),
        (9, "m1", 4, own, ErrorCode::StaleMemberEpoch),
        // On the way while the epoch moved on.
        (9, "m1", 2, own, ErrorCode::None),
        (9, "m1", 1, own, ErrorCode::StaleMemberEpoch),
        (9, "m1", 2, foreign, ErrorCode::StaleMemberEpoch),
        // Who has the epoch may commit anything, as in Kafka.
        (9, "m1", 3, foreign, ErrorCode::None),
        (9, "m9", 3, own, ErrorCode::UnknownMemberId),
        (9, "", -1, own, ErrorCode::UnknownMemberId),
    ];
    for (version, id, epoch, partition, expected) in cases {
        let told = commit(&mut test, version, id, epoch, partition);
        assert_eq!(told, expected, "v{version} {id} {epoch} {partition}");
    }
    let cases = [
        (None, -1, ErrorCode::None),
        (Some("m1"), 3, ErrorCode::None),
        (Some("m1"), 2, ErrorCode::StaleMemberEpoch),
        (Some("m9"), 3, ErrorCode::UnknownMemberId),
    ];
    for (member, epoch, expected) in cases {
        assert_eq!(fetch(&mut test, member, epoch), expected, "{member:?} {epoch}");
    }
    // An empty group is open to consumers without membership.
    test.ok(alive("m1", -1));
    test.ok(alive("m2", -1));
    assert_eq!(commit(&mut test, 8, "", -1, own), ErrorCode::None);
}

#[test]
fn offsets_stay_while_somebody_reads_the_topic() {
    let mut test = Test::new();
    test.context.view.offsets.retention_ms = 24 * HOUR_MS;
    test.join("m1", &["a"]);
    assert_eq!(commit(&mut test, 9, "m1", 2, 0), ErrorCode::None);
    let delete = |test: &mut Test| {
        let partition = OffsetDeleteRequestPartition { partition_index: 0 };
        let topic = OffsetDeleteRequestTopic { name: "a".into(), partitions: vec![partition] };
        let request = OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![topic] };
        match test.context.ask(Request::OffsetDelete(request)) {
            Ok(Reply::OffsetDelete(reply)) => {
                ErrorCode::from_code(reply.topics[0].partitions[0].error_code)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(delete(&mut test), ErrorCode::GroupSubscribedToTopic);
    for _ in 0..40 * 60 * 4 {
        test.context.advance(15_000);
        test.go_on("m1", 2);
    }
    assert_eq!(test.context.runtime.tip().offsets().all().count(), 1);
    test.ok(alive("m1", -1));
    // It is old enough by now; the group goes with its last offset.
    test.context.advance(HOUR_MS);
    assert_eq!(test.context.runtime.tip().offsets().all().count(), 0);
    assert!(test.try_group().is_none());
    let state = test.context.runtime.tip().clone();
    test.context.reload();
    assert_eq!(test.context.runtime.tip(), &state);
}
