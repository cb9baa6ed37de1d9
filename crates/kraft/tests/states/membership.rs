//! Changes of the voters.

use base::{NodeId, Offset};
use kraft::{
    AddVoterRequest, Answer, ControlRecord, Effect, Event, KRaftVersion, RaftError,
    RemoveVoterRequest, ReplicaKey, Reply, Request, RequestId, UpdateVoterRequest, VersionRange,
    Voter, VoterSet,
};

use crate::lab::{EPOCH, Lab, Place, boot, config, endpoints, key, says, voter, voters};

fn add(id: i32) -> AddVoterRequest {
    AddVoterRequest {
        cluster_id: None,
        timeout_ms: 1000,
        voter: key(id),
        endpoints: endpoints(id),
        ack_when_committed: true,
    }
}

fn ids(lab: &Lab) -> Vec<i32> {
    lab.raft.voters().last().0.ids().into_iter().map(NodeId::get).collect()
}

fn error_of<T>(result: &Result<T, kraft::Refusal>) -> Option<RaftError> {
    result.as_ref().err().map(|refusal| refusal.error)
}

/// The answer of a change, now or later.
fn changed(lab: &Lab) -> Option<Option<RaftError>> {
    lab.effects.iter().rev().find_map(|effect| match effect {
        Effect::Reply { body: Reply::AddVoter(result) | Reply::RemoveVoter(result), .. } => {
            Some(error_of(result))
        }
        _ => None,
    })
}

fn asked(lab: &Lab) -> Option<RequestId> {
    let asked = lab.sent().into_iter().rev().find(|(.., request)| *request == Request::ApiVersions);
    asked.map(|(id, ..)| id)
}

fn versions(lab: &mut Lab, range: Option<(i16, i16)>) {
    let id = asked(lab).expect("asked for its versions");
    let range = range.map(|(min, max)| VersionRange { min, max });
    lab.answer(id, Answer::ApiVersions(Ok(range)));
}

#[test]
fn a_voter_is_added_when_it_is_fit() {
    let mut lab = Lab::ready_leader();
    lab.fetch_of(4, 11);
    lab.reply(|reply| Event::AddVoter { reply, request: add(4) });
    assert_eq!(changed(&lab), None, "it is asked first");
    versions(&mut lab, Some((0, 1)));
    assert_eq!(ids(&lab), [1, 2, 3, 4], "with effect at once");
    lab.flush();
    lab.fetch_of(2, 12);
    assert_eq!((changed(&lab), lab.raft.high_watermark()), (None, Some(Offset(11))));
    // Two of four are no majority; the new voter is one of three.
    lab.fetch_of(4, 12);
    assert_eq!((changed(&lab), lab.raft.high_watermark()), (Some(None), Some(Offset(12))));
}

#[test]
fn an_unfit_voter_is_not_added() {
    #[track_caller]
    fn check(fetched: bool, range: Option<(i16, i16)>, expected: RaftError) {
        let mut lab = Lab::ready_leader();
        if fetched {
            lab.fetch_of(4, 11);
        }
        lab.reply(|reply| Event::AddVoter { reply, request: add(4) });
        versions(&mut lab, range);
        assert_eq!((changed(&lab), ids(&lab)), (Some(Some(expected)), vec![1, 2, 3]));
        // The next one may try.
        lab.effects.clear();
        lab.reply(|reply| Event::AddVoter { reply, request: add(5) });
        assert!(asked(&lab).is_some());
    }
    check(false, Some((0, 1)), RaftError::RequestTimedOut);
    check(true, Some((0, 0)), RaftError::InvalidRequest);
    check(true, Some((2, 3)), RaftError::InvalidRequest);
    check(true, None, RaftError::InvalidRequest);
}

