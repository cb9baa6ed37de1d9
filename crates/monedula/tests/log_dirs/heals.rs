//! A log that cannot be made for want of space: its partition is served as soon as there is some, and nothing is left where it was
//! tried in vain.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use storage::disk::{FileInfo, OpenMode};
use storage::{Disk, DiskFile, RealDisk};

use crate::common::{Peer, batch, decoded, produce_request};
use crate::place::until;

/// The real disk; while it is full no file can be made in logs' directories.
struct Tight {
    place: PathBuf,
    full: AtomicBool,
}

impl Disk for Tight {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inside = path.parent().is_some_and(|log| log.parent() == Some(&self.place));
        let makes = [OpenMode::CreateEmpty, OpenMode::CreateIfMissing].contains(&mode);
        if inside && makes && !path.exists() && self.full.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"));
        }
        RealDisk.open(path, mode)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<FileInfo>> {
        RealDisk.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        RealDisk.stat(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }
}

fn create(address: &str, name: &str) {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
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

#[test]
fn a_log_that_found_no_space_is_made_when_there_is_some() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("data");
    let disk = Arc::new(Tight { place: place.clone(), full: AtomicBool::new(false) });
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
    let (_, address) = node.listeners().iter().find(|(name, _)| &**name == "PLAINTEXT").unwrap();
    let address = address.to_string();
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
