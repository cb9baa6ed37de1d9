//! A log that cannot be made for want of space: its partition is served as soon as there is some, and nothing is left where it was
//! tried in vain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use config::BrokerConfig;
use protocol::messages::create_partitions_request::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use protocol::messages::create_partitions_response::CreatePartitionsResponse;
use protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::delete_topics_response::DeleteTopicsResponse;
use protocol::messages::produce_response::ProduceResponse;

use crate::common::{Peer, batch, decoded, frame, produce_request, request_bytes};
use crate::faulty::Faulty;
use crate::place::until;

fn topic(name: &str) -> CreatableTopic<'_> {
    CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    }
}

fn encode(request: &CreateTopicsRequest<'_>) -> Vec<u8> {
    protocol::encode_to_vec(request, 7).unwrap()
}

fn create(address: &str, name: &str) {
    let request = CreateTopicsRequest { topics: vec![topic(name)], ..Default::default() };
    let body = Peer::connect(address).call(&request, 7);
    let response: CreateTopicsResponse<'_> = decoded(&body, 7);
    assert_eq!(response.topics[0].error_code, 0);
}

fn grow(address: &str, name: &str, count: i32) {
    let topic =
        CreatePartitionsTopic { name: name.into(), count, assignments: None, ..Default::default() };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
    let body = Peer::connect(address).call(&request, 3);
    let response: CreatePartitionsResponse<'_> = decoded(&body, 3);
    assert_eq!(response.results[0].error_code, 0);
}

fn delete(address: &str, name: &str) {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request =
        DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..Default::default() };
    let body = Peer::connect(address).call(&request, 6);
    let response: DeleteTopicsResponse<'_> = decoded(&body, 6);
    assert_eq!(response.responses[0].error_code, 0);
}

fn produce(address: &str, topic: &str, partition: i32) -> i16 {
    let batch = batch(&[b"x"]);
    let body = Peer::connect(address).call(&produce_request(topic, partition, &batch), 12);
    let response: ProduceResponse<'_> = decoded(&body, 12);
    response.responses[0].partition_responses[0].error_code
}

/// A node on a disk of ours, its address, and the runtime that it runs in.
struct World {
    root: tempfile::TempDir,
    disk: Arc<Faulty>,
    runtime: tokio::runtime::Runtime,
    node: broker::RunningNode,
    address: String,
}

impl World {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("data");
        let disk = Arc::new(Faulty::new(place.clone()));
        let metadata = root.path().join("metadata").display().to_string();
        let settings = [
            ("log.dirs", place.display().to_string()),
            ("metadata.log.dir", metadata),
            ("node.id", "1".into()),
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".into()),
        ];
        let settings: Vec<_> = settings.map(|(key, value)| (key.to_owned(), value)).into();
        let config = BrokerConfig::load(None, &settings).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let node = runtime.block_on(broker::start_on(config, disk.clone())).unwrap();
        let (_, address) =
            node.listeners().iter().find(|(name, _)| &**name == "PLAINTEXT").unwrap();
        let address = address.to_string();
        Self { root, disk, runtime, node, address }
    }
}

#[test]
fn a_log_that_found_no_space_is_made_when_there_is_some() {
    let World { root, disk, runtime, node, address } = World::start();
    let place = root.path().join("data");
    let there = || {
        let names = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| place.join(name).is_dir());
        names.sort();
        names
    };

    disk.full.store(true, Ordering::Relaxed);
    for topic in ["t", "gone"] {
        create(&address, topic);
        assert_ne!(produce(&address, topic, 0), 0);
    }
    // Metadata that comes meanwhile finds no space either.
    grow(&address, "t", 2);
    delete(&address, "gone");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_ne!(produce(&address, "t", 1), 0);
    assert_eq!(there(), [""; 0], "what was tried in vain is gone");

    disk.full.store(false, Ordering::Relaxed);
    for partition in [0, 1] {
        until("it heals by itself", || produce(&address, "t", partition) == 0);
    }
    assert_eq!(there(), ["t-0", "t-1"], "what is wanted, and nothing else");
    runtime.block_on(node.stop());
}

/// As in Apache Kafka: there is nobody to be asked for leave.
#[test]
fn a_node_whose_metadata_log_cannot_be_written_ends_at_once() {
    let World { root: _root, disk, runtime, node, address } = World::start();
    create(&address, "t");
    disk.broken.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let asking = std::thread::spawn(move || {
        // Nobody answers any more, or with an error.
        let request = CreateTopicsRequest { topics: vec![topic("u")], ..Default::default() };
        Peer::connect(&address).send(&frame(&request_bytes(19, 7, &encode(&request))));
    });
    let cause = runtime.block_on(node.failed());
    assert!(cause.contains("__cluster_metadata-0"), "{cause}");
    runtime.block_on(node.stop());
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    asking.join().unwrap();
}
