//! Single rules: what markers' errors mean, what old clients are told, fresh producer ids, records, filters.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use base::{LeaderEpoch, ProducerEpoch, ProducerId, TopicPartition, WallMs};
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, LogRecord, Producer, RuntimeConfig};
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use transaction::{
    AddPartitions, Added, Config, Duty, EndTxn, Filters, InitProducerId, MarkerOutcome, Markers,
    Query, Reply, Request, State, TransactionRecord, TransactionShard, Verdict, View, Written,
    partition_for,
};

const SECOND: i16 = 5;

fn context(transaction_version: i16) -> TestContext<TransactionShard> {
    let config = Config {
        timeout_max_ms: 60_000,
        two_phase_commit: true,
        expiration_ms: 1_000_000,
        timeout_check_ms: 10_000,
        expiry_check_ms: 100_000,
    };
    let runtime = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
    let view = View { config, transaction_version };
    TestContext::new(TransactionShard::default(), runtime, view)
}

fn init_with(version: i16, expected: Option<Producer>, two_phases: bool) -> InitProducerId {
    let none = Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE };
    let expected = expected.unwrap_or(none);
    let request = InitProducerIdRequest {
        transactional_id: Some("t".into()),
        transaction_timeout_ms: 60_000,
        producer_id: expected.id.get(),
        producer_epoch: expected.epoch.get(),
        enable2_pc: two_phases,
        ..Default::default()
    };
    InitProducerId { version, request, fresh: None }
}

fn init(test: &mut TestContext<TransactionShard>) -> Producer {
    let ask = InitProducerId { fresh: Some(ProducerId(7)), ..init_with(SECOND, None, false) };
    match test.ask(Request::InitProducerId(ask)) {
        Ok(Reply::InitProducerId(Ok(producer))) => producer,
        other => panic!("{other:?}"),
    }
}

