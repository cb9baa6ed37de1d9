//! The log of one partition: segments in Kafka's files, producer state, leader epochs.
//!
//! Writes take `&mut self`, reads `&self`: the owner holds one lock per partition. A read only looks up where the bytes
//! lie and hands out a [`FileSlice`], which is sent without the lock. Nothing here starts a thread or looks at a clock;
//! what should happen later (sync a rolled segment, remove files) comes out of [`Log::take_work`] and runs without the
//! lock. After a failed write or sync the log is offline for good: the state of the disk is unknown.

mod append;
mod appender;
mod cleanable;
pub mod cleaning;
mod config;
mod dirt;
mod epoch_work;
pub(crate) mod epochs;
mod error;
mod files;
mod flush;
pub(crate) mod head;
mod index;
mod listing;
mod load;
mod lookup;
pub(crate) mod names;
mod order;
pub mod producers;
mod read;
mod recovery;
mod retention;
mod roll;
mod scan;
mod segment;
mod tail;
mod tidying;
mod truncate;
mod txn_index;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{LeaderEpoch, Offset, TopicPartition, WallMs};

pub use append::AppendInfo;
pub use appender::Appender;
pub use config::{LogConfig, ProducerConfig};
pub use dirt::{CleanRules, Dirt, Reset};
pub use epoch_work::store_epochs;
pub use epochs::{EpochCache, EpochEntry};
pub use error::{LogError, Result};
pub use load::OpenOptions;
pub use lookup::TimestampOffset;
pub use producers::{ActiveProducer, Unverified, VerificationGuard, Verify};
pub use read::{FetchData, FileSlice, OffsetPosition};
pub use records::AppendOrigin;
pub use tail::LogTail;
pub use txn_index::AbortedTxn;
pub use work::{FlushWork, LogWork, RemoveWork};

use crate::space::DirSpace;
use cleanable::CleaningState;
use cleaning::PendingSwap;
use files::LogFiles;
use producers::ProducerState;
use segment::Segment;

/// The log of one partition.
pub struct Log {
    name: TopicPartition,
    files: LogFiles,
    config: Arc<LogConfig>,
    /// By base offset; never empty, the last one is active.
    segments: Vec<Segment>,
    producers: ProducerState,
    epochs: EpochCache,
    start_offset: i64,
    end_offset: i64,
    high_watermark: i64,
    /// Everything below is on the disk for sure; recovery begins here.
    recovery_point: i64,
    /// Everything below is on the disk, though recovery may have to begin earlier, for want of space.
    synced_end: i64,
    last_flush: WallMs,
    /// Counts what makes a flush that is under way meaningless.
    rewrites: u64,
    /// The directory was created and its parent not synced since.
    new_dir: bool,
    /// The end was cut, and perhaps not durably: a clean stop has to see to it.
    cut_unsynced: bool,
    /// What the directory's volume has left; `None` for a log that may use all of it.
    space: Option<Arc<DirSpace>>,
    work: Vec<LogWork>,
    cleaning: CleaningState,
    /// A cleaned segment on its way into the log; whoever cuts or removes segments settles that first.
    swap: Option<PendingSwap>,
    failure: Option<String>,
}

impl Log {
    /// Topic and partition, as in messages.
    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub fn dir(&self) -> &Path {
        self.files.dir()
    }

    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes over changed settings of the topic.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    pub fn set_producer_config(&mut self, config: ProducerConfig) {
        self.producers.set_config(config);
    }

    /// First offset that clients may read.
    pub fn start_offset(&self) -> Offset {
        Offset(self.start_offset)
    }

    /// Offset of the next record.
    pub fn end_offset(&self) -> Offset {
        Offset(self.end_offset)
    }

    pub fn recovery_point(&self) -> Offset {
        Offset(self.recovery_point)
    }

