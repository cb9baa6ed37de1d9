//! A node with a disk of its own that can lose what was not flushed.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use base::time::Now;
use base::{MonoMs, NodeId, Offset, Uuid, WallMs};
use kraft::{
    BatchId, Boot, Config, ControlRecord, Effect, ElectionState, Endpoint, EpochStart, Event,
    LogView, Raft, ReplicaKey, Reply, SnapshotId, Times, VersionRange, Voter, VoterSet,
};

pub const DIRECTORY: Uuid = Uuid([7; 16]);

pub fn local() -> Voter {
    Voter {
        key: ReplicaKey::new(NodeId(1), DIRECTORY),
        endpoints: vec![Endpoint {
            name: "CONTROLLER".into(),
            host: "localhost".into(),
            port: 9093,
        }],
        kraft_versions: VersionRange { min: 0, max: 1 },
    }
}

pub fn config() -> Config {
    Config {
        cluster_id: "cluster".into(),
        local: local(),
        can_be_voter: true,
        bootstrap_servers: 0,
        auto_join: false,
        times: Times::default(),
        fetch_max_bytes: 1 << 20,
        fetch_snapshot_max_bytes: 1 << 20,
        seed: 42,
    }
}

pub fn static_voters() -> VoterSet {
    let key = ReplicaKey { id: NodeId(1), directory_id: None };
    VoterSet::from_iter([Voter { key, ..local() }])
}

pub fn at(ms: u64) -> Now {
    Now { wall: WallMs(1_000_000 + ms as i64), mono: MonoMs(ms) }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    Control(ControlRecord),
    Data(u64),
}

/// The disk: what is in `flushed` survives anything, the rest of the log only luck.
#[derive(Clone, Default, Debug)]
pub struct Disk {
    pub quorum_state: Option<ElectionState>,
    pub start: usize,
    /// Records by offset; those before `start` are only in snapshots.
    pub log: Vec<(i32, Entry)>,
    pub flushed: usize,
    pub snapshots: BTreeSet<SnapshotId>,
}

impl Disk {
    pub fn boot(&self, static_voters: VoterSet) -> Boot {
        let mut epochs: Vec<EpochStart> = Vec::new();
        let mut control = Vec::new();
        for (offset, (epoch, entry)) in self.log.iter().enumerate() {
            if let Entry::Control(record) = entry {
                control.push((Offset(offset as i64), record.clone()));
            }
            if offset >= self.start && epochs.last().is_none_or(|last| last.epoch < *epoch) {
                epochs.push(EpochStart { epoch: *epoch, start: Offset(offset as i64) });
            }
        }
        let end = Offset(self.log.len() as i64);
        let log = LogView {
            start: Offset(self.start as i64),
            end,
            flushed: end,
            epochs,
            snapshots: self.snapshots.clone(),
        };
        Boot { election: self.quorum_state.clone(), static_voters, log, control }
    }
}

/// A node under test, its disk, and what it said.
pub struct Node {
    pub raft: Raft,
    pub disk: Disk,
    pub now: u64,
    pub committed: usize,
    pub leads: Option<i32>,
    pub timer: MonoMs,
    pub replies: BTreeMap<u64, Reply>,
    pub rejected: Vec<BatchId>,
    /// Flushes asked for and not yet reported.
    pub to_flush: Option<Offset>,
    pub trace: Vec<Effect>,
}

impl Node {
    pub fn boot(disk: Disk) -> Self {
        let mut disk = disk;
        disk.flushed = disk.log.len();
        let raft = Raft::new(config(), disk.boot(static_voters())).expect("the disk is consistent");
        Self {
            raft,
            disk,
            now: 0,
            committed: 0,
            leads: None,
            timer: MonoMs::NEVER,
            replies: BTreeMap::new(),
            rejected: Vec::new(),
            to_flush: None,
            trace: Vec::new(),
        }
    }

    pub fn started() -> Self {
        let mut node = Self::boot(Disk::default());
        node.event(Event::Start);
        node.flush();
        node
    }

    /// Takes the event and executes all its effects.
    pub fn event(&mut self, event: Event) {
        let crashed = self.event_until(event, usize::MAX);
        assert!(!crashed);
    }

    /// Takes the event and executes its first `limit` effects; true when some were left undone.
    pub fn event_until(&mut self, event: Event, limit: usize) -> bool {
        let mut effects = Vec::new();
        self.raft.step(at(self.now), event, &mut effects);
        let count = effects.len();
        for effect in effects.into_iter().take(limit) {
            self.trace.push(effect.clone());
            self.execute(effect);
        }
        count > limit
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::SaveQuorumState { state, version } => {
                assert_eq!(version, 0);
                if let Some(old) = &self.disk.quorum_state {
                    assert!(old.epoch <= state.epoch, "quorum-state went back");
                }
                self.disk.quorum_state = Some(state);
            }
            Effect::AppendControl { base, epoch, records } => {
                assert_eq!(base.get() as usize, self.disk.log.len());
                self.disk
                    .log
                    .extend(records.into_iter().map(|record| (epoch, Entry::Control(record))));
            }
            Effect::Append { batch, base, epoch } => {
                assert_eq!(base.get() as usize, self.disk.log.len());
                self.disk.log.push((epoch, Entry::Data(batch.0)));
            }
            Effect::Rejected { batch } => self.rejected.push(batch),
            Effect::Flush { end } => {
                assert_eq!(end.get() as usize, self.disk.log.len());
                self.to_flush = Some(end);
            }
            Effect::CommitAdvanced { high_watermark } => {
                self.committed = high_watermark.get() as usize
            }
            Effect::BecameLeader { epoch, .. } => self.leads = Some(epoch),
            Effect::Resigned { epoch } => {
                assert!(self.leads.is_none_or(|led| led == epoch));
                self.leads = None;
            }
            Effect::SetTimer { at } => self.timer = at,
            Effect::LeaderChanged { .. } => {}
            Effect::AppendFetched { .. }
            | Effect::DropFetched { .. }
            | Effect::Truncate { .. }
            | Effect::WriteSnapshot { .. }
            | Effect::InstallSnapshot { .. }
            | Effect::Send { .. } => panic!("a sole voter needs nobody: {effect:?}"),
            Effect::Reply { reply, body } => {
                assert!(self.replies.insert(reply.0, body).is_none(), "answered twice");
            }
        }
    }

    pub fn flush(&mut self) {
        if let Some(end) = self.to_flush.take() {
            self.disk.flushed = end.get() as usize;
            self.event(Event::Flushed { end });
        }
    }
}
