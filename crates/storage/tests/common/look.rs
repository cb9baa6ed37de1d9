//! Looking for damage in the directory of a test.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use base::{NodeId, Offset, TopicPartition, Uuid};
use storage::dirs::{MetaProperties, Offsets, checkpoint, clean_shutdown, partition_metadata};
use storage::verify::{Finding, Options, Progress, verify};
use storage::{Log, RealDisk};

use super::{NOW, Place};

/// What is found in a directory, notes and all.
pub fn look(dir: &Path) -> Vec<Finding> {
    let found = Mutex::new(Vec::new());
    let options = Options {
        topics: HashSet::new(),
        compacted: HashSet::new(),
        quick: false,
        threads: 1,
        inspect: &|_| None,
        inspect_record: &|_, _| Ok(()),
        progress: &Progress::default(),
    };
    verify(&RealDisk, &[dir.to_path_buf()], &options, &|finding| {
        found.lock().unwrap().push(finding)
    });
    found.into_inner().unwrap()
}

/// Writes what lies beside a log that was stopped cleanly.
pub fn dress(place: &Place, log: &Log) {
    let root = place.root.path();
    let id = Uuid([77; 16]);
    partition_metadata::write_topic_id(&RealDisk, &place.dir(), id).unwrap();
    let directory = Uuid([99; 16]);
    MetaProperties::new("cluster", NodeId(1), directory).write(&RealDisk, root, NOW).unwrap();
    let offsets = |offset: Offset| -> Offsets {
        [(TopicPartition::new("topic", 0), offset)].into_iter().collect()
    };
    let files = [
        (checkpoint::RECOVERY_POINTS, log.recovery_point()),
        (checkpoint::HIGH_WATERMARKS, log.end_offset()),
        (checkpoint::LOG_STARTS, Offset(0)),
    ];
    for (name, offset) in files {
        checkpoint::write_offsets(&RealDisk, &root.join(name), &offsets(offset)).unwrap();
    }
    clean_shutdown::write(&RealDisk, root, base::BrokerEpoch(5)).unwrap();
}
