//! One log directory stands still for as long as the test wants: nothing else does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::RunningNode;
use config::BrokerConfig;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::produce_response::ProduceResponse;
use protocol::{Encode, Message};
use simdisk::{Gate, StallDisk};
use storage::RealDisk;
use tokio::runtime::Runtime;

use crate::common::{Peer, Reaction, WAIT_MAX, batch, decoded, produce_request};

pub const PARTITIONS: i32 = 12;
/// Many more than the runtime has threads.
pub const CLIENTS: usize = 60;
/// The runtime's threads that may be in a disk operation, those that a directory gets for its reads, writes and loads, and its upkeep.
pub const THREADS_MAX: usize = 2 + 3 * 8 + 1;
pub const LARGE: usize = 30_000;

/// A node within the test, whose second directory stands still when its gate is shut.
pub struct World {
    pub runtime: Runtime,
    node: Option<RunningNode>,
    address: String,
    pub gate: Arc<Gate>,
    pub dirs: Vec<PathBuf>,
    _root: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with(&[], 512)
    }

    /// With more settings, and so many threads for what blocks.
    pub fn with(more: &[(&str, &str)], blocking_threads_max: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = (0..2).map(|n| root.path().join(format!("d{n}"))).collect();
        let names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        let set = [
            ("log.dirs", names.join(",")),
            ("metadata.log.dir", root.path().join("metadata").display().to_string()),
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".into()),
            ("replica.high.watermark.checkpoint.interval.ms", "100".into()),
        ];
        let more = more.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let set = set.into_iter().chain(more);
        let set: Vec<(String, String)> = set.map(|(k, v)| (k.into(), v)).collect();
        let config = BrokerConfig::load(None, &set).unwrap();
        let (disk, gate) = StallDisk::new(Arc::new(RealDisk), dirs[1].clone());
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(3).max_blocking_threads(blocking_threads_max);
        let runtime = builder.enable_all().build().unwrap();
        let node = runtime.block_on(broker::start_on(config, Arc::new(disk))).unwrap();
        let address = node.listeners().iter().find(|(name, _)| &**name == "PLAINTEXT");
        let address = address.unwrap().1.to_string();
        Self { runtime, node: Some(node), address, gate, dirs, _root: root }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(&self.address)
    }

    /// A client that waits for its answer, in version 12.
    pub fn asked<Q: Message + Encode>(&self, request: &Q) -> Peer {
        let mut peer = self.connect();
        peer.ask(request, 12);
        peer
    }

    /// Many of them, each at one of these partitions.
    pub fn asked_of_each<Q: Message + Encode>(
        &self,
        partitions: &[i32],
        request: impl Fn(i32) -> Q,
    ) -> Vec<Peer> {
        (0..CLIENTS).map(|n| self.asked(&request(partitions[n % partitions.len()]))).collect()
    }

    pub fn create(&self, name: &str) {
        self.create_only(name);
        self.until_served(name);
    }

    pub fn create_only(&self, name: &str) {
        let body = self.connect().call(&creation(name), 7);
        assert_eq!(decoded::<CreateTopicsResponse<'_>>(&body, 7).topics[0].error_code, 0);
    }

    /// Each partition takes a batch.
    pub fn until_served(&self, name: &str) {
        for partition in 0..PARTITIONS {
            let begin = Instant::now();
            while self.produce(name, partition, &batch(&[b"first"])) != 0 {
                assert!(begin.elapsed() < WAIT_MAX, "partition {partition}");
            }
        }
    }

    /// The topic's partitions in a directory.
    pub fn partitions(&self, dir: usize, name: &str) -> Vec<i32> {
        let is_here = |n: &i32| self.dirs[dir].join(format!("{name}-{n}")).exists();
        let here: Vec<i32> = (0..PARTITIONS).filter(is_here).collect();
        assert!(here.len() > 2, "{here:?}");
        here
    }

    pub fn produce(&self, topic: &str, partition: i32, batch: &[u8]) -> i16 {
        let body = self.connect().call(&produce_request(topic, partition, batch), 12);
        error(&decoded::<ProduceResponse<'_>>(&body, 12))
    }

    pub fn fetch(&self, topic: &str, partition: i32) -> usize {
        let body = self.connect().call(&fetch(topic, partition), 12);
        records_len(&body)
    }

    /// Everything that needs nothing of the directory that stands still.
    pub fn assert_serves(&self, topic: &str) {
        for round in 0..3 {
            for &partition in &self.partitions(0, topic) {
                assert_eq!(self.produce(topic, partition, &batch(&[b"more"])), 0, "round {round}");
                assert!(self.fetch(topic, partition) > 0);
            }
            let latest = ListOffsetsPartition {
                partition_index: self.partitions(0, topic)[0],
                timestamp: -1,
                ..Default::default()
            };
            let asked = ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![latest],
                ..Default::default()
            };
            let request =
                ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..Default::default() };
            let body = self.connect().call(&request, 5);
            let answer: ListOffsetsResponse<'_> = decoded(&body, 5);
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
            assert!(self.connect().call(&MetadataRequest::default(), 9).len() > 20);
        }
    }

    pub fn stop(mut self) {
        if let Some(node) = self.node.take() {
            self.runtime.block_on(node.stop());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Whoever still waits there ends.
        self.gate.open();
    }
}

