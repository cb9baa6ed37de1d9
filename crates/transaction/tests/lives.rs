//! Lives of transactional ids against those of Apache Kafka: `lives/lives.txt` holds what Kafka's own coordinator answered, wrote
//! and sent in random lives (`generate/Lives.java`, which says how a life is written).
#![allow(clippy::unwrap_used)] // Helpers of tests: a table that is broken is a failed test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{ProducerEpoch, ProducerId, TopicPartition, WallMs};
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, Producer, RuntimeConfig, Shard};
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use transaction::{
    AddPartitions, Added, Config, Duty, EndTxn, Filters, InitProducerId, MarkerOutcome, Query,
    Reply, Request, State, TimeOut, TransactionRecord, TransactionShard, Verify, View, Written,
    invariants,
};

const LIVES: &str = include_str!("lives/lives.txt");

/// What a producer is told that another one has replaced.
const REFUSALS: [&str; 2] = ["PRODUCER_FENCED -1 -1", "INVALID_PRODUCER_ID_MAPPING -1 -1"];

/// A request and what came of it.
struct Step<'a> {
    words: Vec<&'a str>,
    answer: Option<&'a str>,
    records: Vec<TransactionRecord>,
    markers: Vec<&'a str>,
    producer_ids: VecDeque<ProducerId>,
}

fn steps(life: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in life.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "=" => steps.last_mut().unwrap().answer = Some(rest),
            "r" => steps.last_mut().unwrap().records.push(record(rest)),
            "m" => steps.last_mut().unwrap().markers.push(rest),
            "p" => {
                let id = ProducerId(rest.parse().unwrap());
                steps.last_mut().unwrap().producer_ids.push_back(id);
            }
            _ => steps.push(Step {
                words: line.split(' ').collect(),
                answer: None,
                records: Vec::new(),
                markers: Vec::new(),
                producer_ids: VecDeque::new(),
            }),
        }
    }
    steps
}

fn record(line: &str) -> TransactionRecord {
    let (key, value) = line.split_once(' ').unwrap();
    let value = (value != "-").then(|| bytes(value));
    TransactionShard::decode(&bytes(key), value.as_deref()).unwrap().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Kafka takes the time of a completion when it begins to send the markers.
fn comparable(mut records: Vec<TransactionRecord>) -> Vec<TransactionRecord> {
    for record in &mut records {
        if let Some(one) = &mut record.transaction {
            one.last_epoch = ProducerEpoch::NONE;
            if matches!(one.state, State::CompleteCommit | State::CompleteAbort) {
                one.update_ms = 0;
            }
        }
    }
    records.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
    records
}

fn partitions(list: &str) -> Vec<TopicPartition> {
    let all = list.split(',').filter(|one| *one != "-");
    let one = |text: &str| {
        let (topic, partition) = text.rsplit_once('-').unwrap();
        TopicPartition::new(topic, partition.parse::<i32>().unwrap())
    };
    all.map(one).collect()
}

fn listed<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let mut all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.sort();
    if all.is_empty() { "-".to_owned() } else { all.join(",") }
}

fn name(error: ErrorCode) -> String {
    error.name().to_owned()
}

struct Life {
    test: TestContext<TransactionShard>,
    producer_ids: VecDeque<ProducerId>,
    records_seen: usize,
    markers: Vec<String>,
    /// Of the duties that were told last.
    numbers: BTreeMap<Arc<str>, u64>,
}

