//! Random histories of metadata records that Kafka could have written.

use std::borrow::Cow;

use base::Uuid;
use base::seeded::split_mix;
use metadata::{FEATURES, Image};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::access_control_entry_record::AccessControlEntryRecord;
use protocol::metadata_records::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::metadata_records::clear_elr_record::ClearElrRecord;
use protocol::metadata_records::client_quota_record::{ClientQuotaRecord, EntityData};
use protocol::metadata_records::config_record::ConfigRecord;
use protocol::metadata_records::delegation_token_record::DelegationTokenRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use protocol::metadata_records::fence_broker_record::FenceBrokerRecord;
use protocol::metadata_records::no_op_record::NoOpRecord;
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;
use protocol::metadata_records::partition_record::PartitionRecord;
use protocol::metadata_records::producer_ids_record::ProducerIdsRecord;
use protocol::metadata_records::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};
use protocol::metadata_records::register_controller_record::RegisterControllerRecord;
use protocol::metadata_records::remove_access_control_entry_record::RemoveAccessControlEntryRecord;
use protocol::metadata_records::remove_delegation_token_record::RemoveDelegationTokenRecord;
use protocol::metadata_records::remove_topic_record::RemoveTopicRecord;
use protocol::metadata_records::remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
use protocol::metadata_records::topic_record::TopicRecord;
use protocol::metadata_records::unfence_broker_record::UnfenceBrokerRecord;
use protocol::metadata_records::unregister_broker_record::UnregisterBrokerRecord;
use protocol::metadata_records::unregister_controller_record::UnregisterControllerRecord;
use protocol::metadata_records::user_scram_credential_record::UserScramCredentialRecord;

/// SplitMix64: enough for choosing what happens next.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn id(&mut self) -> Uuid {
        let (high, low) = (self.next(), self.next());
        Uuid((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    fn nodes(&mut self) -> Vec<i32> {
        let first = i32::try_from(self.below(5)).unwrap();
        let count = i32::try_from(1 + self.below(3)).unwrap();
        (0..count).map(|i| (first + i) % 5).collect()
    }

    fn number(&mut self, bound: u64) -> i32 {
        i32::try_from(self.below(bound)).unwrap()
    }

    fn word(&mut self, prefix: &str, bound: u64) -> Cow<'static, str> {
        Cow::Owned(format!("{prefix}{}", self.below(bound)))
    }

    fn bytes(&mut self) -> Cow<'static, [u8]> {
        Cow::Owned(self.next().to_be_bytes().to_vec())
    }
}

/// A record that fits the state `image`.
pub fn next_record(image: &Image, random: &mut Random) -> MetadataRecord<'static> {
    let topic = pick(image.topics.iter().map(|topic| topic.id), random);
    let broker = pick(image.cluster.brokers.values().map(|b| (b.id.0, b.epoch.0)), random);
    match (random.below(20), topic, broker) {
        (0 | 1, _, _) => register_broker(random).into(),
        (2, _, Some((broker_id, broker_epoch))) => {
            broker_change(random, broker_id, broker_epoch).into()
        }
        (3, _, Some((id, epoch))) => FenceBrokerRecord { id, epoch, ..Default::default() }.into(),
        (4, _, Some((id, epoch))) => UnfenceBrokerRecord { id, epoch, ..Default::default() }.into(),
        (5, _, Some((broker_id, broker_epoch))) if random.below(3) == 0 => {
            UnregisterBrokerRecord { broker_id, broker_epoch, ..Default::default() }.into()
        }
        (6 | 7, _, _) => TopicRecord {
            name: random.word("topic-", u64::MAX),
            topic_id: random.id(),
            ..Default::default()
        }
        .into(),
        (8..=10, Some(topic_id), _) => partition(image, topic_id, random).into(),
        (11 | 12, Some(topic_id), _) => partition_change(image, topic_id, random),
        (13, Some(topic_id), _) if random.below(3) == 0 => {
            RemoveTopicRecord { topic_id, ..Default::default() }.into()
        }
        (14, Some(topic_id), _) => ClearElrRecord {
            topic_name: if random.below(2) == 0 {
                Cow::Borrowed("")
            } else {
                Cow::Owned(image.topics.by_id(topic_id).unwrap().name.to_string())
            },
            ..Default::default()
        }
        .into(),
        (15 | 16, _, _) => config(image, random).into(),
        _ => security_or_feature(image, random),
    }
}

fn pick<T>(mut all: impl Iterator<Item = T>, random: &mut Random) -> Option<T> {
    all.nth(usize::try_from(random.below(6)).unwrap())
}

fn register_broker(random: &mut Random) -> RegisterBrokerRecord<'static> {
    RegisterBrokerRecord {
        broker_id: random.number(5),
        incarnation_id: random.id(),
        broker_epoch: i64::from(random.number(1000)),
        end_points: vec![BrokerEndpoint {
            name: Cow::Borrowed("PLAINTEXT"),
            host: random.word("host", 9),
            port: 9092,
            security_protocol: 0,
            ..Default::default()
        }],
        features: vec![BrokerFeature {
            name: Cow::Borrowed("metadata.version"),
            min_supported_version: 7,
            max_supported_version: 33,
            ..Default::default()
        }],
        rack: (random.below(2) == 0).then(|| random.word("rack", 3)),
        fenced: random.below(2) == 0,
        in_controlled_shutdown: random.below(4) == 0,
        log_dirs: vec![random.id(), random.id()],
        cordoned_log_dirs: (random.below(2) == 0).then(|| vec![random.id()]),
        ..Default::default()
    }
}