fn creation(name: &str) -> CreateTopicsRequest<'_> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..Default::default() }
}

pub fn error(answer: &ProduceResponse<'_>) -> i16 {
    answer.responses[0].partition_responses[0].error_code
}

pub fn records_len(body: &[u8]) -> usize {
    let answer: FetchResponse<'_> = decoded(body, 12);
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    partition.records.as_ref().map_or(0, |records| records.len())
}

pub fn fetch(topic: &str, partition: i32) -> FetchRequest<'_> {
    let asked = FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![asked], ..Default::default() };
    FetchRequest { max_wait_ms: 0, max_bytes: 1 << 20, topics: vec![topic], ..Default::default() }
}

/// The answer's body to a request that was sent before.
pub fn answer(mut peer: Peer, header: usize) -> Vec<u8> {
    match peer.reaction() {
        Reaction::Answer(bytes) => bytes[header..].to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn writes_that_stand_still_hold_nobody_else() {
    let world = World::new();
    world.create("t");
    let still = world.partitions(1, "t");
    let batch = batch(&[&[7; 1000]]);
    world.gate.shut();
    let writers = world.asked_of_each(&still, |partition| produce_request("t", partition, &batch));
    // Readers wait behind those who write, and go away again.
    let readers = world.asked_of_each(&still, |partition| fetch("t", partition));
    world.gate.until_waiting(2);
    world.assert_serves("t");
    assert!(world.gate.waiting() <= THREADS_MAX, "{}", world.gate.waiting());
    drop(readers);
    world.assert_serves("t");
    world.gate.open();
    for writer in writers {
        let body = answer(writer, 5);
        assert_eq!(error(&decoded::<ProduceResponse<'_>>(&body, 12)), 0);
    }
    world.stop();
}

#[test]
fn reads_that_stand_still_hold_nobody_else() {
    let world = World::new();
    world.create("t");
    let still = world.partitions(1, "t");
    for &partition in &still {
        // The first are not among the last any more.
        for _ in 0..40 {
            assert_eq!(world.produce("t", partition, &batch(&[&[7; LARGE]])), 0);
        }
    }
    world.gate.shut();
    let readers = world.asked_of_each(&still, |partition| fetch("t", partition));
    world.gate.until_waiting(2);
    world.assert_serves("t");
    assert!(world.gate.waiting() <= THREADS_MAX, "{}", world.gate.waiting());
    // Who reads does not hold the partition: it is written to when its disk takes writes.
    world.gate.open();
    for reader in readers {
        assert!(records_len(&answer(reader, 5)) > LARGE);
    }
    for &partition in &still {
        assert_eq!(world.produce("t", partition, &batch(&[b"more"])), 0);
    }
    world.stop();
}

/// The high watermarks of the first directory are written down while the other stands still.
pub fn assert_marks_are_written(world: &World, moving: i32) {
    let marks = || {
        let path = world.dirs[0].join("replication-offset-checkpoint");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(&format!("t {moving} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<i64>().ok()).unwrap_or(0)
    };
    for expected in [2, 3] {
        assert_eq!(world.produce("t", moving, &batch(&[b"x"])), 0);
        let begin = Instant::now();
        while marks() < expected {
            assert!(begin.elapsed() < WAIT_MAX, "{} of {expected}", marks());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn checkpoints_of_a_directory_wait_for_no_other() {
    let world = World::new();
    world.create("t");
    let (moving, still) = (world.partitions(0, "t"), world.partitions(1, "t"));
    world.gate.shut();
    let writer = world.asked(&produce_request("t", still[0], &batch(&[b"x"])));
    world.gate.until_waiting(1);
    assert_marks_are_written(&world, moving[0]);
    world.gate.open();
    assert_eq!(error(&decoded::<ProduceResponse<'_>>(&answer(writer, 5), 12)), 0);
    world.stop();
}

/// Metadata is applied in its order: logs that it wants in a directory that stands still are waited for, and nothing else with them.
#[test]
fn upkeep_does_not_wait_for_metadata_that_is_being_applied() {
    let world = World::new();
    world.create("t");
    let moving = world.partitions(0, "t");
    world.gate.shut();
    let mut creator = world.connect();
    creator.ask(&creation("new"), 7);
    world.gate.until_waiting(1);
    assert_marks_are_written(&world, moving[0]);
    world.gate.open();
    let body = answer(creator, 5);
    assert_eq!(decoded::<CreateTopicsResponse<'_>>(&body, 7).topics[0].error_code, 0);
    world.until_served("new");
    world.stop();
}

/// A fetch of these partitions in this order, each from an offset on, that waits for more than there is.
pub fn fetch_all(places: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest<'static> {
    let partition = |&(partition, fetch_offset)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let partitions = places.iter().map(partition).collect();
    let topics = vec![FetchTopic { topic: "t".into(), partitions, ..Default::default() }];
    FetchRequest { max_wait_ms, min_bytes: 1, max_bytes: 1 << 20, topics, ..Default::default() }
}

/// Partition, high watermark and bytes of what was answered.
fn answered(body: &[u8]) -> Vec<(i32, i64, usize)> {
    let answer: FetchResponse<'_> = decoded(body, 12);
    let partitions = answer.responses[0].partitions.iter();
    let row = partitions.map(|partition| {
        assert_eq!(partition.error_code, 0);
        let len = partition.records.as_ref().map_or(0, |records| records.len());
        (partition.partition_index, partition.high_watermark, len)
    });
    row.collect()
}

/// Who reads what is in memory does not wait for one who writes; and is told when the write has ended.
#[test]
fn a_write_that_stands_still_does_not_hold_readers_of_its_partition() {
    let world = World::new();
    world.create("t");
    let (quick, still) = (world.partitions(0, "t")[0], world.partitions(1, "t")[0]);
    world.gate.shut_behind_memory();
    let batch = batch(&[b"x"]);
    let writer = world.asked(&produce_request("t", still, &batch));
    world.gate.until_waiting(1);
    let body = world.connect().call(&fetch_all(&[(still, 0), (quick, 0)], 0), 12);
    let [(_, 1, len), (_, 1, other_len)] = answered(&body)[..] else { panic!("{body:?}") };
    assert!(len > 0 && other_len > 0, "{len} {other_len}");
    // At its end nothing comes while the write stands still.
    let reader = world.asked(&fetch_all(&[(still, 1)], 60_000));
    let body = world.connect().call(&fetch_all(&[(still, 1), (quick, 1)], 100), 12);
    assert!(
        answered(&body).iter().all(|(_, high_watermark, len)| (*high_watermark, *len) == (1, 0))
    );
    world.gate.open();
    assert_eq!(error(&decoded::<ProduceResponse<'_>>(&answer(writer, 5), 12)), 0);
    let body = answer(reader, 5);
    let [(_, 2, len)] = answered(&body)[..] else { panic!("{body:?}") };
    assert!(len > 0);
    world.stop();
}
