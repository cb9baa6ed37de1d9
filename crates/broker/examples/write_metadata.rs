//! Formats a directory if need be, runs a controller on it, creates topics, writes a snapshot:
//! `write_metadata DIR PORT [COUNT [RELEASE]]`.
//!
//! For Kafka's tools and servers to be tried on what we write. The directory fits a node with these properties:
//! `node.id=1`, `controller.quorum.voters=1@127.0.0.1:PORT+1`, `log.dirs=DIR`.

use std::path::Path;
use std::sync::Arc;

use base::{BrokerEpoch, NodeId};
use broker::clock::{Clock, random_uuid};
use broker::format::{Features, Format};
use broker::lifecycle::{self, LifecycleConfig};
use broker::peers::{Peers, PeersConfig};
use broker::quorum::{self, QuorumConfig};
use broker::road::ControllerRoad;
use config::BrokerConfig;
use config::properties::Properties;
use controller::{Controller, ControllerReply, ControllerRequest, Settings};
use kraft::{Endpoint, ReplicaKey, VersionRange, Voter, VoterSet};
use metadata::MetadataVersion;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use storage::dirs::MetaProperties;
use storage::disk::RealDisk;

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
const NODE: NodeId = NodeId(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, port, more @ ..] = &arguments[..] else {
        eprintln!("usage: write_metadata DIR PORT [COUNT [RELEASE]]");
        std::process::exit(2);
    };
    let port: u16 = port.parse().expect("a port");
    let count: usize = more.first().map_or(10, |count| count.parse().expect("a count"));
    let release = more.get(1).map(|name| MetadataVersion::from_name(name).expect("a release"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(write(Path::new(dir), port, count, release));
}

async fn write(dir: &Path, port: u16, count: usize, release: Option<MetadataVersion>) {
    let format = Format {
        node_id: NODE,
        cluster_id: CLUSTER.into(),
        directories: vec![dir.to_path_buf()],
        metadata_dir: dir.to_path_buf(),
        is_controller: true,
        features: Features { release, ..Features::default() },
        ignore_formatted: true,
        initial_voters: None,
        more_records: Vec::new(),
    };
    let clock = Clock::new();
    let lines = format.run(&RealDisk, clock.wall(), &mut random_uuid).expect("formatted");
    println!("{}", lines.join("\n"));
    let meta = MetaProperties::read(&RealDisk, dir).expect("readable").expect("formatted");
    let directory = meta.directory_id.expect("a directory id");

    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\nlog.dirs={dir}\noffsets.topic.replication.factor=1\n",
        controller = port + 1,
        dir = dir.display()
    );
    let properties = Properties::parse(&text).expect("properties");
    let node = BrokerConfig::parse(&properties).expect("a configuration");
    let mut settings = Settings::new(CLUSTER, Arc::new(node), vec![NODE]);
    let incarnation = random_uuid();
    settings.own_incarnation = Some(incarnation);
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: port + 1 };
    let mut config = QuorumConfig::new(NODE, CLUSTER.into(), dir.to_path_buf(), directory);
    config.endpoints = vec![endpoint.clone()];
    config.snapshot_bytes = 2_000;
    config.static_voters = VoterSet::from_iter([Voter {
        key: ReplicaKey { id: NODE, directory_id: None },
        endpoints: vec![endpoint],
        kraft_versions: VersionRange { min: 0, max: 0 },
    }]);
    let quorum = quorum::start(Arc::new(RealDisk), config, clock, None, |image, kraft_version| {
        settings.kraft_version = kraft_version;
        Controller::new(settings, image)
    });
    let handle = quorum.expect("it starts").serve().expect("a thread");
    let features = Settings::all_features(false).into_iter();
    let broker = LifecycleConfig {
        node_id: NODE,
        cluster_id: CLUSTER.into(),
        incarnation,
        listeners: vec![metadata::Endpoint {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port,
            security_protocol: 0,
        }],
        features: features.map(|(name, range)| (name.to_string(), range)).collect(),
        rack: None,
        log_dirs: vec![directory],
        previous_epoch: BrokerEpoch::NONE,
        heartbeat_interval_ms: 2_000,
        registration_timeout_ms: 60_000,
    };
    let node = BrokerConfig::default();
    let peers = Peers::new(PeersConfig::new(&node));
    let road = ControllerRoad::new(&node, handle.clone(), peers);
    let lifecycle = lifecycle::start(broker, road, handle.image_pointer());
    lifecycle.ready_to_unfence();
    assert!(lifecycle.unfenced().await, "unfenced");
    for index in 0..count {
        let topic = CreatableTopic {
            name: format!("topic-{}-{index}", handle.status().epoch).into(),
            num_partitions: 3,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let reply = handle.submit(ControllerRequest::CreateTopics(request)).await.expect("a reply");
        assert!(
            matches!(reply, ControllerReply::CreateTopics(reply) if reply.topics[0].error_code == 0)
        );
    }
    lifecycle.begin_controlled_shutdown();
    lifecycle.released().await;
    handle.shutdown().await;
    println!("epoch {}, {} topics", handle.status().epoch, handle.image().topics.iter().count());
}
