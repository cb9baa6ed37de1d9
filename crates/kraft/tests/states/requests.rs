//! Vote, BeginQuorumEpoch and EndQuorumEpoch in every state.

use base::{MonoMs, Offset};
use kraft::{Effect, Event, RaftError, Reply, VoteRequest};

use crate::lab::{EPOCH, Lab, PLACES, Place, epoch_request, key, vote_request};

fn asked(place: Place, request: VoteRequest) -> Result<bool, RaftError> {
    let mut lab = Lab::at(place);
    let reply = lab.reply(|reply| Event::Vote { reply, request });
    let Some(Reply::Vote(answer)) = reply else { panic!("no answer") };
    answer.leader.error.map_or(Ok(answer.granted), Err)
}

#[test]
fn votes_of_the_same_epoch() {
    // The state, a pre-vote for a good log, a vote for it, a vote for a log that is behind.
    let table = [
        (Place::Unattached, true, true, false),
        (Place::Voted, true, true, true),
        (Place::Named, true, false, false),
        (Place::Prospective, true, true, false),
        (Place::Candidate, true, false, false),
        (Place::Follower, true, false, false),
        (Place::Fetching, false, false, false),
        (Place::Leader, false, false, false),
        (Place::Resigned, true, false, false),
    ];
    for (place, pre_vote, vote, behind) in table {
        let mut request = vote_request(2, EPOCH, true);
        // A leader has written in its epoch.
        assert_eq!(asked(place, request.clone()), Ok(pre_vote), "{place:?}");
        request.last_offset = Offset(9);
        assert_eq!(asked(place, request), Ok(false), "{place:?}");
        let mut request = vote_request(2, EPOCH, false);
        assert_eq!(asked(place, request.clone()), Ok(vote), "{place:?}");
        request.last_offset = Offset(9);
        assert_eq!(asked(place, request), Ok(behind), "{place:?}");
    }
    assert_eq!(asked(Place::Voted, vote_request(3, EPOCH, false)), Ok(false));
}

#[test]
fn votes_of_other_epochs() {
    for place in PLACES {
        let request = vote_request(2, EPOCH - 1, true);
        assert_eq!(asked(place, request), Err(RaftError::FencedLeaderEpoch), "{place:?}");
        for pre_vote in [true, false] {
            let mut lab = Lab::at(place);
            let mut request = vote_request(2, EPOCH + 1, pre_vote);
            (request.last_epoch, request.last_offset) = (EPOCH, Offset(100));
            let reply = lab.reply(|reply| Event::Vote { reply, request });
            let Some(Reply::Vote(answer)) = reply else { panic!("no answer") };
            assert!(answer.granted, "{place:?}");
            assert_eq!((lab.raft.epoch(), lab.raft.state_name()), (EPOCH + 1, "Unattached"));
            // What it must not forget is on disk before the answer leaves.
            let saved = lab.effects.iter().rposition(|effect| {
                matches!(effect, Effect::SaveQuorumState { state, .. }
                if state.epoch == EPOCH + 1 && state.voted.is_some() != pre_vote)
            });
            let left =
                lab.effects.iter().rposition(|effect| matches!(effect, Effect::Reply { .. }));
            assert!(saved.is_some() && saved < left, "{place:?}");
        }
    }
}

#[test]
fn a_candidate_with_this_nodes_id_gets_no_vote() {
    let mut request = vote_request(1, EPOCH + 1, false);
    request.candidate.directory_id = key(9).directory_id;
    assert_eq!(asked(Place::Unattached, request), Ok(false));
}

#[test]
fn a_leader_makes_itself_known() {
    // The state, what it says to node 2 as leader of this epoch, and to node 3.
    let unknown = Some(RaftError::UnknownServerError);
    let table = [
        (Place::Unattached, None, None),
        (Place::Voted, None, None),
        (Place::Named, unknown, unknown),
        (Place::Prospective, None, None),
        (Place::Candidate, None, None),
        (Place::Follower, None, unknown),
        (Place::Fetching, None, unknown),
        (Place::Leader, unknown, unknown),
        (Place::Resigned, unknown, unknown),
    ];
    for (place, of_2, of_3) in table {
        for (leader, expected) in [(2, of_2), (3, of_3)] {
            let mut lab = Lab::at(place);
            let request = epoch_request(leader, EPOCH);
            let reply = lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
            let Some(Reply::BeginQuorumEpoch(answer)) = reply else { panic!("no answer") };
            assert_eq!(answer.error, expected, "{place:?} {leader}");
            if expected.is_none() {
                assert_eq!(lab.raft.leader().map(|id| id.get()), Some(leader), "{place:?}");
                assert_eq!(lab.raft.state_name(), "Follower", "{place:?}");
            }
        }
        let mut lab = Lab::at(place);
        let request = epoch_request(3, EPOCH + 1);
        lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
        assert_eq!((lab.raft.epoch(), lab.raft.state_name()), (EPOCH + 1, "Follower"), "{place:?}");
        let mut lab = Lab::at(place);
        let request = epoch_request(3, EPOCH - 1);
        let reply = lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
        let Some(Reply::BeginQuorumEpoch(answer)) = reply else { panic!("no answer") };
        assert_eq!(answer.error, Some(RaftError::FencedLeaderEpoch), "{place:?}");
    }
}

#[test]
fn a_request_for_another_replica_is_refused_but_heard() {
    let mut lab = Lab::at(Place::Unattached);
    let mut request = epoch_request(2, EPOCH);
    request.voter = Some((key(1).id, key(9).directory_id.unwrap_or_default()));
    let reply = lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
    let Some(Reply::BeginQuorumEpoch(answer)) = reply else { panic!("no answer") };
    assert_eq!(answer.error, Some(RaftError::InvalidVoterKey));
    assert_eq!(lab.raft.state_name(), "Follower");
}

#[test]
fn successors_stand_for_election_one_after_the_other() {
    // Place among the successors, and the wait: at once, then doubling up to the maximum.
    let table: [(&[i32], u64); 6] = [
        (&[1, 2, 3], 0),
        (&[2, 1, 3], 250),
        (&[2, 3, 1], 500),
        (&[2, 1], 500),
        (&[2, 3], 1000),
        (&[], 1000),
    ];
    for (successors, wait_ms) in table {
        let mut lab = Lab::at(Place::Fetching);
        let mut request = epoch_request(2, EPOCH);
        request.successors = successors.iter().map(|id| key(*id)).collect();
        lab.reply(|reply| Event::EndQuorumEpoch { reply, request });
        if wait_ms > 0 {
            assert_eq!(lab.raft.state_name(), "Follower", "{successors:?}");
            lab.now += wait_ms - 1;
            lab.event(Event::Tick);
            assert_eq!(lab.raft.state_name(), "Follower", "{successors:?}");
            lab.pass(1);
        }
        assert_eq!(lab.raft.state_name(), "Prospective", "{successors:?}");
    }
}

#[test]
fn who_stops_waits_until_another_leads() {
    let mut lab = Lab::ready_leader();
    lab.event(Event::Shutdown);
    assert_eq!((lab.raft.state_name(), lab.raft.may_stop()), ("Resigned", false));
    let request = epoch_request(3, EPOCH + 1);
    lab.reply(|reply| Event::BeginQuorumEpoch { reply, request });
    assert!(lab.raft.may_stop());
    // Nothing is asked of the others any more.
    lab.effects.clear();
    lab.pass(10_000);
    assert!(lab.sent().is_empty());
    assert!(
        lab.effects
            .iter()
            .all(|effect| !matches!(effect, Effect::SetTimer { at } if *at != MonoMs::NEVER))
    );
}
