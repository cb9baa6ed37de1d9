//! A member of a consumer group (KIP-848) as Java's client is one: heartbeats, and gives up before it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{TopicPartition, Uuid};
use group::consumer::{Reply, Request};
use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

use super::turn::{Ask, Lane, Told, Turn, Waiting};
use super::work::{Who, Work};

const PATIENCE_MS: u64 = 5_000;
const LEAVE: i32 = -1;
const LEAVE_STATIC: i32 = -2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Joins from then on.
    Apart {
        from_ms: u64,
    },
    Joining,
    Member,
    Gone,
}

#[derive(Clone, Debug)]
pub struct ConsumerMember {
    pub group: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub topics: BTreeSet<Arc<str>>,
    /// In place of names.
    pub regex: Option<Arc<str>>,
    pub server_assignor: Option<&'static str>,
    pub rebalance_timeout_ms: i32,
    pub phase: Phase,
    pub work: Work,
    pub member_id: String,
    pub epoch: i32,
    waiting: Option<Waiting>,
    heartbeat_ms: u64,
    interval_ms: u64,
    /// The next heartbeat says everything.
    full: bool,
    /// What it is to own, and when it will have given up the rest.
    target: Option<(BTreeMap<Uuid, BTreeSet<i32>>, u64)>,
    /// It committed what it is about to give up.
    has_said_last: bool,
}

impl ConsumerMember {
    pub fn new(group: &Arc<str>, member_id: String, topics: BTreeSet<Arc<str>>) -> Self {
        Self {
            group: Arc::clone(group),
            instance_id: None,
            topics,
            regex: None,
            server_assignor: None,
            rebalance_timeout_ms: 20_000,
            phase: Phase::Apart { from_ms: 0 },
            work: Work::new(group),
            member_id,
            epoch: 0,
            waiting: None,
            heartbeat_ms: 0,
            interval_ms: 5_000,
            full: true,
            target: None,
            has_said_last: false,
        }
    }

