//! One replica on a broker: leader or follower, its log, and who waits at it.

use std::collections::BTreeMap;
use std::rc::Rc;

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset, TopicIdPartition};
use coordinator::LogRecord;
use metadata::{ConfigResource, Image};
use protocol::ErrorCode;
use replication::{
    Brokers, Effect, Event, Follower, FollowerEffect, FollowerEvent, FollowerLog, IsrProposal,
    Leader, LeaderConfig, Waiting,
};

use super::context::{Context, Out};
use super::message::CallId;
use super::part_log::{PartLog, Record, Sequence};
use super::tamper::Tamper;

/// `replica.lag.time.max.ms`
pub(super) const LAG_MS: u64 = 2_000;
/// `replica.fetch.backoff.ms`
const BACKOFF_MS: u64 = 200;
/// `min.insync.replicas` of topics that say nothing else.
const MIN_ISR: usize = 2;

pub(super) enum Role {
    /// Nobody leads, as far as this broker knows.
    Idle,
    Leader(Box<Leader>),
    Follower(Follower),
}

pub(super) struct Replica {
    pub id: TopicIdPartition,
    pub role: Role,
    /// Producers that wait for the high watermark, with the offset of their record.
    pub waiting: Waiting<(CallId, Offset)>,
    /// The newest record of each producer; of a leader.
    producers: BTreeMap<i64, (i32, Offset)>,
    /// What the controller is to be asked for.
    pub proposals: Vec<IsrProposal>,
    /// A coordinator has appended.
    pub news: bool,
    min_isr: usize,
}

/// Other brokers, as this broker's image has them.
pub(super) struct Known<'a>(pub &'a Image);

impl Brokers for Known<'_> {
    fn alive_epoch(&self, id: NodeId) -> Option<BrokerEpoch> {
        let broker = self.0.cluster.broker(id)?;
        (!broker.fenced).then_some(broker.epoch)
    }

    fn is_leaving(&self, id: NodeId) -> bool {
        self.0.cluster.broker(id).is_none_or(|broker| broker.in_controlled_shutdown)
    }
}

/// Why a client is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    NotLeader,
    Fenced,
    UnknownEpoch,
    NotEnoughReplicas,
    OutOfOrder,
    OutOfRange,
    /// What was read last is not there; the logs are the same up to here.
    Diverging(Offset),
}

pub(super) enum Appended {
    /// It lies at this offset and waits for its replicas.
    At(Offset),
    /// It was there already.
    Duplicate(Offset),
}

impl Replica {
    pub fn new(id: TopicIdPartition) -> Self {
        Self {
            id,
            role: Role::Idle,
            waiting: Waiting::default(),
            producers: BTreeMap::new(),
            proposals: Vec::new(),
            news: false,
            min_isr: MIN_ISR,
        }
    }

    pub fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// The metadata says something new of the partition. Gives the producers that are not answered any more.
    pub fn follow_metadata(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut PartLog,
        image: &Image,
        partition: &metadata::Partition,
    ) -> Result<Vec<CallId>, String> {
        let (replicas, isr) = (partition.replicas.to_vec(), partition.isr.to_vec());
        let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
        if partition.leader == cx.id {
            if let Role::Leader(leader) = &self.role {
                if leader.epoch() < leader_epoch {
                    log.assign_epoch(leader_epoch)?;
                    cx.wish(Out::Leads { partition: self.id, epoch: leader_epoch });
                }
                let event = Event::Metadata { leader_epoch, partition_epoch, replicas, isr };
                self.step(cx, log, image, event);
                return Ok(Vec::new());
            }
            log.assign_epoch(leader_epoch)?;
            cx.wish(Out::Leads { partition: self.id, epoch: leader_epoch });
            let config = LeaderConfig {
                node_id: cx.id,
                leader_epoch,
                partition_epoch,
                epoch_start: log.end(),
                replicas,
                isr,
                min_insync_replicas: self.min_isr,
                lag_time_max_ms: LAG_MS,
            };
            let leader = Leader::new(config, log.end(), log.high_watermark(), cx.now.mono);
            self.role = Role::Leader(Box::new(leader));
            self.producers = log.producers();
            self.step(cx, log, image, Event::Appended { log_end: log.end() });
            return Ok(Vec::new());
        }
        let gone = self.waiting.drain().into_iter().map(|(call, _)| call).collect();
        self.proposals.clear();
        if partition.leader == NodeId::NONE {
            self.role = Role::Idle;
            return Ok(gone);
        }
        if let Role::Follower(follower) = &self.role
            && (follower.leader(), follower.leader_epoch()) == (partition.leader, leader_epoch)
        {
            return Ok(gone);
        }
        let mut effects = Vec::new();
        if cx.is(Tamper::TruncatesToWatermark) {
            log.truncate(log.high_watermark());
        }
        let follower = Follower::new(partition.leader, leader_epoch, BACKOFF_MS, log, &mut effects);
        self.role = Role::Follower(follower);
        self.execute(cx, log, effects);
        Ok(gone)
    }

