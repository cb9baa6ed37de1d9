//! A metadata log that Apache Kafka wrote: it replays, and every record would be written in the same bytes.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

use base::{LeaderEpoch, NodeId, Offset, PartitionIndex, WallMs};
use metadata::{ConfigResource, Delta, Image, Loader, Provenance, record_version};
use protocol::metadata_records::MetadataRecord;

fn bytes(line: &str) -> Vec<u8> {
    let pairs = (0..line.len()).step_by(2).map(|at| &line[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn a_log_of_kafka_replays_and_would_be_written_alike() {
    let lines = include_str!("fixtures/kafka-4.4.0-records.txt").lines();
    let values: Vec<Vec<u8>> = lines.filter(|line| !line.starts_with('#')).map(bytes).collect();
    assert!(values.len() > 150);
    let mut loader = Loader::default();
    let mut other_version = 0;
    let publish = |loader: &mut Loader, offset| {
        let provenance =
            Provenance { offset: Offset(offset), epoch: LeaderEpoch(1), time: WallMs(0) };
        loader.publish(provenance)
    };
    for (offset, value) in (0..).zip(&values) {
        let record = MetadataRecord::decode_value(value).unwrap();
        let level = loader.image().features.metadata_version_or_minimum();
        let own = record.encode_value(record_version(&record, level)).unwrap();
        if own != *value {
            // Kafka tells with version 2 that no directory is left, though version 0 would hold that, too.
            assert_eq!(MetadataRecord::decode_value(&own).unwrap(), record);
            other_version += 1;
        }
        loader.replay(&record).unwrap();
        publish(&mut loader, offset);
    }
    assert_eq!(other_version, 1);

    let image = loader.image().clone();
    assert_eq!(image.features.metadata_version.unwrap().name(), "4.4-IV2");
    let partition = image.topics.by_name("y").unwrap().partition(PartitionIndex(0)).unwrap();
    assert_eq!((partition.leader, partition.leader_epoch), (NodeId::NONE, LeaderEpoch(1)));
    assert_eq!(*partition.elr, [NodeId(4), NodeId(5)]);
    assert_eq!(image.configs.value(&ConfigResource::topic("d"), "retention.ms"), Some("5"));
    assert_eq!(image.cluster.brokers.size(), 4);

    let mut loaded = Image::default();
    for record in image.to_records() {
        loaded.replay(&record, &mut Delta::default()).unwrap();
    }
    assert!(loaded.same_state(&image));
}
