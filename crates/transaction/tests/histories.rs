//! Random lives of transactional ids: appends that fail, commits that wait, coordinators that start anew, requests and answers that
//! get lost or come twice. What must hold is looked at after every step, and in the end everything must come to rest.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::machine::ReplyId;
use base::{Offset, ProducerEpoch, ProducerId, TopicPartition};
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, Producer, RuntimeConfig, Shard};
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use transaction::{
    AddPartitions, Added, Config, Duty, EndTxn, InitProducerId, MarkerOutcome, Markers, Partitions,
    Reply, Request, State, TimeOut, Transaction, TransactionRecord, TransactionShard, Verdict,
    View, Written, invariants,
};

const IDS: [&str; 3] = ["a", "b", "c"];
const TIMEOUT_MS: i32 = 1_000;
const EXPIRATION_MS: i32 = 100_000;

struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The markers of a decided transaction that are on their way.
struct Sending {
    markers: Markers,
    left: BTreeSet<TopicPartition>,
}

struct World {
    test: TestContext<TransactionShard>,
    rng: Rng,
    /// What clients believe their producers to be; those before them, too.
    producers: Vec<(Arc<str>, Producer)>,
    asked: BTreeMap<ReplyId, Request>,
    sending: Vec<Sending>,
    /// Markers that partitions have, by transactional id and producer.
    marked: BTreeMap<(Arc<str>, ProducerId, ProducerEpoch), BTreeSet<TopicPartition>>,
    next_producer_id: i64,
    log_checked: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed * 7919 + 1);
        let config = Config {
            timeout_max_ms: 2 * TIMEOUT_MS,
            two_phase_commit: false,
            expiration_ms: EXPIRATION_MS,
            timeout_check_ms: 500,
            expiry_check_ms: 5_000,
        };
        let transaction_version = [0, 1, 2, 2, 2][usize::try_from(rng.below(5)).unwrap()];
        let view = View { config, transaction_version };
        let runtime = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        let mut world = Self {
            test: TestContext::new(TransactionShard::default(), runtime, view),
            rng,
            producers: Vec::new(),
            asked: BTreeMap::new(),
            sending: Vec::new(),
            marked: BTreeMap::new(),
            next_producer_id: 0,
            log_checked: 0,
        };
        if world.rng.one_in(2) {
            world.begin_late();
        }
        world
    }

    /// The log has an id whose epochs are nearly used up.
    fn begin_late(&mut self) {
        let id: Arc<str> = Arc::from("a");
        let epoch = ProducerEpoch(i16::MAX - 1 - i16::try_from(self.rng.below(8)).unwrap());
        let producer = Producer { id: self.fresh(), epoch };
        let transaction = Transaction {
            state: State::Empty,
            producer,
            previous_id: producer.id,
            next_id: ProducerId::NONE,
            last_epoch: ProducerEpoch::NONE,
            client_version: 0,
            timeout_ms: TIMEOUT_MS,
            partitions: Partitions::new_sync(),
            start_ms: -1,
            update_ms: 0,
        };
        let record = TransactionRecord {
            transactional_id: Arc::clone(&id),
            transaction: Some(transaction),
            version: 1,
        };
        self.test.log.push(vec![record.encode().unwrap()]);
        self.test.reload();
        self.producers.push((id, producer));
    }

    fn fresh(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    fn id(&mut self) -> Arc<str> {
        Arc::from(IDS[usize::try_from(self.rng.below(3)).unwrap()])
    }

    fn ask(&mut self, request: Request) {
        let id = self.test.request(request.clone());
        self.asked.insert(id, request);
        self.hear();
    }

    /// A producer that somebody once had for this id, mostly the newest.
    fn producer(&mut self, id: &Arc<str>) -> Producer {
        let known: Vec<Producer> =
            self.producers.iter().filter(|(one, _)| one == id).map(|(_, one)| *one).collect();
        let back = if self.rng.one_in(6) { self.rng.below(3) } else { 0 };
        let at = known.len().checked_sub(1 + usize::try_from(back).unwrap());
        at.map_or(Producer { id: ProducerId(0), epoch: ProducerEpoch(0) }, |at| known[at])
    }

    fn partitions(&mut self) -> Vec<TopicPartition> {
        let count = self.rng.below(4);
        let one = |rng: &mut Rng| {
            let topic = ["t", "u"][usize::try_from(rng.below(2)).unwrap()];
            TopicPartition::new(topic, i32::try_from(rng.below(3)).unwrap())
        };
        (0..count).map(|_| one(&mut self.rng)).collect()
    }

    fn step(&mut self) {
        self.test.append_error = match self.rng.below(12) {
            0 => Some(ErrorCode::NotEnoughReplicas),
            1 => Some(ErrorCode::NotLeaderOrFollower),
            _ => None,
        };
        self.test.hold_commits = self.rng.one_in(3);
        match self.rng.below(24) {
            0..=3 => self.init(),
            4..=9 => self.add(),
            10..=13 => self.end(),
            14..=16 => self.send_markers(false),
            17 => {
                let ms = self.rng.below(400);
                self.test.advance(ms);
            }
            18 => self.test.commit(),
            19..=21 => self.test.event(Event::Drained),
            22 if self.rng.one_in(4) => self.restart(),
            _ => self.repeat(),
        }
        self.hear();
        self.look();
    }

    fn init(&mut self) {
        let id = self.id();
        let recovers = self.rng.one_in(3).then(|| self.producer(&id));
        let expected =
            recovers.unwrap_or(Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE });
        let request = InitProducerIdRequest {
            transactional_id: Some(id.to_string().into()),
            transaction_timeout_ms: TIMEOUT_MS,
            producer_id: expected.id.get(),
            producer_epoch: expected.epoch.get(),
            ..Default::default()
        };
        self.ask(Request::InitProducerId(InitProducerId { version: 5, request, fresh: None }));
    }

    fn is_second(&mut self) -> bool {
        let bumps = self.test.view.transaction_version >= 2;
        if self.rng.one_in(8) { !bumps } else { bumps }
    }

    fn add(&mut self) {
        let transactional_id = self.id();
        let producer = self.producer(&transactional_id);
        let added = match (self.is_second(), self.rng.below(3)) {
            (true, _) => Added::Partitions { version: 5 },
            (false, 0) => Added::Offsets { version: 4 },
            (false, _) => Added::Partitions { version: 3 },
        };
        let partitions = self.partitions();
        self.ask(Request::AddPartitions(AddPartitions {
            transactional_id,
            producer,
            partitions,
            added,
        }));
    }

    fn end(&mut self) {
        let transactional_id = self.id();
        let producer = self.producer(&transactional_id);
        let version = if self.is_second() { 5 } else { 4 };
        let commit = !self.rng.one_in(3);
        self.ask(Request::EndTxn(EndTxn {
            version,
            transactional_id,
            producer,
            commit,
            fresh: None,
        }));
    }

    /// A request that was on its way for long comes (again).
    fn repeat(&mut self) {
        let all: Vec<Request> = self.asked.values().cloned().collect();
        if !all.is_empty() {
            let at = self.rng.below(u64::try_from(all.len()).unwrap());
            self.ask(all[usize::try_from(at).unwrap()].clone());
        }
    }

    fn restart(&mut self) {
        self.test.append_error = None;
        // What nobody knows to be committed may be.
        if self.rng.one_in(2) {
            let end = self.test.end().get();
            let known = end - i64::try_from(self.rng.below(3)).unwrap();
            self.test.known_at_load = Some(Offset(known.max(0)));
        }
        self.asked.clear();
        self.sending.clear();
        self.test.reload();
    }

    /// The other brokers answer.
    fn send_markers(&mut self, well: bool) {
        let mut told = Vec::new();
        for sending in &mut self.sending {
            let key = (
                Arc::clone(&sending.markers.transactional_id),
                sending.markers.producer.id,
                sending.markers.producer.epoch,
            );
            let marked = self.marked.entry(key).or_default();
            let mut outcomes = Vec::new();
            for partition in &sending.left {
                let outcome = match self.rng.below(8) {
                    _ if well => MarkerOutcome::Answer(ErrorCode::None),
                    0 | 1 => continue,
                    2 => MarkerOutcome::Answer(ErrorCode::NotLeaderOrFollower),
                    3 => MarkerOutcome::Answer(ErrorCode::UnknownServerError),
                    4 => MarkerOutcome::NoSuchPartition,
                    _ => MarkerOutcome::Answer(ErrorCode::None),
                };
                let done = [MarkerOutcome::Answer(ErrorCode::None), MarkerOutcome::NoSuchPartition];
                if done.contains(&outcome) {
                    marked.insert(partition.clone());
                }
                outcomes.push((partition.clone(), outcome));
            }
            told.push(Written {
                transactional_id: Arc::clone(&sending.markers.transactional_id),
                number: sending.markers.number,
                outcomes,
            });
        }
        if !told.is_empty() {
            self.ask(Request::Markers(told));
        }
    }

    /// Takes in what the shard has said.
    fn hear(&mut self) {
        for duty in std::mem::take(&mut self.test.duties) {
            match duty {
                Duty::Markers(markers) => {
                    let left = markers.partitions.iter().cloned().collect();
                    self.sending.push(Sending { markers, left });
                }
                Duty::ProducerId { transactional_id, producer } => {
                    let fresh = self.fresh();
                    self.ask(Request::TimeOut(TimeOut { transactional_id, producer, fresh }));
                }
            }
        }
        for (id, reply) in std::mem::take(&mut self.test.replies) {
            // Some answers get lost, but not those between the driver and its shard.
            let Some(asked) = self.asked.remove(&id) else { continue };
            match (asked, reply) {
                (Request::Markers(written), Ok(Reply::Markers(verdicts))) => {
                    self.judge(&written, &verdicts);
                }
                (Request::Markers(_), Err(_)) => {}
                (Request::InitProducerId(mut ask), Ok(Reply::NeedsProducerId)) => {
                    assert_eq!(ask.fresh, None, "{ask:?}");
                    ask.fresh = Some(self.fresh());
                    self.ask(Request::InitProducerId(ask));
                }
                (Request::EndTxn(mut ask), Ok(Reply::NeedsProducerId)) => {
                    assert_eq!(ask.fresh, None, "{ask:?}");
                    ask.fresh = Some(self.fresh());
                    self.ask(Request::EndTxn(ask));
                }
                (Request::InitProducerId(ask), Ok(Reply::InitProducerId(Ok(producer)))) => {
                    let id = ask.request.transactional_id.unwrap();
                    self.producers.push((Arc::from(&*id), producer));
                }
                (Request::EndTxn(ask), Ok(Reply::EndTxn(Ok(producer)))) => {
                    self.is_in_log(&ask);
                    if producer.id != ProducerId::NONE {
                        self.producers.push((ask.transactional_id, producer));
                    }
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self, written: &[Written], verdicts: &[Verdict]) {
        assert_eq!(written.len(), verdicts.len());
        for (one, verdict) in written.iter().zip(verdicts) {
            let is_it = |sending: &Sending| {
                sending.markers.transactional_id == one.transactional_id
                    && sending.markers.number == one.number
            };
            let again = match verdict {
                Verdict::Again(again) => again.as_slice(),
                Verdict::Done => &[],
                Verdict::Void | Verdict::Abandoned(_) => {
                    self.sending.retain(|sending| !is_it(sending));
                    continue;
                }
            };
            for sending in self.sending.iter_mut().filter(|sending| is_it(sending)) {
                for (partition, _) in &one.outcomes {
                    if !again.contains(partition) {
                        sending.left.remove(partition);
                    }
                }
            }
            self.sending.retain(|sending| !is_it(sending) || !sending.left.is_empty());
        }
    }

    /// What a client is told of its transaction is in the log.
    fn is_in_log(&self, ask: &EndTxn) {
        // In the first generation a client that asks twice, or after the coordinator, is told that all is as it wants it.
        let states = if ask.commit {
            [State::PrepareCommit, State::CompleteCommit]
        } else {
            [State::PrepareAbort, State::CompleteAbort]
        };
        let ahead = i16::from(ask.version >= 5);
        let epoch = ProducerEpoch(ask.producer.epoch.get() + ahead);
        let found = self.log().into_iter().any(|record| {
            record.transactional_id == ask.transactional_id
                && record.transaction.is_some_and(|one| {
                    states.contains(&one.state)
                        && one.producer == Producer { epoch, ..ask.producer }
                })
        });
        assert!(found, "{ask:?} was granted and is not in the log");
    }

    fn log(&self) -> Vec<TransactionRecord> {
        let records = self.test.log.iter().flatten();
        let decode = |key, value| TransactionShard::decode(key, value).unwrap().unwrap();
        records.map(|one| decode(&one.key, one.value.as_deref())).collect()
    }

    fn look(&mut self) {
        let runtime = &self.test.runtime;
        for shard in [runtime.tip(), runtime.committed()] {
            invariants::states_are_sound(shard).unwrap();
            invariants::producer_ids_have_one_owner(shard).unwrap();
        }
        let log = self.log();
        invariants::lives_are_possible(&log).unwrap();
        let mut decided: BTreeMap<&Arc<str>, &Transaction> = BTreeMap::new();
        for (at, record) in log.iter().enumerate() {
            let (id, Some(transaction)) = (&record.transactional_id, &record.transaction) else {
                continue;
            };
            if transaction.state.decided().is_some() {
                decided.insert(id, transaction);
            }
            let is_complete =
                matches!(transaction.state, State::CompleteCommit | State::CompleteAbort);
            if is_complete && at >= self.log_checked {
                let decision = decided[id];
                let key = (Arc::clone(id), decision.producer.id, decision.producer.epoch);
                // In the first generation the next transaction has the same epoch, and needs markers of its own.
                let marked = self.marked.remove(&key).unwrap_or_default();
                invariants::all_have_markers(id, decision, &marked).unwrap();
            }
        }
        self.log_checked = log.len();
    }

    fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::default();
        for record in self.log() {
            shard.replay(Offset::ZERO, None, &record);
        }
        shard
    }

    /// Nothing goes wrong any more.
    fn settle(&mut self) {
        self.test.append_error = None;
        self.test.hold_commits = false;
        // Answers may ask for more: a producer id that was needed.
        for _ in 0..4 {
            self.test.event(Event::Drained);
            self.test.commit();
            self.hear();
        }
        invariants::same_durable_state(self.test.runtime.tip(), &self.replayed()).unwrap();
        for _ in 0..20 {
            self.send_markers(true);
            self.test.advance(u64::try_from(TIMEOUT_MS).unwrap() / 2);
            self.hear();
            self.look();
        }
    }
}

fn live(seed: u64, steps: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    world.settle();
    for (id, transaction) in world.test.runtime.committed().transactions() {
        assert!(transaction.state.is_at_rest(), "seed {seed}: {id} is {transaction:?}");
    }
    world.test.advance(u64::try_from(EXPIRATION_MS).unwrap() + 1);
    assert!(world.test.runtime.committed().is_empty(), "seed {seed}");
    world
}

#[test]
fn lives_with_failures_keep_what_must_hold() {
    let mut records = 0;
    for seed in 0..200 {
        records += live(seed, 150).log().len();
    }
    // They do live.
    assert!(records > 5_000, "{records}");
}
