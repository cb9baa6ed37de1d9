//! Fetch sessions: life, errors, what incremental responses tell, eviction.
#![allow(clippy::unwrap_used)]

use base::{LeaderEpoch, MonoMs, Offset, PartitionIndex, Uuid};
use broker::fetch::session::{
    Context, PartitionAnswer, PartitionKey, PartitionRequest, Session, SessionError,
    SessionRequest, Sessions, TopicKey, next_epoch,
};

fn key(partition: i32) -> PartitionKey {
    (TopicKey::Id(Uuid([7; 16])), PartitionIndex(partition))
}

fn partition(offset: i64) -> PartitionRequest {
    PartitionRequest {
        fetch_offset: Offset(offset),
        log_start: Offset::NONE,
        current_leader_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
        bytes_max: 1 << 20,
    }
}

fn request(session_id: i32, epoch: i32, partitions: &[i32], forgotten: &[i32]) -> SessionRequest {
    SessionRequest {
        session_id,
        epoch,
        uses_topic_ids: true,
        partitions: partitions.iter().map(|p| (key(*p), partition(0))).collect(),
        forgotten: forgotten.iter().map(|p| key(*p)).collect(),
    }
}

fn answer(has_records: bool, high_watermark: i64) -> PartitionAnswer {
    PartitionAnswer { has_records, failed: false, high_watermark, log_start: 0, must_tell: false }
}

fn begin(cache: &mut Sessions, mut r: SessionRequest, now: u64) -> Result<Context, SessionError> {
    cache.begin(&mut r, 5 + now as i32.., MonoMs(now))
}

fn open(cache: &mut Sessions, partitions: &[i32], now: u64) -> i32 {
    let Ok(Context::Full { session }) = begin(cache, request(0, 0, partitions, &[]), now) else {
        panic!("no new session");
    };
    let id = session.id();
    cache.end(session);
    id
}

fn incremental(cache: &mut Sessions, r: SessionRequest) -> Session {
    match begin(cache, r, 0) {
        Ok(Context::Incremental { session }) => session,
        other => panic!("{other:?}"),
    }
}

fn order(session: &Session) -> Vec<i32> {
    session.partitions().map(|(_, (_, partition), _)| partition.get()).collect()
}

#[test]
fn a_session_remembers_adds_and_forgets() {
    let mut cache = Sessions::new(10);
    let id = open(&mut cache, &[0, 1, 2], 0);
    let session = incremental(&mut cache, request(id, 1, &[3, 1], &[0]));
    assert_eq!(order(&session), [1, 2, 3]);
    cache.end(session);
    assert_eq!(order(&incremental(&mut cache, request(id, 2, &[], &[]))), [1, 2, 3]);
}

#[test]
fn wrong_ids_epochs_and_namings_are_refused() {
    let mut cache = Sessions::new(10);
    let id = open(&mut cache, &[0], 0);
    let error = |cache: &mut Sessions, r| begin(cache, r, 0).unwrap_err();
    assert_eq!(error(&mut cache, request(id + 9, 1, &[], &[])), SessionError::IdNotFound);
    assert_eq!(error(&mut cache, request(id, 2, &[], &[])), SessionError::InvalidEpoch);
    let by_name = SessionRequest { uses_topic_ids: false, ..request(id, 1, &[], &[]) };
    assert_eq!(error(&mut cache, by_name), SessionError::TopicIdMismatch);
    let in_use = incremental(&mut cache, request(id, 1, &[], &[]));
    assert_eq!(error(&mut cache, request(id, 2, &[], &[])), SessionError::InvalidEpoch);
    cache.end(in_use);
    incremental(&mut cache, request(id, 2, &[], &[]));
}

#[test]
fn closing_and_emptying_remove_a_session() {
    let mut cache = Sessions::new(10);
    let id = open(&mut cache, &[0], 0);
    assert!(matches!(begin(&mut cache, request(id, -1, &[], &[]), 0), Ok(Context::Sessionless)));
    assert!(cache.is_empty());
    let id = open(&mut cache, &[0], 0);
    assert!(matches!(begin(&mut cache, request(id, 1, &[], &[0]), 0), Ok(Context::Sessionless)));
    assert!(cache.is_empty());
    let id = open(&mut cache, &[0], 0);
    let session = incremental(&mut cache, request(id, 1, &[], &[]));
    begin(&mut cache, request(id, -1, &[], &[]), 0).unwrap();
    cache.end(session); // comes back too late
    assert!(cache.is_empty());
}

#[test]
fn incremental_answers_tell_what_changed_and_rotate() {
    let mut cache = Sessions::new(10);
    let id = open(&mut cache, &[0, 1, 2], 0);
    let mut session = incremental(&mut cache, request(id, 1, &[], &[]));
    let places: Vec<u64> = session.partitions().map(|(place, ..)| place).collect();
    assert!(session.answer(places[0], answer(true, 5)));
    assert!(session.answer(places[1], answer(false, 5)), "the watermark is new");
    assert!(!session.answer(places[1], answer(false, 5)));
    assert!(session.answer(places[1], answer(false, 6)));
    let failed = PartitionAnswer { failed: true, ..answer(false, -1) };
    assert!(session.answer(places[1], failed));
    assert!(session.answer(places[1], failed), "errors are told every time");
    assert!(session.answer(places[1], answer(false, 6)), "and the watermark anew afterwards");
    let start = PartitionAnswer { log_start: 3, ..answer(false, 6) };
    assert!(session.answer(places[1], start));
    assert_eq!(order(&session), [1, 2, 0]);
}

#[test]
fn a_full_cache_evicts_the_stale_then_the_smaller() {
    let mut cache = Sessions::new(2);
    let first = open(&mut cache, &[0], 0);
    let second = open(&mut cache, &[0, 1], 1000);
    assert_ne!(first, second);
    let full = begin(&mut cache, request(0, 0, &[0, 1, 2], &[]), 2000);
    assert!(matches!(full, Ok(Context::Sessionless)), "none is old enough");
    open(&mut cache, &[0, 1, 2], 120_500);
    assert_eq!(
        begin(&mut cache, request(first, 1, &[], &[]), 0).unwrap_err(),
        SessionError::IdNotFound
    );
    let session = incremental(&mut cache, request(second, 1, &[], &[]));
    cache.end(session);
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!([next_epoch(0), next_epoch(1), next_epoch(i32::MAX), next_epoch(-1)], [1, 2, 1, -1]);
}
