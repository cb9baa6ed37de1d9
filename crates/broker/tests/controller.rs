//! The real controller on the quorum, the broker's lifecycle, and directories that Apache Kafka wrote.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerEpoch, NodeId, Uuid};
use broker::clock::{Clock, random_uuid};
use broker::format::{Features, Format};
use broker::lifecycle::{self, LifecycleConfig, Stage};
use broker::peers::{Peers, PeersConfig};
use broker::quorum::{self, ControllerHandle, QuorumConfig};
use broker::road::ControllerRoad;
use config::BrokerConfig;
use config::properties::Properties;
use controller::{Controller, ControllerReply, ControllerRequest, Settings};
use kraft::{Endpoint, ReplicaKey, VersionRange, Voter, VoterSet};
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use storage::disk::RealDisk;

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// Longer than any step is waited for.
const HEARTBEAT_INTERVAL_MS: u64 = 300_000;
const SOON: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Starts the quorum of `dir`; with static voters unless the directory is of a dynamic quorum.
fn start(dir: &Path, directory: Uuid, incarnation: Uuid, is_static: bool) -> ControllerHandle {
    let mut text = String::from(
        "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:19420,CONTROLLER://127.0.0.1:19421\n\
         controller.listener.names=CONTROLLER\noffsets.topic.replication.factor=1\n\
         broker.session.timeout.ms=600000\n",
    );
    text.push_str(if is_static {
        "controller.quorum.voters=1@127.0.0.1:19421\n"
    } else {
        "controller.quorum.bootstrap.servers=127.0.0.1:19421\n"
    });
    text.push_str(&format!("log.dirs={}\n", dir.display()));
    let node = BrokerConfig::parse(&Properties::parse(&text).expect("properties"))
        .expect("a configuration");
    let mut settings = Settings::new(CLUSTER, Arc::new(node), vec![NodeId(1)]);
    settings.own_incarnation = Some(incarnation);
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 19421 };
    let mut config = QuorumConfig::new(NodeId(1), CLUSTER.into(), dir.to_path_buf(), directory);
    config.endpoints = vec![endpoint.clone()];
    if is_static {
        config.static_voters = VoterSet::from_iter([Voter {
            key: ReplicaKey { id: NodeId(1), directory_id: None },
            endpoints: vec![endpoint],
            kraft_versions: VersionRange { min: 0, max: 0 },
        }]);
    }
    let quorum =
        quorum::start(Arc::new(RealDisk), config, Clock::new(), None, |image, kraft_version| {
            settings.kraft_version = kraft_version;
            Controller::new(settings, image)
        });
    quorum.expect("it starts").serve().expect("a thread")
}

fn lifecycle(
    handle: &ControllerHandle,
    directory: Uuid,
    incarnation: Uuid,
) -> lifecycle::Lifecycle {
    let config = LifecycleConfig {
        node_id: NodeId(1),
        cluster_id: CLUSTER.into(),
        incarnation,
        listeners: vec![metadata::Endpoint {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 19420,
            security_protocol: 0,
        }],
        features: Settings::all_features(false)
            .into_iter()
            .map(|(name, range)| (name.to_string(), range))
            .collect(),
        rack: None,
        log_dirs: vec![directory],
        previous_epoch: BrokerEpoch::NONE,
        heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
        registration_timeout_ms: 60_000,
    };
    let node = BrokerConfig::default();
    let peers = Peers::new(PeersConfig::new(&node));
    let road = ControllerRoad::new(&node, handle.clone(), peers);
    lifecycle::start(config, road, handle.image_pointer())
}

/// Registers the broker and gets it unfenced, which must not need a whole heartbeat interval.
async fn serving(
    handle: &ControllerHandle,
    directory: Uuid,
    incarnation: Uuid,
) -> lifecycle::Lifecycle {
    let lifecycle = lifecycle(handle, directory, incarnation);
    let steps = async {
        assert!(lifecycle.caught_up().await);
        lifecycle.ready_to_unfence();
        assert!(lifecycle.unfenced().await);
    };
    tokio::time::timeout(SOON, steps).await.expect("unfenced soon");
    assert_eq!(lifecycle.stage(), Stage::Running);
    lifecycle
}

