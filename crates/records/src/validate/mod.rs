//! What a leader checks before it appends, in two steps so that the costly one needs no lock: [`prepare`] looks at the
//! records and settles everything but the offsets, [`Prepared::assign_offsets`] writes those in place.
//!
//! Kafka looks into every record of every batch (keys, timestamps, count, structure), compressed or not, and so do we:
//! as a stream, without keeping what is decompressed. Only a topic with its own compression rebuilds the batch.

use base::{LeaderEpoch, Offset, WallMs};
use bytes::{Bytes, BytesMut};

use crate::batch::{self, BatchHeader, NO_TIMESTAMP, TimestampType};
use crate::batches::{AnyBatch, Batches};
use crate::builder::{BatchBuilder, BuildError};
use crate::compress::{Codec, Compression, decompress};
use crate::error::InvalidRecord;
use crate::record::{Header, Records, body};

mod fault;
mod walk;

pub use fault::{AppendFault, MAX_LISTED_ERRORS, RecordFault, RecordFaults, RecordReason};
use walk::{Glance, walk};

/// Decompressed bytes that are rebuilt in memory for a topic with its own compression.
const MAX_REBUILT_BYTES: usize = 256 << 20;
/// Decompressed bytes of one batch that are looked at: Kafka counts them in 31 bits.
const MAX_WALKED_BYTES: u64 = i32::MAX as u64;

/// Who appends, which decides what is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendOrigin {
    Client,
    /// A group, transaction or share coordinator of this broker.
    Coordinator,
    /// The leader of the metadata log: offsets and epochs are set already.
    RaftLeader,
    /// A follower: what the leader has.
    Replication,
}

/// The topic's settings that matter to an append.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationConfig {
    pub origin: AppendOrigin,
    /// `compression.type` with its level; `None` keeps the producer's.
    pub compression: Option<Codec>,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `max.message.bytes`, the size of a whole batch.
    pub max_message_bytes: usize,
    /// `max.decompressed.message.bytes`, the size of one record of a compressed batch.
    pub max_decompressed_message_bytes: i32,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
}

impl ValidationConfig {
    /// A topic with Kafka's defaults.
    pub const fn new(origin: AppendOrigin) -> Self {
        Self {
            origin,
            compression: None,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            max_message_bytes: 1_048_588,
            max_decompressed_message_bytes: i32::MAX - 8,
            compacted: false,
        }
    }
}

/// Checks the records of one partition of a Produce request as Kafka does before it looks for the partition; the header of the one
/// batch that they are.
pub fn check_produce(version: i16, bytes: &[u8]) -> Result<BatchHeader, AppendFault> {
    let mut batches = Batches::new(bytes);
    let batch = batches.next().ok_or(AppendFault::NoBatch { version })??;
    let Some(header) = batch.v2().copied() else {
        return Err(AppendFault::OldMagic { version });
    };
    if version < 7 && batch.compression()? == Compression::Zstd {
        return Err(AppendFault::ZstdTooNew { version });
    }
    match batches.next() {
        None => Ok(header),
        Some(Ok(_)) => Err(AppendFault::ManyBatches { version }),
        Some(Err(fault)) => Err(fault.into()),
    }
}

/// A batch that may be appended once it has offsets.
#[derive(Clone, Debug)]
pub struct Prepared {
    bytes: BytesMut,
    header: BatchHeader,
    records: i32,
    append_time: Option<WallMs>,
    rebuilt: bool,
}

impl Prepared {
    /// The whole batch.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// Its header; offsets and epoch are true after [`Self::assign_offsets`].
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Records in it, which is how many offsets it takes.
    pub const fn record_count(&self) -> i32 {
        self.records
    }

    /// The time of appending, when that is the records' timestamp.
    pub const fn append_time(&self) -> Option<WallMs> {
        self.append_time
    }

    /// Largest timestamp in milliseconds, -1 without any.
    pub const fn max_timestamp(&self) -> i64 {
        self.header.max_timestamp
    }

    /// The batch was compressed anew.
    pub const fn is_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Gives the records the offsets from `first` on, and the batch the leader's epoch. Returns the last offset. The
    /// checksum covers neither.
    pub fn assign_offsets(&mut self, first: Offset, epoch: LeaderEpoch) -> Offset {
        let last = first.plus(i64::from(self.records) - 1);
        let delta = i64::from(self.header.last_offset_delta);
        self.header.base_offset = Offset(last.0.wrapping_sub(delta));
        self.header.partition_leader_epoch = epoch;
        if let Some(place) = self.bytes.get_mut(..batch::HEADER_LEN) {
            place.copy_from_slice(&self.header.to_bytes());
        }
        last
    }
}

