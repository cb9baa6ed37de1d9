//! The queue of markers, step by step and at random.

use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;

use super::road::{PARTITIONS_MAX, PATIENCE_MS};
use super::*;

const SHARD: PartitionIndex = PartitionIndex(3);

/// An outbox with its clock, the leaders of partitions, and what is under way.
struct Test {
    outbox: Outbox,
    /// In which shards lead.
    epoch: LeaderEpoch,
    now: MonoMs,
    /// By partition; of those that are not here, broker 1 leads.
    leaders: BTreeMap<i32, Leader>,
    sent: BTreeMap<RequestNo, (NodeId, Lane, Arc<[Job]>)>,
    handed_in: Vec<(PartitionIndex, Vec<(Job, Outcomes)>)>,
    closed: Vec<(NodeId, Lane)>,
    wake: Option<MonoMs>,
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("t", index)
}

fn outcome(index: i32, error: ErrorCode) -> (TopicPartition, MarkerOutcome) {
    (partition(index), MarkerOutcome::Answer(error))
}

/// Transactions and their partitions, as a request has them.
fn shown(jobs: &[Job]) -> Vec<(i64, Vec<i32>)> {
    let indexes = |job: &Job| job.partitions.iter().map(|one| one.partition.get()).collect();
    jobs.iter().map(|job| (job.markers.producer.id.get(), indexes(job))).collect()
}

impl Test {
    fn new() -> Self {
        Self {
            outbox: Outbox::default(),
            epoch: LeaderEpoch(1),
            now: MonoMs(1_000_000),
            leaders: BTreeMap::new(),
            sent: BTreeMap::new(),
            handed_in: Vec::new(),
            closed: Vec::new(),
            wake: None,
        }
    }

    /// The requests that leave.
    fn event(&mut self, event: Event) -> Vec<RequestNo> {
        let usual = Leader::Is(NodeId(1));
        let leader_of =
            |one: &TopicPartition| self.leaders.get(&one.partition.get()).copied().unwrap_or(usual);
        let mut left = Vec::new();
        for effect in self.outbox.step(self.now, event, leader_of) {
            match effect {
                Effect::Send { request, broker, lane, jobs } => {
                    left.push(request);
                    assert!(!jobs.is_empty() && jobs.iter().all(|job| !job.partitions.is_empty()));
                    let busy = self.sent.values().any(|one| (one.0, one.1) == (broker, lane));
                    assert!(!busy, "a lane has one request at a time");
                    self.sent.insert(request, (broker, lane, jobs));
                }
                Effect::Close { broker, lane } => {
                    self.sent.retain(|_, one| (one.0, one.1) != (broker, lane));
                    self.closed.push((broker, lane));
                }
                Effect::HandIn { at, told } => self.handed_in.push((at, told)),
                Effect::Wake { at } => self.wake = Some(at),
            }
        }
        left
    }

    fn decide(&mut self, id: i64, partitions: &[i32]) -> Vec<RequestNo> {
        self.decide_at(SHARD, id, partitions.iter().copied())
    }