#[test]
fn refused_additions() {
    #[track_caller]
    fn check(lab: &mut Lab, change: impl FnOnce(&mut AddVoterRequest), expected: RaftError) {
        let mut request = add(4);
        change(&mut request);
        lab.reply(|reply| Event::AddVoter { reply, request });
        assert_eq!(changed(lab), Some(Some(expected)));
    }
    let leader = &mut Lab::ready_leader();
    check(leader, |r| r.cluster_id = Some("other".into()), RaftError::InconsistentClusterId);
    check(leader, |r| r.voter.directory_id = None, RaftError::InvalidRequest);
    check(leader, |r| r.voter.id = NodeId(-1), RaftError::InvalidRequest);
    check(leader, |r| r.endpoints.clear(), RaftError::InvalidRequest);
    check(leader, |r| r.endpoints[0].name = "OTHER".into(), RaftError::InvalidRequest);
    check(leader, |r| r.voter.id = NodeId(2), RaftError::DuplicateVoter);
    // One change at a time.
    leader.reply(|reply| Event::AddVoter { reply, request: add(5) });
    check(leader, |_| {}, RaftError::RequestTimedOut);
    for place in [Place::Unattached, Place::Candidate, Place::Follower, Place::Resigned] {
        check(&mut Lab::at(place), |_| {}, RaftError::NotLeaderOrFollower);
    }
    // Nothing of this epoch is committed.
    check(&mut Lab::at(Place::Leader), |_| {}, RaftError::RequestTimedOut);
    check(&mut static_leader(), |_| {}, RaftError::UnsupportedVersion);
}

#[test]
fn a_change_that_takes_too_long_is_given_up() {
    let mut lab = Lab::ready_leader();
    lab.reply(|reply| Event::AddVoter { reply, request: add(4) });
    lab.fetch_of(2, 11);
    lab.pass(2_000);
    assert_eq!(changed(&lab), Some(Some(RaftError::RequestTimedOut)));
    let mut lab = Lab::ready_leader();
    lab.reply(|reply| Event::AddVoter { reply, request: add(4) });
    lab.event(Event::Resign { epoch: EPOCH });
    assert_eq!(changed(&lab), Some(Some(RaftError::NotLeaderOrFollower)));
}

fn remove(lab: &mut Lab, voter: ReplicaKey) {
    let request = RemoveVoterRequest { cluster_id: None, voter };
    lab.reply(|reply| Event::RemoveVoter { reply, request });
}

#[test]
fn a_voter_is_removed() {
    let mut lab = Lab::ready_leader();
    remove(&mut lab, key(3));
    assert_eq!((changed(&lab), ids(&lab)), (None, vec![1, 2]));
    lab.flush();
    lab.fetch_of(3, 12);
    assert_eq!(changed(&lab), None, "its word counts no more");
    lab.fetch_of(2, 12);
    assert_eq!(changed(&lab), Some(None));
    // The next change waits for nothing.
    remove(&mut lab, key(2));
    assert_eq!(ids(&lab), [1]);
    lab.flush();
    remove(&mut lab, key(1));
    assert_eq!(changed(&lab), Some(Some(RaftError::VoterNotFound)), "the last one stays");
}

#[test]
fn refused_removals() {
    #[track_caller]
    fn check(voter: ReplicaKey, expected: RaftError) {
        let mut lab = Lab::ready_leader();
        remove(&mut lab, voter);
        assert_eq!((changed(&lab), ids(&lab)), (Some(Some(expected)), vec![1, 2, 3]));
    }
    check(key(4), RaftError::VoterNotFound);
    check(ReplicaKey { id: NodeId(2), ..key(9) }, RaftError::VoterNotFound);
    check(ReplicaKey { directory_id: None, ..key(2) }, RaftError::InvalidRequest);
    check(ReplicaKey { id: NodeId(-1), ..key(2) }, RaftError::InvalidRequest);
}

