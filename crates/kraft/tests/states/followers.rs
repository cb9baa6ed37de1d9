//! The follower: what it takes from its leader, what it refuses, whom it asks when there is none.

use base::{NodeId, Offset};
use kraft::{
    Answer, ControlRecord, DataId, Effect, Event, Fetched, FetchedBatch, FetchedOutcome,
    FetchedRecords, FetchedSnapshot, RaftError, Request, SendFailure, SnapshotId,
};

use crate::lab::{EPOCH, Lab, Place, boot, config, epoch_request, says, voters};

fn batch(base: i64, next: i64, epoch: i32) -> FetchedBatch {
    FetchedBatch { base: Offset(base), next: Offset(next), epoch, control: Vec::new() }
}

fn records(batches: Vec<FetchedBatch>) -> FetchedOutcome {
    FetchedOutcome::Records(FetchedRecords { data: DataId(9), batches })
}

/// What the follower does to its log when the leader answers so.
fn writes(outcome: FetchedOutcome) -> Vec<Effect> {
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    lab.fetched(outcome);
    let is_write = |effect: &Effect| {
        matches!(
            effect,
            Effect::AppendFetched { .. }
                | Effect::DropFetched { .. }
                | Effect::Truncate { .. }
                | Effect::Flush { .. }
                | Effect::CommitAdvanced { .. }
        )
    };
    lab.effects.into_iter().filter(is_write).collect()
}

#[test]
fn batches_are_appended_as_far_as_they_fit() {
    let data = DataId(9);
    let committed = Effect::CommitAdvanced { high_watermark: Offset(8) };
    let appended = |until| {
        let until = Offset(until);
        vec![Effect::AppendFetched { data, until }, Effect::Flush { end: until }, committed.clone()]
    };
    let dropped = vec![Effect::DropFetched { data }];
    assert_eq!(writes(records(vec![])), [Effect::DropFetched { data }, committed.clone()]);
    assert_eq!(writes(records(vec![batch(10, 12, 5)])), appended(12));
    assert_eq!(writes(records(vec![batch(10, 12, 4), batch(12, 15, 5)])), appended(15));
    // A gap, an overlap, an epoch that goes back, one that cannot be, an empty batch.
    assert_eq!(writes(records(vec![batch(11, 12, 5)])), dropped);
    assert_eq!(writes(records(vec![batch(9, 12, 5)])), dropped);
    assert_eq!(writes(records(vec![batch(10, 12, 3)])), dropped);
    assert_eq!(writes(records(vec![batch(10, 12, 6)])), dropped);
    assert_eq!(writes(records(vec![batch(10, 10, 5)])), dropped);
    assert_eq!(writes(records(vec![batch(10, 12, 5), batch(13, 14, 5)])), appended(12));
    assert_eq!(writes(records(vec![batch(10, 12, 5), batch(12, 14, 4)])), appended(12));
}

#[test]
fn the_next_fetch_waits_for_the_disk() {
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    lab.fetched(records(vec![batch(10, 12, 5)]));
    let fetches =
        |lab: &Lab| lab.sent().iter().filter(|(.., r)| matches!(r, Request::Fetch(_))).count();
    assert_eq!(fetches(&lab), 1);
    lab.flush();
    assert_eq!(fetches(&lab), 2);
    let Some((_, 2, Request::Fetch(request))) = lab.sent().pop() else { panic!("no fetch") };
    let asked = (request.offset, request.last_fetched_epoch, request.high_watermark);
    assert_eq!(asked, (Offset(12), 5, Offset(8)));
}

#[test]
fn divergence_truncates_but_never_what_is_committed() {
    let diverging = |epoch, end| FetchedOutcome::Diverging { epoch, end: Offset(end) };
    assert_eq!(writes(diverging(4, 6)), [Effect::Truncate { end: Offset(6) }]);
    assert_eq!(writes(diverging(3, 6)), [Effect::Truncate { end: Offset(0) }]);
    assert_eq!(writes(diverging(0, 3)), [Effect::Truncate { end: Offset(3) }]);
    assert_eq!(writes(diverging(4, 10)), []);
    assert_eq!(writes(diverging(4, 11)), []);

    let mut lab = Lab::at(Place::Fetching);
    assert_eq!(lab.raft.high_watermark(), Some(Offset(8)));
    lab.event(Event::Tick);
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    lab.fetched(records(vec![]));
    lab.fetched(diverging(4, 7));
    assert!(!lab.effects.iter().any(|effect| matches!(effect, Effect::Truncate { .. })));
    assert_eq!(lab.raft.log().end, Offset(10));
}

