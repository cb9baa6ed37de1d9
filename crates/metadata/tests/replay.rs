//! Kafka's rules for single records, and what an update means for the replicas of a broker.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

use base::{NodeId, PartitionIndex, Uuid};
use metadata::{Delta, Image, Loader, MetadataVersion, Provenance, ReplayError, record_version};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::metadata_records::config_record::ConfigRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use protocol::metadata_records::fence_broker_record::FenceBrokerRecord;
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;
use protocol::metadata_records::partition_record::PartitionRecord;
use protocol::metadata_records::register_broker_record::RegisterBrokerRecord;
use protocol::metadata_records::remove_topic_record::RemoveTopicRecord;
use protocol::metadata_records::topic_record::TopicRecord;

const T: Uuid = Uuid([7; 16]);
const U: Uuid = Uuid([8; 16]);
const DIR: Uuid = Uuid([9; 16]);

fn topic(name: &str, topic_id: Uuid) -> MetadataRecord<'_> {
    TopicRecord { name: name.into(), topic_id, ..Default::default() }.into()
}

fn partition(topic_id: Uuid, partition_id: i32, replicas: &[i32]) -> PartitionRecord {
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas[0],
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![DIR; replicas.len()],
        ..Default::default()
    }
}

fn change(partition_id: i32) -> PartitionChangeRecord {
    PartitionChangeRecord { partition_id, topic_id: T, ..Default::default() }
}

fn image_with(records: Vec<MetadataRecord<'_>>) -> Image {
    let mut image = Image::default();
    for record in records {
        image.replay(&record, &mut Delta::default()).unwrap();
    }
    image
}

fn broker(broker_id: i32, broker_epoch: i64) -> MetadataRecord<'static> {
    RegisterBrokerRecord { broker_id, broker_epoch, ..Default::default() }.into()
}

#[test]
fn records_that_contradict_the_state_are_refused() {
    let two_dirs = PartitionRecord { directories: vec![DIR; 2], ..partition(T, 0, &[1]) };
    let fence = |id, epoch| FenceBrokerRecord { id, epoch, ..Default::default() }.into();
    let odd = BrokerRegistrationChangeRecord {
        broker_id: 1,
        broker_epoch: 5,
        fenced: 2,
        ..Default::default()
    };
    let level = |feature_level| {
        FeatureLevelRecord { name: "metadata.version".into(), feature_level, ..Default::default() }
            .into()
    };
    let recovery = PartitionRecord { leader_recovery_state: 9, ..partition(T, 1, &[1]) };
    let cases: Vec<(MetadataRecord<'_>, ReplayError)> = vec![
        (topic("a", U), ReplayError::TopicExists { name: "a".into(), topic_id: U }),
        (topic("b", T), ReplayError::TopicExists { name: "b".into(), topic_id: T }),
        (partition(U, 0, &[1]).into(), ReplayError::UnknownTopicId { topic_id: U }),
        (partition(T, -1, &[1]).into(), ReplayError::PartitionIndex { topic_id: T, partition: -1 }),
        (
            partition(T, i32::MAX, &[1]).into(),
            ReplayError::PartitionIndex { topic_id: T, partition: i32::MAX },
        ),
        (
            two_dirs.into(),
            ReplayError::Directories { topic_id: T, partition: 0, replicas: 1, directories: 2 },
        ),
        (recovery.into(), ReplayError::LeaderRecoveryState { code: 9 }),
        (change(4).into(), ReplayError::UnknownPartition { topic_id: T, partition: 4 }),
        (
            RemoveTopicRecord { topic_id: U, ..Default::default() }.into(),
            ReplayError::UnknownTopicId { topic_id: U },
        ),
        (fence(2, 5), ReplayError::UnknownBroker { action: "fence", broker: 2 }),
        (
            fence(1, 4),
            ReplayError::BrokerEpoch { action: "fence", broker: 1, given: 4, current: 5 },
        ),
        (odd.into(), ReplayError::BrokerChange { broker: 1, field: "fenced", value: 2 }),
        (level(6), ReplayError::MetadataVersion { level: 6 }),
        (level(35), ReplayError::MetadataVersion { level: 35 }),
    ];
    let image = image_with(vec![topic("a", T), partition(T, 0, &[1]).into(), broker(1, 5)]);
    for (record, expected) in cases {
        let mut after = image.clone();
        assert_eq!(after.replay(&record, &mut Delta::default()), Err(expected), "{record:?}");
        assert_eq!(after, image, "a refused record left a trace: {record:?}");
    }
}

