//! One partition on three to five brokers: leaders and followers as they are, a network that loses and delays, crashes, and clients
//! whose acknowledged records are remembered.

use base::seeded::split_mix;
use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};
use replication::{Brokers, FollowerLog, invariants};

use crate::controller::{Controller, State};
use crate::log::TestLog;
use crate::roles::{Message, Role};

/// Mistakes that the invariants must find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    Nothing,
    /// A proposal without answer counts as refused.
    UnknownIsRefused,
    /// Nobody compares epochs: a follower goes on where its own log ends.
    NoComparison,
    /// Fetches of a broker's earlier life count (before KIP-903).
    NoBrokerEpochs,
}

pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        split_mix(&mut self.0) % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
pub struct Broker {
    pub up: bool,
    /// Lost records, and has not caught up since.
    pub lossy: bool,
    pub clean: bool,
    pub epoch: BrokerEpoch,
    pub log: TestLog,
    pub role: Role,
    /// States of the controller that it has read.
    pub read: usize,
    pub state: State,
    pub checkpoint: i64,
    /// Its fetch under way; answers to others are ignored.
    pub fetch: u64,
    pub fetch_until: MonoMs,
    pub producers: Vec<(i64, LeaderEpoch, u64)>,
}

pub struct World {
    pub rng: Rng,
    pub now: MonoMs,
    pub controller: Controller,
    pub brokers: Vec<Broker>,
    pub network: Vec<(NodeId, NodeId, Message)>,
    /// What any leader's watermark has passed, by offset.
    pub committed: Vec<(LeaderEpoch, u64)>,
    pub acked: u64,
    pub elections: usize,
    pub next_value: u64,
    pub plant: Plant,
    pub faults: bool,
}

impl World {
    pub fn new(seed: u64, unclean: bool, plant: Plant) -> Self {
        let mut rng = Rng(seed);
        let count = 3 + rng.below(3) as usize;
        let controller = Controller::new(count, unclean);
        let state = controller.state().clone();
        let broker = |(epoch, _): &(BrokerEpoch, bool)| Broker {
            up: true,
            lossy: false,
            clean: true,
            epoch: *epoch,
            log: TestLog::default(),
            role: Role::Idle,
            read: 0,
            state: state.clone(),
            checkpoint: 0,
            fetch: 0,
            fetch_until: MonoMs(0),
            producers: Vec::new(),
        };
        let brokers = state.brokers.iter().map(broker).collect();
        Self {
            rng,
            now: MonoMs(1000),
            controller,
            brokers,
            network: Vec::new(),
            committed: Vec::new(),
            acked: 0,
            elections: 0,
            next_value: 0,
            plant,
            faults: true,
        }
    }

    /// One thing happens; then all that must hold is looked at.
    pub fn step(&mut self) -> Result<(), String> {
        self.now = self.now.plus_ms(1 + self.rng.below(4));
        let at = self.rng.below(self.brokers.len() as u64) as usize;
        let id = NodeId(at as i32);
        match self.rng.below(1000) {
            0..300 => self.deliver()?,
            300..500 => self.fetch(at),
            500..600 if self.faults => self.produce(at)?,
            600..830 => self.read_metadata(at)?,
            830..860 => self.tick(at)?,
            860..890 => self.brokers[at].log.synced = self.brokers[at].log.records.len(),
            890..920 => self.brokers[at].checkpoint = self.brokers[at].log.high_watermark,
            920..926 if self.faults => self.crash(at),
            926..950 => self.restart(at),
            950..953 if self.faults => self.controller.fence(id),
            953..958 if self.faults => self.controller.move_leader(id),
            958..1000 => self.controller_looks(at),
            _ => {}
        }
        self.check()
    }

    /// Everything heals; nothing fails and nothing is written from here on.
    pub fn heal(&mut self) {
        self.faults = false;
    }

