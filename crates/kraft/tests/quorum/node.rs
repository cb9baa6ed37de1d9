//! One node: consensus, its disk, and a driver that does what it asks for, slowly when the world wants it.

use std::collections::BTreeMap;

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, NodeId, Offset, Uuid, WallMs};
use kraft::{
    Answer, BatchId, Config, DataId, Destination, Effect, Endpoint, Event, FetchOutcome,
    FetchPosition, Fetched, FetchedBatch, FetchedOutcome, FetchedRecords, FetchedSnapshot, Raft,
    ReplicaKey, Reply, Request, RequestId, SnapshotId, Times, VersionRange, Voter,
};

use crate::disk::{Disk, Entry, Record, Snapshot};

/// What a fault makes a driver do wrong, to see whether the checks notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    None,
    /// Flushes are reported and not done.
    FlushIgnored,
    /// The vote is lost in a restart.
    VoteForgotten,
    /// A follower writes the wrong records of an answer.
    RecordsMixed,
}

/// What goes over the network beside the plain answer: records, or a piece of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    pub records: Vec<Record>,
    pub snapshot: Option<Snapshot>,
}

/// What a node wants from the world.
#[derive(Debug)]
pub enum Output {
    Send {
        id: RequestId,
        to: Destination,
        request: Request,
    },
    Answer {
        reply: ReplyId,
        answer: Answer,
        payload: Payload,
    },
    /// To a client.
    Reply {
        reply: ReplyId,
        body: Reply,
    },
    Flush {
        end: i64,
    },
    Installed {
        id: SnapshotId,
    },
    Committed,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub key: ReplicaKey,
    pub raft: Raft,
    pub disk: Disk,
    /// Counts restarts.
    pub life: u64,
    pub timer: u64,
    pub leads: Option<i32>,
    /// Everything before is committed, says this node.
    pub applied: i64,
    pub paused_until: u64,
    pub wall_skew: i64,
    bug: Bug,
    data: BTreeMap<DataId, Payload>,
    last_data: u64,
    part: Option<(SnapshotId, u64, Snapshot)>,
}

pub fn key(id: i32, generation: u8) -> ReplicaKey {
    ReplicaKey::new(NodeId(id), Uuid([generation * 16 + id as u8; 16]))
}

pub fn voter(key: ReplicaKey) -> Voter {
    let port = key.id.get() as u16;
    Voter {
        key,
        endpoints: vec![Endpoint { name: "CONTROLLER".into(), host: "sim".into(), port }],
        kraft_versions: VersionRange { min: 0, max: 1 },
    }
}

impl Node {
    pub fn boot(key: ReplicaKey, disk: Disk, settings: &Settings, life: u64) -> Self {
        let config = Config {
            cluster_id: "cluster".into(),
            local: voter(key),
            can_be_voter: settings.can_be_voter(key.id),
            bootstrap_servers: settings.bootstrap_servers,
            auto_join: settings.auto_join,
            times: Times::default(),
            fetch_max_bytes: 3,
            fetch_snapshot_max_bytes: 100,
            seed: settings.seed ^ (life << 8) ^ key.id.get() as u64,
        };
        let raft = Raft::new(config, disk.boot()).expect("the disk is consistent");
        Self {
            key,
            raft,
            disk,
            life,
            timer: u64::MAX,
            leads: None,
            applied: 0,
            paused_until: 0,
            wall_skew: 0,
            bug: settings.bug,
            data: BTreeMap::new(),
            last_data: 0,
            part: None,
        }
    }

    fn at(&self, now: u64) -> Now {
        Now { wall: WallMs(1_000_000 + now as i64 + self.wall_skew), mono: MonoMs(now) }
    }

    /// Takes the event, executes its first `limit` effects; false when some were left undone.
    pub fn step(&mut self, now: u64, event: Event, limit: usize, out: &mut Vec<Output>) -> bool {
        let mut effects = Vec::new();
        self.raft.step(self.at(now), event, &mut effects);
        let all = effects.len() <= limit;
        for effect in effects.into_iter().take(limit) {
            self.execute(effect, out);
        }
        if all {
            assert_eq!(self.raft.log().end.get(), self.disk.end(), "{:?}", self.key);
        }
        all
    }

    /// Keeps what came with an answer, under a name for consensus.
    pub fn keep(&mut self, payload: Payload) -> DataId {
        self.last_data += 1;
        self.data.insert(DataId(self.last_data), payload);
        DataId(self.last_data)
    }