    fn who(&self) -> Who {
        Who {
            member_id: self.member_id.clone(),
            epoch: self.epoch,
            instance_id: None,
            consumer_protocol: true,
        }
    }

    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        if self.waiting.is_some_and(|waiting| waiting.until_ms <= turn.now_ms) {
            self.waiting = None;
            self.full = true;
            self.heartbeat_ms = turn.now_ms;
            if self.phase == Phase::Joining {
                self.phase = Phase::Apart { from_ms: turn.now_ms };
            }
        }
        match self.phase {
            Phase::Apart { from_ms } if from_ms <= turn.now_ms && self.waiting.is_none() => {
                self.epoch = 0;
                self.full = true;
                self.phase = Phase::Joining;
                self.heartbeat(turn, false);
            }
            Phase::Member => self.be_member(turn),
            _ => {}
        }
    }

    fn be_member(&mut self, turn: &mut Turn<'_>) {
        let due = self.target.as_ref().is_some_and(|(_, at)| *at <= turn.now_ms);
        if !due {
            let who = self.who();
            self.work.go_on(turn, &who);
        }
        if due && self.waiting.is_none() && self.has_committed(turn) {
            self.reconcile(turn);
            self.heartbeat(turn, true);
        } else if self.heartbeat_ms <= turn.now_ms && self.waiting.is_none() {
            self.heartbeat(turn, false);
        }
    }

    /// Owns what it is to own, as far as it knows those topics.
    fn reconcile(&mut self, turn: &mut Turn<'_>) {
        let Some((target, _)) = self.target.take() else { return };
        self.has_said_last = false;
        let target = named(turn, &target);
        self.work.own(&target);
    }

    /// Who gives up partitions commits first and hears the answer: a commit that comes after the next owner began would
    /// take that one back, since the epoch may still be good.
    fn has_committed(&mut self, turn: &mut Turn<'_>) -> bool {
        if !self.work.is_done(turn) {
            return false;
        }
        let keeps = self.target.as_ref().map(|(target, _)| named(turn, target));
        let gives_up = keeps.is_some_and(|keeps| !self.work.owned().is_subset(&keeps));
        if gives_up && !self.has_said_last {
            self.has_said_last = true;
            let who = self.who();
            self.work.commit(turn, &who);
        }
        self.work.is_done(turn)
    }

    fn heartbeat(&mut self, turn: &mut Turn<'_>, acknowledges: bool) {
        self.heartbeat_ms = turn.now_ms + self.interval_ms;
        let joins = self.epoch == 0;
        let names = self.full && self.regex.is_none();
        let owned = if joins { Vec::new() } else { self.owned(turn) };
        let topics = self.topics.iter().map(|topic| topic.to_string().into());
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.to_string().into(),
            member_id: self.member_id.clone().into(),
            member_epoch: self.epoch,
            instance_id: self.instance_id.as_ref().map(|id| id.to_string().into()),
            rack_id: None,
            rebalance_timeout_ms: if self.full { self.rebalance_timeout_ms } else { -1 },
            subscribed_topic_names: names.then(|| topics.collect()),
            subscribed_topic_regex: self
                .regex
                .as_ref()
                .filter(|_| self.full)
                .map(|regex| regex.to_string().into()),
            server_assignor: self.server_assignor.filter(|_| self.full).map(Into::into),
            topic_partitions: (self.full || acknowledges || joins).then_some(owned),
            ..Default::default()
        };
        self.full = false;
        self.send(turn, request);
    }

    fn send(&mut self, turn: &mut Turn<'_>, request: ConsumerGroupHeartbeatRequest<'static>) {
        let caller = turn.caller(1);
        let request = Request::Heartbeat { caller, request };
        let call = turn.send(Lane::Group, Ask::Request(group::Request::Consumer(request)));
        self.waiting = Some(Waiting { call, until_ms: turn.now_ms + PATIENCE_MS });
    }

    fn owned(&self, turn: &Turn<'_>) -> Vec<TopicPartitions> {
        let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for one in self.work.owned() {
            if let Some(topic) = turn.cluster.topics.get(&one.topic) {
                topics.entry(topic.id).or_default().push(one.partition.get());
            }
        }
        let row =
            |(topic_id, partitions)| TopicPartitions { topic_id, partitions, ..Default::default() };
        topics.into_iter().map(row).collect()
    }

    pub fn leave(&mut self, turn: &mut Turn<'_>) {
        let who = self.who();
        self.work.commit(turn, &who);
        let stays = self.instance_id.is_some() && turn.rng.chance(50);
        self.send(
            turn,
            ConsumerGroupHeartbeatRequest {
                group_id: self.group.to_string().into(),
                member_id: self.member_id.clone().into(),
                member_epoch: if stays { LEAVE_STATIC } else { LEAVE },
                instance_id: self.instance_id.as_ref().map(|id| id.to_string().into()),
                rebalance_timeout_ms: -1,
                subscribed_topic_names: None,
                subscribed_topic_regex: None,
                rack_id: None,
                server_assignor: None,
                topic_partitions: None,
                ..Default::default()
            },
        );
        self.work.lose_all();
        self.phase = Phase::Gone;
    }

    pub fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        call: u64,
        reply: Result<group::Reply, ErrorCode>,
    ) {
        if self.waiting.is_none_or(|waiting| waiting.call != call) {
            return;
        }
        self.waiting = None;
        match reply {
            _ if self.phase == Phase::Gone => {}
            Ok(group::Reply::Consumer(Reply::Heartbeat(reply))) => match reply.error_code {
                0 => self.heard(turn, &reply),
                error => self.refused(turn, ErrorCode::from_code(error)),
            },
            Err(error) => self.refused(turn, error),
            Ok(_) => {}
        }
    }

    fn heard(&mut self, turn: &mut Turn<'_>, reply: &ConsumerGroupHeartbeatResponse<'_>) {
        self.phase = Phase::Member;
        self.epoch = reply.member_epoch;
        self.interval_ms = u64::try_from(reply.heartbeat_interval_ms).unwrap_or(5_000);
        let Some(assignment) = &reply.assignment else { return };
        let mut target: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
        for topic in &assignment.topic_partitions {
            target.entry(topic.topic_id).or_default().extend(&topic.partitions);
        }
        let keeps = named(turn, &target);
        let gives_up = self.work.owned().difference(&keeps).next().is_some();
        let rebalance_ms = u64::try_from(self.rebalance_timeout_ms).unwrap_or(0);
        let needs_ms = match turn.rng.below(100) {
            // Too slow.
            0..5 => rebalance_ms + 10_000,
            5..30 => turn.rng.below(rebalance_ms),
            _ => 0,
        };
        let at_ms = turn.now_ms + if gives_up { needs_ms } else { 0 };
        self.has_said_last = false;
        self.target = Some((target, at_ms));
    }

    fn refused(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let soon = turn.now_ms + turn.rng.range(50, 500);
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => {
                turn.told.push(Told::Fenced);
                self.work.lose_all();
                self.target = None;
                self.phase = Phase::Apart { from_ms: soon };
            }
            // The last is fatal to Java's client, too: somebody deleted the group after the member was fenced.
            ErrorCode::UnreleasedInstanceId
            | ErrorCode::FencedInstanceId
            | ErrorCode::GroupIdNotFound => {
                turn.told.push(Told::Fenced);
                self.work.lose_all();
                self.phase = Phase::Gone;
            }
            _ if self.phase == Phase::Joining => self.phase = Phase::Apart { from_ms: soon },
            _ => {
                self.full = true;
                self.heartbeat_ms = soon;
            }
        }
    }
}

/// The partitions of those topics whose names are known.
fn named(turn: &Turn<'_>, ids: &BTreeMap<Uuid, BTreeSet<i32>>) -> BTreeSet<TopicPartition> {
    let mut all = BTreeSet::new();
    for topic in turn.cluster.topics.values() {
        let indexes = ids.get(&topic.id).into_iter().flatten();
        all.extend(indexes.map(|index| TopicPartition::new(Arc::clone(&topic.name), *index)));
    }
    all
}
