//! A node among three voters, brought into any state, and what it says.

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, NodeId, Offset, Uuid, WallMs};
use kraft::{
    Answer, Boot, Config, ControlRecord, Effect, ElectionState, Endpoint, EpochRequest, EpochStart,
    Event, FetchRequest, Fetched, FetchedOutcome, KRaftVersion, LeaderAnswer, LogView, Raft,
    RaftError, ReplicaKey, Reply, Request, RequestId, SnapshotId, Times, VersionRange, VoteAnswer,
    VoteRequest, Voter, VoterSet,
};

/// The epoch in which the situations play.
pub const EPOCH: i32 = 5;

pub fn key(id: i32) -> ReplicaKey {
    ReplicaKey::new(NodeId(id), Uuid([id as u8; 16]))
}

pub fn endpoints(id: i32) -> Vec<Endpoint> {
    vec![Endpoint { name: "CONTROLLER".into(), host: format!("host{id}"), port: 9093 }]
}

pub fn voter(id: i32) -> Voter {
    let kraft_versions = VersionRange { min: 0, max: 1 };
    Voter { key: key(id), endpoints: endpoints(id), kraft_versions }
}

pub fn voters(ids: &[i32]) -> VoterSet {
    ids.iter().map(|id| voter(*id)).collect()
}

/// Node 1, with a log of ten records of epoch 4, all on disk.
pub struct Lab {
    pub raft: Raft,
    pub now: u64,
    pub effects: Vec<Effect>,
    replies: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Unattached,
    /// Voted for node 2.
    Voted,
    /// Knows the leader's name, but not where it is.
    Named,
    Prospective,
    Candidate,
    /// Of node 2, from which it has not fetched.
    Follower,
    Fetching,
    Leader,
    Resigned,
}

pub const PLACES: [Place; 9] = [
    Place::Unattached,
    Place::Voted,
    Place::Named,
    Place::Prospective,
    Place::Candidate,
    Place::Follower,
    Place::Fetching,
    Place::Leader,
    Place::Resigned,
];

pub fn config() -> Config {
    Config {
        cluster_id: "cluster".into(),
        local: voter(1),
        can_be_voter: true,
        bootstrap_servers: 2,
        auto_join: false,
        times: Times::default(),
        fetch_max_bytes: 1 << 20,
        fetch_snapshot_max_bytes: 1 << 20,
        seed: 7,
    }
}

/// Voters kept in the log, as of the record at offset 1.
pub fn dynamic(set: VoterSet) -> Vec<(Offset, ControlRecord)> {
    let version = ControlRecord::KRaftVersion(KRaftVersion(1));
    vec![(Offset(0), version), (Offset(1), ControlRecord::Voters(set))]
}

pub fn boot(election: (i32, Option<i32>, Option<i32>)) -> Boot {
    let (epoch, leader, voted) = election;
    Boot {
        election: Some(ElectionState {
            epoch,
            leader: leader.map(NodeId),
            voted: voted.map(key),
            voters: Vec::new(),
        }),
        static_voters: VoterSet::default(),
        log: LogView {
            start: Offset(0),
            end: Offset(10),
            flushed: Offset(10),
            epochs: vec![EpochStart { epoch: 4, start: Offset(0) }],
            snapshots: [SnapshotId::BOOTSTRAP].into(),
        },
        control: dynamic(voters(&[1, 2, 3])),
    }
}

impl Lab {
    pub fn start(config: Config, boot: Boot) -> Self {
        let raft = Raft::new(config, boot).expect("a good start");
        let mut lab = Self { raft, now: 0, effects: Vec::new(), replies: 0 };
        lab.event(Event::Start);
        lab
    }

    pub fn at(place: Place) -> Self {
        let started = |epoch, leader, voted| Self::start(config(), boot((epoch, leader, voted)));
        let mut lab = match place {
            Place::Unattached => started(EPOCH, None, None),
            Place::Voted => started(EPOCH, None, Some(2)),
            Place::Named => started(EPOCH, Some(9), None),
            Place::Prospective => {
                let mut lab = started(EPOCH, None, None);
                lab.wait();
                lab
            }
            Place::Candidate => started(EPOCH, None, Some(1)),
            Place::Follower => started(EPOCH, Some(2), None),
            Place::Fetching => {
                let mut lab = started(EPOCH, Some(2), None);
                lab.fetched(FetchedOutcome::Records(kraft::FetchedRecords {
                    data: kraft::DataId(1),
                    batches: Vec::new(),
                }));
                lab
            }
            Place::Leader => {
                let mut lab = started(EPOCH, None, Some(1));
                lab.vote(true);
                lab
            }
            Place::Resigned => started(EPOCH, Some(1), None),
        };
        assert_eq!(lab.raft.epoch(), EPOCH, "{place:?}");
        lab.effects.clear();
        lab
    }