#[test]
fn truncation_takes_a_change_of_the_voters_back() {
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    let mut change = batch(10, 11, 5);
    change.control.push((Offset(10), ControlRecord::Voters(voters(&[1, 2, 3, 4]))));
    lab.fetched(records(vec![change]));
    lab.flush();
    assert_eq!(lab.raft.voters().last().0.len(), 4, "an uncommitted set counts at once");
    lab.fetched(FetchedOutcome::Diverging { epoch: 4, end: Offset(10) });
    assert_eq!(lab.raft.voters().last().0.len(), 3);
}

#[test]
fn a_snapshot_comes_in_pieces_and_replaces_the_log() {
    let id = SnapshotId { epoch: 5, offset: Offset(100) };
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    lab.fetched(FetchedOutcome::Snapshot(id));
    let piece = |position, len, size| FetchedSnapshot {
        leader: says(None, Some(2), EPOCH),
        id,
        size,
        position,
        data: DataId(position + 1),
        len,
    };
    let asked = |lab: &Lab| match lab.sent().pop() {
        Some((request_id, 2, Request::FetchSnapshot(request))) => {
            Some((request_id, request.position))
        }
        _ => None,
    };
    let (request, position) = asked(&lab).expect("asked for the snapshot");
    assert_eq!(position, 0);
    lab.answer(request, Answer::FetchSnapshot(piece(0, 60, 100)));
    let (request, position) = asked(&lab).expect("asked for the rest");
    assert_eq!(position, 60);
    lab.answer(request, Answer::FetchSnapshot(piece(60, 40, 100)));
    assert!(lab.effects.contains(&Effect::InstallSnapshot { id }));
    // While the log is replaced, it neither fetches nor stands for election.
    lab.effects.clear();
    lab.pass(10_000);
    assert_eq!((lab.raft.state_name(), lab.sent().len()), ("Follower", 0));
    let control = vec![ControlRecord::Voters(voters(&[1, 2]))];
    lab.event(Event::SnapshotInstalled { id, control });
    let log = lab.raft.log();
    assert_eq!((log.start, log.end, log.last_epoch()), (Offset(100), Offset(100), 5));
    assert_eq!(lab.raft.high_watermark(), Some(Offset(100)));
    assert_eq!(lab.raft.voters().last().0.len(), 2);
    let Some((_, 2, Request::Fetch(request))) = lab.sent().pop() else { panic!("no fetch") };
    assert_eq!((request.offset, request.last_fetched_epoch), (Offset(100), 5));
}

#[test]
fn hostile_snapshots_are_refused() {
    let begin = |epoch, offset| {
        let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
        lab.fetched(FetchedOutcome::Snapshot(SnapshotId { epoch, offset: Offset(offset) }));
        lab.pass(20);
        lab.sent().pop().is_some_and(|(.., request)| matches!(request, Request::FetchSnapshot(_)))
    };
    assert!(begin(5, 100));
    // Of a later epoch than the leader's, of no epoch, not ahead of this log, below any log.
    assert!(!begin(6, 100));
    assert!(!begin(-1, 100));
    assert!(!begin(4, 10));
    assert!(!begin(5, -1));

    let id = SnapshotId { epoch: 5, offset: Offset(100) };
    let piece = |change: fn(&mut FetchedSnapshot)| {
        let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
        lab.fetched(FetchedOutcome::Snapshot(id));
        let (request, ..) = lab.sent().pop().expect("asked");
        let leader = says(None, Some(2), EPOCH);
        let data = DataId(1);
        let mut piece = FetchedSnapshot { leader, id, size: 100, position: 0, data, len: 60 };
        change(&mut piece);
        lab.answer(request, Answer::FetchSnapshot(piece));
        lab.effects.iter().any(|effect| matches!(effect, Effect::WriteSnapshot { .. }))
    };
    assert!(piece(|_| {}));
    assert!(!piece(|piece| piece.position = 1));
    assert!(!piece(|piece| piece.len = 101));
    assert!(!piece(|piece| piece.len = u64::MAX));
    assert!(!piece(|piece| piece.len = 0));
    assert!(piece(|piece| piece.size = (1 << 31) - 1));
    assert!(!piece(|piece| piece.size = 1 << 31));
    assert!(!piece(|piece| piece.id.offset = Offset(101)));
    assert!(!piece(|piece| piece.leader.error = Some(RaftError::SnapshotNotFound)));
}