fn broker_change(
    random: &mut Random,
    broker_id: i32,
    broker_epoch: i64,
) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id,
        broker_epoch,
        fenced: i8::try_from(random.number(3)).unwrap() - 1,
        in_controlled_shutdown: i8::try_from(random.number(2)).unwrap(),
        log_dirs: if random.below(2) == 0 { vec![random.id()] } else { Vec::new() },
        cordoned_log_dirs: (random.below(2) == 0).then(Vec::new),
        ..Default::default()
    }
}

fn partition(image: &Image, topic_id: Uuid, random: &mut Random) -> PartitionRecord {
    let next = image.topics.by_id(topic_id).unwrap().partition_count();
    let replicas = random.nodes();
    PartitionRecord {
        partition_id: i32::try_from(next).unwrap(),
        topic_id,
        isr: replicas.clone(),
        leader: replicas[0],
        leader_epoch: 0,
        partition_epoch: 0,
        directories: replicas.iter().map(|_| random.id()).collect(),
        replicas,
        eligible_leader_replicas: (random.below(3) == 0).then(|| vec![4]),
        last_known_elr: (random.below(3) == 0).then(|| vec![3]),
        ..Default::default()
    }
}

fn partition_change(image: &Image, topic_id: Uuid, random: &mut Random) -> MetadataRecord<'static> {
    let topic = image.topics.by_id(topic_id).unwrap();
    let Some((index, partition)) = pick(topic.partitions(), random) else {
        return NoOpRecord::default().into();
    };
    let replicas = (random.below(4) == 0).then(|| random.nodes());
    let count = replicas.as_ref().map_or(partition.replicas.len(), Vec::len);
    let directories = replicas.is_some().then(|| (0..count).map(|_| random.id()).collect());
    PartitionChangeRecord {
        partition_id: index.0,
        topic_id,
        isr: (random.below(2) == 0).then(|| random.nodes()),
        leader: random.number(7) - 2,
        replicas,
        directories,
        adding_replicas: (random.below(3) == 0).then(|| random.nodes()),
        removing_replicas: (random.below(3) == 0).then(Vec::new),
        leader_recovery_state: i8::try_from(random.number(3)).unwrap() - 1,
        eligible_leader_replicas: (random.below(3) == 0).then(|| random.nodes()),
        last_known_elr: (random.below(3) == 0).then(Vec::new),
        ..Default::default()
    }
    .into()
}

fn config(image: &Image, random: &mut Random) -> ConfigRecord<'static> {
    let topics = image.topics.iter().map(|topic| topic.name.to_string());
    let (resource_type, name) = match pick(topics, random) {
        Some(topic) => (2, Cow::Owned(topic)),
        None => (4, random.word("", 3)),
    };
    ConfigRecord {
        resource_type,
        resource_name: name,
        name: random.word("key.", 4),
        value: (random.below(3) != 0).then(|| random.word("value", 100)),
        ..Default::default()
    }
}

fn security_or_feature(image: &Image, random: &mut Random) -> MetadataRecord<'static> {
    match random.below(10) {
        0 => {
            let feature = &FEATURES[usize::try_from(random.below(6)).unwrap()];
            let feature_level = feature.levels[usize::try_from(random.below(2)).unwrap()].level;
            FeatureLevelRecord {
                name: Cow::Borrowed(feature.name),
                feature_level,
                ..Default::default()
            }
            .into()
        }
        1 | 2 => ClientQuotaRecord {
            entity: vec![EntityData {
                entity_type: Cow::Borrowed("user"),
                entity_name: (random.below(3) != 0).then(|| random.word("user", 3)),
                ..Default::default()
            }],
            key: random.word("quota", 2),
            value: f64::from(random.number(1000)),
            remove: random.below(3) == 0,
            ..Default::default()
        }
        .into(),
        3 => ProducerIdsRecord {
            next_producer_id: i64::from(random.number(100_000)),
            ..Default::default()
        }
        .into(),
        4 => AccessControlEntryRecord {
            id: random.id(),
            resource_type: 2,
            resource_name: random.word("topic-", 9),
            pattern_type: 3,
            principal: random.word("User:", 9),
            host: Cow::Borrowed("*"),
            operation: 3,
            permission_type: 3,
            ..Default::default()
        }
        .into(),
        5 => match pick(image.acls.keys().copied(), random) {
            Some(id) => RemoveAccessControlEntryRecord { id, ..Default::default() }.into(),
            None => NoOpRecord::default().into(),
        },
        6 => UserScramCredentialRecord {
            name: random.word("user", 3),
            mechanism: 1,
            salt: random.bytes(),
            stored_key: random.bytes(),
            server_key: random.bytes(),
            iterations: 4096,
            ..Default::default()
        }
        .into(),
        7 => RemoveUserScramCredentialRecord {
            name: random.word("user", 3),
            mechanism: 1,
            ..Default::default()
        }
        .into(),
        8 => DelegationTokenRecord {
            owner: random.word("User:", 3),
            requester: random.word("User:", 3),
            renewers: vec![random.word("User:", 3)],
            issue_timestamp: 1,
            max_timestamp: 3,
            expiration_timestamp: 2,
            token_id: random.word("token", 3),
            ..Default::default()
        }
        .into(),
        _ => match random.below(3) {
            0 => RemoveDelegationTokenRecord {
                token_id: random.word("token", 3),
                ..Default::default()
            }
            .into(),
            1 => RegisterControllerRecord {
                controller_id: random.number(3),
                incarnation_id: random.id(),
                ..Default::default()
            }
            .into(),
            _ => {
                UnregisterControllerRecord { controller_id: random.number(3), ..Default::default() }
                    .into()
            }
        },
    }
}
