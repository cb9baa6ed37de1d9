//! The leader: what is committed, who is told of it, when it gives up.

use base::{NodeId, Offset};
use kraft::{Answer, BatchId, Effect, Event, RaftError, Reply, Request};

use crate::lab::{EPOCH, Lab, Place, boot, config, dynamic, endpoints, key, says, voters};

/// Node 1 leads epoch 6 of so many voters; its log of ten records and the new ones are on disk.
fn leader_of(count: i32) -> Lab {
    let ids: Vec<i32> = (1..=count).collect();
    let mut start = boot((EPOCH, None, Some(1)));
    start.control = dynamic(voters(&ids));
    let mut lab = Lab::start(config(), start);
    let asked = lab.sent();
    for (id, ..) in asked {
        let leader = says(None, None, EPOCH);
        lab.answer(id, Answer::Vote(kraft::VoteAnswer { leader, granted: true }));
    }
    assert_eq!(lab.raft.state_name(), "Leader");
    lab.flush();
    lab
}

#[test]
fn a_majority_commits() {
    // Where the other voters are, and what is committed: nothing before a record of the own epoch is (at 10).
    let table: [(&[i64], Option<i64>); 9] = [
        (&[], Some(11)),
        (&[10], None),
        (&[11], Some(11)),
        (&[0, 11], Some(11)),
        (&[10, 10], None),
        (&[11, 11], Some(11)),
        (&[0, 10, 11], None),
        (&[0, 11, 11], Some(11)),
        (&[0, 0, 11, 11], Some(11)),
    ];
    for (ends, expected) in table {
        let mut lab = leader_of(ends.len() as i32 + 1);
        for (id, end) in (2..).zip(ends) {
            lab.fetch_of(id, *end);
        }
        assert_eq!(lab.raft.high_watermark(), expected.map(Offset), "{ends:?}");
    }
}

#[test]
fn what_is_not_on_the_leaders_disk_waits() {
    let mut lab = leader_of(3);
    lab.fetch_of(2, 11);
    lab.event(Event::Propose { batch: BatchId(1), epoch: EPOCH, records: 2 });
    lab.fetch_of(2, 13);
    lab.fetch_of(3, 13);
    assert_eq!(lab.raft.high_watermark(), Some(Offset(11)));
    lab.flush();
    assert_eq!(lab.raft.high_watermark(), Some(Offset(13)));
}

#[test]
fn observers_and_other_directories_do_not_count() {
    let mut lab = leader_of(3);
    lab.fetch_of(7, 11);
    let log_end = lab.raft.log().end;
    let request = kraft::FetchRequest {
        cluster_id: None,
        replica: kraft::ReplicaKey { id: NodeId(2), ..key(9) },
        leader_epoch: EPOCH,
        offset: log_end,
        last_fetched_epoch: EPOCH,
        high_watermark: Offset(i64::MAX),
        max_bytes: 1000,
        max_wait_ms: 0,
    };
    lab.reply(|reply| Event::Fetch { reply, request });
    assert_eq!(lab.raft.high_watermark(), None);
    lab.fetch_of(3, 11);
    assert_eq!(lab.raft.high_watermark(), Some(Offset(11)));
    let Some(Reply::DescribeQuorum(Ok(answer))) =
        lab.reply(|reply| Event::DescribeQuorum { reply })
    else {
        panic!("no answer")
    };
    let ends = |list: &[kraft::ReplicaProgress]| {
        list.iter().map(|replica| (replica.key.id.get(), replica.log_end.get())).collect::<Vec<_>>()
    };
    assert_eq!(ends(&answer.voters), [(1, 11), (2, -1), (3, 11)]);
    assert_eq!(ends(&answer.observers), [(2, 11), (7, 11)]);
}