    fn crash(&mut self, at: usize) {
        if self.brokers.iter().any(|broker| broker.lossy) {
            return;
        }
        let id = NodeId(at as i32);
        let state = self.controller.state();
        let alone = state.isr.iter().chain(&state.elr).all(|other| *other == id);
        let others_up = self.brokers.iter().enumerate().all(|(other, b)| b.up || other == at);
        let broker = &mut self.brokers[at];
        if !broker.up {
            return;
        }
        // One loss at a time is what two in-sync replicas withstand.
        let power = !alone && others_up && self.rng.one_in(2);
        broker.up = false;
        broker.clean = false;
        let before = broker.log.records.len();
        broker.log.crash(power, broker.checkpoint);
        broker.lossy |= broker.log.records.len() < before;
        broker.role = Role::Idle;
        broker.producers.clear();
    }

    fn restart(&mut self, at: usize) {
        if self.brokers[at].up {
            return;
        }
        let id = NodeId(at as i32);
        let clean = self.brokers[at].clean;
        let epoch = self.controller.register(id, clean);
        let broker = &mut self.brokers[at];
        broker.up = true;
        broker.clean = true;
        broker.epoch = epoch;
        broker.read = 0;
        broker.fetch += 1;
        broker.fetch_until = MonoMs(0);
    }

    /// Fences who is down, unfences who is there and has read its own registration.
    fn controller_looks(&mut self, at: usize) {
        let id = NodeId(at as i32);
        let (_, fenced) = self.controller.state().brokers[at];
        let broker = &self.brokers[at];
        let knows_itself = broker.state.brokers[at].0 == broker.epoch;
        match (broker.up, fenced) {
            (false, false) => self.controller.fence(id),
            (true, true) if knows_itself => self.controller.unfence(id),
            _ => {}
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let state = self.controller.state();
        for (at, broker) in self.brokers.iter_mut().enumerate() {
            // In sync again: what it lost it has got back.
            broker.lossy &= !(broker.up
                && state.isr.contains(&NodeId(at as i32))
                && state.brokers[at].0 == broker.epoch);
        }
        if state.leader != NodeId::NONE {
            invariants::leader_in_isr(state.leader, &state.isr)?;
        }
        let end = |id: NodeId| {
            let broker = &self.brokers[id.get() as usize];
            // What a crash took is known to the controller when the broker comes back.
            if broker.lossy { Offset(i64::MAX) } else { broker.log.end() }
        };
        for broker in &self.brokers {
            let Role::Leading(leader) = &broker.role else { continue };
            if !self.controller.unclean {
                invariants::maximal_isr_holds_committed(leader, end)?;
            }
            if leader.epoch() == state.leader_epoch {
                invariants::maximal_isr_covers(leader, &state.isr)?;
            }
        }
        if !self.controller.unclean {
            for id in state.isr.iter().chain(&state.elr) {
                let broker = &self.brokers[id.get() as usize];
                if !broker.lossy {
                    invariants::holds_committed(&broker.log.view(*id), &self.committed)?;
                }
            }
        }
        for (one, broker) in self.brokers.iter().enumerate() {
            for (other, second) in self.brokers.iter().enumerate().skip(one + 1) {
                let (a, b) = (NodeId(one as i32), NodeId(other as i32));
                invariants::logs_match(&broker.log.view(a), &second.log.view(b))?;
            }
        }
        Ok(())
    }

    /// Whether all replicas are the same, in sync, and everything is committed.
    pub fn is_settled(&self) -> bool {
        let state = self.controller.state();
        let first = &self.brokers[0].log;
        state.isr.len() == self.brokers.len()
            && self.brokers.iter().all(|broker| {
                broker.log.records == first.records && broker.log.high_watermark() == first.end()
            })
    }

    /// The controller's state, then a line for each broker.
    pub fn describe(&self) -> String {
        let row = |broker: &Broker| {
            let role = match &broker.role {
                Role::Idle => "idle".to_owned(),
                Role::Leading(leader) => {
                    format!("leads in {} isr {:?}", leader.epoch(), leader.isr())
                }
                Role::Following(follower) => format!("follows in {}", follower.leader_epoch()),
            };
            let alive = broker.state.alive_epoch(NodeId(0)).is_some();
            let (end, hw) = (broker.log.end(), broker.log.high_watermark());
            format!("up {} {role} end {end} hw {hw} sees-0 {alive}", broker.up)
        };
        let rows: Vec<String> = self.brokers.iter().map(row).collect();
        format!("{:?}\n{}", self.controller.state(), rows.join("\n"))
    }
}
