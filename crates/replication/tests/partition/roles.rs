//! What leaders and followers do in the world, and what they say to each other and to the controller.

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};
use replication::{
    Ask, Effect, Event, Follower, FollowerEffect, FollowerEvent, FollowerLog, IsrAnswer,
    IsrProposal, Leader, LeaderConfig, Position, Refusal, invariants,
};

use crate::controller::MIN_ISR;
use crate::world::{Plant, World};

const LAG_MS: u64 = 200;
const BACKOFF_MS: u64 = 20;

const CONTROLLER: NodeId = NodeId(99);

#[derive(Clone, Debug)]
pub enum Role {
    Idle,
    Leading(Leader),
    Following(Follower),
}

#[derive(Clone, Debug)]
pub enum Message {
    Fetch { id: u64, epoch: BrokerEpoch, at: Position },
    Fetched { id: u64, at: Position, answer: Answer },
    Alter { proposal: IsrProposal, epoch: BrokerEpoch },
    Altered { id: u64, leader_epoch: LeaderEpoch, epoch: BrokerEpoch, answer: IsrAnswer },
}

#[derive(Clone, Debug)]
pub enum Answer {
    Records { records: Vec<(LeaderEpoch, u64)>, high_watermark: Offset },
    Event(FollowerEvent),
}

impl World {
    pub fn read_metadata(&mut self, at: usize) -> Result<(), String> {
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

    pub fn produce(&mut self, at: usize) -> Result<(), String> {
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

    pub fn tick(&mut self, at: usize) -> Result<(), String> {
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

    pub fn fetch(&mut self, at: usize) {
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

    pub fn deliver(&mut self) -> Result<(), String> {
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
}
