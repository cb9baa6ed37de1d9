//! One partition on three to five brokers: leaders and followers as they are, a network that loses and delays, crashes, and clients
//! whose acknowledged records are remembered.

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};
use replication::{
    Ask, Brokers, Effect, Event, Follower, FollowerEffect, FollowerEvent, FollowerLog, IsrAnswer,
    IsrProposal, Leader, LeaderConfig, Position, Refusal, invariants,
};

use crate::controller::{Controller, MIN_ISR, State};
use crate::log::TestLog;

const LAG_MS: u64 = 200;
const BACKOFF_MS: u64 = 20;

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
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
enum Role {
    Idle,
    Leading(Leader),
    Following(Follower),
}

#[derive(Clone, Debug)]
pub struct Broker {
    pub up: bool,
    /// Lost records, and has not caught up since.
    pub lossy: bool,
    clean: bool,
    epoch: BrokerEpoch,
    pub log: TestLog,
    role: Role,
    /// States of the controller that it has read.
    read: usize,
    state: State,
    checkpoint: i64,
    /// Its fetch under way; answers to others are ignored.
    fetch: u64,
    fetch_until: MonoMs,
    producers: Vec<(i64, LeaderEpoch, u64)>,
}

#[derive(Clone, Debug)]
enum Message {
    Fetch { id: u64, epoch: BrokerEpoch, at: Position },
    Fetched { id: u64, at: Position, answer: Answer },
    Alter { proposal: IsrProposal, epoch: BrokerEpoch },
    Altered { id: u64, leader_epoch: LeaderEpoch, epoch: BrokerEpoch, answer: IsrAnswer },
}

#[derive(Clone, Debug)]
enum Answer {
    Records { records: Vec<(LeaderEpoch, u64)>, high_watermark: Offset },
    Event(FollowerEvent),
}

pub struct World {
    pub rng: Rng,
    pub now: MonoMs,
    pub controller: Controller,
    pub brokers: Vec<Broker>,
    network: Vec<(NodeId, NodeId, Message)>,
    /// What any leader's watermark has passed, by offset.
    pub committed: Vec<(LeaderEpoch, u64)>,
    pub acked: u64,
    pub elections: usize,
    next_value: u64,
    plant: Plant,
    faults: bool,
}