    pub fn kept(&self) -> usize {
        self.data.len()
    }

    fn take(&mut self, data: DataId) -> Payload {
        self.data.remove(&data).expect("every piece of data is used once")
    }

    fn execute(&mut self, effect: Effect, out: &mut Vec<Output>) {
        match effect {
            Effect::SaveQuorumState { state, .. } => {
                if let Some(old) = &self.disk.election {
                    assert!(old.epoch <= state.epoch, "quorum-state went back");
                }
                self.disk.election = Some(state);
            }
            Effect::AppendControl { base, epoch, records } => {
                let entries = records.into_iter().map(Entry::Control).collect();
                self.disk.append(base.get(), epoch, entries);
            }
            Effect::Append { batch, base, epoch } => {
                self.disk.append(base.get(), epoch, vec![Entry::Data(batch.0)]);
            }
            Effect::AppendFetched { data, until } => {
                let mut records = self.take(data).records;
                let left = until.get() - self.disk.end();
                records.truncate(left as usize);
                if self.bug == Bug::RecordsMixed {
                    // The right number of records, the last of them in the place of the others.
                    let last = records.last().cloned().expect("not empty");
                    records.iter_mut().for_each(|record| *record = last.clone());
                }
                self.disk.records.extend(records);
                assert_eq!(self.disk.end(), until.get());
            }
            Effect::DropFetched { data } => drop(self.take(data)),
            Effect::Truncate { end } => {
                assert!(end.get() >= self.applied, "committed records were cut off");
                assert_eq!(self.leads, None, "a leader truncates");
                self.disk.truncate(end.get());
                self.disk.snapshots.retain(|id, _| id.offset <= end);
            }
            Effect::WriteSnapshot { id, position, data } => {
                let piece = self.take(data);
                let part = self.part.take().filter(|(part, ..)| position > 0 && *part == id);
                let (_, written, _) = part.unwrap_or_else(|| (id, 0, Snapshot::default()));
                assert_eq!(written, position, "pieces of a snapshot in order");
                let content = piece.snapshot.expect("a piece of a snapshot");
                self.part = Some((id, written + 100, content));
            }
            Effect::InstallSnapshot { id } => {
                assert_eq!(self.leads, None, "a leader loads a snapshot");
                assert_eq!(self.part.as_ref().map(|part| part.0), Some(id));
                assert!(id.offset.get() >= self.applied, "a snapshot from before the commit");
                out.push(Output::Installed { id });
            }
            Effect::Send { id, to, request } => out.push(Output::Send { id, to, request }),
            Effect::LeaderChanged { .. } => {}
            Effect::Rejected { .. } => {}
            Effect::Flush { end } => out.push(Output::Flush { end: end.get() }),
            Effect::CommitAdvanced { high_watermark } => {
                assert!(self.applied <= high_watermark.get(), "the high watermark went back");
                self.applied = high_watermark.get();
                out.push(Output::Committed);
            }
            Effect::BecameLeader { epoch, .. } => self.leads = Some(epoch),
            Effect::Resigned { .. } => self.leads = None,
            Effect::SetTimer { at } => self.timer = at.0,
            Effect::Reply { reply, body } => self.reply(reply, body, out),
        }
    }

    /// Puts the snapshot that has come in the place of the log; these are its control records.
    pub fn install(&mut self, id: SnapshotId) -> Vec<kraft::ControlRecord> {
        let (part, _, content) = self.part.take().expect("all pieces");
        assert_eq!(part, id);
        let control = content.control.clone();
        (self.disk.start, self.disk.flushed) = (id.offset.get(), id.offset.get());
        self.disk.records.clear();
        self.disk.snapshots = BTreeMap::from([(id, content)]);
        control
    }

