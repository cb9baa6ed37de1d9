//! The records of consumer groups, in Kafka's formats.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coordinator::LogRecord;
use protocol::coordinator_records::consumer_group_current_member_assignment_key::ConsumerGroupCurrentMemberAssignmentKey;
use protocol::coordinator_records::consumer_group_current_member_assignment_value::{
    ConsumerGroupCurrentMemberAssignmentValue, TopicPartitions,
};
use protocol::coordinator_records::consumer_group_member_metadata_key::ConsumerGroupMemberMetadataKey;
use protocol::coordinator_records::consumer_group_member_metadata_value as subscription;
use protocol::coordinator_records::consumer_group_metadata_key::ConsumerGroupMetadataKey;
use protocol::coordinator_records::consumer_group_metadata_value::ConsumerGroupMetadataValue;
use protocol::coordinator_records::consumer_group_partition_metadata_key::ConsumerGroupPartitionMetadataKey;
use protocol::coordinator_records::consumer_group_regular_expression_key::ConsumerGroupRegularExpressionKey;
use protocol::coordinator_records::consumer_group_regular_expression_value::ConsumerGroupRegularExpressionValue;
use protocol::coordinator_records::consumer_group_target_assignment_member_key::ConsumerGroupTargetAssignmentMemberKey;
use protocol::coordinator_records::consumer_group_target_assignment_member_value::{
    ConsumerGroupTargetAssignmentMemberValue, TopicPartition,
};
use protocol::coordinator_records::consumer_group_target_assignment_metadata_key::ConsumerGroupTargetAssignmentMetadataKey;
use protocol::coordinator_records::consumer_group_target_assignment_metadata_value::ConsumerGroupTargetAssignmentMetadataValue;
use protocol::coordinator_records::{decode_key, decode_value, encode_key, encode_value};
use protocol::{DecodeError, EncodeError};

use crate::assignor::Partitions;
use crate::consumer::{ClassicMember, ClassicProtocol, MemberState, Owned, Resolved, Subscription};

/// What a member owns, and how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberAssignment {
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Arc<Owned>,
    pub revoking: Arc<Owned>,
}

/// One record of a consumer group; `None` as value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConsumerRecord {
    Epoch {
        epoch: i32,
        metadata_hash: i64,
    },
    EpochTombstone,
    /// Written by versions before the hash; only ever deleted.
    PartitionMetadata {
        present: bool,
    },
    Subscription {
        member: Arc<str>,
        value: Option<Arc<Subscription>>,
    },
    /// The epoch of the target assignment, and when it was made.
    TargetMetadata {
        value: Option<(i32, i64)>,
    },
    Target {
        member: Arc<str>,
        value: Option<Arc<Partitions>>,
    },
    Current {
        member: Arc<str>,
        value: Option<MemberAssignment>,
    },
    Regex {
        regex: Arc<str>,
        value: Option<Arc<Resolved>>,
    },
}