const CONTROLLER: NodeId = NodeId(99);

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

    fn read_metadata(&mut self, at: usize) -> Result<(), String> {
        if !self.brokers[at].up || self.brokers[at].read >= self.controller.log.len() {
            return Ok(());
        }
        let left = self.controller.log.len() - self.brokers[at].read;
        let broker = &mut self.brokers[at];
        broker.read += 1 + self.rng.below(left as u64) as usize;
        broker.state = self.controller.log[broker.read - 1].clone();
        // Before its own registration a process knows nothing of the present.
        if broker.state.brokers[at].0 != broker.epoch {
            return Ok(());
        }
        let id = NodeId(at as i32);
        let state = broker.state.clone();
        match &mut broker.role {
            Role::Leading(leader) if state.leader == id => {
                broker.log.assign(state.leader_epoch);
                let event = Event::Metadata {
                    leader_epoch: state.leader_epoch,
                    partition_epoch: state.partition_epoch,
                    replicas: leader.followers().map(|(id, _)| id).chain([id]).collect(),
                    isr: state.isr,
                };
                self.lead(at, event)
            }
            _ if state.leader == id => {
                self.elections += 1;
                broker.log.assign(state.leader_epoch);
                let config = LeaderConfig {
                    node_id: id,
                    leader_epoch: state.leader_epoch,
                    partition_epoch: state.partition_epoch,
                    epoch_start: broker.log.end(),
                    replicas: (0..state.brokers.len() as i32).map(NodeId).collect(),
                    isr: state.isr,
                    min_insync_replicas: MIN_ISR,
                    lag_time_max_ms: LAG_MS,
                };
                let (end, hw) = (broker.log.end(), broker.log.high_watermark());
                broker.role = Role::Leading(Leader::new(config, end, hw, self.now));
                broker.producers.clear();
                self.lead(at, Event::Appended { log_end: end })
            }
            Role::Following(follower) if follower.leader_epoch() == state.leader_epoch => Ok(()),
            _ => {
                broker.producers.clear();
                broker.role = Role::Idle;
                if state.leader != NodeId::NONE {
                    let mut effects = Vec::new();
                    let follower = Follower::new(
                        state.leader,
                        state.leader_epoch,
                        BACKOFF_MS,
                        &broker.log,
                        &mut effects,
                    );
                    broker.role = Role::Following(follower);
                    broker.fetch += 1;
                    broker.fetch_until = MonoMs(0);
                    self.follow(at, effects);
                }
                Ok(())
            }
        }
    }

    fn produce(&mut self, at: usize) -> Result<(), String> {
        let broker = &mut self.brokers[at];
        let Role::Leading(leader) = &broker.role else { return Ok(()) };
        if !leader.has_min_isr() {
            return Ok(());
        }
        let epoch = leader.epoch();
        self.next_value += 1;
        broker.log.append(epoch, self.next_value);
        let end = broker.log.end();
        broker.producers.push((end.get(), epoch, self.next_value));
        self.lead(at, Event::Appended { log_end: end })
    }

    fn tick(&mut self, at: usize) -> Result<(), String> {
        self.lead(at, Event::Tick)
    }

    /// Runs the leader's machine and what it asks for.
    fn lead(&mut self, at: usize, event: Event) -> Result<(), String> {
        let now = self.now;
        let broker = &mut self.brokers[at];
        let Role::Leading(leader) = &mut broker.role else { return Ok(()) };
        let before = leader.clone();
        let mut effects = Vec::new();
        leader.step(now, &broker.state, event, &mut effects);
        invariants::high_watermark_within_log(leader)?;
        invariants::high_watermark_monotonic(&before, leader)?;
        for effect in effects {
            match effect {
                Effect::HighWatermarkAdvanced { to, .. } => {
                    broker.log.high_watermark = to.get();
                    if leader.has_enough_after_append() {
                        let due = broker.producers.extract_if(.., |p| p.0 <= to.get());
                        for (end, epoch, value) in due {
                            self.acked += 1;
                            let written = broker.log.records.get(end as usize - 1);
                            if written != Some(&(epoch, value)) {
                                return Err(format!("{value} was acked but is not at {}", end - 1));
                            }
                        }
                    }
                    for (offset, record) in broker.log.records.iter().enumerate() {
                        if offset as i64 >= to.get() {
                            break;
                        }
                        match self.committed.get(offset) {
                            None => self.committed.push(*record),
                            Some(known) if known == record || self.controller.unclean => {}
                            Some(known) => {
                                return Err(format!(
                                    "{offset} was {known:?}, leader {at} commits {record:?}"
                                ));
                            }
                        }
                    }
                }
                Effect::Propose(mut proposal) => {
                    for (id, epoch) in &mut proposal.isr {
                        if id.get() as usize == at {
                            *epoch = broker.epoch;
                        }
                    }
                    let epoch = broker.epoch;
                    let message = Message::Alter { proposal, epoch };
                    self.network.push((NodeId(at as i32), CONTROLLER, message));
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, at: usize, effects: Vec<FollowerEffect>) {
        let log = &mut self.brokers[at].log;
        for effect in effects {
            match effect {
                FollowerEffect::Truncate { end } => log.truncate(end),
                FollowerEffect::StartOver { .. } | FollowerEffect::LogStart(_) => {
                    unreachable!("logs here begin at 0")
                }
                FollowerEffect::HighWatermark(offset) => log.high_watermark = offset.get(),
            }
        }
    }

    fn fetch(&mut self, at: usize) {
        let now = self.now;
        let broker = &mut self.brokers[at];
        let Role::Following(follower) = &mut broker.role else { return };
        if now < broker.fetch_until {
            return;
        }
        broker.fetch += 1;
        broker.fetch_until = now.plus_ms(100);
        let from = NodeId(at as i32);
        let leader = follower.leader();
        let ask = follower.ask(now, &broker.log);
        match ask {
            Ask::Fetch(at) => {
                let message = Message::Fetch { id: broker.fetch, epoch: broker.epoch, at };
                self.network.push((from, leader, message));
            }
            Ask::LogEnd | Ask::LogStart => {
                let other = &self.brokers[leader.get() as usize];
                let event = match ask {
                    _ if !matches!(other.role, Role::Leading(_)) => FollowerEvent::Unreachable,
                    Ask::LogEnd => FollowerEvent::LogEnd { end: other.log.end() },
                    _ => FollowerEvent::LogStart { start: Offset::ZERO },
                };
                self.brokers[at].fetch_until = MonoMs(0);
                self.follower_event(at, event);
            }
            Ask::Wait { .. } | Ask::Nothing => broker.fetch_until = MonoMs(0),
        }
    }

    fn follower_event(&mut self, at: usize, event: FollowerEvent) {
        let now = self.now;
        let broker = &mut self.brokers[at];
        let Role::Following(follower) = &mut broker.role else { return };
        let mut effects = Vec::new();
        follower.step(now, &broker.log, event, &mut effects);
        self.follow(at, effects);
    }

    fn deliver(&mut self) -> Result<(), String> {
        if self.network.is_empty() {
            return Ok(());
        }
        let slot = self.rng.below(self.network.len() as u64) as usize;
        let (from, to, message) = self.network.swap_remove(slot);
        let lost = self.faults && self.rng.one_in(10);
        match message {
            // Whoever asks the controller and hears nothing asks again.
            Message::Alter { proposal, epoch } => {
                let back = |answer| Message::Altered {
                    id: proposal.id,
                    leader_epoch: proposal.leader_epoch,
                    epoch,
                    answer,
                };
                let mut answer = IsrAnswer::Unknown;
                if !lost || self.rng.one_in(2) {
                    let check = self.plant != Plant::NoBrokerEpochs;
                    answer = self.controller.alter(from, &proposal, check);
                }
                if lost {
                    answer = match self.plant {
                        Plant::UnknownIsRefused => IsrAnswer::Refused,
                        _ => IsrAnswer::Unknown,
                    };
                }
                self.network.push((CONTROLLER, from, back(answer)));
                Ok(())
            }
            Message::Altered { id, epoch, leader_epoch, answer } => {
                let broker = &self.brokers[to.get() as usize];
                let same =
                    matches!(&broker.role, Role::Leading(leader) if leader.epoch() == leader_epoch);
                if !broker.up || broker.epoch != epoch || !same {
                    return Ok(());
                }
                self.lead(to.get() as usize, Event::IsrAnswered { id, answer })
            }
            _ if lost => Ok(()),
            Message::Fetch { id, epoch, at } => {
                let answer = self.serve(to, from, epoch, at)?;
                self.network.push((to, from, Message::Fetched { id, at, answer }));
                Ok(())
            }
            Message::Fetched { id, at, answer } => {
                self.fetched(to.get() as usize, id, at, answer);
                Ok(())
            }
        }
    }

    fn serve(
        &mut self,
        leader: NodeId,
        replica: NodeId,
        mut epoch: BrokerEpoch,
        at: Position,
    ) -> Result<Answer, String> {
        let refused = |refusal| Ok(Answer::Event(FollowerEvent::Refused(refusal)));
        if self.plant == Plant::NoBrokerEpochs {
            epoch = BrokerEpoch::NONE;
        }
        let slot = leader.get() as usize;
        let broker = &self.brokers[slot];
        let Role::Leading(leader) = &broker.role else { return refused(Refusal::Retry) };
        match at.leader_epoch {
            asked if asked < leader.epoch() => return refused(Refusal::Fenced),
            asked if asked > leader.epoch() => return refused(Refusal::Retry),
            _ => {}
        }
        if leader.check_fetch(replica, epoch, &broker.state).is_err() {
            return refused(Refusal::Retry);
        }
        if at.last_fetched_epoch.is_some() && self.plant != Plant::NoComparison {
            match broker.log.end_of_epoch(at.last_fetched_epoch) {
                None => return refused(Refusal::OutOfRange),
                Some((epoch, end)) if epoch < at.last_fetched_epoch || end < at.offset => {
                    return Ok(Answer::Event(FollowerEvent::Diverging { epoch, end }));
                }
                Some(_) => {}
            }
        }
        if at.offset > broker.log.end() {
            return refused(Refusal::OutOfRange);
        }
        let event = Event::FollowerFetched {
            replica,
            fetch_offset: at.offset,
            log_start: at.log_start,
            broker_epoch: epoch,
        };
        let count = self.rng.below(5) as usize;
        self.lead(slot, event)?;
        let log = &self.brokers[slot].log;
        let records = log.records.iter().skip(at.offset.get() as usize).take(count);
        Ok(Answer::Records {
            records: records.copied().collect(),
            high_watermark: log.high_watermark(),
        })
    }

    fn fetched(&mut self, to: usize, id: u64, at: Position, answer: Answer) {
        let broker = &mut self.brokers[to];
        let Role::Following(follower) = &mut broker.role else { return };
        if !broker.up || broker.fetch != id || follower.position(&broker.log) != at {
            return;
        }
        broker.fetch_until = MonoMs(0);
        let event = match answer {
            Answer::Event(event) => event,
            Answer::Records { records, high_watermark } => {
                for (epoch, value) in records {
                    broker.log.append(epoch, value);
                }
                FollowerEvent::Appended { high_watermark, log_start: Offset::ZERO }
            }
        };
        self.follower_event(to, event);
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
