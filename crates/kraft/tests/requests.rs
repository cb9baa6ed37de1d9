//! Answers to the requests of other nodes.

mod common;

use base::machine::ReplyId;
use base::{NodeId, Offset, Uuid};
use common::{DIRECTORY, Disk, Node};
use kraft::{
    BatchId, Boot, ControlRecord, Effect, EpochRequest, EpochStart, Event, FetchOutcome,
    FetchPosition, FetchRequest, FetchSnapshotRequest, KRaftVersion, LogView, Raft, RaftError,
    ReplicaKey, Reply, SnapshotId, StartError, VoteRequest, Voter, VoterSet,
};

fn vote(epoch: i32) -> VoteRequest {
    VoteRequest {
        cluster_id: Some("cluster".into()),
        voter: Some((NodeId(1), DIRECTORY)),
        candidate: ReplicaKey::new(NodeId(2), Uuid([2; 16])),
        epoch,
        last_epoch: epoch - 1,
        last_offset: Offset(100),
        pre_vote: false,
    }
}

fn ask(node: &mut Node, event: impl FnOnce(ReplyId) -> Event) -> Option<Reply> {
    let reply = ReplyId(1000 + node.replies.len() as u64);
    node.event(event(reply));
    node.replies.get(&reply.0).cloned()
}

#[test]
fn votes() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut VoteRequest), expected: Result<bool, RaftError>) {
        let mut node = Node::started();
        let mut request = vote(5);
        change(&mut request);
        let Some(Reply::Vote(answer)) = ask(&mut node, |reply| Event::Vote { reply, request })
        else {
            panic!("no answer");
        };
        assert_eq!(answer.leader.error.map_or(Ok(answer.granted), Err), expected);
    }
    check(|_| {}, Ok(true));
    check(|r| r.cluster_id = None, Ok(true));
    check(|r| r.cluster_id = Some("other".into()), Err(RaftError::InconsistentClusterId));
    check(|r| r.epoch = 0, Err(RaftError::InvalidRequest));
    check(|r| (r.epoch, r.last_epoch) = (0, -1), Err(RaftError::InvalidRequest));
    check(
        |r| (r.epoch, r.last_epoch, r.pre_vote) = (0, 0, true),
        Err(RaftError::FencedLeaderEpoch),
    );
    check(|r| (r.epoch, r.last_epoch) = (1, 0), Ok(false));
    check(|r| r.epoch = i32::MAX, Err(RaftError::InvalidRequest));
    check(|r| r.last_offset = Offset(-1), Err(RaftError::InvalidRequest));
    check(|r| r.candidate.id = NodeId(-1), Err(RaftError::InvalidRequest));
    check(|r| r.voter = Some((NodeId(3), DIRECTORY)), Err(RaftError::InvalidVoterKey));
    check(|r| r.voter = Some((NodeId(1), Uuid([9; 16]))), Err(RaftError::InvalidVoterKey));
    check(|r| r.voter = Some((NodeId(1), Uuid::ZERO)), Ok(true));
    check(|r| (r.last_epoch, r.last_offset) = (0, Offset(0)), Ok(false));
    check(|r| r.pre_vote = true, Ok(true));
}

#[test]
fn a_higher_epoch_deposes_it_and_it_comes_back() {
    let mut node = Node::started();
    assert_eq!(node.leads, Some(1));
    node.event(Event::Vote { reply: ReplyId(1), request: vote(5) });
    assert_eq!((node.leads, node.raft.epoch()), (None, 5));
    let saved = node.disk.quorum_state.clone().expect("saved");
    assert_eq!(
        (saved.epoch, saved.leader, saved.voted.map(|key| key.id)),
        (5, None, Some(NodeId(2)))
    );
    node.event(Event::Propose { batch: BatchId(1), epoch: 1, records: 1 });
    assert_eq!(node.rejected, [BatchId(1)]);
    node.now = node.timer.0;
    assert!((1000..4000).contains(&node.now), "{}", node.now);
    node.event(Event::Tick);
    node.flush();
    assert_eq!((node.leads, node.raft.epoch()), (Some(6), 6));
}