#[test]
fn a_leader_that_removed_itself_leads_until_that_is_committed() {
    let mut lab = Lab::ready_leader();
    remove(&mut lab, key(1));
    lab.flush();
    lab.fetch_of(2, 12);
    assert_eq!((lab.raft.state_name(), ids(&lab)), ("Leader", vec![2, 3]));
    lab.fetch_of(3, 12);
    assert_eq!((changed(&lab), lab.raft.state_name()), (Some(None), "Resigned"));
    for _ in 0..20 {
        lab.pass(1_000);
    }
    assert_eq!(lab.raft.state_name(), "Unattached", "it is an observer now");

    // After a crash before the commit, its log may be the only one with that record: it may be elected.
    let mut start = boot((EPOCH, Some(1), None));
    start.control.push((Offset(9), ControlRecord::Voters(voters(&[2, 3]))));
    let mut lab = Lab::start(config(), start);
    lab.pass(2_000);
    assert_eq!(lab.raft.state_name(), "Prospective");
    lab.vote(true);
    assert_eq!(lab.raft.state_name(), "Prospective", "its own vote does not count");
}

fn update(lab: &mut Lab, voter: Voter) -> Option<RaftError> {
    let leader_epoch = lab.raft.epoch();
    let request = UpdateVoterRequest { cluster_id: None, leader_epoch, voter };
    let reply = lab.reply(|reply| Event::UpdateVoter { reply, request });
    let Some(Reply::UpdateVoter(answer)) = reply else { panic!("no answer") };
    answer.error
}

#[test]
fn a_voter_moves() {
    let mut lab = Lab::ready_leader();
    let mut moved = voter(2);
    moved.endpoints[0].host = "elsewhere".into();
    assert_eq!(update(&mut lab, moved.clone()), None);
    assert_eq!(lab.raft.voters().last().0.get(NodeId(2)), Some(&moved));

    #[track_caller]
    fn check(change: impl FnOnce(&mut Voter), expected: RaftError) {
        let mut voter = voter(2);
        change(&mut voter);
        assert_eq!(update(&mut Lab::ready_leader(), voter), Some(expected));
    }
    check(|v| v.key = key(4), RaftError::VoterNotFound);
    check(|v| v.key.directory_id = key(9).directory_id, RaftError::VoterNotFound);
    check(|v| v.key.directory_id = None, RaftError::InvalidRequest);
    check(|v| v.endpoints.clear(), RaftError::InvalidRequest);
    check(|v| v.kraft_versions = VersionRange { min: 1, max: 0 }, RaftError::InvalidRequest);
    check(|v| v.kraft_versions = VersionRange { min: 2, max: 3 }, RaftError::InvalidRequest);
}

/// Three voters by configuration, whose directories nobody knows.
fn static_leader() -> Lab {
    let nameless = |voter: &Voter| Voter {
        key: ReplicaKey { directory_id: None, ..voter.key },
        ..voter.clone()
    };
    let mut start = boot((EPOCH, None, Some(1)));
    start.static_voters = voters(&[1, 2, 3]).iter().map(nameless).collect::<VoterSet>();
    start.control.clear();
    let mut lab = Lab::start(config(), start);
    lab.vote(true);
    lab.flush();
    let end = lab.raft.log().end.get();
    lab.fetch_of(3, end);
    lab.effects.clear();
    lab
}

fn upgrade(lab: &mut Lab, level: i16, validate_only: bool) -> Option<Option<RaftError>> {
    let level = KRaftVersion(level);
    lab.effects.clear();
    lab.reply(|reply| Event::UpgradeKRaftVersion { reply, epoch: EPOCH, level, validate_only });
    lab.effects.iter().find_map(|effect| match effect {
        Effect::Reply { body: Reply::UpgradeKRaftVersion(result), .. } => Some(error_of(result)),
        _ => None,
    })
}

