//! From the silence of a leader to the next one.

use base::{NodeId, Offset};
use kraft::{Answer, ControlRecord, Effect, Event, Request, SendFailure, VoteAnswer, VoteRequest};

use crate::lab::{EPOCH, Lab, Place, boot, config, says};

fn votes(lab: &Lab) -> Vec<(i32, VoteRequest)> {
    let vote = |(_, to, request)| match request {
        Request::Vote(request) => Some((to, request)),
        _ => None,
    };
    lab.sent().into_iter().filter_map(vote).collect()
}

#[test]
fn silence_of_the_leader_leads_to_an_election() {
    let mut lab = Lab::at(Place::Fetching);
    lab.pass(1_999);
    assert_eq!(lab.raft.state_name(), "Follower");
    lab.effects.clear();
    lab.pass(1);
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Prospective", EPOCH));
    let asked = votes(&lab);
    assert_eq!(asked.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3]);
    for (_, request) in asked {
        assert!(request.pre_vote);
        let position = (request.epoch, request.last_epoch, request.last_offset);
        assert_eq!(position, (EPOCH, 4, Offset(10)));
    }
    lab.effects.clear();
    lab.pass(0);
    assert!(lab.sent().is_empty(), "one request at a time to each");

    // Prospective saved nothing; the candidate's vote for itself is saved before it asks.
    let mut lab = Lab::at(Place::Fetching);
    lab.pass(2_000);
    let saves = |effect: &Effect| matches!(effect, Effect::SaveQuorumState { .. });
    assert!(!lab.effects.iter().any(saves));
    lab.vote(true);
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Candidate", EPOCH + 1));
    let saved = lab.effects.iter().position(|effect| {
        matches!(effect, Effect::SaveQuorumState { state, .. }
        if state.epoch == EPOCH + 1 && state.voted.is_some_and(|key| key.id == NodeId(1)))
    });
    let asked = lab.effects.iter().position(|effect| {
        matches!(effect, Effect::Send { request: Request::Vote(request), .. } if !request.pre_vote)
    });
    assert!(saved.is_some() && saved < asked);
    lab.effects.retain(|effect| !matches!(effect, Effect::Send { request: Request::Vote(request), .. } if request.pre_vote));
    lab.vote(true);
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Leader", EPOCH + 1));
    let written = lab.effects.iter().find_map(|effect| match effect {
        Effect::AppendControl { base, epoch, records } => Some((*base, *epoch, records.clone())),
        _ => None,
    });
    let Some((base, epoch, records)) = written else { panic!("nothing written") };
    assert_eq!((base, epoch), (Offset(10), EPOCH + 1));
    let ControlRecord::LeaderChange { leader, voters, granting } = &records[0] else {
        panic!("{records:?}")
    };
    assert_eq!((leader.get(), voters.len(), granting.len()), (1, 3, 2));
}

#[test]
fn who_is_not_wanted_follows_again() {
    let mut lab = Lab::at(Place::Follower);
    lab.pass(2_000);
    assert_eq!(lab.raft.state_name(), "Prospective");
    for (id, _, request) in lab.sent() {
        if matches!(request, Request::Vote(_)) {
            let leader = says(None, Some(2), EPOCH);
            lab.answer(id, Answer::Vote(VoteAnswer { leader, granted: false }));
        }
    }
    assert_eq!((lab.raft.state_name(), lab.raft.leader()), ("Follower", Some(NodeId(2))));
}

#[test]
fn a_lost_election_is_repeated_after_its_time() {
    let mut lab = Lab::at(Place::Candidate);
    lab.event(Event::Tick);
    for (id, ..) in Lab::at(Place::Candidate).sent() {
        let leader = says(None, None, EPOCH);
        lab.answer(id, Answer::Vote(VoteAnswer { leader, granted: false }));
    }
    lab.pass(2_000);
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Prospective", EPOCH));
}

#[test]
fn a_voter_without_pre_vote_is_asked_for_its_vote() {
    let mut lab = Lab::at(Place::Fetching);
    lab.pass(2_000);
    let (id, ..) = lab
        .sent()
        .into_iter()
        .find(|(.., request)| matches!(request, Request::Vote(_)))
        .expect("asked");
    lab.event(Event::Response { id, answer: Err(SendFailure::UnsupportedVersion) });
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Candidate", EPOCH + 1));
}

#[test]
fn answers_out_of_time_change_nothing() {
    let mut lab = Lab::at(Place::Fetching);
    lab.pass(2_000);
    let asked = lab.sent();
    // A leader is heard of before the votes arrive.
    let request = crate::lab::epoch_request(3, EPOCH + 1);
    lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
    for (id, ..) in asked {
        let leader = says(None, None, EPOCH);
        lab.answer(id, Answer::Vote(VoteAnswer { leader, granted: true }));
    }
    assert_eq!((lab.raft.state_name(), lab.raft.epoch()), ("Follower", EPOCH + 1));
}

#[test]
fn only_what_a_crash_leaves_is_claimed() {
    let mut start = boot((EPOCH, Some(2), None));
    start.log.flushed = Offset(7);
    let mut lab = Lab::start(config(), start);
    assert!(lab.sent().is_empty(), "a fetch would say that all is on disk");
    lab.pass(2_000);
    let asked = votes(&lab);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|(_, request)| request.last_offset == Offset(7)));
}

#[test]
fn an_observer_never_stands_for_election() {
    let mut config = config();
    config.local.key = crate::lab::key(4);
    for leader in [None, Some(2)] {
        let mut lab = Lab::start(config.clone(), boot((EPOCH, leader, None)));
        for _ in 0..100 {
            lab.pass(1_000);
        }
        assert!(votes(&lab).is_empty());
        assert_eq!(lab.raft.epoch(), EPOCH);
        assert!(lab.sent().len() > 10, "it looks for the leader");
    }
}