/// Checks `bytes` (the records of one partition, as a client or coordinator sent them) for an append by the leader at
/// time `now`, and settles compression and timestamps. The bytes are changed in place: a frame's slice becomes the
/// log's bytes without being copied. Bytes after the last whole batch are dropped, as in Kafka.
pub fn prepare(
    bytes: impl Into<BytesMut>,
    config: &ValidationConfig,
    now: WallMs,
) -> Result<Prepared, AppendFault> {
    let mut bytes = bytes.into();
    let (header, size) = check_batches(&bytes, config)?;
    bytes.truncate(size);
    check_header(&header, config.origin)?;

    let source = header.attributes.compression()?;
    let target = config.compression.unwrap_or(source.into());
    // Control records are not compressed, whatever the topic says.
    let keep = source == target.compression()
        || (source == Compression::None && header.attributes.is_control());

    let mut scan = Scan::new(config, &header, now, keep && source != Compression::None);
    walk(&header, &bytes, config.max_decompressed_message_bytes, MAX_WALKED_BYTES, |record| {
        scan.visit(record)
    })?;
    let scan = scan.finish()?;
    if source != Compression::None
        && keep
        && let Some((expected, found)) = scan.unexpected_offset
    {
        return Err(AppendFault::InnerOffsets { expected, found });
    }
    let append_time = (config.timestamp_type == TimestampType::LogAppendTime).then_some(now);
    let max_timestamp = append_time.map_or(scan.max_timestamp, |now| now.0);
    if keep {
        batch::set_max_timestamp(&mut bytes, config.timestamp_type, max_timestamp)?;
    } else {
        bytes = Bytes::from(rebuild(&header, &bytes, target, append_time)?).into();
        if bytes.len() > config.max_message_bytes {
            let (size, max) = (bytes.len(), config.max_message_bytes);
            return Err(AppendFault::TooLarge { size, max });
        }
    }
    let header = BatchHeader::parse(&bytes)?;
    Ok(Prepared { bytes, header, records: scan.count, append_time, rebuilt: !keep })
}

/// What [`analyze`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Analysis {
    /// Bytes of the whole batches that may be appended.
    pub valid_bytes: usize,
    pub batches: usize,
    /// First offset; for magic 0 and 1 the last offset of the first batch, as Kafka uses it.
    pub first_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: i64,
    pub last_leader_epoch: LeaderEpoch,
}

/// Checks batches that have their offsets already, from the raft leader or from the leader of a follower: sizes,
/// checksums, order, epochs. A follower stops before the first batch of a later epoch than its own. `None` when there
/// is nothing to append.
pub fn analyze(
    bytes: &[u8],
    origin: AppendOrigin,
    leader_epoch: LeaderEpoch,
    max_message_bytes: Option<usize>,
) -> Result<Option<Analysis>, AppendFault> {
    let mut found: Option<Analysis> = None;
    for batch in Batches::new(bytes) {
        let batch = batch?;
        let epoch = batch.partition_leader_epoch();
        if origin == AppendOrigin::RaftLeader && epoch != leader_epoch {
            let (expected, found) = (leader_epoch.0, epoch.0);
            return Err(AppendFault::LeaderEpoch { expected, found });
        }
        if origin == AppendOrigin::Replication && epoch.is_some() && epoch > leader_epoch {
            break;
        }
        check_size_and_crc(&batch, max_message_bytes)?;
        let last_offset = batch.last_offset();
        let next = found.get_or_insert(Analysis {
            valid_bytes: 0,
            batches: 0,
            first_offset: batch.v2().map_or(last_offset, |header| header.base_offset),
            last_offset: Offset::NONE,
            max_timestamp: NO_TIMESTAMP,
            last_leader_epoch: epoch,
        });
        if next.last_offset >= last_offset {
            return Err(AppendFault::OffsetsOutOfOrder);
        }
        next.valid_bytes += batch.size();
        next.batches += 1;
        next.last_offset = last_offset;
        next.max_timestamp = next.max_timestamp.max(batch.max_timestamp());
        next.last_leader_epoch = epoch;
    }
    Ok(found)
}

fn check_size_and_crc(batch: &AnyBatch<'_>, max_bytes: Option<usize>) -> Result<(), AppendFault> {
    if let Some(max) = max_bytes
        && batch.size() > max
    {
        return Err(AppendFault::TooLarge { size: batch.size(), max });
    }
    Ok(batch.check_crc()?)
}