async fn create(handle: &ControllerHandle, name: &'static str) -> i16 {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..Default::default() };
    match handle.submit(ControllerRequest::CreateTopics(request)).await {
        Ok(ControllerReply::CreateTopics(reply)) => reply.topics[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn names(handle: &ControllerHandle) -> Vec<String> {
    let mut names: Vec<String> =
        handle.image().topics.iter().map(|topic| topic.name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_new_node_from_format_to_a_restart_after_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let format = Format {
        node_id: NodeId(1),
        cluster_id: CLUSTER.into(),
        directories: vec![dir.path().to_path_buf()],
        metadata_dir: dir.path().to_path_buf(),
        is_controller: true,
        features: Features::default(),
        ignore_formatted: false,
        initial_voters: None,
        more_records: Vec::new(),
    };
    let directory = random_uuid();
    format.run(&RealDisk, Clock::new().wall(), &mut || directory).expect("formatted");
    runtime().block_on(async {
        let incarnation = random_uuid();
        let handle = start(dir.path(), directory, incarnation, true);
        let image = handle.image();
        assert_eq!(image.features.level("metadata.version"), 33);
        assert_eq!(image.features.level("transaction.version"), 2);
        let first = serving(&handle, directory, incarnation).await;
        assert_eq!(create(&handle, "a").await, 0);
        assert_eq!(create(&handle, "a").await, 36, "TOPIC_ALREADY_EXISTS");
        assert_eq!(names(&handle), ["a"]);
        // The process is killed: neither the broker says goodbye nor the log is closed.
        let crashed = tempfile::tempdir().expect("a directory");
        copy(dir.path(), crashed.path());
        first.stop();
        handle.shutdown().await;

        // The next incarnation need not wait for the session of the one before to run out.
        let incarnation = random_uuid();
        let handle = start(crashed.path(), directory, incarnation, true);
        let second = serving(&handle, directory, incarnation).await;
        assert!(second.broker_epoch() > first.broker_epoch());
        assert_eq!(create(&handle, "b").await, 0);
        assert_eq!(names(&handle), ["a", "b"]);

        second.begin_controlled_shutdown();
        tokio::time::timeout(SOON, second.released()).await.expect("released soon");
        assert_eq!(second.stage(), Stage::ShuttingDown);
        let broker = handle.image().cluster.broker(NodeId(1)).cloned().expect("registered");
        assert!(broker.fenced || broker.in_controlled_shutdown);
        handle.shutdown().await;
    });
}

#[test]
fn directories_of_apache_kafka() {
    for (name, directory, topics) in [
        ("static", "uzWpewGkydHNcOgKTIQnJQ", &["audit.log", "orders"][..]),
        ("dynamic", "5_22tNIPSWOEjungCdoE7Q", &[][..]),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), dir.path());
        let directory: Uuid = directory.parse().expect("an id");
        runtime().block_on(async {
            for round in 0..2 {
                let incarnation = random_uuid();
                let handle = start(dir.path(), directory, incarnation, name == "static");
                assert_eq!(handle.status().epoch, 2 + round);
                let mut expected: Vec<&str> = topics.to_vec();
                if round > 0 {
                    expected.push("pushed");
                }
                assert_eq!(names(&handle), expected);
                let image = handle.image();
                assert_eq!(image.features.level("metadata.version"), 33);
                if name == "static" {
                    assert_eq!(
                        image.topics.by_name("orders").expect("orders").partitions().count(),
                        3
                    );
                }
                let lifecycle = serving(&handle, directory, incarnation).await;
                let created = create(&handle, "pushed").await;
                assert_eq!(created, if round == 0 { 0 } else { 36 });
                lifecycle.stop();
                handle.shutdown().await;
            }
        });
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
