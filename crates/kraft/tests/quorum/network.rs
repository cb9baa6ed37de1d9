//! The roads between the nodes: what arrives, when, and how often.

use kraft::{Answer, DataId, Destination, FetchedOutcome, Request, RequestId, SendFailure};

use crate::node::{Node, Payload};
use crate::world::{Action, Asked, World};

impl World {
    pub(crate) fn send(&mut self, from: i32, id: RequestId, to: &Destination, request: Request) {
        let life = self.nodes.get(&from).map_or(0, |node| node.life);
        self.open.insert((from, life, id), self.now + 2_000);
        let to = match to {
            Destination::Node { endpoints, .. } => i32::from(endpoints[0].port),
            Destination::Bootstrap(index) => *index as i32 + 1,
        };
        if !self.nodes.contains_key(&to) {
            let answer = Err(SendFailure::Unreachable);
            return self.schedule(1, Action::Answered { to: from, life, id, answer });
        }
        for delay in self.fate(from, to) {
            let request = request.clone();
            self.schedule(delay, Action::Deliver { from, life, to, id, request });
        }
    }

    pub(crate) fn send_answer(
        &mut self,
        from: i32,
        (to, life, id): Asked,
        answer: Answer,
        payload: Payload,
    ) {
        for delay in self.fate(from, to) {
            let answer = Ok((answer.clone(), payload.clone()));
            self.schedule(delay, Action::Answered { to, life, id, answer });
        }
    }

    /// The delays with which copies of a message arrive; none when it is lost.
    fn fate(&mut self, from: i32, to: i32) -> Vec<u64> {
        let lossy = self.faults.lossy;
        if self.cut.contains(&(from, to)) || lossy > 0 && self.dice.one_in(lossy) {
            return Vec::new();
        }
        let mut delays = vec![1 + self.dice.below(5)];
        if lossy > 0 && self.dice.one_in(lossy) {
            delays.push(self.dice.below(3_000));
        }
        if lossy > 0 && self.dice.one_in(lossy) {
            delays[0] += self.dice.below(1_500);
        }
        delays
    }

    /// All nodes in a few words.
    pub fn describe(&self) -> String {
        let node = |node: &Node| {
            let raft = &node.raft;
            let (voters, at) = raft.voters().last();
            let log = raft.log();
            format!(
                "\n{} gen {:?} {} epoch {} leader {:?} log {}..{} flushed {} last epoch {} applied {} voters {:?} at {at:?} timer {}",
                node.key.id,
                node.key.directory_id.map(|id| id.0[0] / 16),
                raft.state_name(),
                raft.epoch(),
                raft.leader(),
                log.start,
                log.end,
                log.flushed,
                log.last_epoch(),
                node.applied,
                voters
                    .iter()
                    .map(|voter| (
                        voter.key.id.get(),
                        voter.key.directory_id.map(|id| id.0[0] / 16)
                    ))
                    .collect::<Vec<_>>(),
                node.timer,
            )
        };
        self.nodes.values().map(node).collect()
    }
}

/// Where an answer names the data that came with it.
pub(crate) fn data_of(answer: &mut Answer) -> Option<&mut DataId> {
    match answer {
        Answer::Fetch(answer) => match &mut answer.outcome {
            FetchedOutcome::Records(records) => Some(&mut records.data),
            _ => None,
        },
        Answer::FetchSnapshot(answer) => Some(&mut answer.data),
        _ => None,
    }
}
