//! The markers of decided transactions that have not been answered, as a pure queue: which of them go into the next request to which
//! broker, what an answer means for each, and when what failed is tried again.
//!
//! To each broker several requests may be under way, so that a partition whose replicas are slow holds up its own markers alone: the next
//! request goes while an older one is slow, without the partitions of that one; and a partition whose markers were not committed in
//! time gets requests apart from the others.
//!
//! Must not know: what a transaction's state is (that is the shard's, which is handed every outcome), clocks, the network.

mod road;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use base::{LeaderEpoch, MonoMs, NodeId, PartitionIndex, TopicPartition};
use protocol::ErrorCode;
use transaction::{MarkerOutcome, Markers, Verdict, Written};

pub(super) use self::road::Lane;
use self::road::{Request, Road};

/// The pause before what failed is tried again, perhaps with another leader.
const AGAIN_AFTER_MS: u64 = 50;
/// How often what cannot leave, or is not answered, is looked at: its partitions may have other leaders by now.
const REROUTE_MS: u64 = 1_000;

/// Markers of one transaction, for some of its partitions.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub markers: Arc<Markers>,
    /// The shard that decided, and the epoch it led in.
    pub at: PartitionIndex,
    pub epoch: LeaderEpoch,
    /// Of the shard's duties, when this one was told: it is void when they were forgotten since.
    round: u64,
    pub partitions: Vec<TopicPartition>,
}

impl Job {
    fn with(&self, partitions: Vec<TopicPartition>) -> Self {
        Self { partitions, ..self.clone() }
    }

    pub fn written(&self, outcomes: Vec<(TopicPartition, MarkerOutcome)>) -> Written {
        let Markers { transactional_id, number, .. } = &*self.markers;
        Written { transactional_id: Arc::clone(transactional_id), number: *number, outcomes }
    }
}

pub(super) type Outcomes = Vec<(TopicPartition, MarkerOutcome)>;

/// Who writes a partition's markers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leader {
    Is(NodeId),
    Unreachable,
    NoPartition,
}

/// Numbers requests, so that a late answer is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RequestNo(u64);

/// What a broker answered.
#[derive(Default, Debug)]
pub(super) struct Answers {
    by_producer: HashMap<i64, HashMap<String, HashMap<i32, ErrorCode>>>,
}

impl Answers {
    pub fn insert(&mut self, producer_id: i64, topic: &str, index: i32, error: ErrorCode) {
        let topics = self.by_producer.entry(producer_id).or_default();
        match topics.get_mut(topic) {
            Some(partitions) => partitions.insert(index, error),
            None => topics.entry(topic.to_owned()).or_default().insert(index, error),
        };
    }

    /// No answer is none that ends it.
    fn get(&self, producer_id: i64, partition: &TopicPartition) -> ErrorCode {
        let topics = self.by_producer.get(&producer_id);
        let error = topics.and_then(|topics| {
            topics.get(&*partition.topic)?.get(&partition.partition.get()).copied()
        });
        error.unwrap_or(ErrorCode::UnknownServerError)
    }
}

#[derive(Debug)]
pub(super) enum Event {
    /// A shard of this node, which leads in `epoch`, has decided a transaction.
    Decided {
        at: PartitionIndex,
        epoch: LeaderEpoch,
        markers: Markers,
    },
    Answered {
        request: RequestNo,
        answers: Answers,
    },
    /// Nobody knows what became of the request.
    Failed {
        request: RequestNo,
    },
    /// What a shard says to outcomes that it was handed.
    Judged(Vec<(Job, Verdict)>),
    /// What a shard that led in `epoch` had to send is of no concern any more.
    Forget {
        at: PartitionIndex,
        epoch: LeaderEpoch,
    },
    /// The time of [`Effect::Wake`] has come.
    Tick,
}

#[derive(Debug)]
pub(super) enum Effect {
    /// One request, whose answer or failure is told.
    Send {
        request: RequestNo,
        broker: NodeId,
        lane: Lane,
        jobs: Arc<[Job]>,
    },
    /// Nobody waits for what is under way there any more.
    Close {
        broker: NodeId,
        lane: Lane,
    },
    /// The shard is told what came of markers, and what it says is told back.
    HandIn {
        at: PartitionIndex,
        told: Vec<(Job, Outcomes)>,
    },
    Wake {
        at: MonoMs,
    },
}