#[test]
fn leaders_from_elsewhere() {
    #[track_caller]
    fn check(leader: i32, epoch: i32, expected: Option<RaftError>) {
        let mut node = Node::started();
        let request = EpochRequest {
            cluster_id: None,
            voter: None,
            leader: NodeId(leader),
            epoch,
            endpoints: Vec::new(),
            successors: Vec::new(),
        };
        let begin =
            ask(&mut node, |reply| Event::BeginQuorumEpoch { reply, request: request.clone() });
        let end = ask(&mut node, |reply| Event::EndQuorumEpoch { reply, request });
        let (Some(Reply::BeginQuorumEpoch(begin)), Some(Reply::EndQuorumEpoch(end))) = (begin, end)
        else {
            panic!("no answers");
        };
        assert_eq!((begin.error, end.error), (expected, expected));
        assert_eq!((node.leads, begin.leader, begin.epoch), (Some(1), Some(NodeId(1)), 1));
    }
    check(2, 0, Some(RaftError::FencedLeaderEpoch));
    check(2, 1, Some(RaftError::InconsistentVoterSet));
    check(2, 9, Some(RaftError::InconsistentVoterSet));
    check(-1, 9, Some(RaftError::InvalidRequest));
    check(1, 1, None);
    check(1, 9, Some(RaftError::UnknownServerError));
}

fn fetch(offset: i64, last_fetched_epoch: i32) -> FetchRequest {
    FetchRequest {
        cluster_id: None,
        replica: ReplicaKey::new(NodeId(5), Uuid([5; 16])),
        leader_epoch: 1,
        offset: Offset(offset),
        last_fetched_epoch,
        high_watermark: Offset(i64::MAX),
        max_bytes: 100,
        max_wait_ms: 0,
    }
}

#[test]
fn fetches() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut FetchRequest), expected: Result<FetchOutcome, RaftError>) {
        let mut node = Node::started();
        node.event(Event::Propose { batch: BatchId(1), epoch: 1, records: 1 });
        node.flush();
        let mut request = fetch(0, 0);
        change(&mut request);
        let Some(Reply::Fetch(answer)) = ask(&mut node, |reply| Event::Fetch { reply, request })
        else {
            panic!("no answer");
        };
        assert_eq!(answer.leader.error.map_or(Ok(answer.outcome), Err), expected);
    }
    let read = |offset| Ok(FetchOutcome::Read { offset: Offset(offset), max_bytes: 100 });
    let diverging = |epoch, end| {
        Ok(FetchOutcome::Redirect(FetchPosition::Diverging { epoch, end: Offset(end) }))
    };
    check(|_| {}, read(0));
    check(|r| (r.offset, r.last_fetched_epoch) = (Offset(1), 1), read(1));
    check(|r| (r.offset, r.last_fetched_epoch) = (Offset(2), 1), Ok(FetchOutcome::Nothing));
    check(|r| (r.offset, r.last_fetched_epoch) = (Offset(3), 1), diverging(1, 2));
    check(|r| (r.offset, r.last_fetched_epoch) = (Offset(1), 0), diverging(0, 0));
    check(|r| r.leader_epoch = 0, Err(RaftError::FencedLeaderEpoch));
    check(|r| r.leader_epoch = 2, Err(RaftError::UnknownLeaderEpoch));
    check(|r| r.offset = Offset(-1), Err(RaftError::InvalidRequest));
    check(|r| r.max_wait_ms = -1, Err(RaftError::InvalidRequest));
    check(|r| r.last_fetched_epoch = 2, Err(RaftError::InvalidRequest));
    check(|r| r.replica.id = NodeId(1), Err(RaftError::UnknownServerError));
    check(|r| r.cluster_id = Some("other".into()), Err(RaftError::InconsistentClusterId));
}

#[test]
fn a_fetch_waits_for_news_or_its_deadline() {
    let mut node = Node::started();
    let request = FetchRequest { max_wait_ms: 500, ..fetch(1, 1) };
    assert_eq!(ask(&mut node, |reply| Event::Fetch { reply, request: request.clone() }), None);
    assert_eq!(node.timer.0, 500);
    node.event(Event::Propose { batch: BatchId(1), epoch: 1, records: 1 });
    assert_eq!(node.replies.len(), 1);

    let request = FetchRequest { max_wait_ms: 500, ..fetch(2, 1) };
    node.event(Event::Fetch { reply: ReplyId(7), request });
    assert_eq!(node.replies.len(), 1);
    node.now = 500;
    node.event(Event::Tick);
    let Some(Reply::Fetch(answer)) = node.replies.get(&7) else { panic!("no answer") };
    assert_eq!((answer.outcome, answer.leader.error), (FetchOutcome::Nothing, None));
}