impl ConsumerRecord {
    /// Says that something is no more.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::Epoch { .. } => false,
            Self::EpochTombstone => true,
            Self::PartitionMetadata { present } => !present,
            Self::Subscription { value, .. } => value.is_none(),
            Self::TargetMetadata { value } => value.is_none(),
            Self::Target { value, .. } => value.is_none(),
            Self::Current { value, .. } => value.is_none(),
            Self::Regex { value, .. } => value.is_none(),
        }
    }

    pub(super) fn encode(&self, group: &str) -> Result<LogRecord, EncodeError> {
        let group_id = Cow::Borrowed(group);
        let (key, value) = match self {
            Self::Epoch { epoch, metadata_hash } => {
                let (epoch, metadata_hash) = (*epoch, *metadata_hash);
                let value =
                    ConsumerGroupMetadataValue { epoch, metadata_hash, ..Default::default() };
                (epoch_key(group_id)?, Some(encode_value(&value, 0)?))
            }
            Self::EpochTombstone => (epoch_key(group_id)?, None),
            // The value is never written.
            Self::PartitionMetadata { .. } => {
                (encode_key(&ConsumerGroupPartitionMetadataKey { group_id })?, None)
            }
            Self::Subscription { member, value } => {
                let key = ConsumerGroupMemberMetadataKey { group_id, member_id: text(member) };
                let value = value.as_ref().map(|value| encode_subscription(value)).transpose()?;
                (encode_key(&key)?, value)
            }
            Self::TargetMetadata { value } => {
                let value = value.map(|(assignment_epoch, assignment_timestamp)| {
                    ConsumerGroupTargetAssignmentMetadataValue {
                        assignment_epoch,
                        assignment_timestamp,
                        ..Default::default()
                    }
                });
                let value = value.map(|value| encode_value(&value, 0)).transpose()?;
                (encode_key(&ConsumerGroupTargetAssignmentMetadataKey { group_id })?, value)
            }
            Self::Target { member, value } => {
                let key =
                    ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: text(member) };
                let value = value.as_ref().map(|value| encode_target(value)).transpose()?;
                (encode_key(&key)?, value)
            }
            Self::Current { member, value } => {
                let key =
                    ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: text(member) };
                let value = value.as_ref().map(encode_current).transpose()?;
                (encode_key(&key)?, value)
            }
            Self::Regex { regex, value } => {
                let key =
                    ConsumerGroupRegularExpressionKey { group_id, regular_expression: text(regex) };
                let value = value.as_ref().map(|value| encode_resolved(value)).transpose()?;
                (encode_key(&key)?, value)
            }
        };
        Ok(LogRecord { key, value })
    }

    /// A record whose key has one of the types 3 to 8 or 16, with its group.
    pub(super) fn decode(
        kind: i16,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<(Arc<str>, Self)>, DecodeError> {
        let decoded = match kind {
            3 => {
                let key: ConsumerGroupMetadataKey<'_> = decode_key(key)?;
                let record = match value {
                    None => Self::EpochTombstone,
                    Some(value) => {
                        let value: ConsumerGroupMetadataValue = decode_value(value)?;
                        Self::Epoch { epoch: value.epoch, metadata_hash: value.metadata_hash }
                    }
                };
                (key.group_id, record)
            }
            4 => {
                let key: ConsumerGroupPartitionMetadataKey<'_> = decode_key(key)?;
                (key.group_id, Self::PartitionMetadata { present: value.is_some() })
            }
            5 => {
                let key: ConsumerGroupMemberMetadataKey<'_> = decode_key(key)?;
                let value = value.map(decode_subscription).transpose()?;
                (key.group_id, Self::Subscription { member: key.member_id.into(), value })
            }
            6 => {
                let key: ConsumerGroupTargetAssignmentMetadataKey<'_> = decode_key(key)?;
                let value = value.map(decode_value).transpose()?;
                let value = value.map(|value: ConsumerGroupTargetAssignmentMetadataValue| {
                    (value.assignment_epoch, value.assignment_timestamp)
                });
                (key.group_id, Self::TargetMetadata { value })
            }
            7 => {
                let key: ConsumerGroupTargetAssignmentMemberKey<'_> = decode_key(key)?;
                let value = value.map(decode_target).transpose()?;
                (key.group_id, Self::Target { member: key.member_id.into(), value })
            }
            8 => {
                let key: ConsumerGroupCurrentMemberAssignmentKey<'_> = decode_key(key)?;
                let value = value.map(decode_current).transpose()?;
                (key.group_id, Self::Current { member: key.member_id.into(), value })
            }
            16 => {
                let key: ConsumerGroupRegularExpressionKey<'_> = decode_key(key)?;
                let value = value.map(decode_resolved).transpose()?;
                (key.group_id, Self::Regex { regex: key.regular_expression.into(), value })
            }
            _ => return Ok(None),
        };
        let (group, record) = decoded;
        Ok(Some((group.into(), record)))
    }
}

fn epoch_key(group_id: Cow<'_, str>) -> Result<Vec<u8>, EncodeError> {
    encode_key(&ConsumerGroupMetadataKey { group_id })
}

fn text(text: &Arc<str>) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

fn maybe(text: &Option<Arc<str>>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}

fn encode_subscription(from: &Subscription) -> Result<Vec<u8>, EncodeError> {
    let classic = from.classic.as_ref().map(|classic| subscription::ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic.protocols.iter().map(encode_protocol).collect(),
        ..Default::default()
    });
    let value = subscription::ConsumerGroupMemberMetadataValue {
        instance_id: maybe(&from.instance_id),
        rack_id: maybe(&from.rack_id),
        client_id: text(&from.client_id),
        client_host: text(&from.client_host),
        subscribed_topic_names: from.topics.iter().map(text).collect(),
        subscribed_topic_regex: maybe(&from.regex),
        rebalance_timeout_ms: from.rebalance_timeout_ms,
        server_assignor: maybe(&from.assignor),
        classic_member_metadata: classic,
        ..Default::default()
    };
    encode_value(&value, 0)
}

