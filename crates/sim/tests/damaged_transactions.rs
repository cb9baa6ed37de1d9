//! Logs that were damaged: whatever they hold, they are loaded or refused, and what was loaded can be asked, ended and written again.
#![allow(clippy::unwrap_used)] // Helpers of tests.

use std::sync::Arc;

use base::{LeaderEpoch, Offset, ProducerId, TopicPartition, WallMs};
use coordinator::testing::TestContext;
use coordinator::{Event, Linger, LogRecord, Producer, RuntimeConfig, ShardRuntime};
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use records::crc::crc32c;
use records::{BatchBuilder, Compression};
use transaction::{
    AddPartitions, Added, Config, Duty, EndTxn, Filters, InitProducerId, MarkerOutcome, Query,
    Reply, Request, TransactionShard, Verify, View, Written,
};

type Test = TestContext<TransactionShard>;

const RUNTIME: RuntimeConfig = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
/// Where a batch has its checksum, and what that covers.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

fn context() -> Test {
    let config = Config {
        timeout_max_ms: 60_000,
        two_phase_commit: false,
        expiration_ms: 1_000_000,
        timeout_check_ms: 10_000,
        expiry_check_ms: 100_000,
    };
    TestContext::new(TransactionShard::default(), RUNTIME, View { config, transaction_version: 2 })
}

fn partitions() -> Vec<TopicPartition> {
    vec![TopicPartition::new("p", 0), TopicPartition::new("q", 1)]
}

