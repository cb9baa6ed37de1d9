//! An image as records: what a snapshot holds, in Kafka's order, and the version each record is written with.

use std::borrow::Cow;

use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::access_control_entry_record::AccessControlEntryRecord;
use protocol::metadata_records::client_quota_record::{ClientQuotaRecord, EntityData};
use protocol::metadata_records::config_record::ConfigRecord;
use protocol::metadata_records::delegation_token_record::DelegationTokenRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use protocol::metadata_records::producer_ids_record::ProducerIdsRecord;
use protocol::metadata_records::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};
use protocol::metadata_records::register_controller_record::{
    ControllerEndpoint, ControllerFeature, RegisterControllerRecord,
};
use protocol::metadata_records::topic_record::TopicRecord;
use protocol::metadata_records::user_scram_credential_record::UserScramCredentialRecord;

use crate::MetadataVersion;
use crate::cluster::{BrokerRegistration, ControllerRegistration};
use crate::image::Image;
use crate::scram::ScramMechanism;

type Record<'a> = MetadataRecord<'a>;

/// The version with which Kafka writes `record` at `metadata.version` `version`.
pub fn record_version(record: &MetadataRecord<'_>, version: MetadataVersion) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) => version.register_broker_record_version(),
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
            version.partition_record_version()
        }
        // The lowest that holds what the record says.
        MetadataRecord::BrokerRegistrationChange(change) if change.cordoned_log_dirs.is_some() => 3,
        MetadataRecord::BrokerRegistrationChange(change) if !change.log_dirs.is_empty() => 2,
        MetadataRecord::BrokerRegistrationChange(change) if change.in_controlled_shutdown != 0 => 1,
        _ => 0,
    }
}

impl Image {
    /// All records of a snapshot. What this image's `metadata.version` cannot express is left out, as Kafka does.
    pub fn to_records(&self) -> impl Iterator<Item = MetadataRecord<'_>> {
        let version = self.features.metadata_version_or_minimum();
        self.feature_records()
            .chain(self.cluster_records(version))
            .chain(self.topic_records(version))
            .chain(self.config_records())
            .chain(self.quota_records())
            .chain(self.producer_id_record())
            .chain(self.acl_records())
            .chain(self.scram_records(version))
            .chain(self.token_records(version))
    }

    fn feature_records(&self) -> impl Iterator<Item = Record<'_>> {
        // metadata.version comes first: it says how to read the rest.
        self.features.iter().map(|(name, feature_level)| {
            FeatureLevelRecord { name: Cow::Borrowed(name), feature_level, ..Default::default() }
                .into()
        })
    }

    fn cluster_records(&self, version: MetadataVersion) -> impl Iterator<Item = Record<'_>> {
        let controllers =
            version.supports_controller_registration().then(|| self.cluster.controllers.values());
        let brokers =
            self.cluster.brokers.values().map(move |broker| broker.to_record(version).into());
        brokers.chain(
            controllers.into_iter().flatten().map(|controller| controller.to_record().into()),
        )
    }

    fn topic_records(&self, version: MetadataVersion) -> impl Iterator<Item = Record<'_>> {
        let elr = self.features.elr_enabled();
        let directories = version.supports_directory_assignment();
        self.topics.iter().flat_map(move |topic| {
            let head = TopicRecord {
                name: Cow::Borrowed(&*topic.name),
                topic_id: topic.id,
                ..Default::default()
            };
            let partitions = topic.partitions().map(move |(index, partition)| {
                Record::Partition(partition.to_record(topic.id, index.0, elr, directories))
            });
            std::iter::once(Record::Topic(head)).chain(partitions)
        })
    }

    fn config_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.configs.iter().flat_map(|(resource, entries)| {
            entries.iter().map(|(name, value)| {
                Record::Config(ConfigRecord {
                    resource_type: resource.kind.code(),
                    resource_name: Cow::Borrowed(&*resource.name),
                    name: Cow::Borrowed(&**name),
                    value: Some(Cow::Borrowed(&**value)),
                    ..Default::default()
                })
            })
        })
    }

    fn quota_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.client_quotas.iter().flat_map(|(entity, quotas)| {
            quotas.iter().map(|(key, value)| {
                let parts = entity.parts().iter().map(|(entity_type, name)| EntityData {
                    entity_type: Cow::Borrowed(&**entity_type),
                    entity_name: name.as_deref().map(Cow::Borrowed),
                    ..Default::default()
                });
                Record::ClientQuota(ClientQuotaRecord {
                    entity: parts.collect(),
                    key: Cow::Borrowed(&**key),
                    value: *value,
                    remove: false,
                    ..Default::default()
                })
            })
        })
    }

    fn producer_id_record(&self) -> impl Iterator<Item = Record<'_>> {
        let next = self.producer_ids.0;
        next.is_some()
            .then(|| {
                Record::ProducerIds(ProducerIdsRecord {
                    broker_id: -1,
                    broker_epoch: -1,
                    next_producer_id: next.0,
                    ..Default::default()
                })
            })
            .into_iter()
    }

    fn acl_records(&self) -> impl Iterator<Item = Record<'_>> {
        self.acls.iter().map(|(id, acl)| {
            Record::AccessControlEntry(AccessControlEntryRecord {
                id: *id,
                resource_type: acl.resource_type,
                resource_name: Cow::Borrowed(&*acl.resource_name),
                pattern_type: acl.pattern_type,
                principal: Cow::Borrowed(&*acl.principal),
                host: Cow::Borrowed(&*acl.host),
                operation: acl.operation,
                permission_type: acl.permission_type,
                ..Default::default()
            })
        })
    }

    fn scram_records(&self, version: MetadataVersion) -> impl Iterator<Item = Record<'_>> {
        let credentials = version.supports_scram().then(|| self.scram.iter()).into_iter().flatten();
        credentials.filter(|((mechanism, _), _)| *mechanism != ScramMechanism::Unknown).map(
            |((mechanism, user), credential)| {
                Record::UserScramCredential(UserScramCredentialRecord {
                    name: Cow::Borrowed(&**user),
                    mechanism: mechanism.code(),
                    salt: Cow::Borrowed(&*credential.salt),
                    stored_key: Cow::Borrowed(&*credential.stored_key),
                    server_key: Cow::Borrowed(&*credential.server_key),
                    iterations: credential.iterations,
                    ..Default::default()
                })
            },
        )
    }

    fn token_records(&self, version: MetadataVersion) -> impl Iterator<Item = Record<'_>> {
        let tokens = version.supports_delegation_tokens().then(|| self.delegation_tokens.iter());
        tokens.into_iter().flatten().map(|(id, token)| {
            Record::DelegationToken(DelegationTokenRecord {
                owner: Cow::Borrowed(&*token.owner),
                requester: Cow::Borrowed(&*token.requester),
                renewers: token.renewers.iter().map(|renewer| Cow::Borrowed(&**renewer)).collect(),
                issue_timestamp: token.issue_time.0,
                max_timestamp: token.max_time.0,
                expiration_timestamp: token.expiration_time.0,
                token_id: Cow::Borrowed(&**id),
                ..Default::default()
            })
        })
    }
}