    /// Where the records end that are on the disk for sure.
    pub fn synced_end(&self) -> Offset {
        Offset(self.synced_end)
    }

    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark)
    }

    /// Tells the log how far its records are replicated: the bound of what retention and DeleteRecords may remove, and
    /// of what counts as decided. Kept between log start and log end.
    pub fn set_high_watermark(&mut self, offset: Offset) {
        self.high_watermark = offset.0.clamp(self.start_offset, self.end_offset);
        self.producers.on_high_watermark(self.high_watermark);
    }

    /// The end of what a read-committed consumer may see: the first offset of an undecided transaction, at most the
    /// high watermark.
    pub fn last_stable_offset(&self) -> Offset {
        let unstable = self.first_unstable_offset().unwrap_or(Offset(i64::MAX));
        Offset(unstable.0.min(self.high_watermark))
    }

    /// First offset of a transaction that is open or whose marker is not below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let first = self.producers.first_unstable_offset()?;
        Some(Offset(first.max(self.start_offset)))
    }

    /// A transaction has been open for longer than any may.
    pub fn has_late_transaction(&self, now: WallMs) -> bool {
        self.producers.has_late_transaction(now)
    }

    /// Bytes of all segments' logs.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// First offsets of the segments, rising.
    pub fn segment_base_offsets(&self) -> Vec<Offset> {
        self.segments.iter().map(|segment| Offset(segment.base_offset)).collect()
    }

    /// Everyone whose sequences are remembered, in no order.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.producers.active().collect()
    }

    /// A producer's transaction is to begin here once its coordinator confirms it: with the guard to show then. `None` when it has
    /// begun already.
    ///
    /// # Errors
    /// When a newer epoch of the producer has written here.
    pub fn begin_verification(
        &mut self,
        verify: &Verify,
        now: WallMs,
    ) -> Result<Option<Unverified>> {
        self.producers.begin_verification(verify, now)
    }

    /// Takes the place of a log with the same records: whoever waits for a coordinator's word there goes on here.
    pub fn succeed(&mut self, other: &mut Self) {
        self.producers.take_verifications(&mut other.producers);
        self.set_high_watermark(other.high_watermark());
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: WallMs) {
        self.producers.expire(now);
    }

    // Leader epochs.

    pub fn epochs(&self) -> &[EpochEntry] {
        self.epochs.entries()
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    /// Records that this epoch begins at the end of the log: what a new leader does before its first append. In memory
    /// only: as long as no record follows, a restart forgets it anyway.
    pub fn assign_leader_epoch(&mut self, epoch: LeaderEpoch) -> Result<()> {
        let end = self.end_offset();
        self.epochs.assign(epoch, end).map(|_| ())
    }

    /// The largest epoch up to `requested` and the offset where it ends (OffsetForLeaderEpoch).
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(requested, self.end_offset())
    }

    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for_offset(offset)
    }

    // Failure.

    /// Why the log takes no more writes, if so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes the log offline, for example because its directory failed elsewhere.
    pub fn fail(&mut self, cause: String) {
        self.failure.get_or_insert(cause);
    }

    fn check_online(&self) -> Result<()> {
        match &self.failure {
            Some(cause) => {
                Err(LogError::Offline { log: self.name.to_string(), cause: cause.clone() })
            }
            None => Ok(()),
        }
    }

    /// Runs a change; a disk failure in it is the last thing this log does, and so is a full disk.
    fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = self.change_if_space(change);
        if let Err(error) = &result
            && error.is_full()
        {
            self.fail(error.to_string());
        }
        result
    }

    /// Runs a change that leaves everything as it was when the disk is full.
    fn change_if_space<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.check_online()?;
        let result = catch_unwind(AssertUnwindSafe(|| change(self))).unwrap_or_else(|panic| {
            // Nobody knows how much of it was done: what follows could make it worse.
            self.fail("a change of the log panicked".into());
            resume_unwind(panic)
        });
        if let Err(error) = &result {
            if error.is_disk_failure() {
                self.fail(error.to_string());
            } else if matches!(error, LogError::Io { .. })
                && error.is_full()
                && let Some(space) = &self.space
            {
                space.found_full();
            }
        }
        result
    }

    // Segments.

    fn active(&self) -> &Segment {
        self.segments.last().expect("a log has an active segment")
    }

    /// Where the files begin: at the log's start or before it.
    fn first_offset(&self) -> i64 {
        self.segments.first().map_or(self.start_offset, |first| first.base_offset)
    }

    /// Index of the segment with the largest base offset up to `offset`.
    fn floor_segment(&self, offset: i64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base_offset <= offset).checked_sub(1)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.dir().join(name)
    }

    /// Takes over that the directory was renamed; open files stay open.
    pub fn moved_to(&mut self, dir: PathBuf) {
        for work in &mut self.work {
            work.renamed(self.files.dir(), &dir);
        }
        self.rewrites += 1;
        self.files.set_dir(dir);
    }
}