    /// A leader of epoch 5 whose first records are committed.
    pub fn ready_leader() -> Self {
        let mut lab = Self::at(Place::Leader);
        lab.flush();
        let end = lab.raft.log().end.get();
        lab.fetch_of(2, end);
        assert_eq!(lab.raft.high_watermark(), Some(Offset(end)));
        lab.effects.clear();
        lab
    }

    /// Takes an event; its effects come on top of those that are there.
    pub fn event(&mut self, event: Event) {
        let now = Now { wall: WallMs(1_000_000 + self.now as i64), mono: MonoMs(self.now) };
        self.raft.step(now, event, &mut self.effects);
    }

    pub fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.event(Event::Tick);
    }

    /// Lets the time pass until the timer rings.
    pub fn wait(&mut self) {
        let timer = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::SetTimer { at } => Some(at.0),
            _ => None,
        });
        // Nobody answers: every request takes its time.
        let mut at = timer.expect("a timer");
        while self.raft.state_name() == "Unattached" {
            self.now = at;
            self.event(Event::Tick);
            at += 100;
        }
    }

    pub fn flush(&mut self) {
        let end = self.raft.log().end;
        self.event(Event::Flushed { end });
    }

    pub fn reply(&mut self, event: impl FnOnce(ReplyId) -> Event) -> Option<Reply> {
        self.replies += 1;
        let id = ReplyId(self.replies);
        self.event(event(id));
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Reply { reply, body } if *reply == id => Some(body.clone()),
            _ => None,
        })
    }

    /// The requests of the effects so far, by the node that they go to; negative: bootstrap servers.
    pub fn sent(&self) -> Vec<(RequestId, i32, Request)> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { id, to, request } => {
                let to = match to {
                    kraft::Destination::Node { id, .. } => id.get(),
                    kraft::Destination::Bootstrap(index) => -1 - *index as i32,
                };
                Some((*id, to, request.clone()))
            }
            _ => None,
        });
        sent.collect()
    }

    pub fn answer(&mut self, id: RequestId, answer: Answer) {
        self.event(Event::Response { id, answer: Ok(answer) });
    }

    /// Node 2 or 3, whichever was asked first, answers the newest round of votes.
    pub fn vote(&mut self, granted: bool) {
        let asked = self
            .sent()
            .into_iter()
            .rev()
            .find(|(_, _, request)| matches!(request, Request::Vote(_)));
        let (id, ..) = asked.expect("asked for a vote");
        let leader = says(None, None, self.raft.epoch());
        self.answer(id, Answer::Vote(VoteAnswer { leader, granted }));
    }

    /// The leader, node 2, answers the newest fetch.
    pub fn fetched(&mut self, outcome: FetchedOutcome) {
        let asked = self
            .sent()
            .into_iter()
            .rev()
            .find(|(_, to, request)| *to == 2 && matches!(request, Request::Fetch(_)));
        let (id, ..) = asked.expect("a fetch");
        let fetched = Fetched {
            leader: says(None, Some(2), EPOCH),
            high_watermark: Offset(8),
            log_start: Offset(0),
            outcome,
        };
        self.answer(id, Answer::Fetch(fetched));
    }

    /// A fetch of another replica arrives; it has everything before `offset`.
    pub fn fetch_of(&mut self, id: i32, offset: i64) -> Option<Reply> {
        let offset = Offset(offset);
        let log = self.raft.log();
        let before = log.epochs.iter().rev().find(|entry| entry.start < offset);
        let last_fetched_epoch = before.map_or(0, |entry| entry.epoch);
        let request = FetchRequest {
            cluster_id: None,
            replica: key(id),
            leader_epoch: self.raft.epoch(),
            offset,
            last_fetched_epoch,
            high_watermark: Offset(i64::MAX),
            max_bytes: 1000,
            max_wait_ms: 0,
        };
        self.reply(|reply| Event::Fetch { reply, request })
    }
}

/// The part of an answer that all have.
pub fn says(error: Option<RaftError>, leader: Option<i32>, epoch: i32) -> LeaderAnswer {
    let endpoints = leader.map(endpoints).unwrap_or_default();
    LeaderAnswer { error, leader: leader.map(NodeId), epoch, endpoints }
}

pub fn vote_request(candidate: i32, epoch: i32, pre_vote: bool) -> VoteRequest {
    VoteRequest {
        cluster_id: None,
        voter: Some((NodeId(1), key(1).directory_id.unwrap_or_default())),
        candidate: key(candidate),
        epoch,
        last_epoch: 4,
        last_offset: Offset(10),
        pre_vote,
    }
}

pub fn epoch_request(leader: i32, epoch: i32) -> EpochRequest {
    EpochRequest {
        cluster_id: None,
        voter: None,
        leader: NodeId(leader),
        epoch,
        endpoints: endpoints(leader),
        successors: Vec::new(),
    }
}