    fn reply(&mut self, reply: ReplyId, body: Reply, out: &mut Vec<Output>) {
        let mut payload = Payload::default();
        let answer = match body {
            Reply::Vote(answer) => Answer::Vote(answer),
            Reply::BeginQuorumEpoch(answer) => Answer::BeginQuorumEpoch(answer),
            Reply::EndQuorumEpoch(answer) => Answer::EndQuorumEpoch(answer),
            Reply::UpdateVoter(answer) => Answer::UpdateVoter(answer),
            Reply::Fetch(answer) => {
                let outcome = match answer.outcome {
                    FetchOutcome::Redirect(FetchPosition::Diverging { epoch, end }) => {
                        FetchedOutcome::Diverging { epoch, end }
                    }
                    FetchOutcome::Redirect(FetchPosition::Snapshot(id)) => {
                        FetchedOutcome::Snapshot(id)
                    }
                    FetchOutcome::Read { offset, max_bytes } => {
                        payload.records = self.disk.read(offset.get(), max_bytes as usize);
                        records(&payload.records, offset)
                    }
                    _ => records(&[], Offset::ZERO),
                };
                let (high_watermark, log_start) = (answer.high_watermark, answer.log_start);
                Answer::Fetch(Fetched { leader: answer.leader, high_watermark, log_start, outcome })
            }
            Reply::FetchSnapshot(answer) => {
                let (position, len, size) = answer.slice.unwrap_or_default();
                payload.snapshot = self.disk.snapshots.get(&answer.id).cloned();
                let (leader, id, data) = (answer.leader, answer.id, DataId(0));
                Answer::FetchSnapshot(FetchedSnapshot { leader, id, size, position, data, len })
            }
            other => return out.push(Output::Reply { reply, body: other }),
        };
        out.push(Output::Answer { reply, answer, payload });
    }

    pub fn propose(&mut self, now: u64, batch: u64, out: &mut Vec<Output>) {
        if let Some(epoch) = self.leads {
            let event = Event::Propose { batch: BatchId(batch), epoch, records: 1 };
            self.step(now, event, usize::MAX, out);
        }
    }

    /// Takes a snapshot of all that is committed, and cleans the log before an older one.
    pub fn take_snapshot(&mut self, now: u64, out: &mut Vec<Output>) {
        let Some(epoch) = self.disk.epoch_before(self.applied) else { return };
        let id = SnapshotId { epoch, offset: Offset(self.applied) };
        if self.applied <= self.disk.start || !self.raft.may_snapshot(id) {
            return;
        }
        let snapshot = self.disk.snapshot(self.applied, self.raft.voters());
        self.disk.snapshots.insert(id, snapshot);
        self.step(now, Event::SnapshotWritten { id }, usize::MAX, out);
        let newest_but_one = self.disk.snapshots.keys().rev().nth(1).copied();
        if let Some(oldest) = newest_but_one.filter(|id| id.offset.get() > self.disk.start) {
            let start = oldest.offset.get();
            self.disk.records.drain(..(start - self.disk.start) as usize);
            self.disk.start = start;
            self.disk.snapshots.retain(|id, _| *id >= oldest);
            let event = Event::Cleaned { start: oldest.offset, oldest };
            self.step(now, event, usize::MAX, out);
        }
    }

    /// What is left after a crash.
    pub fn wreck(mut self, lucky: u64) -> Disk {
        self.disk.crash(lucky);
        if self.bug == Bug::VoteForgotten
            && let Some(state) = &mut self.disk.election
        {
            state.voted = None;
        }
        self.disk
    }

    /// How often its disk was replaced.
    pub fn generation(&self) -> u8 {
        self.key.directory_id.map_or(0, |id| id.0[0] / 16)
    }

    pub fn is_sloppy(&self) -> bool {
        self.bug == Bug::FlushIgnored
    }
}

fn records(list: &[Record], from: Offset) -> FetchedOutcome {
    let mut batches: Vec<FetchedBatch> = Vec::new();
    for (at, (epoch, (base, entry))) in (from.get()..).zip(list) {
        if batches.last().is_none_or(|last| last.base.get() != *base) {
            let (base, next) = (Offset(*base), Offset(at));
            batches.push(FetchedBatch { base, next, epoch: *epoch, control: Vec::new() });
        }
        let batch = batches.last_mut().expect("just made");
        batch.next = Offset(at + 1);
        if let Entry::Control(record) = entry {
            batch.control.push((Offset(at), record.clone()));
        }
    }
    FetchedOutcome::Records(FetchedRecords { data: DataId(0), batches })
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    pub voters: i32,
    pub observers: i32,
    pub bootstrap_servers: usize,
    pub auto_join: bool,
    pub bug: Bug,
}

impl Settings {
    /// Of a static quorum only its voters; of a dynamic one not the observer with the highest id, a broker.
    pub fn can_be_voter(&self, id: NodeId) -> bool {
        if self.bootstrap_servers == 0 {
            return id.get() <= self.voters;
        }
        id.get() <= self.voters + self.observers - i32::from(self.observers > 1)
    }

    /// Whether the node may be added to the voters and removed from them.
    pub fn may_change(&self, id: i32) -> bool {
        self.bootstrap_servers > 0 && self.can_be_voter(NodeId(id))
    }
}