    /// The settings of its topic may be others.
    pub fn follow_configs(&mut self, cx: &mut Context<'_>, log: &mut PartLog, image: &Image) {
        let topic = image.topics.by_id(self.id.topic_id);
        let told = topic.and_then(|topic| {
            let resource = ConfigResource::topic(&*topic.name);
            image.configs.value(&resource, "min.insync.replicas")?.parse().ok()
        });
        let min = told.unwrap_or(MIN_ISR);
        if self.min_isr != min {
            self.min_isr = min;
            self.step(cx, log, image, Event::MinInsyncReplicas { min });
        }
    }

    /// Lets the leader take an event; gives the producers that are served by it.
    pub fn step(&mut self, cx: &mut Context<'_>, log: &mut PartLog, image: &Image, event: Event) {
        let Role::Leader(leader) = &mut self.role else { return };
        let mut effects = Vec::new();
        leader.step(cx.now.mono, &Known(image), event, &mut effects);
        let epoch = leader.epoch();
        for effect in effects {
            match effect {
                Effect::HighWatermarkAdvanced { from, to } => {
                    log.set_high_watermark(to);
                    let records = log.read(from, to, usize::MAX);
                    cx.wish(Out::Committed { partition: self.id, epoch, from, records });
                }
                Effect::Propose(proposal) => self.proposals.push(proposal),
            }
        }
    }

    /// A follower's answer, as the machine understands it.
    pub fn step_follower(&mut self, cx: &mut Context<'_>, log: &mut PartLog, event: FollowerEvent) {
        let Role::Follower(follower) = &mut self.role else { return };
        let mut effects = Vec::new();
        follower.step(cx.now.mono, log, event, &mut effects);
        self.execute(cx, log, effects);
    }

    fn execute(&mut self, cx: &mut Context<'_>, log: &mut PartLog, effects: Vec<FollowerEffect>) {
        let id = self.id.partition;
        for effect in effects {
            match effect {
                FollowerEffect::Truncate { end } => {
                    cx.note(|| format!("truncates {id} from {} to {end}", log.end()));
                    log.truncate(end);
                }
                FollowerEffect::StartOver { start } => log.start_over(start),
                FollowerEffect::HighWatermark(to) => log.set_high_watermark(to),
                FollowerEffect::LogStart(_) => {}
            }
        }
    }

    /// A replica, or a consumer, reads: whether what it knows of the log fits ours.
    pub fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), Refused> {
        let ours = self.leader().ok_or(Refused::NotLeader)?.epoch();
        match epoch {
            _ if !epoch.is_some() || epoch == ours => Ok(()),
            _ if epoch < ours => Err(Refused::Fenced),
            _ => Err(Refused::UnknownEpoch),
        }
    }

    /// A producer writes a record.
    pub fn append(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut PartLog,
        image: &Image,
        (value, sequence, all): (u64, Sequence, bool),
    ) -> Result<Appended, Refused> {
        let leader = self.leader().ok_or(Refused::NotLeader)?;
        if all && !leader.has_min_isr() {
            return Err(Refused::NotEnoughReplicas);
        }
        let epoch = leader.epoch();
        if let Some((producer, number)) = sequence {
            match self.producers.get(&producer) {
                Some((known, offset)) if *known == number => {
                    return Ok(Appended::Duplicate(*offset));
                }
                Some((known, _)) if number != known + 1 => return Err(Refused::OutOfOrder),
                None if number != 0 => return Err(Refused::OutOfOrder),
                _ => {}
            }
        }
        let offset = log.end();
        log.append(Record { epoch, value, sequence, payload: None, more: false })
            .map_err(|_| Refused::NotLeader)?;
        if let Some((producer, number)) = sequence {
            self.producers.insert(producer, (number, offset));
        }
        self.step(cx, log, image, Event::Appended { log_end: log.end() });
        Ok(Appended::At(offset))
    }

    /// A coordinator writes a batch.
    pub fn append_all(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut PartLog,
        image: &Image,
        records: Vec<LogRecord>,
    ) -> Result<(), ErrorCode> {
        let leader = self.leader().ok_or(ErrorCode::NotLeaderOrFollower)?;
        if !leader.has_min_isr() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let epoch = leader.epoch();
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            let (payload, more) = (Some(Rc::new(record)), records.peek().is_some());
            let record = Record { epoch, value: 0, sequence: None, payload, more };
            log.append(record).map_err(|_| ErrorCode::UnknownServerError)?;
        }
        self.step(cx, log, image, Event::Appended { log_end: log.end() });
        Ok(())
    }

    /// Producers whose records are committed by now, or too late.
    pub fn served(&mut self, now: MonoMs, log: &PartLog) -> (Vec<(CallId, Offset)>, Vec<CallId>) {
        if self.waiting.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let served = self.waiting.release(log.high_watermark());
        let late = self.waiting.expire(now);
        (served, late.into_iter().map(|(call, _)| call).collect())
    }
}