impl Life {
    fn new(level: i16) -> Self {
        let config = Config {
            timeout_max_ms: 900_000,
            two_phase_commit: true,
            expiration_ms: 3_600_000,
            timeout_check_ms: 1,
            expiry_check_ms: 1,
        };
        let view = View { config, transaction_version: level };
        let runtime = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        let test = TestContext::new(TransactionShard::default(), runtime, view);
        Self {
            test,
            producer_ids: VecDeque::new(),
            records_seen: 0,
            markers: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    fn request(&mut self, request: Request) -> Reply {
        let reply = self.test.ask(request.clone()).unwrap();
        if reply != Reply::NeedsProducerId {
            return reply;
        }
        let fresh = Some(self.producer_ids.pop_front().unwrap());
        let again = match request {
            Request::InitProducerId(ask) => {
                Request::InitProducerId(InitProducerId { fresh, ..ask })
            }
            Request::EndTxn(ask) => Request::EndTxn(EndTxn { fresh, ..ask }),
            other => panic!("{other:?}"),
        };
        self.test.ask(again).unwrap()
    }

    /// An EndTxn of the second generation in the epoch before one in which a client of the first has ended a transaction: Kafka
    /// takes it for a repeated one, and gives the producer the epoch of the other.
    fn is_zombie(&self, words: &[&str]) -> bool {
        if words[0] != "end" || words[5] != "2" {
            return false;
        }
        let Some(known) = self.test.runtime.tip().get(words[2]) else { return false };
        let (id, epoch): (i64, i16) = (words[3].parse().unwrap(), words[4].parse().unwrap());
        let is_before = known.producer.id.get() == id && known.producer.epoch.get() - 1 == epoch;
        let is_rotated = known.previous_id.get() == id && epoch == i16::MAX - 1;
        known.client_version < 2
            && matches!(known.state, State::CompleteCommit | State::CompleteAbort)
            && (is_before || is_rotated)
    }

    fn take_duties(&mut self) {
        for duty in std::mem::take(&mut self.test.duties) {
            match duty {
                Duty::Markers(markers) => {
                    self.markers.push(format!(
                        "{} {} {} {} {} {}",
                        markers.transactional_id,
                        markers.producer.id,
                        markers.producer.epoch,
                        u8::from(markers.commit),
                        markers.transaction_version,
                        listed(markers.partitions)
                    ));
                    self.numbers.insert(markers.transactional_id, markers.number);
                }
                Duty::ProducerId { transactional_id, producer } => {
                    let fresh = self.producer_ids.pop_front().unwrap();
                    let ask = TimeOut { transactional_id, producer, fresh };
                    assert_eq!(self.test.ask(Request::TimeOut(ask)), Ok(Reply::Done));
                }
            }
        }
    }

    /// Without those that are as the one before: Kafka answers out of its memory.
    fn new_records(&mut self) -> Vec<TransactionRecord> {
        let (mut last, mut new) = (BTreeMap::new(), Vec::new());
        let all = self.test.log.iter().flatten();
        let decode = |key, value| TransactionShard::decode(key, value).unwrap().unwrap();
        let all: Vec<_> = all.map(|one| decode(&one.key, one.value.as_deref())).collect();
        for (number, record) in all.iter().enumerate() {
            let is_again = last.insert(&record.transactional_id, record) == Some(record);
            new.extend((number >= self.records_seen && !is_again).then(|| record.clone()));
        }
        self.records_seen = all.len();
        new
    }

    /// Does what Kafka was asked to; the answer in the words of the table.
    fn live(&mut self, words: &[&str]) -> Option<String> {
        let id: Arc<str> = match words.get(2) {
            Some(&"-") | None => Arc::from(""),
            Some(id) => Arc::from(*id),
        };
        let producer = |at: usize| Producer {
            id: ProducerId(words[at].parse().unwrap()),
            epoch: ProducerEpoch(words[at + 1].parse().unwrap()),
        };
        match words[0] {
            "init" => {
                let expected = producer(4);
                let request = InitProducerIdRequest {
                    transactional_id: Some(id.to_string().into()),
                    transaction_timeout_ms: words[3].parse().unwrap(),
                    producer_id: expected.id.get(),
                    producer_epoch: expected.epoch.get(),
                    enable2_pc: words[6] == "1",
                    keep_prepared_txn: words[7] == "1",
                    ..Default::default()
                };
                let ask = InitProducerId { version: 6, request, fresh: None };
                match self.request(Request::InitProducerId(ask)) {
                    Reply::InitProducerId(Ok(one)) => {
                        Some(format!("NONE {} {}", one.id, one.epoch))
                    }
                    Reply::InitProducerId(Err(error)) => Some(format!("{} -1 -1", name(error))),
                    other => panic!("{other:?}"),
                }
            }
            "add" => {
                let version = if words[5] == "2" { 5 } else { 3 };
                let ask = AddPartitions {
                    transactional_id: id,
                    producer: producer(3),
                    partitions: partitions(words[6]),
                    added: Added::Partitions { version },
                };
                match self.request(Request::AddPartitions(ask)) {
                    Reply::AddPartitions(error) => Some(name(error)),
                    other => panic!("{other:?}"),
                }
            }
            "end" => {
                let ask = EndTxn {
                    version: if words[5] == "2" { 5 } else { 4 },
                    transactional_id: id,
                    producer: producer(3),
                    commit: words[6] == "1",
                    fresh: None,
                };
                match self.request(Request::EndTxn(ask)) {
                    Reply::EndTxn(Ok(one)) => Some(format!("NONE {} {}", one.id, one.epoch)),
                    Reply::EndTxn(Err(error)) => Some(format!("{} -1 -1", name(error))),
                    other => panic!("{other:?}"),
                }
            }
            "verify" => {
                let partitions = partitions(words[5]);
                let ask = Verify { transactional_id: id, producer: producer(3), partitions };
                match self.test.look(Query::Verify(ask)).unwrap() {
                    Reply::Verify(all) => {
                        let errors: Vec<String> = all.into_iter().map(|one| name(one.1)).collect();
                        Some(errors.join(","))
                    }
                    other => panic!("{other:?}"),
                }
            }
            "markers" => {
                let number = self.numbers[&id];
                let done = MarkerOutcome::Answer(ErrorCode::None);
                let outcomes = partitions(words[3]).into_iter().map(|one| (one, done)).collect();
                let written = Written { transactional_id: id, number, outcomes };
                self.request(Request::Markers(vec![written]));
                None
            }
            "tick" => {
                let now: i64 = words[1].parse().unwrap();
                self.test.advance(u64::try_from(now - self.test.now.wall.0).unwrap());
                None
            }
            "load" => {
                self.test.reload();
                None
            }
            "describe" => match self.test.look(Query::Describe(id)).unwrap() {
                Reply::Describe(state) => {
                    let all = state.topics.iter().flat_map(|topic| {
                        topic.partitions.iter().map(move |one| format!("{}-{one}", topic.topic))
                    });
                    let named = &*state.transaction_state;
                    Some(format!(
                        "{} {} {} {} {} {} {}",
                        name(ErrorCode::from_code(state.error_code)),
                        if named.is_empty() { "-" } else { named },
                        state.transaction_timeout_ms,
                        state.transaction_start_time_ms,
                        state.producer_id,
                        state.producer_epoch,
                        listed(all)
                    ))
                }
                other => panic!("{other:?}"),
            },
            "list" => Some(self.list(words)),
            other => panic!("{other}"),
        }
    }

    fn list(&mut self, words: &[&str]) -> String {
        let all = |at: usize| words[at].split(',').filter(|one| *one != "-");
        let states: Vec<&str> = all(2).collect();
        let ids: Vec<i64> = all(3).map(|one| one.parse().unwrap()).collect();
        let pattern = match words[5] {
            "-" => None,
            "EMPTY" => Some(""),
            pattern => Some(pattern),
        };
        let duration_ms = words[4].parse().unwrap();
        let (filters, unknown) =
            Filters::new(self.test.now.wall, ids, &states, duration_ms, pattern).unwrap();
        match self.test.look(Query::List(filters)).unwrap() {
            Reply::List(found) => {
                let found = found.iter().map(|one| {
                    let (id, state) = (&one.transactional_id, &one.transaction_state);
                    format!("{id}:{}:{state}", one.producer_id)
                });
                format!("{} {}", listed(unknown), listed(found))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lives_are_as_in_kafka() {
    let (mut answers, mut records, mut zombies) = (0, 0, 0);
    for (number, life) in LIVES.split("life ").skip(1).enumerate() {
        let (level, rest) = life.split_once('\n').unwrap();
        let (first, rest) = rest.split_once('\n').unwrap();
        let mut live = Life::new(level.parse().unwrap());
        live.test.log.push(vec![record(first.strip_prefix("r ").unwrap()).encode().unwrap()]);
        live.test.now.wall = WallMs(1_000_000_000);
        live.test.reload();
        live.records_seen = 1;
        for (at, step) in steps(rest).into_iter().enumerate() {
            let place = format!("life {number}, step {at}: {:?}", step.words);
            live.producer_ids = step.producer_ids;
            let is_zombie = live.is_zombie(&step.words);
            let answer = live.live(&step.words);
            live.take_duties();
            live.test.event(Event::Drained);
            live.take_duties();
            if is_zombie {
                zombies += 1;
                let told = answer.as_deref().unwrap_or_default();
                assert!(REFUSALS.contains(&told), "{place}: {told}");
            } else {
                assert_eq!(answer.as_deref(), step.answer, "{place}");
            }
            let new = live.new_records();
            records += new.len();
            answers += usize::from(answer.is_some());
            assert_eq!(comparable(new), comparable(step.records), "{place}");
            live.markers.sort();
            let mut markers = step.markers;
            markers.sort_unstable();
            assert_eq!(std::mem::take(&mut live.markers), markers, "{place}");
            assert!(live.producer_ids.is_empty(), "{place}");
            invariants::states_are_sound(live.test.runtime.tip()).expect(&place);
        }
    }
    // The table is there.
    assert!(answers > 3_000 && records > 1_000, "{answers} {records}");
    assert!(zombies < answers / 100, "{zombies}");
}

/// Kafka's order of partitions is that of a hash table: with more than one, the bytes may differ.
#[test]
fn records_have_kafkas_bytes() {
    let mut same = 0;
    for line in LIVES.lines().filter_map(|line| line.strip_prefix("r ")) {
        let record = record(line);
        let written = record.encode().unwrap();
        let again = TransactionShard::decode(&written.key, written.value.as_deref());
        assert_eq!(again.unwrap().unwrap(), record, "{line}");
        let partitions = record.transaction.map_or(0, |one| one.partitions.size());
        if partitions <= 1 {
            let (key, value) = line.split_once(' ').unwrap();
            assert_eq!(written.key, bytes(key), "{line}");
            assert_eq!(written.value, (value != "-").then(|| bytes(value)), "{line}");
            same += 1;
        }
    }
    assert!(same > 1_000, "{same}");
}
