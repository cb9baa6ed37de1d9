//! Appending what clients produce and coordinators remember.

use std::sync::Arc;

use base::time::Now;
use base::{LeaderEpoch, MonoMs, Offset, ProducerEpoch, ProducerId, WallMs};
use bytes::BytesMut;
use protocol::ErrorCode;
use records::control::EndTxnMarker;
use records::validate::{ValidationConfig, prepare};
use records::{AppendFault, BuildError};
use replication::Event;
use storage::log::{AppendInfo, AppendOrigin, Appender, Unverified, VerificationGuard, Verify};
use tokio::sync::oneshot;

use super::failure::PartitionFailure;
use super::partition::{Partition, Written};

/// What a producer is answered.
#[derive(Debug)]
pub struct Appended {
    pub first_offset: Offset,
    /// Set where the topic stamps records itself, and for a duplicate: then the time of the batch that was there.
    pub log_append_time: Option<WallMs>,
    pub log_start_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// With acks=all: completes when the records are committed or the time is over, closes when another node leads. With
    /// `flush.messages` for any acks: when they are durable at least.
    pub committed: Option<oneshot::Receiver<Written>>,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendFailure {
    #[error(transparent)]
    Batch(#[from] AppendFault),
    #[error("fewer in-sync replicas than min.insync.replicas")]
    NotEnoughReplicas,
    #[error("the marker cannot be written: {0}")]
    Marker(#[from] BuildError),
    #[error(transparent)]
    Partition(#[from] PartitionFailure),
}

impl AppendFailure {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Batch(fault) => fault.error_code(),
            Self::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
            Self::Marker(_) => ErrorCode::UnknownServerError,
            Self::Partition(failure) => failure.code(),
        }
    }

    /// There is no space for it on the disk.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Partition(PartitionFailure::Log(error)) if error.is_full())
    }

    /// Whether the answer tells the log's start nevertheless: Kafka does when it looked into the batch and found it wanting, but
    /// not when the batch is too large or corrupt, or the partition cannot be written to.
    pub fn tells_log_start(&self) -> bool {
        matches!(
            self.code(),
            ErrorCode::InvalidRecord
                | ErrorCode::InvalidTimestamp
                | ErrorCode::OutOfOrderSequenceNumber
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::InvalidTxnState
                | ErrorCode::UnsupportedForMessageFormat
                | ErrorCode::UnsupportedCompressionType
                | ErrorCode::UnknownServerError
        )
    }
}

/// How an append is done.
struct How {
    appender: Appender,
    /// The epoch the appender leads in, or none.
    epoch: LeaderEpoch,
    all: bool,
}

/// The end of a transaction, as its coordinator has decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnMarker {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub end: EndTxnMarker,
    /// By whose rules the epoch is checked.
    pub transaction_version: i16,
}

impl TxnMarker {
    /// As a batch that gets its offset later.
    fn batch(&self, now: WallMs) -> Result<BytesMut, BuildError> {
        let (id, epoch) = (self.producer_id, self.producer_epoch);
        let bytes = self.end.batch(Offset::ZERO, LeaderEpoch::NONE, now.0, id, epoch)?;
        Ok(BytesMut::from(&bytes[..]))
    }
}

impl Partition {
    /// Validates outside the lock, then assigns offsets, checks the producer's state and writes under it. `all` is acks=all;
    /// then the answer may have to wait, at most until `deadline`. The first records of a transaction come with the guard that
    /// [`Self::begin_verification`] gave.
    pub fn append(
        self: &Arc<Self>,
        bytes: BytesMut,
        all: bool,
        guard: Option<VerificationGuard>,
        now: Now,
        deadline: MonoMs,
    ) -> Result<Appended, AppendFailure> {
        let appender = Appender { guard, ..AppendOrigin::Client.into() };
        let how = How { appender, epoch: LeaderEpoch::NONE, all };
        self.append_as(how, bytes, now, deadline)
    }