fn init(test: &mut Test, id: &str, fresh: i64) -> Result<Reply, ErrorCode> {
    let request = InitProducerIdRequest {
        transactional_id: Some(id.to_owned().into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let fresh = Some(ProducerId(fresh));
    test.ask(Request::InitProducerId(InitProducerId { version: 5, request, fresh }))
}

fn add(test: &mut Test, id: &Arc<str>, producer: Producer, version: i16) {
    let _told = test.ask(Request::AddPartitions(AddPartitions {
        transactional_id: Arc::clone(id),
        producer,
        partitions: partitions(),
        added: Added::Partitions { version },
    }));
}

fn end(test: &mut Test, id: &Arc<str>, producer: Producer, version: i16, commit: bool) {
    let fresh = Some(ProducerId(5_000));
    let transactional_id = Arc::clone(id);
    let ask = EndTxn { version, transactional_id, producer, commit, fresh };
    let _told = test.ask(Request::EndTxn(ask));
}

/// Writes the markers that are asked for.
fn mark(test: &mut Test) {
    for duty in std::mem::take(&mut test.duties) {
        let Duty::Markers(markers) = duty else { continue };
        let done = MarkerOutcome::Answer(ErrorCode::None);
        let outcomes = markers.partitions.iter().map(|one| (one.clone(), done)).collect();
        let (transactional_id, number) = (markers.transactional_id, markers.number);
        let written = Written { transactional_id, number, outcomes };
        let _told = test.ask(Request::Markers(vec![written]));
    }
}

/// A log with everything in it: both generations, ended, open, decided and forgotten ones.
fn log() -> Vec<Vec<LogRecord>> {
    let mut test = context();
    for number in 0..6 {
        let id: Arc<str> = Arc::from(format!("id-{number}"));
        let Ok(Reply::InitProducerId(Ok(producer))) = init(&mut test, &id, number) else {
            panic!("no producer")
        };
        let second = number % 2 == 0;
        add(&mut test, &id, producer, if second { 5 } else { 3 });
        if number < 4 {
            end(&mut test, &id, producer, if second { 5 } else { 4 }, number < 2);
        }
        if number < 2 {
            mark(&mut test);
        }
    }
    assert!(test.log.len() > 12);
    test.log
}

fn encoded(batch: &[LogRecord], first: Offset) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(first);
    for record in batch {
        builder.append(0, Some(&record.key), record.value.as_deref(), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn with_checksum(bytes: &mut [u8]) {
    let crc = crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % n
    }

    /// Bits, bytes or the length of something.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len().max(1));
        match self.below(5) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = [0, 0x7f, 0x80, 0xff][self.below(4)],
            3 => bytes.truncate(at),
            _ => bytes.insert(at, self.below(256) as u8),
        }
    }
}

/// What can be done with what was loaded, or that nothing can.
fn is_of_use(mut test: Test) {
    test.advance(10_000);
    let known =
        test.runtime.committed().transactions().map(|(id, one)| (Arc::clone(id), one.producer));
    let known: Vec<_> = known.collect();
    for (id, producer) in known {
        let (transactional_id, partitions) = (Arc::clone(&id), partitions());
        let verify = Verify { transactional_id, producer, partitions };
        test.look(Query::Verify(verify)).unwrap();
        test.look(Query::Describe(Arc::clone(&id))).unwrap();
        for version in [3, 5] {
            add(&mut test, &id, producer, version);
            end(&mut test, &id, producer, version.max(4), version == 3);
            mark(&mut test);
        }
        let _told = init(&mut test, &id, 6_000);
        mark(&mut test);
    }
    let (filters, _) = Filters::new(WallMs(0), [], &[] as &[&str], 0, Some(".*")).unwrap();
    test.look(Query::List(filters)).unwrap();
    for _ in 0..5 {
        test.advance(60_000);
        mark(&mut test);
    }
    // What it has written since can be read again.
    test.reload();
}

/// Loads a log; whether it could be.
fn load(batches: &[Vec<u8>], records: Vec<Vec<LogRecord>>) -> bool {
    let mut test = context();
    test.log = records;
    test.runtime = ShardRuntime::new(TransactionShard::default(), RUNTIME);
    let lead = Event::Lead { epoch: LeaderEpoch(1) };
    test.runtime.step(test.now, lead, &test.view, &mut Vec::new());
    let (mut at, end) = (Offset::ZERO, test.end());
    for batch in batches {
        match test.runtime.load(batch, at, end) {
            Ok(next) => at = next,
            Err(_) => {
                test.event(Event::LoadFailed);
                assert_eq!(init(&mut test, "id-0", 7), Err(ErrorCode::NotCoordinator));
                return false;
            }
        }
    }
    test.event(Event::Loaded { end, high_watermark: end });
    is_of_use(test);
    true
}

#[test]
fn records_that_say_anything_are_loaded_or_refused() {
    let whole = log();
    let mut random = Random(1);
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..1_000 {
        let mut records = whole.clone();
        for _ in 0..=random.below(3) {
            let batch = random.below(records.len());
            let record = random.below(records[batch].len());
            let record = &mut records[batch][record];
            match &mut record.value {
                Some(value) if random.below(4) > 0 => random.damage(value),
                _ => random.damage(&mut record.key),
            }
        }
        let mut at = Offset::ZERO;
        let batches = records.iter().map(|batch| {
            let bytes = encoded(batch, at);
            at = at.plus(batch.len() as i64);
            bytes
        });
        let batches: Vec<_> = batches.collect();
        let count = if load(&batches, records) { &mut loaded } else { &mut refused };
        *count += 1;
    }
    assert!(loaded > 100 && refused > 100, "{loaded} loaded, {refused} refused");
}

#[test]
fn batches_that_say_anything_are_loaded_or_refused() {
    let whole = log();
    let mut random = Random(2);
    let mut refused = [0, 0];
    const EACH: usize = 500;
    for round in 0..2 * EACH {
        let mut at = Offset::ZERO;
        let mut batches = Vec::new();
        for batch in &whole {
            batches.push(encoded(batch, at));
            at = at.plus(batch.len() as i64);
        }
        let place = random.below(batches.len());
        random.damage(&mut batches[place]);
        let has_checksum = round % 2 == 1;
        if has_checksum && batches[place].len() > CRC_FROM {
            with_checksum(&mut batches[place]);
        }
        if !load(&batches, whole.clone()) {
            refused[usize::from(has_checksum)] += 1;
        }
    }
    // Without a checksum that is right only what it does not cover passes.
    assert!(refused[0] > EACH * 3 / 5 && refused[1] > EACH / 10, "{refused:?}");
}
