//! What all nodes together have done, and whether it keeps the promises.

use std::collections::BTreeMap;

use base::{NodeId, Offset};
use kraft::invariants::{
    LogImage, Summary, committed_agrees, holds_committed, logs_match, one_leader_per_epoch,
};
use kraft::{Answer, Event, ReplicaKey};

use crate::disk::Record;
use crate::node::{Node, Output};

#[derive(Default)]
pub struct History {
    pub committed: Vec<Record>,
    /// How much was committed when an epoch was first seen to commit something.
    committed_in: BTreeMap<i32, usize>,
    /// Who led an epoch, in which of its lives.
    leaders: BTreeMap<i32, (NodeId, u64)>,
    votes: BTreeMap<(ReplicaKey, i32), ReplicaKey>,
    pub elections: usize,
    pub snapshots_installed: usize,
    steps: u64,
}

impl History {
    pub fn vote_asked(&self, event: &Event) -> Option<(i32, ReplicaKey)> {
        match event {
            Event::Vote { request, .. } if !request.pre_vote => {
                Some((request.epoch, request.candidate))
            }
            _ => None,
        }
    }

    /// A vote that leaves the node counts, and can be given once.
    pub fn voted(&mut self, voter: ReplicaKey, asked: Option<(i32, ReplicaKey)>, out: &[Output]) {
        let Some((epoch, candidate)) = asked else { return };
        let granted = out.iter().any(|output| {
            matches!(output, Output::Answer { answer: Answer::Vote(vote), .. } if vote.granted)
        });
        if granted {
            let first = *self.votes.entry((voter, epoch)).or_insert(candidate);
            assert_eq!(first, candidate, "two votes of {voter:?} in epoch {epoch}");
        }
    }

    /// After each step of a node.
    pub fn observe(&mut self, nodes: &BTreeMap<i32, Node>, id: i32) {
        self.steps += 1;
        let Some(node) = nodes.get(&id) else { return };
        self.observe_leader(node);
        self.observe_commits(node);
        if self.steps.is_multiple_of(64) {
            self.compare(nodes);
        }
    }

    fn observe_leader(&mut self, node: &Node) {
        if !node.raft.is_leader() {
            return;
        }
        let epoch = node.raft.epoch();
        let me = (node.key.id, node.life);
        if let Some(leader) = self.leaders.get(&epoch) {
            assert_eq!(*leader, me, "two leaders in epoch {epoch}");
            return;
        }
        self.leaders.insert(epoch, me);
        self.elections += 1;
        // Leader completeness: it has all that earlier epochs committed.
        let earlier = self.committed_in.range(..epoch).next_back().map_or(0, |(_, count)| *count);
        let whole = holds_committed(&node.disk.image(), &self.committed[..earlier]);
        assert!(whole, "the leader of epoch {epoch} lacks committed records");
    }

    fn observe_commits(&mut self, node: &Node) {
        let applied = node.applied as usize;
        if applied > self.committed.len() {
            let all = node.disk.all_before(node.applied);
            assert_eq!(
                self.committed[..],
                all[..self.committed.len()],
                "committed records changed on {:?}",
                node.key
            );
            self.committed = all;
            let epoch = node.raft.epoch();
            self.committed_in.insert(epoch, applied);
        }
        let from = (node.applied - 40).max(node.disk.start);
        let records = &node.disk.records[(from - node.disk.start) as usize..];
        let recent = LogImage { start: Offset(from), records };
        let agrees = committed_agrees(&recent, &self.committed, Offset(node.applied));
        assert!(agrees, "{:?} takes other records for committed", node.key);
    }

    /// All logs, as a whole.
    pub fn compare(&self, nodes: &BTreeMap<i32, Node>) {
        let summaries: Vec<(NodeId, Summary)> =
            nodes.values().map(|node| (node.key.id, Summary::of(&node.raft))).collect();
        assert!(one_leader_per_epoch(&summaries), "two leaders in one epoch");
        for one in nodes.values() {
            let image = one.disk.image();
            let agrees = committed_agrees(&image, &self.committed, Offset(one.applied));
            assert!(agrees, "{:?} has other committed records", one.key);
            for other in nodes.values().filter(|other| other.key < one.key) {
                let same = logs_match(&image, &other.disk.image());
                assert!(same, "the logs of {:?} and {:?} differ", one.key, other.key);
            }
        }
    }
}