    /// The same for a coordinator of this node that leads in `epoch`, with acks=all.
    pub fn append_as_coordinator(
        self: &Arc<Self>,
        bytes: BytesMut,
        epoch: LeaderEpoch,
        guard: Option<VerificationGuard>,
        now: Now,
        deadline: MonoMs,
    ) -> Result<Appended, AppendFailure> {
        let appender = Appender { guard, ..AppendOrigin::Coordinator.into() };
        self.append_as(How { appender, epoch, all: true }, bytes, now, deadline)
    }

    /// Ends a transaction here, with acks=all; `epoch` as in [`Self::append_as_coordinator`].
    pub fn append_marker(
        self: &Arc<Self>,
        marker: &TxnMarker,
        epoch: LeaderEpoch,
        now: Now,
        deadline: MonoMs,
    ) -> Result<Appended, AppendFailure> {
        let bytes = marker.batch(now.wall)?;
        let appender = Appender::of_marker(marker.transaction_version);
        self.append_as(How { appender, epoch, all: true }, bytes, now, deadline)
    }

    /// The transaction of a producer is to begin here, as soon as its coordinator confirms it: with the guard to append with then.
    /// `None` when it has begun already.
    pub fn begin_verification(
        &self,
        verify: &Verify,
        now: WallMs,
    ) -> Result<Option<Unverified>, PartitionFailure> {
        self.as_leader(LeaderEpoch::NONE, |log| log.begin_verification(verify, now))
    }

    fn append_as(
        self: &Arc<Self>,
        how: How,
        bytes: BytesMut,
        now: Now,
        deadline: MonoMs,
    ) -> Result<Appended, AppendFailure> {
        let How { appender, epoch, all } = how;
        let origin = appender.origin;
        let settings = self.settings();
        self.lock().check_leader(epoch)?;
        let mut prepared = if origin == AppendOrigin::Client {
            prepare(bytes, &settings.validation, now.wall)?
        } else {
            let validation = ValidationConfig { origin, ..settings.validation.clone() };
            prepare(bytes, &validation, now.wall)?
        };

        let mut state = self.lock();
        let leader_epoch = state.check_leader(epoch)?;
        if all && state.leader.as_ref().is_some_and(|leader| !leader.has_min_isr()) {
            return Err(AppendFailure::NotEnoughReplicas);
        }
        let appended = self.write(&mut state, now.mono, |state| {
            state.log.append_as_leader(&mut prepared, leader_epoch, appender, now.wall)
        });
        let info = match appended {
            Ok(info) => info,
            Err(error) => {
                if error.is_disk_failure() {
                    state.stop_serving(&error);
                }
                return Err(PartitionFailure::Log(error).into());
            }
        };
        let bytes = info.bytes as i64;
        if !info.duplicate {
            state.readers.replicas.add_bytes(bytes);
        }
        let required = info.last_offset.plus(1);
        if info.flush_due {
            self.flush_soon(&mut state);
            // What has to be durable counts as appended when it is.
            let committed = match all {
                true if state.log.high_watermark() >= required => None,
                true => Some(state.wait_for_commit(required, deadline)),
                false => Some(state.wait_for_flush(required, deadline)),
            };
            return Ok(answer(&info, leader_epoch, committed));
        }
        let log_end = state.log.end_offset();
        match state.run(now.mono, Event::Appended { log_end }) {
            // What was appended is committed, nothing else: its size is known.
            Some((from, to)) if from == info.first_offset && to == log_end => {
                state.readers.consumers.add_bytes(bytes);
            }
            Some((from, to)) => state.tell_consumers(from, to),
            None => {}
        }
        let after = state.log.high_watermark();
        let committed =
            (all && after < required).then(|| state.wait_for_commit(required, deadline));
        Ok(answer(&info, leader_epoch, committed))
    }
}

fn answer(
    info: &AppendInfo,
    leader_epoch: LeaderEpoch,
    committed: Option<oneshot::Receiver<Written>>,
) -> Appended {
    Appended {
        first_offset: info.first_offset,
        log_append_time: info.log_append_time,
        log_start_offset: info.log_start_offset,
        leader_epoch,
        committed,
    }
}