fn encode_protocol(from: &ClassicProtocol) -> subscription::ClassicProtocol<'_> {
    subscription::ClassicProtocol {
        name: text(&from.name),
        metadata: Cow::Borrowed(&from.metadata),
        ..Default::default()
    }
}

fn decode_subscription(value: &[u8]) -> Result<Arc<Subscription>, DecodeError> {
    let value: subscription::ConsumerGroupMemberMetadataValue<'_> = decode_value(value)?;
    let shared = |text: Option<Cow<'_, str>>| text.map(Arc::<str>::from);
    let classic = value.classic_member_metadata.map(|classic| {
        let protocols = classic.supported_protocols.into_iter().map(|protocol| ClassicProtocol {
            name: protocol.name.into(),
            metadata: protocol.metadata.into(),
        });
        Arc::new(ClassicMember {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: protocols.collect(),
        })
    });
    Ok(Arc::new(Subscription {
        instance_id: shared(value.instance_id),
        rack_id: shared(value.rack_id),
        client_id: value.client_id.into(),
        client_host: value.client_host.into(),
        topics: Arc::new(value.subscribed_topic_names.into_iter().map(Arc::from).collect()),
        regex: shared(value.subscribed_topic_regex),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: shared(value.server_assignor),
        classic,
    }))
}

fn encode_target(from: &Partitions) -> Result<Vec<u8>, EncodeError> {
    let topic_partitions = from.iter().map(|(topic_id, partitions)| TopicPartition {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    let value = ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: topic_partitions.collect(),
        ..Default::default()
    };
    encode_value(&value, 0)
}

fn decode_target(value: &[u8]) -> Result<Arc<Partitions>, DecodeError> {
    let value: ConsumerGroupTargetAssignmentMemberValue = decode_value(value)?;
    let topics = value.topic_partitions.into_iter();
    let partitions: BTreeMap<_, BTreeSet<i32>> =
        topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect();
    Ok(Arc::new(partitions))
}

fn encode_current(from: &MemberAssignment) -> Result<Vec<u8>, EncodeError> {
    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: from.epoch,
        previous_member_epoch: from.previous_epoch,
        state: from.state.code(),
        assigned_partitions: encode_owned(&from.assigned),
        partitions_pending_revocation: encode_owned(&from.revoking),
        ..Default::default()
    };
    encode_value(&value, 0)
}

fn encode_owned(owned: &Owned) -> Vec<TopicPartitions> {
    let topics = owned.iter().map(|(topic_id, epochs)| TopicPartitions {
        topic_id: *topic_id,
        partitions: epochs.keys().copied().collect(),
        assignment_epochs: Some(epochs.values().copied().collect()),
        ..Default::default()
    });
    topics.collect()
}

fn decode_current(value: &[u8]) -> Result<MemberAssignment, DecodeError> {
    let value: ConsumerGroupCurrentMemberAssignmentValue = decode_value(value)?;
    let otherwise = value.member_epoch.max(0);
    Ok(MemberAssignment {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::from_code(value.state),
        assigned: Arc::new(decode_owned(value.assigned_partitions, otherwise)),
        revoking: Arc::new(decode_owned(value.partitions_pending_revocation, otherwise)),
    })
}

/// Records of older versions do not tell the epoch of each partition.
fn decode_owned(topics: Vec<TopicPartitions>, otherwise: i32) -> Owned {
    let mut owned = Owned::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.unwrap_or_default();
        let told = epochs.len() == topic.partitions.len();
        let epochs = topic.partitions.iter().enumerate().map(|(at, partition)| {
            let epoch = epochs.get(at).filter(|_| told).copied();
            (*partition, epoch.unwrap_or(otherwise))
        });
        owned.insert(topic.topic_id, epochs.collect());
    }
    owned
}

fn encode_resolved(from: &Resolved) -> Result<Vec<u8>, EncodeError> {
    let value = ConsumerGroupRegularExpressionValue {
        topics: from.topics.iter().map(text).collect(),
        version: from.version,
        timestamp: from.timestamp_ms,
        ..Default::default()
    };
    encode_value(&value, 0)
}

fn decode_resolved(value: &[u8]) -> Result<Arc<Resolved>, DecodeError> {
    let value: ConsumerGroupRegularExpressionValue<'_> = decode_value(value)?;
    Ok(Arc::new(Resolved {
        topics: value.topics.into_iter().map(Arc::from).collect(),
        version: value.version,
        timestamp_ms: value.timestamp,
    }))
}
