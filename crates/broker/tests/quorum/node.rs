//! Nodes of a quorum in one process: each with a directory, a listener and a driver.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::{NodeId, Uuid};
use broker::clock::Clock;
use broker::peers::{Peers, PeersConfig};
use broker::quorum::{self, Asker, Network, QuorumConfig, QuorumRequest, QuorumResponse};
use kraft::{Endpoint, ReplicaKey, VersionRange, Voter, VoterSet};
use net::{
    Budget, Chunk, Connection, Frame, Handled, LinkLimits, ListenerConfig, Response, Server,
    ServerLimits, Service,
};
use protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use protocol::messages::begin_quorum_epoch_request::BeginQuorumEpochRequest;
use protocol::messages::end_quorum_epoch_request::EndQuorumEpochRequest;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_snapshot_request::FetchSnapshotRequest;
use protocol::messages::request_header::RequestHeader;
use protocol::messages::response_header::ResponseHeader;
use protocol::messages::update_raft_voter_request::UpdateRaftVoterRequest;
use protocol::messages::vote_request::VoteRequest;
use protocol::{ApiKey, Decode, Encode, Part, Reader, Records, Writer};
use storage::disk::RealDisk;

use crate::toy::{self, Handle, Toy};

const LISTENER: &str = "CONTROLLER";
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is` is true.
pub async fn eventually(within: Duration, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !is() {
        assert!(Instant::now() < end, "not within {within:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Node {
    id: i32,
    dir: tempfile::TempDir,
    port: u16,
    server: Option<Server>,
    handle: Option<Handle>,
}

pub struct Nodes {
    nodes: Vec<Node>,
    voters: Vec<i32>,
    shape: Box<dyn Fn(&mut QuorumConfig)>,
    pub damage: Arc<Damage>,
}

/// A port that nobody listens on, below those that systems give to outgoing connections: it stays free while its node is down.
fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        // Processes at the same time begin at different places.
        let number = std::process::id() as usize * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 22_000).expect("a port");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn bind(port: u16) -> Server {
    let listener = ListenerConfig { name: LISTENER.into(), host: "127.0.0.1".into(), port };
    Server::bind(&[listener], ServerLimits::default()).expect("a free port")
}

impl Nodes {
    /// That many voters, numbered from 1.
    pub fn new(voters: i32) -> Self {
        let mut nodes = Self {
            nodes: Vec::new(),
            voters: Vec::new(),
            shape: Box::new(|_| {}),
            damage: Arc::default(),
        };
        for id in 1..=voters {
            nodes.add(id);
            nodes.voters.push(id);
        }
        nodes
    }

    fn add(&mut self, id: i32) {
        let port = free_port();
        let server = bind(port);
        let dir = tempfile::tempdir().expect("a directory");
        self.nodes.push(Node { id, dir, port, server: Some(server), handle: None });
    }

    pub fn add_observer(&mut self) -> i32 {
        let id = 10;
        self.add(id);
        id
    }

    pub fn shape(&mut self, shape: impl Fn(&mut QuorumConfig) + 'static) {
        self.shape = Box::new(shape);
    }

    fn node(&self, id: i32) -> &Node {
        self.nodes.iter().find(|node| node.id == id).expect("a known node")
    }

    fn node_mut(&mut self, id: i32) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).expect("a known node")
    }

    pub fn handle(&self, id: i32) -> &Handle {
        self.node(id).handle.as_ref().expect("it runs")
    }

    pub fn port(&self, id: i32) -> u16 {
        self.node(id).port
    }

    pub fn running(&self) -> Vec<i32> {
        self.nodes.iter().filter(|node| node.handle.is_some()).map(|node| node.id).collect()
    }

    fn config(&self, id: i32) -> QuorumConfig {
        let node = self.node(id);
        let endpoints =
            |port| vec![Endpoint { name: LISTENER.into(), host: "127.0.0.1".into(), port }];
        let voter = |id: &i32| Voter {
            key: ReplicaKey { id: NodeId(*id), directory_id: None },
            endpoints: endpoints(self.port(*id)),
            kraft_versions: VersionRange { min: 0, max: 0 },
        };
        let directory = Uuid([u8::try_from(id).expect("small"); 16]);
        let dir = node.dir.path().to_path_buf();
        let mut config = QuorumConfig::new(NodeId(id), "cluster".into(), dir, directory);
        config.static_voters = self.voters.iter().map(voter).collect::<VoterSet>();
        config.can_be_voter = self.voters.contains(&id);
        if config.can_be_voter {
            config.endpoints = endpoints(node.port);
        }
        config.times.election_timeout_ms = 300;
        config.times.election_backoff_max_ms = 200;
        config.times.fetch_timeout_ms = 900;
        config.times.request_timeout_ms = 900;
        (self.shape)(&mut config);
        config
    }

    pub fn start(&mut self, id: i32) {
        let config = self.config(id);
        let limits = LinkLimits {
            answer_bytes_max: 64 << 20,
            budget: Budget::new(256 << 20),
            in_flight_max: 16,
            connect_timeout_ms: 1_000,
            idle_ms_max: 600_000,
        };
        let peers = Peers::new(PeersConfig { node_id: NodeId(id), limits, unstable: false });
        let network = Network { peers, runtime: tokio::runtime::Handle::current() };
        let started =
            quorum::start(Arc::new(RealDisk), config, Clock::new(), Some(network), |tip, _| {
                Toy::new(tip)
            });
        let handle = started.expect("it starts").serve().expect("a thread");
        self.node_mut(id).handle = Some(handle);
        self.open_listener(id);
    }

    pub fn start_all(&mut self) {
        let ids: Vec<i32> = self.nodes.iter().map(|node| node.id).collect();
        for id in ids {
            self.start(id);
        }
    }

    pub fn open_listener(&mut self, id: i32) {
        let damage = Arc::clone(&self.damage);
        let node = self.node_mut(id);
        let mut server = node.server.take().unwrap_or_else(|| bind(node.port));
        let handle = node.handle.clone().expect("it runs");
        let voter = Arc::new(Answering { handle, damage });
        server.serve(|_| Some(Arc::clone(&voter)));
        node.server = Some(server);
    }

    pub async fn close_listener(&mut self, id: i32) {
        if let Some(server) = self.node_mut(id).server.take() {
            server.shutdown(Duration::ZERO).await;
        }
    }

    pub async fn stop(&mut self, id: i32) {
        if let Some(handle) = self.node_mut(id).handle.take() {
            handle.shutdown().await;
            let status = handle.status();
            assert_eq!(status.failure, None, "node {id}");
        }
        self.close_listener(id).await;
    }

    pub async fn stop_all(&mut self) {
        for id in self.running() {
            self.stop(id).await;
        }
    }

    fn active(&self, but: Option<i32>) -> Option<i32> {
        let mut running = self.running().into_iter().filter(|id| Some(*id) != but);
        running.find(|id| self.handle(*id).status().active)
    }

    /// The active one, once there is one and all who run know it.
    pub async fn leader(&self) -> i32 {
        let agreed = || {
            let leader = self.active(None)?;
            let knows = |id: &i32| self.handle(*id).status().leader == Some(NodeId(leader));
            self.running().iter().all(knows).then_some(leader)
        };
        eventually(PATIENCE, || agreed().is_some()).await;
        agreed().expect("just seen")
    }

    pub async fn leader_but(&self, but: i32) -> i32 {
        eventually(PATIENCE, || self.active(Some(but)).is_some()).await;
        self.active(Some(but)).expect("just seen")
    }

    pub async fn create_at(&self, id: i32, name: &str) {
        toy::create(self.handle(id), name).await.expect("created");
    }

    /// At whoever leads.
    pub async fn create(&self, name: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            match toy::create(self.handle(leader), name).await {
                Ok(()) => return,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
        }
    }

    pub fn topics(&self, id: i32) -> Vec<String> {
        self.handle(id).image().topics.iter().map(|topic| topic.name.to_string()).collect()
    }

    pub async fn all_hold(&self, names: &[&str]) {
        for id in self.running() {
            eventually(PATIENCE, || {
                let mut topics = self.topics(id);
                topics.sort();
                topics == names
            })
            .await;
        }
    }

    /// What all hold, once all have this topic.
    pub async fn held_with(&self, name: &str) -> Vec<String> {
        let mut held = Vec::new();
        for id in self.running() {
            eventually(PATIENCE, || self.topics(id).iter().any(|topic| topic == name)).await;
            let mut topics = self.topics(id);
            topics.sort();
            held.push(topics);
        }
        assert!(held.windows(2).all(|pair| pair[0] == pair[1]), "not the same: {held:?}");
        held.swap_remove(0)
    }

    fn log_dir(&self, id: i32) -> std::path::PathBuf {
        self.node(id).dir.path().join("__cluster_metadata-0")
    }

    fn segments(&self, id: i32) -> Vec<i64> {
        let entries = fs::read_dir(self.log_dir(id)).expect("the metadata directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut bases: Vec<i64> =
            names.filter_map(|name| name.to_str()?.strip_suffix(".log")?.parse().ok()).collect();
        bases.sort_unstable();
        bases
    }

    pub fn log_start(&self, id: i32) -> i64 {
        self.segments(id)[0]
    }

    /// Of those who run.
    pub fn has_first_segment(&self) -> bool {
        self.running().iter().any(|id| self.segments(*id).contains(&0))
    }

    /// Byte for byte, as far as the shortest goes.
    pub fn logs_are_equal(&self) {
        let read = |id: i32| fs::read(self.log_dir(id).join(format!("{:020}.log", 0)));
        let logs: Vec<Vec<u8>> =
            self.nodes.iter().map(|node| read(node.id).expect("a log")).collect();
        let shortest = logs.iter().map(Vec::len).min().expect("nodes");
        assert!(shortest > 0);
        for log in &logs {
            assert!(log[..shortest] == logs[0][..shortest], "the logs differ");
        }
    }
}

/// How many answers with records, and with pieces of snapshots, leave damaged.
#[derive(Default)]
pub struct Damage {
    pub records: AtomicUsize,
    pub snapshots: AtomicUsize,
}

impl Damage {
    /// Flips a bit in the middle as long as there is damage left to do.
    fn spoil(left: &AtomicUsize, records: Option<Records<'static>>) -> Option<Records<'static>> {
        let mut bytes = records?.bytes()?.to_vec();
        let middle = bytes.len() / 2;
        let spend = |left: usize| left.checked_sub(1);
        if let Some(byte) = bytes.get_mut(middle)
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_ok()
        {
            *byte ^= 1;
        }
        Some(Records::from(bytes))
    }

    fn of(&self, response: &mut QuorumResponse) {
        match response {
            QuorumResponse::Fetch(body) => {
                for partition in body.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.records = Self::spoil(&self.records, partition.records.take());
                }
            }
            QuorumResponse::FetchSnapshot(body) => {
                for partition in body.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    let bytes = partition.unaligned_records.take();
                    partition.unaligned_records = Self::spoil(&self.snapshots, bytes);
                }
            }
            _ => {}
        }
    }
}

/// A controller's listener with nothing but the quorum behind it.
struct Answering {
    handle: Handle,
    damage: Arc<Damage>,
}

impl Service for Answering {
    async fn call(self: Arc<Self>, connection: Arc<Connection>, frame: Frame) -> Handled {
        let bytes: &[u8] = &frame.bytes;
        let short = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (api, version) = (ApiKey::from_i16(short(0)).expect("an API"), short(2));
        let mut reader = Reader::new(bytes);
        let header = RequestHeader::decode(&mut reader, api.request_header_version(version));
        let id = header.expect("a header").correlation_id;
        if api == ApiKey::ApiVersions {
            return Handled::Now(Some(answer(api, version, id, &api_versions())));
        }
        macro_rules! decoded {
            ($kind:ident, $request:ty) => {{
                let request: $request = Decode::decode(&mut reader, version).expect("a request");
                QuorumRequest::$kind(request.into_owned())
            }};
        }
        let request = match api {
            ApiKey::Vote => decoded!(Vote, VoteRequest<'_>),
            ApiKey::BeginQuorumEpoch => decoded!(BeginQuorumEpoch, BeginQuorumEpochRequest<'_>),
            ApiKey::EndQuorumEpoch => decoded!(EndQuorumEpoch, EndQuorumEpochRequest<'_>),
            ApiKey::Fetch => decoded!(Fetch, FetchRequest<'_>),
            ApiKey::FetchSnapshot => decoded!(FetchSnapshot, FetchSnapshotRequest<'_>),
            ApiKey::UpdateRaftVoter => decoded!(UpdateRaftVoter, UpdateRaftVoterRequest<'_>),
            other => panic!("{other:?} is not served"),
        };
        let asker = Asker { version, listener: Arc::clone(&connection.listener) };
        let (handle, damage) = (self.handle.clone(), Arc::clone(&self.damage));
        Handled::Later(Box::pin(async move {
            let mut response = handle.ask(request, asker).await.ok()?;
            damage.of(&mut response);
            Some(match response {
                QuorumResponse::Vote(body) => answer(api, version, id, &body),
                QuorumResponse::BeginQuorumEpoch(body) => answer(api, version, id, &body),
                QuorumResponse::EndQuorumEpoch(body) => answer(api, version, id, &body),
                QuorumResponse::Fetch(body) => answer(api, version, id, &body),
                QuorumResponse::FetchSnapshot(body) => answer(api, version, id, &body),
                QuorumResponse::UpdateRaftVoter(body) => answer(api, version, id, &body),
                other => panic!("{other:?} was not asked for"),
            })
        }))
    }
}

fn api_versions() -> ApiVersionsResponse<'static> {
    let served = [
        ApiKey::ApiVersions,
        ApiKey::Fetch,
        ApiKey::Vote,
        ApiKey::BeginQuorumEpoch,
        ApiKey::EndQuorumEpoch,
        ApiKey::FetchSnapshot,
        ApiKey::UpdateRaftVoter,
    ];
    let row = |api: &ApiKey| ApiVersion {
        api_key: api.code(),
        min_version: *api.stable_versions().start(),
        max_version: *api.stable_versions().end(),
        ..Default::default()
    };
    ApiVersionsResponse { api_keys: served.iter().map(row).collect(), ..Default::default() }
}

fn answer<T: Encode>(api: ApiKey, version: i16, correlation_id: i32, body: &T) -> Response {
    let header = ResponseHeader { correlation_id, ..Default::default() };
    let mut writer = Writer::with_capacity(256);
    header.encode(&mut writer, api.response_header_version(version)).expect("a header");
    body.encode(&mut writer, version).expect("a body");
    let chunks = writer.into_parts().into_iter().map(|part| match part {
        Part::Bytes(bytes) => Chunk::Bytes(bytes),
        Part::External { .. } => panic!("nothing lies elsewhere"),
    });
    Response { chunks: chunks.collect() }
}
