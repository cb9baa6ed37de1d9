//! A transactional producer's state: what may be called when, what is asked for, what each error means.

#![allow(clippy::unwrap_used)] // helpers of tests, too, may fail loudly

use base::{ProducerEpoch, ProducerId, TopicPartition};
use client::group::{CommittedOffset, Offsets};
use client::producer::GroupMetadata;
use client::producer::accumulator::Identity;
use client::producer::transaction::{
    Answer, Ask, Kind, Meaning, Operation, Pause, Request, State, Transaction,
};
use client::{Error, TransactionFault};
use protocol::ErrorCode;

fn identity(epoch: i16) -> Identity {
    Identity { id: ProducerId(4), epoch: ProducerEpoch(epoch) }
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn offsets() -> Offsets {
    [(tp(7), CommittedOffset::new(5)), (tp(8), CommittedOffset::new(6))].into()
}

fn refused(code: ErrorCode) -> Answer {
    Answer::Refused(Error::api(code, None), code)
}

/// A machine and its sender.
struct World(Transaction);

impl World {
    fn new() -> Self {
        Self(Transaction::new("tx"))
    }

    /// After a successful init.
    fn ready(v2: bool) -> Self {
        let mut world = Self::new();
        let init = world.0.init().unwrap();
        let request = world.next();
        assert_eq!(request.ask, Ask::Init { bump: false });
        world.0.answered(request, Answer::Identified(identity(0)));
        assert!(world.outcome(init).is_ok());
        world.0.features(1, if v2 { 2 } else { 1 }, true);
        assert_eq!(world.0.state(), State::Ready);
        world
    }

    /// Inside a transaction that a partition is part of.
    fn open(v2: bool) -> Self {
        let mut world = Self::ready(v2);
        world.begin(0);
        world
    }

    fn begin(&mut self, partition: i32) {
        self.0.begin().unwrap();
        self.0.add_partition(&tp(partition)).unwrap();
        if !self.0.sends_v2() {
            assert!(!self.0.may_send(&tp(partition)));
            let request = self.next();
            assert_eq!(request.ask, Ask::AddPartitions(vec![tp(partition)]));
            self.0.answered(request, Answer::Partitions(vec![(tp(partition), ErrorCode::None)]));
        }
        assert!(self.0.may_send(&tp(partition)));
    }

    fn next(&mut self) -> Request {
        self.0.next_request(false).unwrap()
    }

    fn outcome(&mut self, operation: Operation) -> Result<(), Error> {
        self.0.take_outcome(operation).unwrap()
    }

    fn fault(&mut self, operation: Operation) -> Option<TransactionFault> {
        self.outcome(operation).unwrap_err().fault()
    }
}

#[test]
fn a_transaction_of_the_first_version() {
    let mut world = World::open(false);
    let sent = world.0.send_offsets(GroupMetadata::of_group("g"), offsets()).unwrap();
    let commit = world.0.commit().unwrap();
    let request = world.next();
    assert_eq!(request.kind(), Kind::AddOffsets);
    assert!(world.0.next_request(false).is_none(), "one at a time");
    world.0.answered(request, Answer::Done);
    let request = world.next();
    assert!(matches!(&request.ask, Ask::CommitOffsets { offsets, .. } if offsets.len() == 2));
    // What is stored does not go again.
    let codes = [(tp(7), ErrorCode::None), (tp(8), ErrorCode::CoordinatorLoadInProgress)];
    let next = world.0.answered(request, Answer::Partitions(codes.to_vec()));
    assert_eq!((next.pause, next.look_up), (Some(Pause::Usual { failures: 1 }), false));
    let request = world.next();
    assert!(matches!(&request.ask, Ask::CommitOffsets { offsets, .. } if offsets.len() == 1));
    world.0.answered(request, Answer::Partitions(vec![(tp(8), ErrorCode::None)]));
    assert!(world.outcome(sent).is_ok());
    assert!(world.0.next_request(true).is_none(), "records are still on their way");
    let request = world.next();
    assert_eq!((request.kind(), request.v2), (Kind::Commit, false));
    assert!(world.0.take_outcome(commit).is_none());
    world.0.answered(request, Answer::Done);
    assert!(world.outcome(commit).is_ok());
    assert_eq!((world.0.state(), world.0.identity()), (State::Ready, Some(identity(0))));
    // The next one has to add its partitions again.
    world.begin(0);
}

#[test]
fn a_transaction_of_the_second_version_adds_nothing_and_gets_a_new_epoch() {
    let mut world = World::open(true);
    let sent = world.0.send_offsets(GroupMetadata::of_group("g"), offsets()).unwrap();
    let request = world.next();
    assert_eq!((request.kind(), request.identity), (Kind::CommitOffsets, Some(identity(0))));
    let codes = offsets().into_keys().map(|tp| (tp, ErrorCode::None)).collect();
    world.0.answered(request, Answer::Partitions(codes));
    assert!(world.outcome(sent).is_ok());
    let abort = world.0.abort().unwrap();
    let request = world.next();
    assert_eq!((request.kind(), request.v2), (Kind::Abort, true));
    world.0.answered(request, Answer::Identified(identity(1)));
    assert!(world.outcome(abort).is_ok());
    assert_eq!((world.0.state(), world.0.identity()), (State::Ready, Some(identity(1))));
}

#[test]
fn an_empty_transaction_is_nobodys_business() {
    for v2 in [false, true] {
        let mut world = World::ready(v2);
        world.0.begin().unwrap();
        let commit = world.0.commit().unwrap();
        assert!(world.0.next_request(false).is_none());
        assert!(world.outcome(commit).is_ok());
        assert_eq!(world.0.state(), State::Ready);
    }
}

#[test]
fn calls_that_do_not_fit_change_nothing() {
    let text = |result: Result<(), Error>| match result.unwrap_err() {
        Error::IllegalState(text) => text.to_string(),
        error => panic!("{error}"),
    };
    let mut world = World::new();
    assert_eq!(
        text(world.0.begin()),
        "TransactionalId tx: Invalid transition attempted from state UNINITIALIZED to state IN_TRANSACTION"
    );
    assert_eq!(
        text(world.0.add_partition(&tp(0))),
        "Cannot add partition t-0 to transaction before completing a call to initTransactions"
    );
    let mut world = World::ready(true);
    assert!(text(world.0.add_partition(&tp(0))).ends_with("while in state  READY"));
    assert!(text(world.0.commit().map(|_| ())).contains("from state READY to"));
    let group = GroupMetadata::of_group("g");
    assert!(text(world.0.send_offsets(group, offsets()).map(|_| ())).contains("not in progress"));
    assert_eq!(world.0.state(), State::Ready);
}

#[test]
fn a_call_without_its_answer_must_be_repeated_before_another() {
    let mut world = World::open(true);
    let commit = world.0.commit().unwrap();
    let request = world.next();
    assert_eq!(world.0.commit().unwrap(), commit, "the same call");
    let error = world.0.abort().unwrap_err().to_string();
    assert!(error.contains("the previous call to `commitTransaction` timed out"), "{error}");
    world.0.answered(request, Answer::Identified(identity(1)));
    assert!(world.0.begin().is_err(), "nobody has seen the answer");
    let commit = world.0.commit().unwrap();
    assert!(world.outcome(commit).is_ok());
    world.begin(0);
}

#[test]
fn a_lost_answer_and_another_coordinator_mean_again() {
    let mut world = World::open(false);
    let commit = world.0.commit().unwrap();
    let answers = [
        (Answer::Lost(Error::Closed), true),
        (refused(ErrorCode::NotCoordinator), true),
        (refused(ErrorCode::CoordinatorLoadInProgress), false),
        (refused(ErrorCode::ConcurrentTransactions), false),
        (Answer::NotFound(Error::Closed, ErrorCode::CoordinatorNotAvailable), false),
    ];
    for (failures, (answer, look_up)) in (1..).zip(answers) {
        let request = world.next();
        let next = world.0.answered(request, answer);
        assert_eq!(next.pause, Some(Pause::Usual { failures }));
        assert_eq!(next.look_up, look_up);
    }
    let request = world.next();
    world.0.answered(request, Answer::Done);
    assert!(world.outcome(commit).is_ok());
}

#[test]
fn the_first_partition_waits_only_shortly_for_the_transaction_before() {
    let mut world = World::ready(false);
    world.0.begin().unwrap();
    let concurrent =
        |partition| Answer::Partitions(vec![(tp(partition), ErrorCode::ConcurrentTransactions)]);
    world.0.add_partition(&tp(0)).unwrap();
    let request = world.next();
    assert_eq!(world.0.answered(request, concurrent(0)).pause, Some(Pause::Short));
    let request = world.next();
    world.0.answered(request, Answer::Partitions(vec![(tp(0), ErrorCode::None)]));
    world.0.add_partition(&tp(1)).unwrap();
    let request = world.next();
    assert!(matches!(world.0.answered(request, concurrent(1)).pause, Some(Pause::Usual { .. })));
}

#[test]
fn after_an_abortable_error_only_an_abort_helps() {
    for v2 in [false, true] {
        let mut world = World::open(v2);
        let sent = world.0.send_offsets(GroupMetadata::of_group("g"), offsets()).unwrap();
        world.0.records_failed(&Error::api(ErrorCode::OutOfOrderSequenceNumber, None));
        assert_eq!(world.0.state(), State::AbortableError);
        assert_eq!(world.fault(sent), Some(TransactionFault::Abortable));
        let faults = [
            world.0.add_partition(&tp(1)).unwrap_err().fault(),
            world.0.commit().unwrap_err().fault(),
            world.0.begin().unwrap_err().fault(),
        ];
        assert_eq!(faults, [Some(TransactionFault::Abortable); 3]);
        assert!(world.0.next_request(false).is_none());
        let abort = world.0.abort().unwrap();
        let request = world.next();
        assert_eq!(request.kind(), Kind::Abort);
        if v2 {
            world.0.answered(request, Answer::Identified(identity(1)));
        } else {
            // The first version has to ask for its next epoch.
            world.0.answered(request, Answer::Done);
            assert_eq!(world.0.state(), State::Initializing);
            assert!(world.0.take_outcome(abort).is_none());
            let request = world.next();
            assert_eq!(request.ask, Ask::Init { bump: true });
            assert_eq!(request.identity, Some(identity(0)));
            world.0.answered(request, Answer::Identified(identity(1)));
        }
        assert!(world.outcome(abort).is_ok());
        assert_eq!((world.0.state(), world.0.identity()), (State::Ready, Some(identity(1))));
        world.begin(0);
    }
}

#[test]
fn who_is_fenced_can_do_nothing_any_more() {
    for code in [ErrorCode::ProducerFenced, ErrorCode::InvalidProducerEpoch] {
        let mut world = World::open(true);
        let commit = world.0.commit().unwrap();
        let request = world.next();
        world.0.answered(request, refused(code));
        let error = world.outcome(commit).unwrap_err();
        assert_eq!(error.fault(), Some(TransactionFault::Fatal));
        assert_eq!(error.code(), Some(ErrorCode::ProducerFenced));
        assert_eq!(world.0.abort().unwrap_err().fault(), Some(TransactionFault::Fatal));
        assert_eq!(world.0.init().unwrap_err().fault(), Some(TransactionFault::Fatal));
        assert!(!world.0.may_send(&tp(0)));
        assert!(world.0.next_request(false).is_none());
    }
}

#[test]
fn the_cluster_changes_to_the_second_version_between_two_transactions() {
    let mut world = World::open(false);
    let commit = world.0.commit().unwrap();
    world.0.features(2, 2, false);
    assert!(!world.0.sends_v2(), "what is under way ends as it began");
    let request = world.next();
    assert!(!request.v2);
    world.0.answered(request, Answer::Done);
    // What partitions believe of the old epoch must not count for the next transaction.
    let request = world.next();
    assert_eq!(request.ask, Ask::Init { bump: true });
    world.0.answered(request, Answer::Identified(identity(1)));
    assert!(world.outcome(commit).is_ok());
    world.begin(0);
    assert!(world.0.sends_v2());
}

#[test]
fn who_closes_aborts() {
    let mut world = World::open(true);
    world.0.abort_to_close();
    assert_eq!(world.next().kind(), Kind::Abort);
    let mut world = World::open(true);
    let _commit = world.0.commit().unwrap();
    world.0.abort_to_close();
    assert_eq!(world.next().kind(), Kind::Commit, "what is being committed is not aborted");
    let mut world = World::ready(true);
    world.0.abort_to_close();
    assert!(world.0.next_request(false).is_none());
}

#[test]
fn who_may_not_initialize_may_try_again() {
    let mut world = World::new();
    let init = world.0.init().unwrap();
    let request = world.next();
    world.0.answered(request, refused(ErrorCode::TransactionalIdAuthorizationFailed));
    assert!(world.outcome(init).is_err());
    assert_eq!(world.0.state(), State::Uninitialized);
    assert!(world.0.init().is_ok());
}

/// Rows: a request and an error; what follows is what Apache Kafka's client does.
#[test]
fn what_errors_mean() {
    use ErrorCode as E;
    use Kind::{Abort, AddOffsets, AddPartitions, Commit, CommitOffsets, Init, Lookup, Produce};
    let kinds = [Init, AddPartitions, AddOffsets, CommitOffsets, Commit, Abort, Lookup, Produce];
    let letter = |meaning| match meaning {
        Meaning::Again => 'r',
        Meaning::Elsewhere => 'e',
        Meaning::NotReady => 'n',
        Meaning::Abortable => 'a',
        Meaning::AbortableWithNewEpoch => 'b',
        Meaning::Fenced => 'x',
        Meaning::Fatal => 'f',
    };
    let table = [
        (E::NotCoordinator, "eeeeeerb"),
        (E::CoordinatorNotAvailable, "eeeeeerb"),
        (E::CoordinatorLoadInProgress, "rrrrrrrb"),
        (E::ConcurrentTransactions, "rrrrrrrb"),
        (E::RequestTimedOut, "rrrerrrb"),
        (E::InvalidProducerEpoch, "xxxxxxfb"),
        (E::ProducerFenced, "xxxxxxfx"),
        (E::TransactionAbortable, "aaaaafab"),
        (E::TransactionalIdAuthorizationFailed, "nfffffff"),
        (E::ClusterAuthorizationFailed, "naffffff"),
        (E::InvalidTxnState, "fffffffb"),
        (E::InvalidProducerIdMapping, "ffffffff"),
        (E::UnknownProducerId, "fbbfbbfb"),
        (E::TopicAuthorizationFailed, "fafffffb"),
        (E::OperationNotAttempted, "fafffffb"),
        (E::GroupAuthorizationFailed, "faaaffab"),
        (E::FencedInstanceId, "fafafffb"),
        (E::UnknownMemberId, "fafafffb"),
        (E::IllegalGeneration, "fafafffb"),
        (E::GroupIdNotFound, "fafafffb"),
        (E::StaleMemberEpoch, "fafafffb"),
        (E::RebalanceInProgress, "fafffffb"),
        (E::UnsupportedVersion, "faffffff"),
        (E::OutOfOrderSequenceNumber, "fafffffb"),
        (E::MessageTooLarge, "fafffffb"),
    ];
    for (code, expected) in table {
        let found: String = kinds.iter().map(|kind| letter(Meaning::of(*kind, code))).collect();
        assert_eq!(found, expected, "{code}");
    }
}

/// Every state with every next one, as Apache Kafka allows it (without the prepared state of two-phase commits).
#[test]
fn which_states_may_follow() {
    let table = [
        (State::Uninitialized, "Initializing FatalError"),
        (State::Initializing, "Uninitialized Ready AbortableError FatalError"),
        (State::Ready, "Uninitialized InTransaction FatalError"),
        (
            State::InTransaction,
            "CommittingTransaction AbortingTransaction AbortableError FatalError",
        ),
        (State::CommittingTransaction, "Initializing Ready AbortableError FatalError"),
        (State::AbortingTransaction, "Initializing Ready FatalError"),
        (State::AbortableError, "Uninitialized AbortingTransaction AbortableError FatalError"),
        (State::FatalError, "FatalError"),
    ];
    for (state, expected) in table {
        let follow = State::ALL.into_iter().filter(|next| state.may_become(*next));
        let follow: Vec<String> = follow.map(|next| format!("{next:?}")).collect();
        assert_eq!(follow.join(" "), expected, "{state:?}");
    }
}
