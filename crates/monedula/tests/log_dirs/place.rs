//! A node with several directories, and what it says of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::Records;
use protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use protocol::messages::alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
use protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::DescribeLogDirsResponse;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use records::Batches;

use crate::common::{Node, WAIT_MAX, decoded};

/// The directories of one node, which vanish with the test.
pub struct Place {
    pub root: tempfile::TempDir,
    pub dirs: Vec<PathBuf>,
}

/// A partition in a directory, as DescribeLogDirs tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub dir: usize,
    pub is_future: bool,
    pub size: i64,
    pub lag: i64,
}

impl Place {
    pub fn new(count: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dirs = (0..count).map(|n| root.path().join(format!("d{n}"))).collect();
        Self { root, dirs }
    }

    pub fn start(&self, more: &[(&str, &str)]) -> Node {
        let dirs: Vec<String> = self.dirs.iter().map(|dir| dir.display().to_string()).collect();
        let dirs = dirs.join(",");
        let metadata = self.root.path().join("metadata").display().to_string();
        let mut all = vec![
            ("log.dirs", &*dirs),
            ("metadata.log.dir", &*metadata),
            ("node.id", "1"),
            ("log.flush.offset.checkpoint.interval.ms", "500"),
            ("log.initial.task.delay.ms", "0"),
        ];
        all.extend_from_slice(more);
        Node::start_with(&self.root.path().join("data"), &all)
    }

    pub fn path(&self, dir: usize) -> String {
        self.dirs[dir].display().to_string()
    }

    /// Names of what is in a directory for one topic.
    pub fn names(&self, dir: usize, topic: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.dirs[dir])
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(&format!("{topic}-")))
            .collect();
        names.sort();
        names
    }

    pub fn describe(&self, node: &Node) -> DescribeLogDirsResponse<'static> {
        let request = DescribeLogDirsRequest { topics: None, ..Default::default() };
        let body = node.ask(&request, 5);
        let body: &'static [u8] = body.leak();
        decoded(body, 5)
    }

    /// Where the partition and its copy are, the serving one first.
    pub fn find(&self, node: &Node, topic: &str, index: i32) -> Vec<Found> {
        let mut found = Vec::new();
        for result in &self.describe(node).results {
            let dir = self.dirs.iter().position(|dir| dir == Path::new(&*result.log_dir)).unwrap();
            for told in result.topics.iter().filter(|told| told.name == topic) {
                for told in told.partitions.iter().filter(|told| told.partition_index == index) {
                    found.push(Found {
                        dir,
                        is_future: told.is_future_key,
                        size: told.partition_size,
                        lag: told.offset_lag,
                    });
                }
            }
        }
        found.sort_by_key(|found| found.is_future);
        found
    }

    pub fn dir_of(&self, node: &Node, topic: &str) -> usize {
        self.find(node, topic, 0)[0].dir
    }

    pub fn wait_until_in(&self, node: &Node, topic: &str, dir: usize) {
        let (mut began, mut last) = (Instant::now(), Vec::new());
        loop {
            let found = self.find(node, topic, 0);
            if found.len() == 1 && found[0].dir == dir && !found[0].is_future {
                return;
            }
            if found != last {
                // On a slow disk it takes long: what counts is that it goes on.
                (began, last) = (Instant::now(), found.clone());
            }
            let log = node.log();
            assert!(began.elapsed() < WAIT_MAX, "not moved: {found:?}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < WAIT_MAX, "never so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The error code for one partition.
pub fn alter(node: &Node, topic: &str, index: i32, path: &str) -> i16 {
    let topics = vec![AlterReplicaLogDirTopic {
        name: topic.into(),
        partitions: vec![index],
        ..Default::default()
    }];
    let dir = AlterReplicaLogDir { path: path.into(), topics, ..Default::default() };
    let request = AlterReplicaLogDirsRequest { dirs: vec![dir], ..Default::default() };
    let body = node.ask(&request, 2);
    let response: AlterReplicaLogDirsResponse<'_> = decoded(&body, 2);
    assert_eq!((response.results.len(), &*response.results[0].topic_name), (1, topic));
    response.results[0].partitions[0].error_code
}

/// Sets (or, with `None`, removes) a setting of node 1; the error code and message.
pub fn set(node: &Node, key: &str, value: Option<&str>) -> (i16, String) {
    let config = AlterableConfig {
        name: key.into(),
        config_operation: i8::from(value.is_none()),
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let body = node.ask(&request, 1);
    let response: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
    let told = &response.responses[0];
    (told.error_code, told.error_message.as_deref().unwrap_or_default().to_owned())
}

pub fn delete_topic(node: &Node, name: &str) {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request =
        DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
    node.ask(&request, 6);
}

/// The values of all records of partition 0, from the given offset on.
pub fn read(node: &Node, topic: &str, mut offset: i64) -> Vec<(i64, Vec<u8>)> {
    let asked = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
    let body = node.ask(&request, 12);
    let metadata: MetadataResponse<'_> = decoded(&body, 12);
    let topic_id = metadata.topics[0].topic_id;
    let (mut values, mut peer) = (Vec::new(), node.connect());
    loop {
        let partition = FetchPartition {
            partition: 0,
            fetch_offset: offset,
            partition_max_bytes: 1 << 20,
            current_leader_epoch: -1,
            ..Default::default()
        };
        let topics =
            vec![FetchTopic { topic_id, partitions: vec![partition], ..Default::default() }];
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 1 << 20,
            topics,
            ..Default::default()
        };
        let body = peer.call(&request, 13);
        let response: FetchResponse<'_> = decoded(&body, 13);
        let told = &response.responses[0].partitions[0];
        assert_eq!(told.error_code, 0, "at {offset}");
        let bytes = told.records.as_ref().and_then(Records::bytes).unwrap_or_default();
        let before = offset;
        for batch in Batches::new(bytes).flatten() {
            for record in batch.records(&mut Vec::new(), 1 << 20).unwrap() {
                let record = record.unwrap();
                if record.offset.get() >= before {
                    values.push((record.offset.get(), record.value.unwrap().to_vec()));
                }
            }
            offset = batch.last_offset().get() + 1;
        }
        if offset == before {
            return values;
        }
    }
}
