//! The records of `__consumer_offsets` that matter here, in Kafka's formats.

mod classic;
mod consumer;

use std::sync::Arc;

use base::Uuid;
use coordinator::LogRecord;
use protocol::coordinator_records::legacy_offset_commit_key::LegacyOffsetCommitKey;
use protocol::coordinator_records::offset_commit_key::OffsetCommitKey;
use protocol::coordinator_records::offset_commit_value::OffsetCommitValue;
use protocol::coordinator_records::share_group_metadata_key::ShareGroupMetadataKey;
use protocol::coordinator_records::streams_group_metadata_key::StreamsGroupMetadataKey;
use protocol::coordinator_records::{decode_key, decode_value, encode_key, encode_value, key_type};
use protocol::{DecodeError, EncodeError};

pub use self::consumer::{ConsumerRecord, MemberAssignment};
use crate::classic::Classic;
use crate::offsets::{Committed, Place};

/// Offsets are written so, and with version 1 when they have their own end.
const OFFSET_VERSION: i16 = 4;
const OFFSET_VERSION_WITH_EXPIRY: i16 = 1;

/// One record; `None` as value is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupRecord {
    Offset {
        place: Place,
        value: Option<Committed>,
    },
    Classic {
        group: Arc<str>,
        value: Option<Classic>,
    },
    Consumer {
        group: Arc<str>,
        record: ConsumerRecord,
    },
    /// A group of a kind that is left alone; never written.
    Other {
        group: Arc<str>,
        is_there: bool,
    },
}

impl GroupRecord {
    /// # Errors
    /// When a name is too long for its format.
    pub fn encode(&self) -> Result<LogRecord, EncodeError> {
        match self {
            Self::Offset { place: (group, topic, partition), value } => {
                let key = OffsetCommitKey {
                    group: (&**group).into(),
                    topic: (&**topic).into(),
                    partition: *partition,
                };
                let value = value.as_ref().map(encode_offset).transpose()?;
                Ok(LogRecord { key: encode_key(&key)?, value })
            }
            Self::Consumer { group, record } => record.encode(group),
            Self::Classic { group, value } => {
                let value = value.as_ref().map(classic::encode).transpose()?;
                Ok(LogRecord { key: classic::encode_group_key(group)?, value })
            }
            Self::Other { group, .. } => {
                Ok(LogRecord { key: classic::encode_group_key(group)?, value: None })
            }
        }
    }

    /// Of a group's key and value; `None` when it cannot be written.
    pub(crate) fn classic_len(group: &str, value: &Classic) -> Option<usize> {
        classic::encoded_len(value).ok()?.checked_add(group.len())
    }

    /// `None` for records of other kinds.
    ///
    /// # Errors
    /// When key or value are not of the type that the key names.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, DecodeError> {
        let record = match key_type(key)? {
            0 => {
                let key: LegacyOffsetCommitKey<'_> = decode_key(key)?;
                let place = (key.group.into(), key.topic.into(), key.partition);
                Self::Offset { place, value: value.map(decode_offset).transpose()? }
            }
            1 => {
                let key: OffsetCommitKey<'_> = decode_key(key)?;
                let place = (key.group.into(), key.topic.into(), key.partition);
                Self::Offset { place, value: value.map(decode_offset).transpose()? }
            }
            2 => {
                let group = classic::decode_group_key(key)?;
                Self::Classic { group, value: value.map(classic::decode).transpose()? }
            }
            11 => other(decode_key::<ShareGroupMetadataKey<'_>>(key)?.group_id, value),
            17 => other(decode_key::<StreamsGroupMetadataKey<'_>>(key)?.group_id, value),
            kind => {
                let decoded = ConsumerRecord::decode(kind, key, value)?;
                return Ok(decoded.map(|(group, record)| Self::Consumer { group, record }));
            }
        };
        Ok(Some(record))
    }
}

fn other(group: std::borrow::Cow<'_, str>, value: Option<&[u8]>) -> GroupRecord {
    GroupRecord::Other { group: group.into(), is_there: value.is_some() }
}

fn encode_offset(committed: &Committed) -> Result<Vec<u8>, EncodeError> {
    let version = match committed.expire_ms {
        Some(_) => OFFSET_VERSION_WITH_EXPIRY,
        None => OFFSET_VERSION,
    };
    let value = OffsetCommitValue {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: (&*committed.metadata).into(),
        commit_timestamp: committed.commit_ms,
        expire_timestamp: committed.expire_ms.unwrap_or(-1),
        topic_id: committed.topic_id,
        ..Default::default()
    };
    encode_value(&value, version)
}

fn decode_offset(value: &[u8]) -> Result<Committed, DecodeError> {
    let value: OffsetCommitValue<'_> = decode_value(value)?;
    Ok(Committed {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.into(),
        commit_ms: value.commit_timestamp,
        expire_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
        topic_id: value.topic_id,
    })
}

/// What a commit without the fields of newer versions leaves out.
pub fn without_new_fields(mut committed: Committed) -> Committed {
    if committed.expire_ms.is_some() {
        // Version 1 has neither; what is remembered is what the log can tell.
        (committed.leader_epoch, committed.topic_id) = (-1, Uuid::ZERO);
    }
    committed
}