#[test]
fn without_a_majority_it_resigns() {
    let mut lab = Lab::ready_leader();
    // Node 2 was heard of at 0 ms.
    lab.pass(2_999);
    assert_eq!(lab.raft.state_name(), "Leader");
    lab.effects.clear();
    lab.pass(1);
    assert_eq!(lab.raft.state_name(), "Resigned");
    assert_eq!(lab.effects.first(), Some(&Effect::Resigned { epoch: EPOCH }));
    let ended: Vec<_> = lab
        .sent()
        .into_iter()
        .filter_map(|(_, to, request)| match request {
            Request::EndQuorumEpoch(request) => Some((to, request.successors)),
            _ => None,
        })
        .collect();
    // The one that has more of the log is to lead first.
    assert_eq!(ended, [(2, vec![key(2), key(3)]), (3, vec![key(2), key(3)])]);

    let mut lab = Lab::ready_leader();
    for _ in 0..20 {
        lab.pass(1_000);
        lab.fetch_of(3, 0);
    }
    assert_eq!(lab.raft.state_name(), "Leader");
}

#[test]
fn a_resigned_leader_comes_back_in_a_later_epoch() {
    let mut lab = Lab::ready_leader();
    lab.event(Event::Resign { epoch: EPOCH - 1 });
    assert_eq!(lab.raft.state_name(), "Leader");
    lab.event(Event::Resign { epoch: EPOCH });
    assert_eq!(lab.raft.state_name(), "Resigned");
    lab.effects.clear();
    lab.pass(2_000);
    assert_eq!(lab.raft.epoch(), EPOCH + 1);
    assert_eq!(lab.raft.state_name(), "Prospective");
}

#[test]
fn voters_that_do_not_fetch_are_told_again_and_again() {
    let mut lab = Lab::at(Place::Leader);
    lab.flush();
    let told = |lab: &Lab| {
        let begin = |(_, to, request)| match request {
            Request::BeginQuorumEpoch(request) => Some((to, request)),
            _ => None,
        };
        lab.sent().into_iter().filter_map(begin).collect::<Vec<_>>()
    };
    lab.event(Event::Tick);
    lab.fetch_of(2, 11);
    lab.effects.clear();
    lab.pass(999);
    assert!(told(&lab).is_empty());
    lab.pass(1);
    // The first request to node 3 is still under way.
    lab.fetch_of(2, 11);
    lab.effects.clear();
    lab.pass(1_000);
    let now = told(&lab);
    assert!(now.iter().any(|(to, _)| *to == 3), "{now:?}");
    assert!(now.iter().all(|(_, request)| request.endpoints == endpoints(1)));
}

#[test]
fn nothing_is_proposed_before_it_knows_what_is_committed() {
    let mut lab = Lab::at(Place::Leader);
    lab.flush();
    lab.event(Event::Propose { batch: BatchId(1), epoch: EPOCH, records: 1 });
    assert!(lab.effects.contains(&Effect::Rejected { batch: BatchId(1) }));
    lab.fetch_of(3, 11);
    let ready: Vec<&Effect> = lab
        .effects
        .iter()
        .filter(|effect| {
            matches!(effect, Effect::CommitAdvanced { .. } | Effect::BecameLeader { .. })
        })
        .collect();
    assert_eq!(ready[0], &Effect::CommitAdvanced { high_watermark: Offset(11) });
    assert_eq!(ready[1], &Effect::BecameLeader { epoch: EPOCH, start: Offset(10) });
    lab.event(Event::Propose { batch: BatchId(2), epoch: EPOCH, records: 1 });
    assert!(lab.effects.contains(&Effect::Append {
        batch: BatchId(2),
        base: Offset(11),
        epoch: EPOCH
    }));
}

#[test]
fn its_own_fetch_is_an_error() {
    let mut lab = Lab::ready_leader();
    let Some(Reply::Fetch(answer)) = lab.fetch_of(1, 0) else { panic!("no answer") };
    assert_eq!(answer.leader.error, Some(RaftError::UnknownServerError));
}