/// The one batch in `bytes` and its size. All batches are looked at before it matters that there is one too many: so
/// a wrong checksum in the second is the answer, as in Kafka.
fn check_batches(
    bytes: &[u8],
    config: &ValidationConfig,
) -> Result<(BatchHeader, usize), AppendFault> {
    let mut first: Option<(AnyBatch<'_>, usize)> = None;
    let mut more = false;
    for batch in Batches::new(bytes) {
        let batch = batch?;
        if let Some(header) = batch.v2()
            && config.origin == AppendOrigin::Client
            && header.base_offset != Offset::ZERO
        {
            return Err(AppendFault::BaseOffset { base_offset: header.base_offset.0 });
        }
        check_size_and_crc(&batch, Some(config.max_message_bytes))?;
        more = first.is_some();
        first.get_or_insert((batch, batch.size()));
    }
    let (batch, size) = first.ok_or(AppendFault::Empty)?;
    let header = batch.v2().ok_or(AppendFault::LegacyMagic { magic: batch.magic() })?;
    if more {
        return Err(AppendFault::MoreThanOneBatch);
    }
    Ok((*header, size))
}

/// What a client may not claim in a header.
fn check_header(header: &BatchHeader, origin: AppendOrigin) -> Result<(), AppendFault> {
    if origin != AppendOrigin::Client {
        return Ok(());
    }
    let (first, last) = (header.base_offset.0, header.last_offset().0);
    let by_offsets = i64::from(header.last_offset_delta) + 1;
    if by_offsets <= 0 {
        return Err(AppendFault::OffsetRange { first, last });
    }
    if header.count <= 0 {
        return Err(AppendFault::Count { count: header.count });
    }
    if by_offsets != i64::from(header.count) {
        return Err(AppendFault::CountMismatch { first, last, count: header.count });
    }
    if header.attributes.is_control() {
        return Err(AppendFault::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        let (sequence, producer_id) = (header.base_sequence, header.producer_id.0);
        return Err(AppendFault::Sequence { sequence, producer_id });
    }
    Ok(())
}

/// Checks records one by one and remembers what the header must say of them.
struct Scan<'a> {
    config: &'a ValidationConfig,
    claims_append_time: bool,
    partial: bool,
    now: i64,
    count: i32,
    max_timestamp: i64,
    unexpected_offset: Option<(i64, i64)>,
    faults: RecordFaults,
}

impl<'a> Scan<'a> {
    fn new(config: &'a ValidationConfig, header: &BatchHeader, now: WallMs, partial: bool) -> Self {
        Self {
            config,
            claims_append_time: header.attributes.timestamp_type() == TimestampType::LogAppendTime,
            partial,
            now: now.0,
            count: 0,
            max_timestamp: NO_TIMESTAMP,
            unexpected_offset: None,
            faults: RecordFaults { total: 0, listed: Vec::new(), any_timestamp: false },
        }
    }

    fn visit(&mut self, record: Glance) {
        if let Some(reason) = self.reason(&record) {
            self.faults.total += 1;
            self.faults.any_timestamp |= reason.is_timestamp();
            if self.faults.listed.len() < MAX_LISTED_ERRORS {
                self.faults.listed.push(RecordFault { index: self.count, reason });
            }
        }
        let expected = self.count.into();
        if record.offset != expected && self.unexpected_offset.is_none() {
            self.unexpected_offset = Some((expected, record.offset));
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count += 1;
    }

    fn reason(&self, record: &Glance) -> Option<RecordReason> {
        if self.config.compacted && record.key_size < 0 {
            return Some(RecordReason::NoKey);
        }
        let (before, after) =
            (self.config.timestamp_before_max_ms, self.config.timestamp_after_max_ms);
        if self.config.timestamp_type == TimestampType::CreateTime
            && record.timestamp != NO_TIMESTAMP
        {
            let age = self.now.wrapping_sub(record.timestamp);
            (age > before || age.wrapping_neg() > after).then(|| RecordReason::Timestamp {
                timestamp: record.timestamp,
                offset: record.offset,
                earliest: self.now.wrapping_sub(before),
                latest: self.now.wrapping_add(after),
            })
        } else {
            self.claims_append_time.then_some(RecordReason::TimestampType {
                offset: record.offset,
                timestamp: record.timestamp,
                key_size: record.key_size,
                value_size: record.value_size,
                partial: self.partial,
            })
        }
    }

    fn finish(self) -> Result<Self, AppendFault> {
        if self.faults.total == 0 { Ok(self) } else { Err(self.faults.into()) }
    }
}

/// The batch with the topic's compression instead of its own, its offsets without gaps.
fn rebuild(
    header: &BatchHeader,
    batch: &[u8],
    target: Codec,
    append_time: Option<WallMs>,
) -> Result<Vec<u8>, AppendFault> {
    let mut buffer = Vec::new();
    let source = header.attributes.compression()?;
    let records = if source == Compression::None {
        body(batch)
    } else {
        decompress(source, body(batch), &mut buffer, MAX_REBUILT_BYTES)?;
        &buffer
    };
    let mut builder = BatchBuilder::new(target).base_offset(header.base_offset).producer(
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
    );
    if header.attributes.is_transactional() {
        builder = builder.transactional();
    }
    if let Some(now) = append_time {
        builder = builder.log_append_time(now.0);
    }
    let mut headers: Vec<Header<'_>> = Vec::new();
    for record in Records::new(header, records)? {
        let record = record?;
        headers.clear();
        headers.extend(record.headers.iter());
        builder.append(record.timestamp, record.key, record.value, &headers)?;
    }
    Ok(builder.build()?)
}

impl From<BuildError> for AppendFault {
    fn from(fault: BuildError) -> Self {
        match fault {
            BuildError::TooLarge => Self::DecompressedTooLarge { max: i32::MAX as usize },
            BuildError::Offset { .. } => InvalidRecord::RecordsRemain.into(),
            BuildError::Compress(fault) => Self::Bytes(fault),
        }
    }
}
