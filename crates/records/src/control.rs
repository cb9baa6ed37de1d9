//! Control records: the framing of their keys and values. The bodies' codecs are the protocol crate's.

use base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use crate::batch::NO_SEQUENCE;
use crate::builder::{BatchBuilder, BuildError};
use crate::compress::Codec;

/// What a control record says: the second number of its key. Unknown types are skipped by readers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ControlType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KRaftVersion,
    KRaftVoters,
    Unknown(i16),
}

/// Version of the key's schema.
const KEY_VERSION: i16 = 0;
/// Version of a transaction marker's schema.
const END_TXN_VERSION: i16 = 0;

impl ControlType {
    pub const fn code(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(code) => code,
        }
    }

    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            other => Self::Unknown(other),
        }
    }

    /// A control record's key.
    pub const fn key(self) -> [u8; 4] {
        let [version_high, version_low] = KEY_VERSION.to_be_bytes();
        let [high, low] = self.code().to_be_bytes();
        [version_high, version_low, high, low]
    }

    /// Reads a control record's key: longer ones of later versions too, `None` for a short or negative one.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let [version_high, version_low, high, low] = *key.first_chunk::<4>()?;
        let version = i16::from_be_bytes([version_high, version_low]);
        (version >= 0).then(|| Self::from_code(i16::from_be_bytes([high, low])))
    }
}

/// The value of a transaction marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTxnMarker {
    pub commit: bool,
    /// Epoch of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    pub const fn control_type(self) -> ControlType {
        if self.commit { ControlType::Commit } else { ControlType::Abort }
    }

    pub fn value(self) -> [u8; 6] {
        let [a, b] = END_TXN_VERSION.to_be_bytes();
        let [c, d, e, f] = self.coordinator_epoch.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// Reads a marker from its record; `None` when the key is no marker's or the value is cut.
    pub fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        let commit = match ControlType::from_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            _ => return None,
        };
        let (version, rest) = value.split_first_chunk::<2>()?;
        let coordinator_epoch = i32::from_be_bytes(*rest.first_chunk::<4>()?);
        (i16::from_be_bytes(*version) >= 0).then_some(Self { commit, coordinator_epoch })
    }

    /// The control batch that ends a transaction.
    pub fn batch(
        self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        timestamp: i64,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
    ) -> Result<Vec<u8>, BuildError> {
        let mut builder = BatchBuilder::new(Codec::None)
            .base_offset(base_offset)
            .leader_epoch(leader_epoch)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .transactional()
            .control();
        builder.append(timestamp, Some(&self.control_type().key()), Some(&self.value()), &[])?;
        builder.build()
    }
}

/// A control batch of the quorum's log: one record for each type with its encoded body.
pub fn quorum_batch(
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    timestamp: i64,
    records: &[(ControlType, &[u8])],
) -> Result<Vec<u8>, BuildError> {
    let mut builder = BatchBuilder::new(Codec::None)
        .base_offset(base_offset)
        .leader_epoch(leader_epoch)
        .control();
    for (kind, body) in records {
        builder.append(timestamp, Some(&kind.key()), Some(body), &[])?;
    }
    builder.build()
}