/// All markers that this node has to send. Their number is bounded by the transactions that its shards hold.
#[derive(Default)]
pub(super) struct Outbox {
    roads: BTreeMap<NodeId, Road>,
    under_way: BTreeMap<RequestNo, Request>,
    /// To be dispatched anew.
    later: BTreeMap<MonoMs, Vec<Job>>,
    /// Partitions that did not commit their last markers in time.
    late: HashSet<TopicPartition>,
    /// How often the duties of each shard were forgotten.
    rounds: HashMap<PartitionIndex, u64>,
    /// In which each shard has decided last. One that was replaced may still be at work when its successor is.
    epochs: HashMap<PartitionIndex, LeaderEpoch>,
    last_request: u64,
    rerouted_at: MonoMs,
    /// The next tick that was asked for.
    wake: Option<MonoMs>,
}

impl Outbox {
    /// Whether a job's shard still wants it.
    pub fn is_wanted(&self, job: &Job) -> bool {
        self.round(job.at) == job.round
    }

    /// The shard has decided in a newer epoch.
    fn is_replaced(&self, at: PartitionIndex, epoch: LeaderEpoch) -> bool {
        self.epochs.get(&at).is_some_and(|newest| epoch < *newest)
    }

    fn round(&self, at: PartitionIndex) -> u64 {
        self.rounds.get(&at).copied().unwrap_or(0)
    }

