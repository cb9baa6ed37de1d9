//! A broker follows a leader that is no broker: registered with the controller, elected, and lying.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::{LeaderEpoch, Offset, Uuid};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::{
    BrokerRegistrationRequest, Feature, Listener,
};
use protocol::messages::broker_registration_response::BrokerRegistrationResponse;
use protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use protocol::messages::list_offsets_request::ListOffsetsRequest;
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use protocol::{ApiKey, Records};
use records::{BatchBuilder, Codec};

use crate::common::cluster::{CLUSTER_ID, Cluster, until};
use crate::common::{Peer, decoded};
use crate::fake::{Asked, Fake, Reply, versions, within};
use crate::leader_lies::{CUTS, LIES};

const FAKE: i32 = 50;
pub const FOLLOWER: i32 = 101;
const MIB: u64 = 1 << 20;
const OUT_OF_RANGE: i16 = 1;
/// So long each lie is told, with pauses of 100 ms after each mistake, 50 ms after the first lost connection.
const LIE_FOR: Duration = Duration::from_millis(200);
const ANSWERS_MAX: usize = 8;

/// What the follower asked for.
pub struct Place {
    pub offset: i64,
    pub epoch: i32,
}

pub type Answer = FetchResponse<'static>;

/// How the leader lies in its answers to fetches.
#[derive(Clone, Copy)]
pub enum Lie {
    None,
    /// In the row of the partition.
    Row(fn(&Place, &mut PartitionData<'static>)),
    /// Anywhere in the answer.
    Whole(fn(&mut Answer)),
    /// Below the answer.
    Raw(fn(&Asked) -> Reply),
    /// Out of range, and these are the log's end and start.
    Log(i64, i64),
}

pub struct State {
    lie: Lie,
    /// Answers with this lie.
    told: usize,
    /// Answers name only what is new, as in a session.
    pub in_session: bool,
    /// What the follower asks for: topic, partition, place.
    wanted: Vec<(Uuid, i32, Place)>,
    /// Where its log starts, as it told last.
    pub start: i64,
    /// The honest log: one record in each batch.
    log: Vec<Vec<u8>>,
}

pub fn batch_at(base: i64, epoch: i32, values: &[&[u8]]) -> Vec<u8> {
    let mut batch =
        BatchBuilder::new(Codec::None).base_offset(Offset(base)).leader_epoch(LeaderEpoch(epoch));
    for value in values {
        batch.append(1_700_000_000_000, None, Some(value), &[]).unwrap();
    }
    batch.build().unwrap()
}

impl State {
    pub fn end(&self) -> i64 {
        self.log.len() as i64
    }

    fn reply(&mut self, asked: &Asked) -> Reply {
        match asked.api {
            ApiKey::Fetch => self.fetch(asked),
            ApiKey::ListOffsets => self.list_offsets(asked),
            ApiKey::ApiVersions => asked.answer(&versions()),
            _ => Reply::Close,
        }
    }

    fn fetch(&mut self, asked: &Asked) -> Reply {
        self.told += 1;
        if let Lie::Raw(lie) = self.lie {
            return lie(asked);
        }
        let request: FetchRequest<'_> = asked.decode();
        self.take(&request);
        let mut answer = Answer::default();
        for (topic_id, partition_index, place) in &self.wanted {
            let at = usize::try_from(place.offset).unwrap();
            let records = self.log.get(at..).unwrap_or_default().concat();
            if self.in_session && records.is_empty() {
                continue;
            }
            let mut row = PartitionData {
                partition_index: *partition_index,
                high_watermark: self.end(),
                log_start_offset: 0,
                records: Some(Records::from(records)),
                ..Default::default()
            };
            match self.lie {
                Lie::Row(lie) => lie(place, &mut row),
                Lie::Log(..) => row.error_code = OUT_OF_RANGE,
                Lie::None | Lie::Whole(_) | Lie::Raw(_) => {}
            }
            let topic = FetchableTopicResponse {
                topic_id: *topic_id,
                partitions: vec![row],
                ..Default::default()
            };
            answer.responses.push(topic);
        }
        answer.session_id = i32::from(self.in_session);
        if let Lie::Whole(lie) = self.lie {
            lie(&mut answer);
        }
        let rows = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let news = |row: &PartitionData<'_>| {
            let bytes = row.records.as_ref().and_then(|records| records.bytes());
            row.error_code != 0 || bytes.is_some_and(|bytes| !bytes.is_empty())
        };
        if matches!(self.lie, Lie::None) && !rows.clone().any(news) {
            std::thread::sleep(Duration::from_millis(request.max_wait_ms as u64));
        }
        asked.answer(&answer)
    }

    /// A first request of a session names everything, a later one what has changed.
    fn take(&mut self, request: &FetchRequest<'_>) {
        if request.session_epoch <= 0 {
            self.wanted.clear();
        }
        for topic in &request.topics {
            for partition in &topic.partitions {
                let (id, index) = (topic.topic_id, partition.partition);
                self.wanted.retain(|(topic, partition, _)| (*topic, *partition) != (id, index));
                let (offset, epoch) = (partition.fetch_offset, partition.current_leader_epoch);
                self.wanted.push((id, index, Place { offset, epoch }));
                self.start = partition.log_start_offset;
            }
        }
    }

    fn list_offsets(&self, asked: &Asked) -> Reply {
        let request: ListOffsetsRequest<'_> = asked.decode();
        let (end, start) = match self.lie {
            Lie::Log(end, start) => (end, start),
            _ => (self.end(), 0),
        };
        let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    offset: if partition.timestamp == -1 { end } else { start },
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        asked.answer(&ListOffsetsResponse { topics: topics.collect(), ..Default::default() })
    }
}

/// A cluster of one controller, one broker that follows, and a leader that lies.
pub struct World {
    pub cluster: Cluster,
    pub state: Arc<Mutex<State>>,
    alive: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With more settings, which win.
    pub fn with(more: &[(&str, &str)]) -> Self {
        let settings = [
            ("broker.session.timeout.ms", "6000"),
            ("broker.heartbeat.interval.ms", "200"),
            ("replica.fetch.backoff.ms", "100"),
            ("replica.fetch.wait.max.ms", "20"),
            ("replica.socket.timeout.ms", "1000"),
            // The records' time is long ago: on a slow machine they would be deleted meanwhile.
            ("log.retention.ms", "-1"),
        ];
        let cluster = Cluster::separate(1, 1, &[&settings, more].concat());
        let state = State {
            lie: Lie::None,
            told: 0,
            in_session: false,
            wanted: Vec::new(),
            start: 0,
            log: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let script = Arc::clone(&state);
        let fake = Fake::start(move |asked| script.lock().unwrap().reply(asked));
        let alive = Arc::new(AtomicBool::new(true));
        let controller = cluster.node(1).controller_address.clone();
        register(&controller, fake.port, &alive);
        let world = Self { cluster, state, alive };
        world.create();
        for value in 0..3 {
            world.append(value);
        }
        world.until_followed("the first records");
        world
    }

    fn create(&self) {
        let assignment = CreatableReplicaAssignment {
            partition_index: 0,
            broker_ids: vec![FAKE, FOLLOWER],
            ..Default::default()
        };
        let topic = CreatableTopic {
            name: "t".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![assignment],
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let body = self.cluster.node(FOLLOWER).ask(&request, 7);
        let response: CreateTopicsResponse<'_> = decoded(&body, 7);
        assert_eq!(response.topics[0].error_code, 0);
    }

    pub fn append(&self, value: i64) {
        let mut state = self.state.lock().unwrap();
        let batch = batch_at(state.end(), 0, &[value.to_string().as_bytes()]);
        state.log.push(batch);
    }

    fn file(&self) -> PathBuf {
        self.cluster.data(FOLLOWER).join("t-0/00000000000000000000.log")
    }

    fn log(&self) -> Vec<u8> {
        std::fs::read(self.file()).unwrap_or_default()
    }

    fn honest_log(&self) -> Vec<u8> {
        self.state.lock().unwrap().log.concat()
    }

    fn until_followed(&self, what: &str) {
        until(what, || self.log() == self.honest_log());
    }

    pub fn told(&self) -> usize {
        self.state.lock().unwrap().told
    }

    /// The leader lies so for a while, and is not asked without pauses.
    fn lie(&self, name: &str, lie: Lie) {
        {
            let mut state = self.state.lock().unwrap();
            (state.lie, state.told) = (lie, 0);
        }
        until(&format!("{name}: the follower is lied to"), || self.told() >= 1);
        let (before, begin) = (self.told(), Instant::now());
        std::thread::sleep(LIE_FOR);
        let (answers, most) = (self.told() - before, within(begin, LIE_FOR, ANSWERS_MAX));
        assert!(answers <= most, "{name}: asked {answers} times without pauses");
    }

    fn be_honest(&self, name: &str) {
        let value = {
            let mut state = self.state.lock().unwrap();
            state.lie = Lie::None;
            state.end()
        };
        self.append(value);
        self.until_followed(&format!("{name}: then it follows again"));
    }
}

/// Registers the fake, and lets it live until `alive` is false.
fn register(controller: &str, port: u16, alive: &Arc<AtomicBool>) {
    let feature = Feature {
        name: "metadata.version".into(),
        min_supported_version: 7,
        max_supported_version: 33,
        ..Default::default()
    };
    let features = ["group.version", "transaction.version", "share.version", "streams.version"];
    let others = features.iter().chain(&["eligible.leader.replicas.version", "kraft.version"]);
    let others = others.map(|name| Feature {
        name: (*name).into(),
        min_supported_version: 0,
        max_supported_version: 9,
        ..Default::default()
    });
    let listener = Listener {
        name: "PLAINTEXT".into(),
        host: "127.0.0.1".into(),
        port,
        security_protocol: 0,
        ..Default::default()
    };
    let request = BrokerRegistrationRequest {
        broker_id: FAKE,
        cluster_id: CLUSTER_ID.into(),
        incarnation_id: Uuid([7; 16]),
        listeners: vec![listener],
        features: std::iter::once(feature).chain(others).collect(),
        log_dirs: vec![Uuid([8; 16])],
        ..Default::default()
    };
    let mut peer = Peer::connect(controller);
    let body = peer.call(&request, 4);
    let answer: BrokerRegistrationResponse = decoded(&body, 4);
    assert_eq!(answer.error_code, 0, "the fake is registered");
    let epoch = answer.broker_epoch;
    let fenced = Arc::new(AtomicBool::new(true));
    let offset = Arc::new(AtomicI64::new(epoch));
    let (alive, told) = (Arc::clone(alive), Arc::clone(&fenced));
    std::thread::spawn(move || {
        while alive.load(Ordering::SeqCst) {
            let request = BrokerHeartbeatRequest {
                broker_id: FAKE,
                broker_epoch: epoch,
                current_metadata_offset: offset.fetch_add(1, Ordering::SeqCst),
                ..Default::default()
            };
            let body = peer.call(&request, 1);
            let answer: BrokerHeartbeatResponse = decoded(&body, 1);
            told.store(answer.is_fenced, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    until("the fake is unfenced", || !fenced.load(Ordering::SeqCst));
}

#[test]
fn lies_of_a_leader_change_nothing() {
    let mut world = World::new();
    let peak = world.cluster.node(FOLLOWER).peak_bytes();
    for (name, lie) in LIES {
        let before = world.log();
        world.lie(name, *lie);
        assert_eq!(world.log(), before, "{name}: the log is as it was");
        world.be_honest(name);
    }
    let grown = world.cluster.node(FOLLOWER).peak_bytes() - peak;
    assert!(grown < 48 * MIB, "grown by {} KiB", grown >> 10);
    outlives_the_leader(&mut world);
}

#[test]
fn what_a_leader_cuts_is_fetched_again() {
    let mut world = World::new();
    for (name, lie) in CUTS {
        world.lie(name, *lie);
        assert!(world.log().len() < world.honest_log().len(), "{name}: it was cut");
        world.be_honest(name);
    }
    outlives_the_leader(&mut world);
}

/// The leader is fenced; the follower leads and has all that was committed.
fn outlives_the_leader(world: &mut World) {
    world.alive.store(false, Ordering::SeqCst);
    let end = world.state.lock().unwrap().end();
    let batch = crate::common::batch(&[b"after"]);
    until("the follower leads", || {
        let (error, offset) = world.cluster.node(FOLLOWER).produce("t", &batch);
        assert!(error != 0 || offset == end, "at {offset}, not {end}");
        error == 0
    });
    assert!(world.log().starts_with(&world.honest_log()));
    assert_eq!(world.cluster.stop(FOLLOWER), Some(0));
}
