//! Nonsense from the network, in every state: refused or believed, but never the end of the process.

use base::machine::ReplyId;
use base::{NodeId, Offset, Uuid};
use kraft::{
    AddVoterRequest, Answer, ControlRecord, DataId, Effect, EpochRequest, Event, FetchRequest,
    FetchSnapshotRequest, Fetched, FetchedBatch, FetchedOutcome, FetchedRecords, FetchedSnapshot,
    KRaftVersion, LeaderAnswer, RaftError, RemoveVoterRequest, ReplicaKey, RequestId, SendFailure,
    SnapshotId, UpdateVoterRequest, VersionRange, VoteAnswer, VoteRequest, Voter,
};

use crate::lab::{EPOCH, Lab, PLACES, endpoints, key, voters};

struct Nonsense(u64);

impl Nonsense {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % sides
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    fn epoch(&mut self) -> i32 {
        self.of(&[
            EPOCH,
            EPOCH,
            EPOCH,
            EPOCH + 1,
            EPOCH + 2,
            EPOCH - 1,
            0,
            -1,
            i32::MIN,
            i32::MAX,
            i32::MAX - 1,
        ])
    }

    fn offset(&mut self) -> Offset {
        Offset(self.of(&[0, 1, 5, 8, 9, 10, 10, 11, 12, 100, -1, i64::MIN, i64::MAX, i64::MAX - 1]))
    }

    fn node(&mut self) -> NodeId {
        NodeId(self.of(&[1, 2, 2, 3, 4, 9, 0, -1, i32::MIN, i32::MAX]))
    }

    fn replica(&mut self) -> ReplicaKey {
        let id = self.node();
        match self.below(3) {
            0 => ReplicaKey { id, directory_id: None },
            1 => ReplicaKey::new(id, Uuid([self.below(5) as u8; 16])),
            _ => ReplicaKey { id, directory_id: key(id.get().rem_euclid(5)).directory_id },
        }
    }

    fn asked(&mut self) -> Option<(NodeId, Uuid)> {
        let key = self.replica();
        self.of(&[None, Some((key.id, key.directory_id.unwrap_or_default()))])
    }

    fn number(&mut self) -> u64 {
        self.of(&[0, 1, 50, 60, 100, u64::MAX, u64::MAX - 1])
    }

    fn small(&mut self) -> i32 {
        self.of(&[0, 1, 500, -1, i32::MAX, i32::MIN])
    }

    fn endpoints(&mut self) -> Vec<kraft::Endpoint> {
        let id = 2 + self.below(2) as i32;
        self.of(&[Vec::new(), endpoints(id), endpoints(id), [endpoints(2), endpoints(3)].concat()])
    }

    fn voter(&mut self) -> Voter {
        let range = |min, max| VersionRange { min, max };
        let kraft_versions = self.of(&[range(0, 1), range(0, 0), range(-1, 5), range(1, 0)]);
        Voter { key: self.replica(), endpoints: self.endpoints(), kraft_versions }
    }

    fn id(&mut self) -> SnapshotId {
        SnapshotId { epoch: self.epoch(), offset: self.offset() }
    }

    fn request(&mut self, reply: ReplyId) -> Event {
        let cluster_id = None;
        match self.below(10) {
            0 | 1 => Event::Vote {
                reply,
                request: VoteRequest {
                    cluster_id,
                    voter: self.asked(),
                    candidate: self.replica(),
                    epoch: self.epoch(),
                    last_epoch: self.epoch(),
                    last_offset: self.offset(),
                    pre_vote: self.below(2) == 0,
                },
            },
            kind @ 2..=4 => {
                let request = EpochRequest {
                    cluster_id,
                    voter: self.asked(),
                    leader: self.node(),
                    epoch: self.epoch(),
                    endpoints: self.endpoints(),
                    successors: (0..self.below(70)).map(|_| self.replica()).collect(),
                };
                if kind == 2 {
                    Event::EndQuorumEpoch { reply, request }
                } else {
                    Event::BeginQuorumEpoch { reply, request }
                }
            }
            5 | 6 => Event::Fetch {
                reply,
                request: FetchRequest {
                    cluster_id,
                    replica: self.replica(),
                    leader_epoch: self.epoch(),
                    offset: self.offset(),
                    last_fetched_epoch: self.epoch(),
                    high_watermark: self.offset(),
                    max_bytes: self.small(),
                    max_wait_ms: self.small(),
                },
            },
            7 => Event::FetchSnapshot {
                reply,
                request: FetchSnapshotRequest {
                    cluster_id,
                    replica: self.replica(),
                    leader_epoch: self.epoch(),
                    id: self.id(),
                    position: self.offset().get(),
                    size: Some(self.number()),
                    max_bytes: self.small(),
                },
            },
            8 => Event::UpdateVoter {
                reply,
                request: UpdateVoterRequest {
                    cluster_id,
                    leader_epoch: self.epoch(),
                    voter: self.voter(),
                },
            },
            _ if self.below(2) == 0 => Event::RemoveVoter {
                reply,
                request: RemoveVoterRequest { cluster_id, voter: self.replica() },
            },
            _ => Event::AddVoter {
                reply,
                request: AddVoterRequest {
                    cluster_id,
                    timeout_ms: self.small(),
                    voter: self.replica(),
                    endpoints: self.endpoints(),
                    ack_when_committed: self.below(2) == 0,
                },
            },
        }
    }