    fn decide_at(
        &mut self,
        at: PartitionIndex,
        id: i64,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Vec<RequestNo> {
        let markers = Markers {
            number: u64::try_from(id).unwrap_or(0),
            transactional_id: Arc::from(format!("id-{id}")),
            producer: Producer { id: ProducerId(id), epoch: ProducerEpoch(0) },
            commit: true,
            transaction_version: 2,
            partitions: partitions.into_iter().map(partition).collect(),
        };
        self.event(Event::Decided { at, epoch: self.epoch, markers })
    }

    fn forget(&mut self) {
        self.event(Event::Forget { at: SHARD, epoch: self.epoch });
    }

    fn pass(&mut self, ms: u64) -> Vec<RequestNo> {
        self.now = self.now.plus_ms(ms);
        assert!(self.wake.is_some_and(|at| at <= self.now), "a tick was asked for");
        self.event(Event::Tick)
    }

    /// With this error for some partitions and none for the others.
    fn answer(&mut self, request: RequestNo, errors: &[(i32, ErrorCode)]) -> Vec<RequestNo> {
        let mut answers = Answers::default();
        if let Some((_, _, jobs)) = self.sent.remove(&request) {
            for (id, partitions) in shown(&jobs) {
                for index in partitions {
                    let error = errors.iter().find(|one| one.0 == index);
                    let error = error.map_or(ErrorCode::None, |one| one.1);
                    answers.insert(id, "t", index, error);
                }
            }
        }
        self.event(Event::Answered { request, answers })
    }

    /// What left with these requests.
    fn jobs(&self, requests: &[RequestNo]) -> Vec<(i32, Vec<(i64, Vec<i32>)>)> {
        let sent = requests.iter().filter_map(|one| self.sent.get(one));
        sent.map(|(broker, _, jobs)| (broker.get(), shown(jobs))).collect()
    }

    /// What shards were handed.
    fn told(&mut self) -> Vec<(i64, Outcomes)> {
        let told = std::mem::take(&mut self.handed_in).into_iter().flat_map(|(_, told)| told);
        told.map(|(job, outcomes)| (job.markers.producer.id.get(), outcomes)).collect()
    }
}

#[test]
fn each_broker_gets_its_markers_and_the_next_wait_for_the_answer() {
    let mut test = Test::new();
    test.leaders = [(7, Leader::Is(NodeId(2)))].into();
    let left = test.decide(10, &[0, 7, 1]);
    let expected = [(1, vec![(10, vec![0, 1])]), (2, vec![(10, vec![7])])];
    assert_eq!(test.jobs(&left), expected);
    assert_eq!(test.decide(11, &[1]), []);
    assert_eq!(test.decide(12, &[5]), []);
    let next = test.answer(left[0], &[(1, ErrorCode::NotEnoughReplicas)]);
    assert_eq!(test.jobs(&next), [(1, vec![(11, vec![1]), (12, vec![5])])]);
    let none = ErrorCode::None;
    let told = vec![outcome(0, none), outcome(1, ErrorCode::NotEnoughReplicas)];
    assert_eq!(test.told(), [(10, told)]);
    test.answer(left[1], &[]);
    assert_eq!(test.told(), [(10, vec![outcome(7, none)])]);
}

#[test]
fn a_partition_that_is_not_answered_ends_nothing() {
    let mut test = Test::new();
    let left = test.decide(10, &[0, 1]);
    let mut answers = Answers::default();
    answers.insert(10, "t", 1, ErrorCode::None);
    answers.insert(11, "t", 0, ErrorCode::None);
    answers.insert(10, "u", 0, ErrorCode::None);
    test.event(Event::Answered { request: left[0], answers });
    let told = vec![outcome(0, ErrorCode::UnknownServerError), outcome(1, ErrorCode::None)];
    assert_eq!(test.told(), [(10, told)]);
}

#[test]
fn a_slow_request_holds_up_its_own_partitions_alone() {
    let mut test = Test::new();
    let slow = test.decide(10, &[0, 1]);
    assert_eq!(test.decide(11, &[1, 2]), []);
    assert_eq!(test.wake, Some(test.now.plus_ms(PATIENCE_MS)));
    let second = test.pass(PATIENCE_MS);
    assert_eq!(test.jobs(&second), [(1, vec![(11, vec![2])])], "1 is under way");
    assert_eq!(test.decide(12, &[0]), []);
    assert_eq!(test.answer(second[0], &[]), [], "0 is under way");
    let third = test.decide(13, &[2]);
    assert_eq!(test.jobs(&third), [(1, vec![(13, vec![2])])]);
    test.answer(third[0], &[]);
    let last = test.answer(slow[0], &[]);
    assert_eq!(test.jobs(&last), [(1, vec![(11, vec![1]), (12, vec![0])])]);
}

#[test]
fn partitions_that_are_not_committed_in_time_get_requests_apart() {
    let mut test = Test::new();
    let first = test.decide(10, &[0, 1]);
    test.answer(first[0], &[(0, ErrorCode::RequestTimedOut)]);
    let told = test.handed_in.pop().map(|(_, mut told)| told.remove(0)).map(|(job, _)| job);
    let verdict = Verdict::Again(vec![partition(0)]);
    assert_eq!(test.event(Event::Judged(told.map(|job| (job, verdict)).into_iter().collect())), []);
    let again = test.pass(AGAIN_AFTER_MS);
    assert_eq!(test.jobs(&again), [(1, vec![(10, vec![0])])]);
    let other = test.decide(11, &[0, 1]);
    assert_eq!(test.jobs(&other), [(1, vec![(11, vec![1])])], "at once: it does not wait for 0");
    test.answer(other[0], &[]);
    let next = test.answer(again[0], &[]);
    assert_eq!(test.jobs(&next), [(1, vec![(11, vec![0])])]);
    test.answer(next[0], &[]);
    let well = test.decide(12, &[0, 1]);
    assert_eq!(test.jobs(&well), [(1, vec![(12, vec![0, 1])])]);
}

#[test]
fn what_failed_goes_to_whoever_leads_then() {
    let mut test = Test::new();
    let first = test.decide(10, &[0, 1]);
    test.sent.remove(&first[0]);
    assert_eq!(test.event(Event::Failed { request: first[0] }), []);
    assert_eq!(test.told(), []);
    test.leaders = [(0, Leader::Is(NodeId(2))), (1, Leader::Unreachable)].into();
    let again = test.pass(AGAIN_AFTER_MS);
    assert_eq!(test.jobs(&again), [(2, vec![(10, vec![0])])]);
    test.leaders.insert(1, Leader::Is(NodeId(3)));
    let again = test.pass(AGAIN_AFTER_MS);
    assert_eq!(test.jobs(&again), [(3, vec![(10, vec![1])])]);
}

#[test]
fn partitions_that_are_gone_and_transactions_without_any_are_handed_in_at_once() {
    let mut test = Test::new();
    test.leaders = [(0, Leader::NoPartition)].into();
    let left = test.decide(10, &[0, 1]);
    assert_eq!(test.jobs(&left), [(1, vec![(10, vec![1])])]);
    assert_eq!(test.told(), [(10, vec![(partition(0), MarkerOutcome::NoSuchPartition)])]);
    assert_eq!(test.decide(11, &[]), []);
    assert_eq!(test.told(), [(11, vec![])]);
}

#[test]
fn what_a_shard_forgot_is_neither_sent_nor_handed_in() {
    let mut test = Test::new();
    let first = test.decide(10, &[0]);
    test.decide(11, &[0]);
    test.decide_at(PartitionIndex(4), 12, [0]);
    test.forget();
    let next = test.answer(first[0], &[]);
    assert_eq!(test.told(), []);
    assert_eq!(test.jobs(&next), [(1, vec![(12, vec![0])])]);
    // The same transaction, decided by the shard that was loaded anew.
    test.decide(10, &[0]);
    let last = test.answer(next[0], &[]);
    assert_eq!(test.jobs(&last), [(1, vec![(10, vec![0])])]);
    test.answer(last[0], &[]);
    assert_eq!(test.told().len(), 2);
}

/// A shard that is still being loaded when it is replaced ends after its successor has begun.
#[test]
fn a_shard_that_was_replaced_takes_nothing_from_its_successor() {
    let (mut test, old) = (Test::new(), LeaderEpoch(1));
    test.epoch = LeaderEpoch(3);
    test.forget();
    let sent = test.decide(11, &[1]);
    test.epoch = old;
    test.decide(12, &[2]);
    test.forget();
    let late = test.answer(sent[0], &[]);
    assert_eq!(test.jobs(&late), [], "nobody asks the old one");
    assert_eq!(test.told(), [(11, vec![outcome(1, ErrorCode::None)])]);
    // In a new topic epochs begin anew.
    test.epoch = LeaderEpoch(3);
    test.forget();
    test.epoch = LeaderEpoch(0);
    let sent = test.decide(13, &[1]);
    assert_eq!(test.jobs(&sent), [(1, vec![(13, vec![1])])]);
}

#[test]
fn a_broker_that_leads_no_more_is_not_waited_for() {
    let mut test = Test::new();
    let first = test.decide(10, &[0]);
    test.decide(11, &[0]);
    test.leaders = [(0, Leader::Is(NodeId(2)))].into();
    let left = test.pass(REROUTE_MS);
    assert_eq!(test.jobs(&left), [(2, vec![(10, vec![0]), (11, vec![0])])]);
    assert_eq!(test.closed, [(NodeId(1), Lane(0))]);
    assert_eq!(test.answer(first[0], &[]), [], "nobody asks any more");
    assert_eq!(test.told(), []);
    test.answer(left[0], &[]);
    assert_eq!(test.told().len(), 2);
}

#[test]
fn requests_are_bounded() {
    let mut test = Test::new();
    let first = test.decide(9, &[0]);
    let half = i32::try_from(PARTITIONS_MAX / 2).unwrap_or(0);
    for id in 10..13 {
        test.decide_at(SHARD, id, 1..=half);
    }
    test.decide_at(SHARD, 13, 1..=half * 3);
    let mut request = first[0];
    for expected in [vec![10, 11], vec![12], vec![13]] {
        let left = test.answer(request, &[]);
        request = left[0];
        let jobs = &test.sent[&request].2;
        let ids: Vec<_> = jobs.iter().map(|job| job.markers.producer.id.get()).collect();
        assert_eq!(ids, expected, "one that is larger than a request goes alone");
    }
}

/// Whatever happens on the way, every marker is handed in as written once all is well, and no partition is asked twice at a time.
#[test]
fn nothing_is_lost() {
    for seed in 1..40 {
        let mut random = Random(seed);
        let mut test = Test::new();
        let mut wanted: BTreeSet<(i64, i32)> = BTreeSet::new();
        for round in 0..600 {
            let calm = round > 400;
            if !calm {
                let partitions: BTreeSet<i32> =
                    (0..random.below(4)).map(|_| random.below(12) as i32).collect();
                wanted.extend(partitions.iter().map(|one| (round, *one)));
                test.decide_at(SHARD, round, partitions);
                let leader = [Leader::Unreachable, Leader::Is(NodeId(1)), Leader::Is(NodeId(2))];
                test.leaders.insert(random.below(12) as i32, leader[random.below(3) as usize]);
            } else {
                test.leaders.clear();
            }
            let under_way: Vec<_> = test.sent.keys().copied().collect();
            for request in under_way {
                match random.below(if calm { 1 } else { 8 }) {
                    0 => drop(test.answer(request, &[])),
                    1 => {
                        test.sent.remove(&request);
                        test.event(Event::Failed { request });
                    }
                    2 => {
                        let errors = [ErrorCode::RequestTimedOut, ErrorCode::NotLeaderOrFollower];
                        let error = errors[random.below(2) as usize];
                        test.answer(request, &[(random.below(12) as i32, error)]);
                    }
                    _ => {}
                }
            }
            test.hand_in(&mut wanted);
            test.is_sound();
            test.now = test.now.plus_ms(random.below(400));
            test.event(Event::Tick);
        }
        assert_eq!(wanted, [].into(), "seed {seed}");
        assert!(test.sent.is_empty() && test.outbox.roads.is_empty(), "seed {seed}");
        assert!(test.outbox.later.is_empty() && test.outbox.late.is_empty(), "seed {seed}");
    }
}

impl Test {
    /// As the shard does.
    fn hand_in(&mut self, wanted: &mut BTreeSet<(i64, i32)>) {
        let mut judged = Vec::new();
        for (job, outcomes) in std::mem::take(&mut self.handed_in).into_iter().flat_map(|one| one.1)
        {
            let mut again = Vec::new();
            for (partition, outcome) in outcomes {
                if outcome == MarkerOutcome::Answer(ErrorCode::None) {
                    wanted.remove(&(job.markers.producer.id.get(), partition.partition.get()));
                } else {
                    again.push(partition);
                }
            }
            let done = again.is_empty();
            judged.push((job, if done { Verdict::Done } else { Verdict::Again(again) }));
        }
        self.event(Event::Judged(judged));
    }

    fn is_sound(&self) {
        let mut seen = BTreeMap::new();
        for (request, (broker, _, jobs)) in &self.sent {
            for (_, partitions) in shown(jobs) {
                for one in partitions {
                    let other = seen.insert((*broker, one), *request);
                    assert!(other.is_none_or(|other| other == *request), "{one} is asked twice");
                }
            }
        }
        for broker in [1, 2] {
            let count = self.sent.values().filter(|one| one.0 == NodeId(broker)).count();
            assert!(count <= 8, "{count} requests are under way");
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
