//! Seeded runs with crashes between any two effects and loss of whatever was not flushed.

mod common;

use std::collections::BTreeMap;

use base::machine::ReplyId;
use base::{NodeId, Offset, Uuid};
use common::{Disk, Entry, Node};
use kraft::{BatchId, Event, FetchRequest, ReplicaKey, Reply, SnapshotId, VoteRequest};

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What must hold over the whole life of the disk, through all crashes.
#[derive(Default)]
struct History {
    committed: Vec<(i32, Entry)>,
    /// Process life that wrote in an epoch.
    writer: BTreeMap<i32, u32>,
    /// Who got this node's vote in an epoch.
    votes: BTreeMap<i32, ReplicaKey>,
    epoch: i32,
    commits: usize,
    elections: usize,
}

impl History {
    fn observe(&mut self, node: &Node, life: u32) {
        let log = &node.disk.log;
        assert!(log.len() >= self.committed.len(), "a committed record vanished");
        assert_eq!(log[..self.committed.len()], self.committed[..], "a committed record changed");
        assert!(node.committed <= node.disk.flushed, "committed before it was safe");
        if node.committed > self.committed.len() {
            self.committed.extend_from_slice(&log[self.committed.len()..node.committed]);
            self.commits += 1;
        }
        // What a crash kept the node from saving, nobody has seen.
        let saved = node.disk.quorum_state.as_ref().map_or(0, |state| state.epoch);
        assert!(saved >= self.epoch, "the epoch went back over a restart");
        self.epoch = saved;
        if let Some(epoch) = node.leads {
            let writer = *self.writer.entry(epoch).or_insert_with(|| {
                self.elections += 1;
                life
            });
            assert_eq!(writer, life, "two lives led one epoch");
        }
    }

    fn voted(&mut self, epoch: i32, candidate: ReplicaKey) {
        let first = *self.votes.entry(epoch).or_insert(candidate);
        assert_eq!(first, candidate, "two votes in epoch {epoch}");
    }
}

fn vote(dice: &mut Dice, node: &Node) -> VoteRequest {
    let epoch = (node.raft.epoch() + dice.below(4) as i32 - 1).max(1);
    let id = NodeId(2 + dice.below(2) as i32);
    VoteRequest {
        cluster_id: None,
        voter: None,
        candidate: ReplicaKey::new(id, Uuid([id.0 as u8; 16])),
        epoch,
        last_epoch: (epoch - 1).max(0),
        last_offset: Offset(node.disk.log.len() as i64 + dice.below(3) as i64 - 1),
        pre_vote: dice.below(3) == 0,
    }
}

fn next_event(dice: &mut Dice, node: &Node, serial: u64) -> Event {
    let reply = ReplyId(serial);
    match dice.below(10) {
        0 => Event::Tick,
        1 => Event::Vote { reply, request: vote(dice, node) },
        2 | 3 => {
            let offset = Offset(dice.below(node.disk.log.len() as u64 + 1) as i64);
            let request = FetchRequest {
                cluster_id: None,
                replica: ReplicaKey::new(NodeId(5), Uuid([5; 16])),
                leader_epoch: node.raft.epoch(),
                offset,
                last_fetched_epoch: dice.below(node.raft.epoch() as u64 + 1) as i32,
                high_watermark: Offset(i64::MAX),
                max_bytes: 1000,
                max_wait_ms: 300,
            };
            Event::Fetch { reply, request }
        }
        4 if node.committed > node.disk.start => {
            let offset = Offset(node.committed as i64);
            let id = SnapshotId { epoch: node.disk.log[node.committed - 1].0, offset };
            if node.raft.may_snapshot(id) { Event::SnapshotWritten { id } } else { Event::Tick }
        }
        5 if !node.disk.snapshots.is_empty() => {
            let oldest = *node.disk.snapshots.last().expect("not empty");
            Event::Cleaned { start: oldest.offset, oldest }
        }
        _ => {
            let epoch = node.leads.unwrap_or_default();
            Event::Propose { batch: BatchId(serial), epoch, records: 1 }
        }
    }
}

/// One step: an event, maybe only part of its effects, maybe a flush. True when the process must die.
fn one_step(dice: &mut Dice, node: &mut Node, history: &mut History, serial: u64) -> bool {
    node.now += dice.below(400);
    if node.timer.0 <= node.now {
        node.event(Event::Tick);
    }
    let event = next_event(dice, node, serial);
    match &event {
        Event::SnapshotWritten { id } => {
            node.disk.snapshots.insert(*id);
        }
        Event::Cleaned { start, oldest } => {
            node.disk.start = start.get() as usize;
            node.disk.snapshots.retain(|id| id >= oldest);
        }
        _ => {}
    }
    let limit = if dice.below(20) == 0 { dice.below(4) as usize } else { usize::MAX };
    let request =
        if let Event::Vote { request, .. } = &event { Some(request.clone()) } else { None };
    let cut_short = node.event_until(event, limit);
    if let (Some(request), Some(Reply::Vote(answer))) = (request, node.replies.get(&serial))
        && answer.granted
        && !request.pre_vote
    {
        history.voted(request.epoch, request.candidate);
    }
    if cut_short {
        return true;
    }
    if dice.below(3) == 0 {
        node.flush();
    }
    dice.below(60) == 0
}

fn run(seed: u64, steps: u64) -> (History, String) {
    let mut dice = Dice(seed);
    let mut history = History::default();
    let mut trace = String::new();
    let mut disk = Disk::default();
    let mut serial = 0;
    let mut life = 0;
    while serial < steps {
        life += 1;
        let mut node = Node::boot(disk);
        let mut dead = node.event_until(Event::Start, dice.below(12) as usize);
        while !dead && serial < steps {
            serial += 1;
            dead = one_step(&mut dice, &mut node, &mut history, serial);
            history.observe(&node, life);
        }
        trace.push_str(&format!("{:?}\n", node.trace));
        disk = node.disk;
        // Of the records that were not flushed, any prefix may have reached the disk.
        let survivors =
            disk.flushed + dice.below((disk.log.len() - disk.flushed) as u64 + 1) as usize;
        disk.log.truncate(survivors);
    }
    let mut last = Node::boot(disk);
    last.event(Event::Start);
    last.flush();
    assert!(last.leads.is_some(), "with no more faults it must lead");
    history.observe(&last, life + 1);
    (history, trace)
}

#[test]
fn promises_hold_through_crashes() {
    let (mut commits, mut elections, mut votes) = (0, 0, 0);
    for seed in 0..300 {
        let (history, _) = run(seed, 400);
        commits += history.commits;
        elections += history.elections;
        votes += history.votes.len();
    }
    // The runs must have reached the interesting places.
    assert!(commits > 3_000, "{commits} commits");
    assert!(elections > 1_000, "{elections} elections");
    assert!(votes > 100, "{votes} votes");
}

#[test]
fn a_run_repeats() {
    for seed in 0..20 {
        assert_eq!(run(seed, 300).1, run(seed, 300).1);
    }
}