#[test]
fn epochs_count_up_as_in_kafka() {
    // (change, leader, leader epoch) after partition 0 of [1, 2, 3] led by 1
    let leader = |leader| PartitionChangeRecord { leader, ..change(0) };
    let cases = [
        (PartitionChangeRecord { isr: Some(vec![1]), ..change(0) }, 1, 0),
        (leader(2), 2, 1),
        (leader(1), 1, 1),
        (leader(-1), -1, 1),
    ];
    for (record, expected_leader, expected_epoch) in cases {
        let image = image_with(vec![
            topic("a", T),
            partition(T, 0, &[1, 2, 3]).into(),
            record.clone().into(),
        ]);
        let partition = image.topics.partition(T, PartitionIndex(0)).unwrap();
        assert_eq!(partition.leader, NodeId(expected_leader), "{record:?}");
        assert_eq!(partition.leader_epoch.0, expected_epoch, "{record:?}");
        assert_eq!(partition.partition_epoch.0, 1, "{record:?}");
    }
}

#[test]
fn deleting_a_topic_deletes_its_configuration() {
    let config = ConfigRecord {
        resource_type: 2,
        resource_name: "a".into(),
        name: "retention.ms".into(),
        value: Some("1".into()),
        ..Default::default()
    };
    let image = image_with(vec![
        topic("a", T),
        config.into(),
        RemoveTopicRecord { topic_id: T, ..Default::default() }.into(),
    ]);
    assert!(image.is_empty());
}

#[test]
fn directories_never_told_count_as_migrating() {
    let record = PartitionRecord { directories: Vec::new(), ..partition(T, 0, &[1, 2]) };
    let image = image_with(vec![topic("a", T), record.into()]);
    let partition = image.topics.partition(T, PartitionIndex(0)).unwrap();
    assert_eq!(partition.directory(NodeId(2)), Some(Uuid::DIR_MIGRATING));
    assert_eq!(partition.directory(NodeId(3)), None);
}