#[test]
fn observers_are_described() {
    let mut node = Node::started();
    node.now = 50;
    node.event(Event::Fetch { reply: ReplyId(1), request: fetch(1, 1) });
    let Some(Reply::DescribeQuorum(Ok(answer))) =
        ask(&mut node, |reply| Event::DescribeQuorum { reply })
    else {
        panic!("no answer");
    };
    assert_eq!((answer.leader, answer.epoch, answer.high_watermark), (NodeId(1), 1, Offset(1)));
    let voter = answer.voters[0];
    assert_eq!(
        (voter.key.id, voter.log_end, voter.last_caught_up_ms),
        (NodeId(1), Offset(1), 1_000_050)
    );
    let observer = answer.observers[0];
    assert_eq!((observer.key.id, observer.log_end), (NodeId(5), Offset(1)));
    assert_eq!((observer.last_fetch_ms, observer.last_caught_up_ms), (1_000_050, 1_000_050));
    node.now = 400_000;
    let Some(Reply::DescribeQuorum(Ok(answer))) =
        ask(&mut node, |reply| Event::DescribeQuorum { reply })
    else {
        panic!("no answer");
    };
    assert_eq!(answer.observers, []);
}

#[test]
fn snapshots_are_copied_in_pieces() {
    let id = SnapshotId { epoch: 1, offset: Offset(1) };
    #[track_caller]
    fn check(
        change: impl FnOnce(&mut FetchSnapshotRequest),
        expected: Result<(u64, u64, u64), RaftError>,
    ) {
        let id = SnapshotId { epoch: 1, offset: Offset(1) };
        let mut node = Node::started();
        assert!(node.raft.may_snapshot(id));
        node.event(Event::SnapshotWritten { id });
        assert!(!node.raft.may_snapshot(id));
        let mut request = FetchSnapshotRequest {
            cluster_id: None,
            replica: ReplicaKey::new(NodeId(5), Uuid([5; 16])),
            leader_epoch: 1,
            id,
            position: 10,
            size: Some(100),
            max_bytes: 50,
        };
        change(&mut request);
        let Some(Reply::FetchSnapshot(answer)) =
            ask(&mut node, |reply| Event::FetchSnapshot { reply, request })
        else {
            panic!("no answer");
        };
        assert_eq!(answer.slice.ok_or(answer.leader.error), expected.map_err(Some));
    }
    check(|_| {}, Ok((10, 50, 100)));
    check(|r| r.position = 80, Ok((80, 20, 100)));
    check(|r| r.position = 100, Err(RaftError::PositionOutOfRange));
    check(|r| r.position = -1, Err(RaftError::PositionOutOfRange));
    check(|r| r.size = None, Err(RaftError::SnapshotNotFound));
    check(|r| r.id.epoch = 0, Err(RaftError::SnapshotNotFound));
    check(|r| r.id = SnapshotId::BOOTSTRAP, Err(RaftError::SnapshotNotFound));
    check(|r| r.leader_epoch = 0, Err(RaftError::FencedLeaderEpoch));

    // A new replica is sent to the snapshot instead of the log.
    let mut node = Node::started();
    node.event(Event::SnapshotWritten { id });
    let Some(Reply::Fetch(answer)) =
        ask(&mut node, |reply| Event::Fetch { reply, request: fetch(0, 0) })
    else {
        panic!("no answer");
    };
    assert_eq!(answer.outcome, FetchOutcome::Redirect(FetchPosition::Snapshot(id)));
}

