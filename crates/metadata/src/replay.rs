//! Replaying records: the only place where an image changes. One function per kind, with Kafka's checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{BrokerEpoch, NodeId, PartitionIndex, ProducerId, TopicId, WallMs};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::access_control_entry_record::AccessControlEntryRecord;
use protocol::metadata_records::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::metadata_records::client_quota_record::ClientQuotaRecord;
use protocol::metadata_records::config_record::ConfigRecord;
use protocol::metadata_records::delegation_token_record::DelegationTokenRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use protocol::metadata_records::partition_change_record::PartitionChangeRecord;
use protocol::metadata_records::partition_record::PartitionRecord;
use protocol::metadata_records::register_broker_record::RegisterBrokerRecord;
use protocol::metadata_records::register_controller_record::RegisterControllerRecord;
use protocol::metadata_records::user_scram_credential_record::UserScramCredentialRecord;

use crate::acls::Acl;
use crate::cluster::{BrokerRegistration, ControllerRegistration, Endpoint, VersionRange};
use crate::configs::{ConfigResource, ConfigResourceType};
use crate::delta::Delta;
use crate::features::Feature;
use crate::image::Image;
use crate::partition::{NO_LEADER_CHANGE, Partition};
use crate::producer_ids::NextProducerId;
use crate::quotas::QuotaEntity;
use crate::scram::{ScramCredential, ScramMechanism};
use crate::tokens::DelegationToken;
use crate::{MetadataVersion, ReplayError, TransactionError};