impl BrokerRegistration {
    /// The registration as it is now, without what the log at `version` cannot hold.
    pub fn to_record(&self, version: MetadataVersion) -> RegisterBrokerRecord<'_> {
        let endpoints = self.endpoints.iter().map(|endpoint| BrokerEndpoint {
            name: Cow::Borrowed(&*endpoint.name),
            host: Cow::Borrowed(&*endpoint.host),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
            ..Default::default()
        });
        let features = self.features.iter().map(|(name, range)| BrokerFeature {
            name: Cow::Borrowed(&**name),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        });
        let with_directories = version.supports_directory_assignment();
        let cordoned =
            self.cordoned_directories.as_ref().filter(|_| version.supports_cordoned_log_dirs());
        RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: self.is_migrating_zk_broker && version.supports_migration(),
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch.0,
            end_points: endpoints.collect(),
            features: features.collect(),
            rack: self.rack.as_deref().map(Cow::Borrowed),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: if with_directories { self.directories.to_vec() } else { Vec::new() },
            cordoned_log_dirs: cordoned.map(|ids| ids.to_vec()),
            ..Default::default()
        }
    }
}

impl ControllerRegistration {
    pub fn to_record(&self) -> RegisterControllerRecord<'_> {
        let endpoints = self.endpoints.iter().map(|endpoint| ControllerEndpoint {
            name: Cow::Borrowed(&*endpoint.name),
            host: Cow::Borrowed(&*endpoint.host),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
            ..Default::default()
        });
        let features = self.features.iter().map(|(name, range)| ControllerFeature {
            name: Cow::Borrowed(&**name),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        });
        RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: endpoints.collect(),
            features: features.collect(),
            ..Default::default()
        }
    }
}
