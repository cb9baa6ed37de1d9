//! A made-up controller of one partition: registrations, fencing, elections, AlterPartition; its states are a log that every broker
//! reads at its own pace.

use base::{BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch};
use replication::{Brokers, IsrAnswer, IsrProposal};

/// `min.insync.replicas`
pub const MIN_ISR: usize = 2;

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub isr: Vec<NodeId>,
    /// Left those in sync when these became too few to commit anything (KIP-966).
    pub elr: Vec<NodeId>,
    /// Registered, by broker: its epoch, and whether it is fenced.
    pub brokers: Vec<(BrokerEpoch, bool)>,
}

impl Brokers for State {
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch> {
        let (epoch, fenced) = self.brokers.get(id.get() as usize)?;
        (!fenced && epoch.is_some()).then_some(*epoch)
    }

    fn is_leaving(&self, _: NodeId) -> bool {
        false
    }
}

pub struct Controller {
    pub log: Vec<State>,
    pub unclean: bool,
    next_epoch: i64,
}

impl Controller {
    pub fn new(brokers: usize, unclean: bool) -> Self {
        let all = (0..brokers as i32).map(NodeId);
        let first = State {
            leader: NodeId(0),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            isr: all.clone().collect(),
            elr: Vec::new(),
            brokers: all.map(|id| (BrokerEpoch(i64::from(id.get())), false)).collect(),
        };
        Self { log: vec![first], unclean, next_epoch: 100 }
    }

    pub fn state(&self) -> &State {
        self.log.last().expect("it begins with one")
    }

    fn write(&mut self, mut state: State, before: &State) {
        let changed = |a: &State, b: &State| {
            (a.leader, &a.isr, a.leader_epoch) != (b.leader, &b.isr, b.leader_epoch)
                || a.elr != b.elr
        };
        if changed(&state, before) {
            state.partition_epoch.0 += 1;
        }
        self.log.push(state);
    }

    fn is_active(state: &State, id: NodeId) -> bool {
        state.alive_epoch(id).is_some()
    }

    /// A leader where there is none, from those in sync; any other only if that is allowed.
    fn elect(&self, state: &mut State) {
        let active = |id: &NodeId| Self::is_active(state, *id);
        if active(&state.leader) && state.isr.contains(&state.leader) {
            return Self::settle(state);
        }
        let all: Vec<NodeId> = (0..state.brokers.len() as i32).map(NodeId).collect();
        let candidates = state.isr.iter().chain(&state.elr);
        let clean = candidates.copied().find(|id| active(id));
        let unclean = all.iter().copied().find(|id| active(id)).filter(|_| self.unclean);
        let leader = clean.or(unclean).unwrap_or(NodeId::NONE);
        if clean.is_none() && leader != NodeId::NONE {
            state.isr.clear();
            state.elr.clear();
        }
        if leader != NodeId::NONE && !state.isr.contains(&leader) {
            state.isr.push(leader);
        }
        Self::settle(state);
        if leader != state.leader {
            state.leader = leader;
            state.leader_epoch.0 += 1;
        }
    }

    pub fn fence(&mut self, id: NodeId) {
        let before = self.state().clone();
        let mut state = before.clone();
        state.brokers[id.get() as usize].1 = true;
        if state.isr != [id] && state.isr.contains(&id) {
            state.isr.retain(|other| *other != id);
            state.elr.push(id);
        }
        self.elect(&mut state);
        self.write(state, &before);
    }

    /// Only with too few in sync is anybody else as good.
    fn settle(state: &mut State) {
        if state.isr.len() >= MIN_ISR {
            state.elr.clear();
        }
        state.elr.retain(|id| !state.isr.contains(id));
    }

    /// A new process; after an unclean end it may have lost anything and is not in sync.
    pub fn register(&mut self, id: NodeId, clean: bool) -> BrokerEpoch {
        let before = self.state().clone();
        let mut state = before.clone();
        self.next_epoch += 1;
        let epoch = BrokerEpoch(self.next_epoch);
        state.brokers[id.get() as usize] = (epoch, true);
        if !clean {
            // The last one of all stays: there is nobody better (the "last known leader").
            if state.isr.iter().chain(&state.elr).any(|other| *other != id) {
                state.elr.retain(|other| *other != id);
                state.isr.retain(|other| *other != id);
            }
        }
        self.elect(&mut state);
        self.write(state, &before);
        epoch
    }

    pub fn unfence(&mut self, id: NodeId) {
        let before = self.state().clone();
        let mut state = before.clone();
        state.brokers[id.get() as usize].1 = false;
        self.elect(&mut state);
        self.write(state, &before);
    }

    /// Another leader, as an operator may want.
    pub fn move_leader(&mut self, to: NodeId) {
        let before = self.state().clone();
        if !before.isr.contains(&to) || !Self::is_active(&before, to) || before.leader == to {
            return;
        }
        let mut state = before.clone();
        state.leader = to;
        state.leader_epoch.0 += 1;
        self.write(state, &before);
    }

    pub fn alter(&mut self, from: NodeId, proposal: &IsrProposal, check_epochs: bool) -> IsrAnswer {
        let before = self.state().clone();
        if proposal.leader_epoch != before.leader_epoch
            || from != before.leader
            || proposal.partition_epoch < before.partition_epoch
        {
            return IsrAnswer::Outdated;
        }
        let eligible = |(id, epoch): &(NodeId, BrokerEpoch)| {
            let alive = before.alive_epoch(*id);
            alive.is_some_and(|alive| !check_epochs || !epoch.is_some() || alive == *epoch)
        };
        if !proposal.isr.iter().all(eligible) {
            return IsrAnswer::Refused;
        }
        let mut state = before.clone();
        let isr: Vec<NodeId> = proposal.isr.iter().map(|(id, _)| *id).collect();
        let gone = state.isr.iter().filter(|id| !isr.contains(id));
        state.elr.extend(gone);
        state.isr = isr;
        Self::settle(&mut state);
        self.write(state, &before);
        let state = self.state();
        IsrAnswer::Committed {
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: state.isr.clone(),
        }
    }
}