/// Deletes, leaders, elected leaders, followers, directories of broker 1, as `partition` lists.
fn local(records: Vec<MetadataRecord<'_>>) -> String {
    let before = vec![
        topic("a", T),
        partition(T, 0, &[1, 2]).into(),
        partition(T, 1, &[2, 1]).into(),
        partition(T, 2, &[2, 3]).into(),
    ];
    let mut loader = Loader::new(image_with(before));
    for record in &records {
        loader.replay(record).unwrap();
    }
    let update = loader.publish(Provenance::default()).unwrap();
    let changes = update.local_changes(NodeId(1));
    let list = |partitions: &[metadata::LocalPartition<'_>]| {
        partitions
            .iter()
            .map(|p| format!("{}{}", p.topic.name, p.index))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let directories: Vec<_> =
        changes.directories.iter().map(|(p, _)| p.partition.to_string()).collect();
    format!(
        "delete [{}] lead [{}] elected [{}] follow [{}] directories [{}]",
        list(&changes.deletes),
        list(&changes.leaders),
        list(&changes.elected_leaders),
        list(&changes.followers),
        directories.join(" ")
    )
}

#[test]
fn local_changes() {
    let remove = || RemoveTopicRecord { topic_id: T, ..Default::default() }.into();
    let cases: Vec<(Vec<MetadataRecord<'_>>, &str)> = vec![
        (
            vec![PartitionChangeRecord { isr: Some(vec![1]), ..change(0) }.into()],
            "delete [] lead [a0] elected [] follow [] directories []",
        ),
        (
            vec![PartitionChangeRecord { leader: 2, ..change(0) }.into()],
            "delete [] lead [] elected [] follow [a0] directories []",
        ),
        (
            vec![PartitionChangeRecord { leader: 1, ..change(1) }.into()],
            "delete [] lead [a1] elected [a1] follow [] directories []",
        ),
        (
            vec![
                PartitionChangeRecord {
                    replicas: Some(vec![2]),
                    directories: Some(vec![DIR]),
                    ..change(1)
                }
                .into(),
            ],
            "delete [a1] lead [] elected [] follow [] directories []",
        ),
        (
            vec![PartitionChangeRecord { leader: 3, ..change(2) }.into()],
            "delete [] lead [] elected [] follow [] directories []",
        ),
        (vec![remove()], "delete [a0 a1] lead [] elected [] follow [] directories []"),
        (
            vec![remove(), topic("a", U), partition(U, 0, &[1]).into()],
            "delete [a0 a1] lead [a0] elected [a0] follow [] directories [0]",
        ),
        (
            vec![PartitionChangeRecord { directories: Some(vec![U, DIR]), ..change(0) }.into()],
            "delete [] lead [a0] elected [] follow [] directories [0]",
        ),
    ];
    for (records, expected) in cases {
        assert_eq!(local(records.clone()), expected, "{records:?}");
    }
}

#[test]
fn metadata_versions() {
    let level = |name| MetadataVersion::from_name(name).map(MetadataVersion::level);
    assert_eq!(level("4.4-IV2"), Some(33));
    assert_eq!(level("4.4"), Some(33));
    assert_eq!(level("4.0"), Some(25));
    assert_eq!(level("3.2"), None);
    assert_eq!(MetadataVersion::from_level(33).unwrap().name(), "4.4-IV2");
    for (position, version) in MetadataVersion::all().enumerate() {
        assert_eq!(usize::try_from(version.level()).unwrap(), position + 7, "the table has no gap");
    }
    let version = |name| MetadataVersion::from_name(name).unwrap();
    assert!(version("4.4-IV2").metadata_changed_between(version("4.4-IV0")));
    assert!(!version("4.2-IV1").metadata_changed_between(version("4.0-IV1")));
}

/// (metadata.version, RegisterBroker, Partition) as Kafka 4.4 writes them.
#[test]
fn record_versions() {
    for (name, register, partition_version) in [
        ("3.3-IV3", 1, 0),
        ("3.4-IV0", 2, 0),
        ("3.7-IV2", 3, 1),
        ("4.0-IV1", 3, 2),
        ("4.3-IV0", 4, 2),
    ] {
        let version = MetadataVersion::from_name(name).unwrap();
        assert_eq!(record_version(&broker(1, 1), version), register, "{name}");
        assert_eq!(
            record_version(&partition(T, 0, &[1]).into(), version),
            partition_version,
            "{name}"
        );
        assert_eq!(record_version(&change(0).into(), version), partition_version, "{name}");
    }
    let registration = |in_controlled_shutdown, log_dirs: &[Uuid], cordoned_log_dirs| {
        let change = BrokerRegistrationChangeRecord {
            in_controlled_shutdown,
            log_dirs: log_dirs.to_vec(),
            cordoned_log_dirs,
            ..Default::default()
        };
        record_version(&change.into(), MetadataVersion::LATEST_PRODUCTION)
    };
    assert_eq!(registration(0, &[], None), 0);
    assert_eq!(registration(1, &[], None), 1);
    assert_eq!(registration(1, &[DIR], None), 2);
    assert_eq!(registration(0, &[], Some(Vec::new())), 3);
}
