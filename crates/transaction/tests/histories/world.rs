//! The world of a life: a shard with its log, clients, the senders of markers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::machine::ReplyId;
use base::{Offset, ProducerEpoch, ProducerId, TopicPartition};
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, Producer, RuntimeConfig};
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use transaction::{
    AddPartitions, Added, Config, EndTxn, InitProducerId, MarkerOutcome, Markers, Partitions,
    Request, State, Transaction, TransactionRecord, TransactionShard, View, Written,
};

pub const IDS: [&str; 3] = ["a", "b", "c"];
pub const TIMEOUT_MS: i32 = 1_000;
pub const EXPIRATION_MS: i32 = 100_000;

pub struct Rng(u64);

impl Rng {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The markers of a decided transaction that are on their way.
pub struct Sending {
    pub markers: Markers,
    pub left: BTreeSet<TopicPartition>,
}

pub struct World {
    pub test: TestContext<TransactionShard>,
    pub rng: Rng,
    /// What clients believe their producers to be; those before them, too.
    pub producers: Vec<(Arc<str>, Producer)>,
    pub asked: BTreeMap<ReplyId, Request>,
    pub sending: Vec<Sending>,
    /// Markers that partitions have, by transactional id and producer.
    pub marked: BTreeMap<(Arc<str>, ProducerId, ProducerEpoch), BTreeSet<TopicPartition>>,
    pub next_producer_id: i64,
    pub log_checked: usize,
}

impl World {
    pub fn new(seed: u64) -> Self {
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
    pub fn begin_late(&mut self) {
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

    pub fn fresh(&mut self) -> ProducerId {
        self.next_producer_id += 1;
        ProducerId(self.next_producer_id)
    }

    pub fn id(&mut self) -> Arc<str> {
        Arc::from(IDS[usize::try_from(self.rng.below(3)).unwrap()])
    }

    pub fn ask(&mut self, request: Request) {
        let id = self.test.request(request.clone());
        self.asked.insert(id, request);
        self.hear();
    }

    /// A producer that somebody once had for this id, mostly the newest.
    pub fn producer(&mut self, id: &Arc<str>) -> Producer {
        let known: Vec<Producer> =
            self.producers.iter().filter(|(one, _)| one == id).map(|(_, one)| *one).collect();
        let back = if self.rng.one_in(6) { self.rng.below(3) } else { 0 };
        let at = known.len().checked_sub(1 + usize::try_from(back).unwrap());
        at.map_or(Producer { id: ProducerId(0), epoch: ProducerEpoch(0) }, |at| known[at])
    }

    pub fn partitions(&mut self) -> Vec<TopicPartition> {
        let count = self.rng.below(4);
        let one = |rng: &mut Rng| {
            let topic = ["t", "u"][usize::try_from(rng.below(2)).unwrap()];
            TopicPartition::new(topic, i32::try_from(rng.below(3)).unwrap())
        };
        (0..count).map(|_| one(&mut self.rng)).collect()
    }

    pub fn step(&mut self) {
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

    pub fn init(&mut self) {
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

    pub fn is_second(&mut self) -> bool {
        let bumps = self.test.view.transaction_version >= 2;
        if self.rng.one_in(8) { !bumps } else { bumps }
    }

    pub fn add(&mut self) {
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

    pub fn end(&mut self) {
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
    pub fn repeat(&mut self) {
        let all: Vec<Request> = self.asked.values().cloned().collect();
        if !all.is_empty() {
            let at = self.rng.below(u64::try_from(all.len()).unwrap());
            self.ask(all[usize::try_from(at).unwrap()].clone());
        }
    }

    pub fn restart(&mut self) {
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
    pub fn send_markers(&mut self, well: bool) {
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
}