    pub fn step(
        &mut self,
        now: MonoMs,
        event: Event,
        leader_of: impl Fn(&TopicPartition) -> Leader,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Decided { at, epoch, .. } if self.is_replaced(at, epoch) => {}
            Event::Decided { at, epoch, markers } => {
                self.epochs.insert(at, epoch);
                let (round, partitions) = (self.round(at), markers.partitions.clone());
                let job = Job { markers: Arc::new(markers), at, epoch, round, partitions };
                self.dispatch(now, job, &leader_of, &mut effects);
            }
            Event::Answered { request, answers } => self.answered(request, &answers, &mut effects),
            Event::Failed { request } => {
                if let Some(jobs) = self.ended(request) {
                    self.again(now, jobs.iter().cloned());
                }
            }
            Event::Judged(verdicts) => {
                let again = verdicts.into_iter().filter_map(|(job, verdict)| match verdict {
                    Verdict::Again(partitions) => Some(job.with(partitions)),
                    Verdict::Done | Verdict::Void | Verdict::Abandoned(_) => None,
                });
                self.again(now, again);
            }
            Event::Forget { at, epoch } if self.is_replaced(at, epoch) => {}
            Event::Forget { at, .. } => self.forget(at),
            Event::Tick => self.tick(now, &leader_of, &mut effects),
        }
        self.depart(now, &mut effects);
        self.ask_for_tick(now, &mut effects);
        effects
    }

    /// Puts markers on the roads to the brokers that lead.
    fn dispatch(
        &mut self,
        now: MonoMs,
        job: Job,
        leader_of: &impl Fn(&TopicPartition) -> Leader,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_wanted(&job) {
            return;
        }
        let mut to: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        let (mut unreachable, mut gone) = (Vec::new(), Vec::new());
        for partition in &job.partitions {
            match leader_of(partition) {
                Leader::Is(broker) => to.entry(broker).or_default().push(partition.clone()),
                Leader::Unreachable => unreachable.push(partition.clone()),
                Leader::NoPartition => {
                    self.late.remove(partition);
                    gone.push((partition.clone(), MarkerOutcome::NoSuchPartition));
                }
            }
        }
        if !gone.is_empty() || job.partitions.is_empty() {
            effects.push(Effect::HandIn { at: job.at, told: vec![(job.clone(), gone)] });
        }
        if !unreachable.is_empty() {
            self.again(now, [job.with(unreachable)]);
        }
        for (broker, partitions) in to {
            let job = job.with(partitions);
            self.roads.entry(broker).or_default().join(job, &self.late);
        }
    }

    fn again(&mut self, now: MonoMs, jobs: impl IntoIterator<Item = Job>) {
        let mut jobs = jobs.into_iter().peekable();
        if jobs.peek().is_some() {
            self.later.entry(now.plus_ms(AGAIN_AFTER_MS)).or_default().extend(jobs);
        }
    }

    /// A request is over; what waited behind it waits for the next one.
    fn ended(&mut self, number: RequestNo) -> Option<Arc<[Job]>> {
        let request = self.under_way.remove(&number)?;
        if let Some(road) = self.roads.get_mut(&request.broker) {
            for job in road.end(number, request.lane, &request.jobs) {
                road.join(job, &self.late);
            }
        }
        Some(request.jobs)
    }

    /// Every shard is told what came of its markers.
    fn answered(&mut self, request: RequestNo, answers: &Answers, effects: &mut Vec<Effect>) {
        let Some(known) = self.under_way.get(&request) else { return };
        let mut by_shard: BTreeMap<PartitionIndex, Vec<(Job, Outcomes)>> = BTreeMap::new();
        for job in &*Arc::clone(&known.jobs) {
            let id = job.markers.producer.id.get();
            let outcomes = job.partitions.iter().map(|partition| {
                let error = answers.get(id, partition);
                if error == ErrorCode::RequestTimedOut {
                    self.late.insert(partition.clone());
                } else {
                    self.late.remove(partition);
                }
                (partition.clone(), MarkerOutcome::Answer(error))
            });
            let told = (job.clone(), outcomes.collect());
            by_shard.entry(job.at).or_default().push(told);
        }
        self.ended(request);
        for (at, mut told) in by_shard {
            told.retain(|(job, _)| self.is_wanted(job));
            if !told.is_empty() {
                effects.push(Effect::HandIn { at, told });
            }
        }
    }

    fn forget(&mut self, at: PartitionIndex) {
        self.epochs.remove(&at);
        *self.rounds.entry(at).or_default() += 1;
        for road in self.roads.values_mut() {
            road.forget(at);
        }
        self.later.retain(|_, jobs| {
            jobs.retain(|job| job.at != at);
            !jobs.is_empty()
        });
    }

    fn tick(
        &mut self,
        now: MonoMs,
        leader_of: &impl Fn(&TopicPartition) -> Leader,
        effects: &mut Vec<Effect>,
    ) {
        self.wake = self.wake.filter(|at| *at > now);
        while let Some(due) = self.later.first_entry().filter(|first| *first.key() <= now) {
            for job in due.remove() {
                self.dispatch(now, job, leader_of, effects);
            }
        }
        if now.since(self.rerouted_at) >= REROUTE_MS {
            self.rerouted_at = now;
            self.reroute(now, leader_of, effects);
        }
    }

    /// Whoever leads in the place of a broker that does not answer gets the markers.
    fn reroute(
        &mut self,
        now: MonoMs,
        leader_of: &impl Fn(&TopicPartition) -> Leader,
        effects: &mut Vec<Effect>,
    ) {
        let slow = self.under_way.iter().filter(|(_, request)| request.is_slow(now));
        let in_vain = slow.clone().filter(|(_, request)| {
            let mut partitions = request.jobs.iter().flat_map(|job| &job.partitions);
            partitions.all(|partition| leader_of(partition) != Leader::Is(request.broker))
        });
        let in_vain: Vec<_> =
            in_vain.map(|(number, request)| (*number, request.broker, request.lane)).collect();
        let slow: BTreeSet<NodeId> = slow.map(|(_, request)| request.broker).collect();
        for (number, broker, lane) in in_vain {
            effects.push(Effect::Close { broker, lane });
            if let Some(jobs) = self.ended(number) {
                for job in &*jobs {
                    self.dispatch(now, job.clone(), leader_of, effects);
                }
            }
        }
        let roads =
            slow.iter().filter_map(|broker| Some(self.roads.get_mut(broker)?.take_waiting()));
        let waiting: Vec<Job> = roads.flatten().collect();
        for job in waiting {
            self.dispatch(now, job, leader_of, effects);
        }
    }

    /// Makes the requests that may go now.
    fn depart(&mut self, now: MonoMs, effects: &mut Vec<Effect>) {
        let (under_way, last_request) = (&mut self.under_way, &mut self.last_request);
        if under_way.is_empty() {
            self.rerouted_at = now;
        }
        for (broker, road) in &mut self.roads {
            loop {
                let number = RequestNo(last_request.saturating_add(1));
                let Some((lane, jobs)) = road.depart(number, now, under_way) else { break };
                *last_request = number.0;
                let request =
                    Request { broker: *broker, lane, since: now, jobs: Arc::clone(&jobs) };
                under_way.insert(number, request);
                effects.push(Effect::Send { request: number, broker: *broker, lane, jobs });
            }
        }
        self.roads.retain(|_, road| !road.is_empty());
    }

    fn ask_for_tick(&mut self, now: MonoMs, effects: &mut Vec<Effect>) {
        let again = self.later.keys().next().copied();
        let slow = self.roads.values().filter_map(|road| road.patience_ends(now, &self.under_way));
        let reroute = (!self.under_way.is_empty()).then(|| self.rerouted_at.plus_ms(REROUTE_MS));
        let next = again.into_iter().chain(slow).chain(reroute).min();
        let Some(at) = next.map(|at| at.max(now.plus_ms(1))) else { return };
        if self.wake.is_none_or(|known| at < known) {
            self.wake = Some(at);
            effects.push(Effect::Wake { at });
        }
    }
}