#[test]
fn a_static_quorum_becomes_dynamic() {
    let mut lab = static_leader();
    let invalid = Some(Some(RaftError::InvalidUpdateVersion));
    assert_eq!(upgrade(&mut lab, 0, false), Some(None), "it is there already");
    assert_eq!(upgrade(&mut lab, 1, false), invalid, "the directories are not known yet");
    for id in [2, 3] {
        assert_eq!(update(&mut lab, voter(id)), None);
    }
    assert_eq!(upgrade(&mut lab, 2, false), invalid);
    assert_eq!(upgrade(&mut lab, 1, true), Some(None));
    assert_eq!(lab.raft.voters().kraft_version(), KRaftVersion(0));
    assert_eq!(upgrade(&mut lab, 1, false), None, "the answer waits for the commit");
    assert_eq!(lab.raft.voters().last().0, &voters(&[1, 2, 3]));
    lab.flush();
    let end = lab.raft.log().end.get();
    lab.fetch_of(2, end);
    assert!(lab.effects.iter().any(|effect| {
        matches!(effect, Effect::Reply { body: Reply::UpgradeKRaftVersion(Ok(())), .. })
    }));
    assert_eq!(upgrade(&mut lab, 0, false), invalid);
    let stale = Event::UpgradeKRaftVersion {
        reply: base::machine::ReplyId(999),
        epoch: EPOCH - 1,
        level: KRaftVersion(1),
        validate_only: false,
    };
    lab.event(stale);
    assert!(lab.effects.iter().any(|effect| matches!(effect,
        Effect::Reply { body: Reply::UpgradeKRaftVersion(Err(refusal)), .. } if refusal.error == RaftError::NotLeaderOrFollower)));
}

#[test]
fn a_follower_tells_what_is_new_of_it() {
    // What node 1 is, how it stands in the voter set, and what it asks the leader for.
    let kinds = |lab: &mut Lab| {
        for _ in 0..4 {
            lab.pass(1_000);
            let open = lab.sent();
            for (id, to, request) in open {
                let leader = says(None, Some(2), EPOCH);
                let answer = match request {
                    Request::Fetch(_) if to == 2 => Answer::Fetch(kraft::Fetched {
                        leader,
                        high_watermark: Offset(8),
                        log_start: Offset(0),
                        outcome: kraft::FetchedOutcome::Records(kraft::FetchedRecords {
                            data: kraft::DataId(1),
                            batches: Vec::new(),
                        }),
                    }),
                    Request::UpdateVoter(_) => Answer::UpdateVoter(leader),
                    Request::AddVoter(_) => Answer::AddVoter(None),
                    Request::RemoveVoter(_) => Answer::RemoveVoter(None),
                    _ => continue,
                };
                lab.answer(id, answer);
            }
        }
        let name = |(.., request): (RequestId, i32, Request)| match request {
            Request::UpdateVoter(_) => Some("update"),
            Request::AddVoter(request) => {
                assert!(!request.ack_when_committed);
                Some("add")
            }
            Request::RemoveVoter(_) => Some("remove"),
            _ => None,
        };
        let mut names: Vec<&str> = lab.sent().into_iter().filter_map(name).collect();
        names.dedup();
        names
    };
    let start = || boot((EPOCH, Some(2), None));
    let with = |set: VoterSet| {
        let mut start = start();
        start.control = crate::lab::dynamic(set);
        start
    };
    let joins = || kraft::Config { auto_join: true, ..config() };
    assert_eq!(kinds(&mut Lab::start(config(), start())), [""; 0]);
    let mut moved = config();
    moved.local.endpoints[0].port = 1;
    assert_eq!(kinds(&mut Lab::start(moved, start())), ["update"]);
    assert_eq!(kinds(&mut Lab::start(config(), with(voters(&[2, 3])))), [""; 0]);
    assert_eq!(kinds(&mut Lab::start(joins(), with(voters(&[2, 3])))), ["add"]);
    let broker = kraft::Config { can_be_voter: false, ..joins() };
    assert_eq!(kinds(&mut Lab::start(broker, with(voters(&[2, 3])))), [""; 0]);
    let mut other_disk = joins();
    other_disk.local.key.directory_id = key(9).directory_id;
    assert_eq!(kinds(&mut Lab::start(other_disk, start())), ["remove"]);
}