#[test]
fn what_it_refuses_to_start_on() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Boot), expected: Option<StartError>) {
        let mut boot = Disk::default().boot(common::static_voters());
        change(&mut boot);
        assert_eq!(Raft::new(common::config(), boot).err(), expected);
    }
    check(|_| {}, None);
    check(|boot| boot.static_voters = VoterSet::default(), Some(StartError::NoVoters));
    let other = Voter { key: ReplicaKey { id: NodeId(2), directory_id: None }, ..common::local() };
    check(|boot| boot.static_voters = boot.static_voters.updated(other.clone()), None);
    check(
        |boot| boot.static_voters = VoterSet::from_iter([other.clone()]),
        Some(StartError::NotAVoter { local: NodeId(1), voters: vec![NodeId(2)] }),
    );
    check(
        |boot| {
            let key = ReplicaKey::new(NodeId(1), Uuid([9; 16]));
            let set = VoterSet::from_iter([Voter { key, ..common::local() }]);
            boot.control = vec![(Offset(-1), ControlRecord::Voters(set))];
        },
        Some(StartError::OtherDirectory { local: NodeId(1), directory: DIRECTORY }),
    );
    check(
        |boot| boot.control = vec![(Offset(-1), ControlRecord::KRaftVersion(KRaftVersion(2)))],
        Some(StartError::UnsupportedKRaftVersion { level: 2, min: 0, max: 1 }),
    );
    let behind = SnapshotId { epoch: 1, offset: Offset(5) };
    check(
        |boot| {
            boot.log = LogView {
                start: Offset(9),
                end: Offset(9),
                flushed: Offset(9),
                ..LogView::default()
            }
        },
        Some(StartError::SnapshotMissing { log_start: 9, latest: None }),
    );
    check(
        |boot| {
            boot.log = LogView {
                start: Offset(9),
                end: Offset(9),
                flushed: Offset(9),
                epochs: Vec::new(),
                snapshots: [behind].into(),
            };
        },
        Some(StartError::SnapshotMissing { log_start: 9, latest: Some(behind) }),
    );
}

#[test]
fn first_epoch_of_a_dynamic_quorum() {
    // Formatted with --standalone: the voters are only in the snapshot at offset 0.
    let mut boot = Disk::default().boot(VoterSet::default());
    boot.control = vec![
        (Offset(-1), ControlRecord::KRaftVersion(KRaftVersion(1))),
        (Offset(-1), ControlRecord::Voters(VoterSet::from_iter([common::local()]))),
    ];
    boot.log.snapshots.insert(SnapshotId::BOOTSTRAP);
    let mut raft = Raft::new(common::config(), boot).expect("the only voter");
    let mut effects = Vec::new();
    raft.step(common::at(0), Event::Start, &mut effects);
    let control = effects.iter().find_map(|effect| match effect {
        Effect::AppendControl { records, .. } => Some(records),
        _ => None,
    });
    let set = VoterSet::from_iter([common::local()]);
    let leader = NodeId(1);
    let expected = vec![
        ControlRecord::LeaderChange { leader, voters: vec![leader], granting: vec![leader] },
        ControlRecord::KRaftVersion(KRaftVersion(1)),
        ControlRecord::Voters(set.clone()),
    ];
    assert_eq!(control, Some(&expected));
    assert!(matches!(effects[0], Effect::SaveQuorumState { version: 1, .. }));

    // The next start finds them in the log and does not repeat them, unless the address changed.
    #[track_caller]
    fn restart(port: u16, records: usize) {
        let set = VoterSet::from_iter([common::local()]);
        let mut boot = Disk::default().boot(VoterSet::default());
        boot.log.end = Offset(3);
        boot.log.flushed = Offset(3);
        boot.log.epochs = vec![EpochStart { epoch: 1, start: Offset(0) }];
        boot.control = vec![
            (Offset(1), ControlRecord::KRaftVersion(KRaftVersion(1))),
            (Offset(2), ControlRecord::Voters(set)),
        ];
        let mut config = common::config();
        config.local.endpoints[0].port = port;
        let mut raft = Raft::new(config, boot).expect("the only voter");
        let mut effects = Vec::new();
        raft.step(common::at(0), Event::Start, &mut effects);
        let appended = effects.iter().find_map(|effect| match effect {
            Effect::AppendControl { records, base, epoch } => {
                Some((records.len(), base.get(), *epoch))
            }
            _ => None,
        });
        assert_eq!(appended, Some((records, 3, 2)));
    }
    restart(9093, 1);
    restart(9999, 3);
}