impl Image {
    /// Applies one record and notes in `delta` what it touched. Transaction markers are refused: whoever replays
    /// ([`crate::Loader`], the controller) keeps the state to go back to. After an error the image is as before.
    pub fn replay(
        &mut self,
        record: &MetadataRecord<'_>,
        delta: &mut Delta,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::RegisterBroker(r) => self.register_broker(r, delta),
            MetadataRecord::UnregisterBroker(r) => {
                self.cluster.brokers.remove_mut(&NodeId(r.broker_id));
                delta.brokers.insert(NodeId(r.broker_id));
            }
            MetadataRecord::FenceBroker(r) => {
                self.change_broker("fence", r.id, r.epoch, delta, |broker| broker.fenced = true)?;
            }
            MetadataRecord::UnfenceBroker(r) => {
                self.change_broker("unfence", r.id, r.epoch, delta, |broker| {
                    broker.fenced = false
                })?;
            }
            MetadataRecord::BrokerRegistrationChange(r) => self.change_registration(r, delta)?,
            MetadataRecord::RegisterController(r) => self.register_controller(r, delta),
            MetadataRecord::UnregisterController(r) => {
                self.cluster.controllers.remove_mut(&NodeId(r.controller_id));
                delta.controllers.insert(NodeId(r.controller_id));
            }
            MetadataRecord::Topic(r) => {
                self.topics.create(&r.name, r.topic_id)?;
                delta.topic(r.topic_id);
            }
            MetadataRecord::Partition(r) => self.put_partition(r, delta)?,
            MetadataRecord::PartitionChange(r) => self.change_partition(r, delta)?,
            MetadataRecord::RemoveTopic(r) => self.remove_topic(r.topic_id, delta)?,
            MetadataRecord::ClearElr(r) => self.clear_elr(&r.topic_name, delta)?,
            MetadataRecord::Config(r) => self.set_config(r, delta),
            MetadataRecord::FeatureLevel(r) => self.set_feature(r, delta)?,
            MetadataRecord::ClientQuota(r) => self.set_quota(r, delta),
            MetadataRecord::ProducerIds(r) => {
                self.producer_ids = NextProducerId(ProducerId(r.next_producer_id));
                delta.producer_ids = true;
            }
            MetadataRecord::AccessControlEntry(r) => self.add_acl(r, delta),
            MetadataRecord::RemoveAccessControlEntry(r) => {
                if !self.acls.remove_mut(&r.id) {
                    return Err(ReplayError::UnknownAcl { id: r.id });
                }
                delta.acls.insert(r.id);
            }
            MetadataRecord::UserScramCredential(r) => self.set_scram(r, delta),
            MetadataRecord::RemoveUserScramCredential(r) => {
                let key = (ScramMechanism::from_code(r.mechanism), Arc::from(&*r.name));
                self.scram.remove_mut(&key);
                delta.scram.insert(key);
            }
            MetadataRecord::DelegationToken(r) => self.set_token(r, delta),
            MetadataRecord::RemoveDelegationToken(r) => {
                self.delegation_tokens.remove_mut(&*r.token_id);
                delta.delegation_tokens.insert(Arc::from(&*r.token_id));
            }
            // Left over from migrations; Kafka 4 reads over it.
            MetadataRecord::ZkMigrationState(_) | MetadataRecord::NoOp(_) => {}
            MetadataRecord::BeginTransaction(_) => return Err(TransactionError::AlreadyOpen.into()),
            MetadataRecord::EndTransaction(_) | MetadataRecord::AbortTransaction(_) => {
                return Err(TransactionError::NotOpen.into());
            }
        }
        Ok(())
    }

    fn register_broker(&mut self, r: &RegisterBrokerRecord<'_>, delta: &mut Delta) {
        let id = NodeId(r.broker_id);
        let endpoints =
            r.end_points.iter().map(|e| endpoint(&e.name, &e.host, e.port, e.security_protocol));
        let features =
            r.features.iter().map(|f| (&*f.name, f.min_supported_version, f.max_supported_version));
        let broker = BrokerRegistration {
            id,
            epoch: BrokerEpoch(r.broker_epoch),
            incarnation_id: r.incarnation_id,
            endpoints: endpoints.collect(),
            features: ranges(features),
            rack: r.rack.as_deref().map(Arc::from),
            fenced: r.fenced,
            in_controlled_shutdown: r.in_controlled_shutdown,
            is_migrating_zk_broker: r.is_migrating_zk_broker,
            directories: sorted(&r.log_dirs),
            cordoned_directories: r.cordoned_log_dirs.as_deref().map(sorted),
        };
        self.cluster.brokers.insert_mut(id, broker);
        delta.brokers.insert(id);
    }

    fn register_controller(&mut self, r: &RegisterControllerRecord<'_>, delta: &mut Delta) {
        let id = NodeId(r.controller_id);
        let endpoints =
            r.end_points.iter().map(|e| endpoint(&e.name, &e.host, e.port, e.security_protocol));
        let features =
            r.features.iter().map(|f| (&*f.name, f.min_supported_version, f.max_supported_version));
        let controller = ControllerRegistration {
            id,
            incarnation_id: r.incarnation_id,
            zk_migration_ready: r.zk_migration_ready,
            endpoints: endpoints.collect(),
            features: ranges(features),
        };
        self.cluster.controllers.insert_mut(id, controller);
        delta.controllers.insert(id);
    }

    fn change_broker(
        &mut self,
        action: &'static str,
        broker: i32,
        epoch: i64,
        delta: &mut Delta,
        change: impl FnOnce(&mut BrokerRegistration),
    ) -> Result<(), ReplayError> {
        let id = NodeId(broker);
        let registration = self
            .cluster
            .brokers
            .get_mut(&id)
            .ok_or(ReplayError::UnknownBroker { action, broker })?;
        let current = registration.epoch.0;
        if current != epoch {
            return Err(ReplayError::BrokerEpoch { action, broker, given: epoch, current });
        }
        change(registration);
        delta.brokers.insert(id);
        Ok(())
    }

    fn change_registration(
        &mut self,
        r: &BrokerRegistrationChangeRecord,
        delta: &mut Delta,
    ) -> Result<(), ReplayError> {
        let invalid =
            |field, value| ReplayError::BrokerChange { broker: r.broker_id, field, value };
        let fenced = match r.fenced {
            0 => None,
            1 => Some(true),
            -1 => Some(false),
            other => return Err(invalid("fenced", other)),
        };
        let leaves = match r.in_controlled_shutdown {
            0 => false,
            1 => true,
            other => return Err(invalid("inControlledShutdown", other)),
        };
        self.change_broker("change", r.broker_id, r.broker_epoch, delta, |broker| {
            broker.fenced = fenced.unwrap_or(broker.fenced);
            broker.in_controlled_shutdown |= leaves;
            if !r.log_dirs.is_empty() {
                broker.directories = sorted(&r.log_dirs);
            }
            if let Some(cordoned) = &r.cordoned_log_dirs {
                broker.cordoned_directories = Some(sorted(cordoned));
            }
        })
    }

    fn put_partition(&mut self, r: &PartitionRecord, delta: &mut Delta) -> Result<(), ReplayError> {
        let index = PartitionIndex(r.partition_id);
        self.topics.put_partition(r.topic_id, index, Partition::from_record(r)?)?;
        delta.topic(r.topic_id).insert(index);
        Ok(())
    }

    fn change_partition(
        &mut self,
        r: &PartitionChangeRecord,
        delta: &mut Delta,
    ) -> Result<(), ReplayError> {
        let (topic_id, index) = (r.topic_id, PartitionIndex(r.partition_id));
        let topic = self.topics.by_id(topic_id).ok_or(ReplayError::UnknownTopicId { topic_id })?;
        let unknown = ReplayError::UnknownPartition { topic_id, partition: r.partition_id };
        let changed = topic.partition(index).ok_or(unknown)?.changed(r)?;
        self.topics.put_partition(topic_id, index, changed)?;
        delta.topic(topic_id).insert(index);
        Ok(())
    }

    /// Removes a topic together with its configuration.
    fn remove_topic(&mut self, id: TopicId, delta: &mut Delta) -> Result<(), ReplayError> {
        let topic = self.topics.remove(id)?;
        delta.topic(id);
        let resource = ConfigResource::topic(topic.name);
        if self.configs.remove(&resource) {
            delta.configs.insert(resource);
        }
        Ok(())
    }

    /// Of one topic, or of all when the name is empty.
    fn clear_elr(&mut self, name: &str, delta: &mut Delta) -> Result<(), ReplayError> {
        let ids: Vec<TopicId> = if name.is_empty() {
            self.topics.iter().map(|topic| topic.id).collect()
        } else {
            vec![
                self.topics
                    .id_of(name)
                    .ok_or_else(|| ReplayError::UnknownTopic { name: name.to_owned() })?,
            ]
        };
        for topic_id in ids {
            let Some(topic) = self.topics.by_id(topic_id).cloned() else { continue };
            for (index, partition) in topic.partitions() {
                if partition.elr.is_empty() && partition.last_known_elr.is_empty() {
                    continue;
                }
                let change = PartitionChangeRecord {
                    partition_id: index.0,
                    topic_id,
                    leader: NO_LEADER_CHANGE,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..Default::default()
                };
                self.topics.put_partition(topic_id, index, partition.changed(&change)?)?;
                delta.topic(topic_id).insert(index);
            }
        }
        Ok(())
    }

    fn set_config(&mut self, r: &ConfigRecord<'_>, delta: &mut Delta) {
        let resource =
            ConfigResource::new(ConfigResourceType::from_code(r.resource_type), &*r.resource_name);
        self.configs.set(resource.clone(), &r.name, r.value.as_deref());
        delta.configs.insert(resource);
    }

    fn set_feature(
        &mut self,
        r: &FeatureLevelRecord<'_>,
        delta: &mut Delta,
    ) -> Result<(), ReplayError> {
        let level = r.feature_level;
        match &*r.name {
            MetadataVersion::FEATURE_NAME => {
                let version = MetadataVersion::from_level(level);
                self.features.metadata_version =
                    Some(version.ok_or(ReplayError::MetadataVersion { level })?);
            }
            // Its level lives in the control records of the log.
            Feature::KRAFT_VERSION => return Ok(()),
            name if level == 0 => {
                self.features.levels.remove_mut(name);
            }
            name => self.features.levels.insert_mut(name.into(), level),
        }
        delta.features.insert(Arc::from(&*r.name));
        Ok(())
    }

    fn set_quota(&mut self, r: &ClientQuotaRecord<'_>, delta: &mut Delta) {
        let parts = r
            .entity
            .iter()
            .map(|e| (Arc::from(&*e.entity_type), e.entity_name.as_deref().map(Arc::from)));
        let entity = QuotaEntity::new(parts);
        let mut quotas = self.client_quotas.get(&entity).cloned().unwrap_or_default();
        if r.remove {
            quotas.remove_mut(&*r.key);
        } else {
            quotas.insert_mut(Arc::from(&*r.key), r.value);
        }
        if quotas.is_empty() {
            self.client_quotas.remove_mut(&entity);
        } else {
            self.client_quotas.insert_mut(entity.clone(), quotas);
        }
        delta.client_quotas.insert(entity);
    }

    fn add_acl(&mut self, r: &AccessControlEntryRecord<'_>, delta: &mut Delta) {
        let acl = Acl {
            resource_type: r.resource_type,
            resource_name: Arc::from(&*r.resource_name),
            pattern_type: r.pattern_type,
            principal: Arc::from(&*r.principal),
            host: Arc::from(&*r.host),
            operation: r.operation,
            permission_type: r.permission_type,
        };
        self.acls.insert_mut(r.id, acl);
        delta.acls.insert(r.id);
    }

    fn set_scram(&mut self, r: &UserScramCredentialRecord<'_>, delta: &mut Delta) {
        let key: (_, Arc<str>) = (ScramMechanism::from_code(r.mechanism), Arc::from(&*r.name));
        let credential = ScramCredential {
            salt: (*r.salt).into(),
            stored_key: (*r.stored_key).into(),
            server_key: (*r.server_key).into(),
            iterations: r.iterations,
        };
        self.scram.insert_mut(key.clone(), credential);
        delta.scram.insert(key);
    }

    fn set_token(&mut self, r: &DelegationTokenRecord<'_>, delta: &mut Delta) {
        let id: Arc<str> = Arc::from(&*r.token_id);
        let token = DelegationToken {
            owner: Arc::from(&*r.owner),
            requester: Arc::from(&*r.requester),
            renewers: r.renewers.iter().map(|renewer| Arc::from(&**renewer)).collect(),
            issue_time: WallMs(r.issue_timestamp),
            max_time: WallMs(r.max_timestamp),
            expiration_time: WallMs(r.expiration_timestamp),
        };
        self.delegation_tokens.insert_mut(Arc::clone(&id), token);
        delta.delegation_tokens.insert(id);
    }
}

fn endpoint(name: &str, host: &str, port: u16, security_protocol: i16) -> Endpoint {
    Endpoint { name: name.into(), host: host.into(), port, security_protocol }
}

fn ranges<'a>(
    features: impl Iterator<Item = (&'a str, i16, i16)>,
) -> BTreeMap<Arc<str>, VersionRange> {
    features.map(|(name, min, max)| (name.into(), VersionRange { min, max })).collect()
}

fn sorted(ids: &[base::Uuid]) -> Box<[base::Uuid]> {
    let mut ids: Box<[base::Uuid]> = ids.into();
    ids.sort_unstable();
    ids
}