#[test]
fn a_snapshot_that_is_none_is_not_fetched_again_at_once() {
    let id = SnapshotId { epoch: 5, offset: Offset(100) };
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    // Whoever was asked last answers: a leader that made no sense is left alone for a moment.
    let hears = |lab: &mut Lab, outcome| {
        lab.pass(20);
        let fetch = lab.sent().into_iter().rfind(|(.., sent)| matches!(sent, Request::Fetch(_)));
        let (request, ..) = fetch.expect("a fetch");
        let leader = says(None, Some(2), EPOCH);
        let (high_watermark, log_start) = (Offset(8), Offset(0));
        let fetched = Fetched { leader, high_watermark, log_start, outcome };
        lab.answer(request, Answer::Fetch(fetched));
    };
    let begins = |lab: &mut Lab| {
        hears(lab, FetchedOutcome::Snapshot(id));
        lab.raft.fetching_snapshot() == Some(id)
    };
    assert!(begins(&mut lab));
    let (request, ..) = lab.sent().pop().expect("asked for the snapshot");
    let leader = says(None, Some(2), EPOCH);
    let piece = FetchedSnapshot { leader, id, size: 100, position: 0, data: DataId(1), len: 100 };
    lab.answer(request, Answer::FetchSnapshot(piece));
    assert_eq!(lab.raft.fetching_snapshot(), Some(id), "it is being installed");
    lab.event(Event::SnapshotRefused { id });
    assert_eq!(lab.raft.fetching_snapshot(), None);
    for _ in 0..10 {
        assert!(!begins(&mut lab));
    }
    for _ in 0..40 {
        hears(&mut lab, records(Vec::new()));
    }
    assert!(begins(&mut lab));
}

#[test]
fn a_download_ends_with_its_leader() {
    let id = SnapshotId { epoch: 5, offset: Offset(100) };
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    lab.fetched(FetchedOutcome::Snapshot(id));
    assert_eq!(lab.raft.fetching_snapshot(), Some(id));
    lab.event(Event::BeginQuorumEpoch {
        reply: base::machine::ReplyId(1),
        request: epoch_request(3, EPOCH + 1),
    });
    assert_eq!(lab.raft.fetching_snapshot(), None);
}

#[test]
fn who_has_no_leader_asks_around() {
    let mut lab = Lab::start(config(), boot((EPOCH, None, None)));
    let (id, to, request) = lab.sent().pop().expect("a fetch");
    assert!(matches!(request, Request::Fetch(_)), "{request:?}");
    assert!(to < 0 || to == 2 || to == 3);
    // Only one at a time, and a pause after a failure.
    assert_eq!(lab.sent().len(), 1);
    lab.event(Event::Response { id, answer: Err(SendFailure::Unreachable) });
    let failed = to;
    assert_eq!(lab.sent().len(), 2);
    let (id, to, _) = lab.sent().pop().expect("another");
    assert_ne!(to, failed);
    let answer = kraft::Fetched {
        leader: says(Some(RaftError::FencedLeaderEpoch), Some(3), EPOCH + 2),
        high_watermark: Offset(-1),
        log_start: Offset(-1),
        outcome: records(vec![]),
    };
    lab.answer(id, Answer::Fetch(answer));
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Follower", EPOCH + 2));
    assert_eq!(lab.raft.leader(), Some(NodeId(3)));
    let told = lab.effects.iter().any(|effect| {
        matches!(effect, Effect::LeaderChanged { leader: Some(NodeId(3)), endpoints, .. } if !endpoints.is_empty())
    });
    assert!(told);
}

#[test]
fn a_leader_that_does_not_answer_is_looked_for_elsewhere() {
    let mut lab = Lab::start(config(), boot((EPOCH, Some(2), None)));
    let (id, to, _) = lab.sent().pop().expect("a fetch");
    assert_eq!(to, 2);
    lab.event(Event::Response { id, answer: Err(SendFailure::TimedOut) });
    let (_, to, request) = lab.sent().pop().expect("another fetch");
    assert_ne!(to, 2);
    assert!(matches!(request, Request::Fetch(_)));
}

/// A node that starts with nothing but the name of its leader, which has a snapshot for it: from the answer it learns where that is.
#[test]
fn a_leader_known_by_name_is_found_and_gives_its_snapshot() {
    let mut nothing = boot((EPOCH, Some(2), None));
    nothing.control.clear();
    (nothing.log.end, nothing.log.flushed) = (Offset(0), Offset(0));
    nothing.log.epochs.clear();
    let mut lab = Lab::start(config(), nothing);
    let asked = lab.sent().pop().filter(|(_, _, request)| matches!(request, Request::Fetch(_)));
    let (id, ..) = asked.expect("a fetch from a bootstrap server");
    let fetched = Fetched {
        leader: says(None, Some(2), EPOCH),
        high_watermark: Offset(30),
        log_start: Offset(0),
        outcome: FetchedOutcome::Snapshot(SnapshotId { epoch: 4, offset: Offset(30) }),
    };
    lab.answer(id, Answer::Fetch(fetched));
    let last = lab.sent().pop();
    assert!(matches!(last, Some((_, 2, Request::FetchSnapshot(_)))), "{last:?}");
}
