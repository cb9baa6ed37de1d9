//! A cleaner that panics: its log is left uncleaned and served on, and other logs are cleaned.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use config::BrokerConfig;
use protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::produce_response::ProduceResponse;
use records::{BatchBuilder, Compression};
use simdisk::KillDisk;
use simdisk::kill::Point;
use storage::RealDisk;

use crate::common::{Peer, decoded, produce_request};
use crate::place::until;

fn create(peer: &mut Peer, name: &str) {
    let config = |name: &'static str, value: &'static str| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config("cleanup.policy", "compact"), config("segment.ms", "1")],
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    let body = peer.call(&request, 7);
    assert_eq!(decoded::<CreateTopicsResponse<'_>>(&body, 7).topics[0].error_code, 0);
}

/// Its old segments are no longer the cleaner's.
fn delete_what_is_old(peer: &mut Peer, name: &str) {
    let config = AlterableConfig {
        name: "cleanup.policy".into(),
        config_operation: 0,
        value: Some("delete".into()),
        ..Default::default()
    };
    let topic = AlterConfigsResource {
        resource_type: 2,
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![topic],
        validate_only: false,
        ..Default::default()
    };
    let body = peer.call(&request, 1);
    let response: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
    assert_eq!(response.responses[0].error_code, 0);
}

/// Appends records of one key, each in a segment of its own. Gives the offset of the last.
fn write(peer: &mut Peer, topic: &str, times: std::ops::Range<i64>) -> i64 {
    let mut last = -1;
    for time in times {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(time * 1000, Some(b"key"), Some(b"value"), &[]).unwrap();
        let batch = builder.build().unwrap();
        let body = peer.call(&produce_request(topic, 0, &batch), 12);
        let response: ProduceResponse<'_> = decoded(&body, 12);
        let told = &response.responses[0].partition_responses[0];
        assert_eq!(told.error_code, 0, "{topic}");
        last = told.base_offset;
    }
    last
}

/// How far a topic was cleaned.
fn cleaned(dir: &Path, topic: &str) -> i64 {
    let text = std::fs::read_to_string(dir.join("cleaner-offset-checkpoint")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{topic} 0 ")));
    line.map_or(0, |upto| upto.parse().unwrap())
}

#[test]
fn other_logs_are_cleaned_when_a_cleaner_panics() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let settings = [
        ("log.dirs", dir.display().to_string()),
        ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".into()),
        ("log.cleaner.backoff.ms", "20".into()),
        ("log.cleaner.min.cleanable.ratio", "0.01".into()),
        ("log.retention.check.interval.ms", "100".into()),
        ("log.initial.task.delay.ms", "0".into()),
    ];
    let settings: Vec<_> = settings.map(|(key, value)| (key.to_owned(), value)).into();
    let config = BrokerConfig::load(None, &settings).unwrap();
    let panicked = Arc::new(AtomicBool::new(false));
    let planted = Arc::clone(&panicked);
    let point = Point::parse("create:*/bad-0/*.log.cleaned:1:before").unwrap();
    let disk = KillDisk::new(Arc::new(RealDisk), point, move || {
        planted.store(true, Ordering::Relaxed);
        panic!("planted");
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(broker::start_on(config, Arc::new(disk))).unwrap();
    let address = node.listeners().iter().find(|(name, _)| &**name == "PLAINTEXT").unwrap();
    let mut peer = Peer::connect(&address.1.to_string());

    create(&mut peer, "bad");
    write(&mut peer, "bad", 0..3);
    until("the cleaner panics", || panicked.load(Ordering::Relaxed));
    create(&mut peer, "good");
    let last = write(&mut peer, "good", 0..3);
    until("another log is cleaned", || cleaned(&dir, "good") == last);
    // Nothing is planted there any more: only who leaves it alone does not clean it.
    write(&mut peer, "bad", 3..6);
    let last = write(&mut peer, "good", 3..6);
    until("and again", || cleaned(&dir, "good") == last);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(cleaned(&dir, "bad"), 0);
    let first = dir.join("bad-0").join("00000000000000000000.log");
    assert!(first.exists());
    delete_what_is_old(&mut peer, "bad");
    until("retention has it, since nobody cleans it", || !first.exists());
    runtime.block_on(node.stop());
}