fn add(test: &mut TestContext<TransactionShard>, producer: Producer, added: Added) -> ErrorCode {
    let partitions = vec![TopicPartition::new("p", 0), TopicPartition::new("p", 1)];
    let ask = AddPartitions { transactional_id: Arc::from("t"), producer, partitions, added };
    match test.ask(Request::AddPartitions(ask)) {
        Ok(Reply::AddPartitions(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn end(
    test: &mut TestContext<TransactionShard>,
    producer: Producer,
    version: i16,
) -> Result<Producer, ErrorCode> {
    let transactional_id = Arc::from("t");
    let ask = EndTxn { version, transactional_id, producer, commit: true, fresh: None };
    match test.ask(Request::EndTxn(ask)) {
        Ok(Reply::EndTxn(ended)) => ended,
        other => panic!("{other:?}"),
    }
}

fn state(test: &TestContext<TransactionShard>) -> State {
    test.runtime.committed().get("t").unwrap().state
}

/// A transaction that waits for two markers.
fn decided(version: i16) -> (TestContext<TransactionShard>, Markers) {
    let mut test = context(2);
    let producer = init(&mut test);
    let added = Added::Partitions { version: if version >= SECOND { 5 } else { 3 } };
    assert_eq!(add(&mut test, producer, added), ErrorCode::None);
    end(&mut test, producer, version).unwrap();
    match test.duties.pop() {
        Some(Duty::Markers(markers)) => (test, markers),
        other => panic!("{other:?}"),
    }
}

fn tell(
    test: &mut TestContext<TransactionShard>,
    markers: &Markers,
    outcomes: &[(i32, MarkerOutcome)],
) -> Verdict {
    let outcome =
        |(index, outcome): &(i32, MarkerOutcome)| (TopicPartition::new("p", *index), *outcome);
    let written = Written {
        transactional_id: Arc::clone(&markers.transactional_id),
        number: markers.number,
        outcomes: outcomes.iter().map(outcome).collect(),
    };
    match test.ask(Request::Markers(vec![written])) {
        Ok(Reply::Markers(mut verdicts)) => verdicts.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_of_markers_mean_what_they_mean_to_kafka() {
    use MarkerOutcome::{Answer, NoSuchPartition};
    let done = [
        Answer(ErrorCode::None),
        Answer(ErrorCode::UnsupportedForMessageFormat),
        Answer(ErrorCode::UnsupportedVersion),
        NoSuchPartition,
    ];
    for outcome in done {
        let (mut test, markers) = decided(SECOND);
        assert_eq!(tell(&mut test, &markers, &[(0, outcome), (1, done[0])]), Verdict::Done);
        assert_eq!(state(&test), State::CompleteCommit, "{outcome:?}");
    }
    for error in [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotEnoughReplicasAfterAppend,
        ErrorCode::RequestTimedOut,
        ErrorCode::KafkaStorageError,
        ErrorCode::CorruptMessage,
        ErrorCode::UnknownServerError,
    ] {
        let (mut test, markers) = decided(SECOND);
        let again = Verdict::Again(vec![TopicPartition::new("p", 1)]);
        assert_eq!(tell(&mut test, &markers, &[(0, done[0]), (1, Answer(error))]), again);
        assert_eq!(state(&test), State::PrepareCommit, "{error:?}");
        assert_eq!(tell(&mut test, &markers, &[(1, done[0])]), Verdict::Done);
        assert_eq!(state(&test), State::CompleteCommit, "{error:?}");
    }
    for error in [ErrorCode::InvalidProducerEpoch, ErrorCode::TransactionCoordinatorFenced] {
        let (mut test, markers) = decided(SECOND);
        let verdict = tell(&mut test, &markers, &[(0, done[0]), (1, Answer(error))]);
        assert_eq!(verdict, Verdict::Abandoned(error));
        assert_eq!(state(&test), State::PrepareCommit, "{error:?}");
    }
}

#[test]
fn markers_of_the_transaction_before_do_not_end_the_next() {
    // In the first generation both have the same producer and epoch.
    let (mut test, first) = decided(4);
    let done = MarkerOutcome::Answer(ErrorCode::None);
    assert_eq!(tell(&mut test, &first, &[(0, done), (1, done)]), Verdict::Done);
    let producer = first.producer;
    assert_eq!(add(&mut test, producer, Added::Offsets { version: 3 }), ErrorCode::None);
    end(&mut test, producer, 4).unwrap();
    assert_eq!(tell(&mut test, &first, &[(0, done), (1, done)]), Verdict::Void);
    assert_eq!(state(&test), State::PrepareCommit);
}

#[test]
fn who_was_replaced_by_a_producer_of_the_first_generation_does_not_get_its_epoch() {
    let mut test = context(2);
    let (old, new) = (init(&mut test), init(&mut test));
    assert_eq!(new, Producer { epoch: ProducerEpoch(1), ..old });
    assert_eq!(add(&mut test, new, Added::Partitions { version: 3 }), ErrorCode::None);
    end(&mut test, new, 4).unwrap();
    let Some(Duty::Markers(markers)) = test.duties.pop() else { panic!("no markers") };
    let done = MarkerOutcome::Answer(ErrorCode::None);
    assert_eq!(tell(&mut test, &markers, &[(0, done), (1, done)]), Verdict::Done);
    assert_eq!(end(&mut test, old, SECOND), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_completion_that_was_not_appended_is_handed_in_again() {
    let (mut test, markers) = decided(SECOND);
    let done = MarkerOutcome::Answer(ErrorCode::None);
    test.append_error = Some(ErrorCode::NotEnoughReplicas);
    let written = Written {
        transactional_id: Arc::from("t"),
        number: markers.number,
        outcomes: [0, 1].map(|index| (TopicPartition::new("p", index), done)).into(),
    };
    let failed = test.ask(Request::Markers(vec![written]));
    assert_eq!(failed, Err(ErrorCode::CoordinatorNotAvailable));
    test.append_error = None;
    assert_eq!(tell(&mut test, &markers, &[(0, done), (1, done)]), Verdict::Done);
    assert_eq!(state(&test), State::CompleteCommit);
}

#[test]
fn a_new_leader_sends_all_markers_again() {
    let (mut test, markers) = decided(SECOND);
    let done = MarkerOutcome::Answer(ErrorCode::None);
    assert_eq!(tell(&mut test, &markers, &[(0, done)]), Verdict::Done);
    test.reload();
    assert_eq!(test.duties, [Duty::Markers(markers)]);
}

#[test]
fn outcomes_from_before_the_log_was_read_again_are_void() {
    let (mut test, markers) = decided(SECOND);
    test.event(Event::Unload);
    test.event(Event::Lead { epoch: LeaderEpoch(1) });
    let done = MarkerOutcome::Answer(ErrorCode::None);
    assert_eq!(tell(&mut test, &markers, &[(0, done), (1, done)]), Verdict::Void);
    let Some(Duty::Markers(again)) = test.duties.pop() else { panic!("no markers") };
    assert!(again.number > markers.number, "{again:?}");
    assert_eq!(tell(&mut test, &again, &[(0, done), (1, done)]), Verdict::Done);
    assert_eq!(state(&test), State::CompleteCommit);
}

#[test]
fn an_abort_of_nothing_is_complete_at_once() {
    let mut test = context(2);
    let producer = init(&mut test);
    let ask = EndTxn {
        version: SECOND,
        transactional_id: Arc::from("t"),
        producer,
        commit: false,
        fresh: None,
    };
    let next = Producer { epoch: ProducerEpoch(1), ..producer };
    assert_eq!(test.ask(Request::EndTxn(ask)), Ok(Reply::EndTxn(Ok(next))));
    assert_eq!(state(&test), State::CompleteAbort);
    assert_eq!(test.duties, []);
    // Both records lie in one batch.
    assert_eq!(test.log.last().unwrap().len(), 2);
}

#[test]
fn old_clients_are_told_of_an_invalid_epoch() {
    let mut test = context(0);
    let producer = init(&mut test);
    let old = Producer { epoch: ProducerEpoch(5), ..producer };
    let told = |version| {
        if version < 2 { ErrorCode::InvalidProducerEpoch } else { ErrorCode::ProducerFenced }
    };
    for version in 0..=4 {
        assert_eq!(add(&mut test, old, Added::Offsets { version }), told(version));
        assert_eq!(end(&mut test, old, version), Err(told(version)));
        if version < 4 {
            assert_eq!(add(&mut test, old, Added::Partitions { version }), told(version));
        }
    }
    for (version, error) in [(3, ErrorCode::InvalidProducerEpoch), (4, ErrorCode::ProducerFenced)] {
        let ask = init_with(version, Some(Producer { id: ProducerId(99), ..old }), false);
        let reply = test.ask(Request::InitProducerId(ask));
        assert_eq!(reply, Ok(Reply::InitProducerId(Err(error))), "{version}");
    }
}

#[test]
fn a_new_id_needs_a_producer_id_and_changes_nothing_without() {
    let mut test = context(2);
    let ask = Request::InitProducerId(init_with(SECOND, None, false));
    assert_eq!(test.ask(ask), Ok(Reply::NeedsProducerId));
    assert!(test.runtime.tip().is_empty() && test.log.is_empty());
    assert_eq!(init(&mut test), Producer { id: ProducerId(7), epoch: ProducerEpoch(0) });
}

/// Whoever was replaced and does not know it can append, but nobody commits that.
#[test]
fn what_is_done_already_is_answered_when_the_log_confirms_it() {
    let mut test = context(2);
    let producer = init(&mut test);
    let added = Added::Partitions { version: 3 };
    assert_eq!(add(&mut test, producer, added), ErrorCode::None);
    test.hold_commits = true;
    let partitions = vec![TopicPartition::new("p", 1)];
    let ask = AddPartitions { transactional_id: Arc::from("t"), producer, partitions, added };
    let waiting = test.request(Request::AddPartitions(ask));
    test.event(Event::Drained);
    assert_eq!(test.replies.get(&waiting), None);
    test.commit();
    assert_eq!(test.replies[&waiting], Ok(Reply::AddPartitions(ErrorCode::None)));
    test.hold_commits = false;
    end(&mut test, producer, 4).unwrap();
    let Some(Duty::Markers(markers)) = test.duties.pop() else { panic!("no markers") };
    let done = MarkerOutcome::Answer(ErrorCode::None);
    assert_eq!(tell(&mut test, &markers, &[(0, done), (1, done)]), Verdict::Done);
    test.hold_commits = true;
    let transactional_id = Arc::from("t");
    let ask = EndTxn { version: 4, transactional_id, producer, commit: true, fresh: None };
    let waiting = test.request(Request::EndTxn(ask));
    test.event(Event::Drained);
    assert_eq!(test.replies.get(&waiting), None);
    test.commit();
    assert!(matches!(test.replies[&waiting], Ok(Reply::EndTxn(Ok(_)))));
    assert_eq!(state(&test), State::CompleteCommit);
}

#[test]
fn a_transaction_times_out_whatever_becomes_of_the_wall_clock() {
    let mut test = context(2);
    test.now.wall = WallMs(3_600_000);
    let producer = init(&mut test);
    assert_eq!(add(&mut test, producer, Added::Partitions { version: 5 }), ErrorCode::None);
    test.now.wall = WallMs(0);
    // The first look is after 10 s; the timeout is a minute.
    for _ in 0..7 {
        assert_eq!(state(&test), State::Ongoing);
        test.advance(10_000);
    }
    assert_eq!(state(&test), State::Ongoing, "watched for a minute, and no longer");
    test.advance(10_000);
    assert_eq!(state(&test), State::PrepareAbort);
}

#[test]
fn transactions_with_an_outside_coordinator_do_not_time_out() {
    let mut test = context(2);
    let ask = InitProducerId { fresh: Some(ProducerId(7)), ..init_with(6, None, true) };
    let producer = match test.ask(Request::InitProducerId(ask)) {
        Ok(Reply::InitProducerId(Ok(producer))) => producer,
        other => panic!("{other:?}"),
    };
    add(&mut test, producer, Added::Partitions { version: 5 });
    test.advance(1_000_000_000);
    assert_eq!(state(&test), State::Ongoing);
    test.view.config.two_phase_commit = false;
    let ask = Request::InitProducerId(init_with(6, None, true));
    let refused = ErrorCode::TransactionalIdAuthorizationFailed;
    assert_eq!(test.ask(ask), Ok(Reply::InitProducerId(Err(refused))));
}

#[test]
fn records_of_other_types_and_newer_versions_are_skipped_and_broken_ones_are_not() {
    let mut test = context(2);
    init(&mut test);
    let LogRecord { key, value } = test.log[0][0].clone();
    let value = value.unwrap();
    let newer = [&[0, 2], &value[2..]].concat();
    assert_eq!(TransactionRecord::decode(&key, Some(&newer)), Ok(None));
    assert_eq!(TransactionRecord::decode(&[0, 9, 1, 2, 3], Some(&value)), Ok(None));
    assert_eq!(TransactionRecord::decode(&key, None).unwrap().unwrap().transaction, None);
    for broken in 0..value.len() {
        assert!(TransactionRecord::decode(&key, Some(&value[..broken])).is_err(), "{broken}");
    }
    // A client of the second generation in a cluster that was set back: its transaction still comes to its end.
    let mut record = TransactionRecord::decode(&key, Some(&value)).unwrap().unwrap();
    record.version = 0;
    record.transaction.as_mut().unwrap().client_version = 2;
    let written = record.encode().unwrap();
    let read = TransactionRecord::decode(&written.key, written.value.as_deref());
    assert_eq!(read.unwrap().unwrap().transaction, record.transaction);
}

#[test]
fn patterns_are_those_of_ascii_and_match_the_whole_id() {
    let mut test = context(2);
    init(&mut test);
    let mut finds = |pattern: &str| {
        let (filters, _) = Filters::new(WallMs(0), [], &[] as &[&str], -1, Some(pattern)).unwrap();
        match test.look(Query::List(filters)).unwrap() {
            Reply::List(found) => !found.is_empty(),
            other => panic!("{other:?}"),
        }
    };
    for (pattern, found) in
        [("t", true), ("\\w", true), ("T", false), ("(?i)T", true), ("x|", false), ("", true)]
    {
        assert_eq!(finds(pattern), found, "{pattern}");
    }
    for pattern in ["(", "a)(b", "(?=t)", "[z-a]", &"(".repeat(100_000), "\\"] {
        let refused = Filters::new(WallMs(0), [], &[] as &[&str], -1, Some(pattern)).err();
        assert_eq!(refused, Some(ErrorCode::InvalidRegularExpression), "{pattern:.20}");
    }
}

#[test]
fn ids_are_placed_by_javas_hash() {
    // The hash is the smallest number, whose absolute value Java has not: Kafka takes 0.
    assert_eq!(partition_for("polygenelubricants", 50), 0);
    assert_eq!(partition_for("a", 50), 47);
}