    fn leader(&mut self) -> LeaderAnswer {
        let error = self.of(&[
            None,
            None,
            None,
            Some(RaftError::FencedLeaderEpoch),
            Some(RaftError::UnknownLeaderEpoch),
            Some(RaftError::NotLeaderOrFollower),
            Some(RaftError::InvalidRequest),
            Some(RaftError::BrokerNotAvailable),
            Some(RaftError::UnsupportedVersion),
            Some(RaftError::SnapshotNotFound),
            Some(RaftError::UnknownServerError),
        ]);
        let node = self.node();
        let leader = self.of(&[None, Some(NodeId(2)), Some(node)]);
        LeaderAnswer { error, leader, epoch: self.epoch(), endpoints: self.endpoints() }
    }

    fn control(&mut self) -> ControlRecord {
        match self.below(3) {
            0 => ControlRecord::KRaftVersion(KRaftVersion(self.of(&[0, 1, 2, -1, i16::MAX]))),
            1 => ControlRecord::Voters(voters(&[1, 2])),
            _ => ControlRecord::Voters((0..self.below(4)).map(|_| self.voter()).collect()),
        }
    }

    fn outcome(&mut self, data: DataId) -> FetchedOutcome {
        match self.below(4) {
            0 => FetchedOutcome::Diverging { epoch: self.epoch(), end: self.offset() },
            1 => FetchedOutcome::Snapshot(self.id()),
            _ => {
                let batch = |nonsense: &mut Self| FetchedBatch {
                    base: nonsense.offset(),
                    next: nonsense.offset(),
                    epoch: nonsense.epoch(),
                    control: (0..nonsense.below(2))
                        .map(|_| (nonsense.offset(), nonsense.control()))
                        .collect(),
                };
                let batches = (0..self.below(3)).map(|_| batch(self)).collect();
                FetchedOutcome::Records(FetchedRecords { data, batches })
            }
        }
    }

    fn answer(&mut self, data: DataId) -> Result<Answer, SendFailure> {
        let leader = self.leader();
        Ok(match self.below(10) {
            0 | 1 => Answer::Vote(VoteAnswer { leader, granted: self.below(2) == 0 }),
            2 => Answer::BeginQuorumEpoch(leader),
            3 => Answer::EndQuorumEpoch(leader),
            4 => Answer::UpdateVoter(leader),
            5 => Answer::AddVoter(leader.error),
            6 => Answer::ApiVersions(Ok(Some(VersionRange { min: 0, max: 1 }))),
            7 => Answer::FetchSnapshot(FetchedSnapshot {
                leader,
                id: self.id(),
                size: self.number(),
                position: self.number(),
                data,
                len: self.number(),
            }),
            8 => {
                return Err(self.of(&[
                    SendFailure::Unreachable,
                    SendFailure::TimedOut,
                    SendFailure::Unreadable,
                    SendFailure::UnsupportedVersion,
                ]));
            }
            _ => {
                let (high_watermark, log_start) = (self.offset(), self.offset());
                Answer::Fetch(Fetched {
                    leader,
                    high_watermark,
                    log_start,
                    outcome: self.outcome(data),
                })
            }
        })
    }

    /// Honest what the driver does, nonsense what others say.
    fn next(&mut self, lab: &Lab, serial: u64) -> Event {
        let install = lab.effects.iter().rev().find_map(|effect| match effect {
            Effect::InstallSnapshot { id } => Some(*id),
            _ => None,
        });
        match self.below(8) {
            0 => Event::Tick,
            1 => Event::Flushed { end: lab.raft.log().end },
            2 if install.is_some() => {
                let id = install.unwrap_or(SnapshotId::BOOTSTRAP);
                Event::SnapshotInstalled { id, control: vec![self.control()] }
            }
            2 | 3 => self.request(ReplyId(serial)),
            _ => {
                let open = lab.sent();
                let newest = open.len().saturating_sub(1 + self.below(3));
                let id = open.get(newest).map_or(RequestId(1), |(id, ..)| *id);
                let answer = self.answer(DataId(serial));
                Event::Response { id, answer }
            }
        }
    }
}

#[test]
fn nonsense_is_survived() {
    let mut epochs = 0;
    for seed in 0..4_000 {
        let mut nonsense = Nonsense(seed);
        let mut lab = Lab::at(PLACES[seed as usize % PLACES.len()]);
        for serial in 0..30 {
            lab.now += nonsense.below(400) as u64;
            let event = nonsense.next(&lab, 1_000 + serial);
            // One snapshot is installed once.
            if let Event::SnapshotInstalled { .. } = event {
                lab.effects.retain(|effect| !matches!(effect, Effect::InstallSnapshot { .. }));
            }
            lab.event(event);
        }
        epochs += i64::from(lab.raft.epoch() > EPOCH);
    }
    assert!(epochs > 500, "{epochs} runs went somewhere");
}
