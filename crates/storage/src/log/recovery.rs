//! Recovery: what a segment really holds, batch by batch, and what follows from it: indexes, epochs, producers.

use base::{Offset, TopicPartition, WallMs};
use records::{AnyBatch, AppendOrigin};

use super::config::LogConfig;
use super::epochs::EpochCache;
use super::error::Result;
use super::files::LogFiles;
use super::head::BatchHead;
use super::order::Order;
use super::producers::{Prepared, ProducerState};
use super::scan::{Broken, Placed, Whole};
use super::segment::Segment;
use super::txn_index::AbortedTxn;

/// The recovery of a segment of this size takes a while and is told.
const TOLD_BYTES: u64 = 64 << 20;

/// Says which segment comes now, when it is a large one.
pub(super) fn tell(name: &TopicPartition, segment: &Segment, remaining: usize) {
    if segment.size >= TOLD_BYTES {
        let (base_offset, bytes) = (segment.base_offset, segment.size);
        tracing::info!(log = %name, base_offset, bytes, remaining, "recovering a segment");
    }
}

/// What to do about bytes that are no valid batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnFault {
    /// Cut the log there: these bytes were never known to be durable.
    Cut,
    /// Leave the log alone: the bytes were durable once, whoever reads them is told that they are corrupt.
    Keep,
}

/// What a segment was found to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Recovered {
    /// The offset after the last valid batch.
    pub end: i64,
    /// Bytes after it.
    pub left: u64,
    /// Where a batch begins that is as much in doubt as what contradicts it: a batch after it, or the next segment.
    pub doubtful: Option<u64>,
    /// Where the last batch begins, when there is a gap before it and no other.
    pub lonely: Option<u64>,
}

/// What recovery works on.
pub(super) struct Recovery<'a> {
    pub name: &'a TopicPartition,
    pub files: &'a LogFiles,
    pub config: &'a LogConfig,
    pub epochs: &'a mut EpochCache,
    /// The state at the segment's base offset, afterwards that at its end; `None` leaves the transaction index alone.
    pub producers: Option<&'a mut ProducerState>,
}

impl Recovery<'_> {
    /// Reads a whole segment, checks every batch, builds its indexes anew. `next` is where the segment after it begins.
    pub fn recover(
        &mut self,
        segment: &mut Segment,
        on_fault: OnFault,
        next: Option<i64>,
    ) -> Result<Recovered> {
        let files = self.files;
        segment.restart_indexes();
        if self.producers.is_some() {
            segment.txn_index.clear(files)?;
        }
        let base_offset = segment.base_offset;
        let mut batches = Whole::new(files, base_offset, 0, segment.size);
        let mut valid = 0;
        let mut order = Order::new(base_offset);
        let mut doubtful = None;
        let fault = loop {
            let position = batches.position();
            let visited = batches.next(|batch| -> Result<Result<(), String>> {
                let placed = Placed { position, head: BatchHead::of(batch) };
                if let Err(reason) = check(segment, batch, &placed.head) {
                    return Ok(Err(reason));
                }
                if let Err(reason) = order.check(&placed.head) {
                    doubtful = order.doubtful_before(&placed.head);
                    return Ok(Err(reason));
                }
                if let Some(next) = next.filter(|next| placed.head.last_offset >= *next) {
                    // Cut off once, and back because the cut was not durable: the log went on without it.
                    let last = placed.head.last_offset;
                    return Ok(Err(format!("offset {last} belongs to the segment {next}")));
                }
                order.take(&placed);
                self.take(segment, batch, placed).map(Ok)
            })?;
            match visited {
                Ok(Some(taken)) => match taken? {
                    Ok(()) => valid = batches.position(),
                    Err(reason) => break Some(Broken::Corrupt(reason)),
                },
                Ok(None) => break None,
                Err(broken) => break Some(broken),
            }
        };
        let left = segment.size - valid;
        if let Some(fault) = fault {
            let error = fault.into_error(files, base_offset, valid);
            tracing::warn!(log = %self.name, bytes = left, "{error}");
        }
        let keep = if on_fault == OnFault::Cut { valid } else { segment.size };
        segment.finish_recovery(files, keep)?;
        if let Some(next) = next {
            doubtful = doubtful.or_else(|| order.doubtful_before_offset(next));
        }
        let lonely = order.lonely().filter(|_| next.is_none());
        Ok(Recovered { end: order.last().saturating_add(1), left, doubtful, lonely })
    }

    fn take(&mut self, segment: &mut Segment, batch: &AnyBatch<'_>, placed: Placed) -> Result<()> {
        segment.index(self.files, self.config, &placed)?;
        let Some(header) = batch.v2() else { return Ok(()) };
        let epoch = header.partition_leader_epoch;
        if epoch.is_some() {
            self.epochs.drop_contradicting(epoch, header.last_offset());
            if self.epochs.latest().is_none_or(|latest| epoch > latest.epoch) {
                self.epochs.assign(epoch, header.base_offset)?;
            }
        }
        let Some(producers) = self.producers.as_deref_mut() else { return Ok(()) };
        if header.has_producer_id() {
            apply_batch(producers, batch, |aborted| segment.txn_index.push(self.files, aborted))?;
        }
        producers.set_end_offset(placed.head.next_offset());
        Ok(())
    }
}

/// A batch of this segment with a right checksum.
fn check(segment: &Segment, batch: &AnyBatch<'_>, head: &BatchHead) -> Result<(), String> {
    if segment.relative(head.last_offset).is_none() {
        return Err(format!("offset {} does not belong to the segment", head.last_offset));
    }
    batch.check_crc().map_err(|fault| fault.to_string())
}

/// Takes a batch that was validated when it was appended into the state; shows aborted transactions to `aborted`.
fn apply_batch(
    producers: &mut ProducerState,
    batch: &AnyBatch<'_>,
    mut aborted: impl FnMut(&AbortedTxn) -> Result<()>,
) -> Result<()> {
    let mut prepared = Prepared::default();
    producers.prepare(batch, &AppendOrigin::Replication.into(), &mut prepared)?;
    for update in &prepared.updates {
        producers.apply(update);
    }
    for completed in &prepared.completed {
        if completed.aborted {
            aborted(&AbortedTxn {
                producer_id: base::ProducerId(completed.producer_id),
                first_offset: completed.first_offset,
                last_offset: completed.last_offset,
                last_stable_offset: producers.last_stable_offset(completed),
            })?;
        }
        producers.complete(completed);
    }
    Ok(())
}

/// Brings the producers' state to `last_offset`: from the newest usable snapshot on, by the batches after it. After a
/// clean stop without any snapshot there were no producers worth a scan. The files begin at `first_offset`: all that they hold
/// counts, be it before the log's start, so that every start finds the same. (Kafka reads from the log's start on, or all of a
/// segment that it recovers.)
pub(super) fn rebuild_producers(
    producers: &mut ProducerState,
    files: &LogFiles,
    segments: &[Segment],
    first_offset: i64,
    last_offset: i64,
    clean: bool,
    now: WallMs,
) -> Result<()> {
    let last_bases = [segments.len().checked_sub(2), segments.len().checked_sub(1)]
        .map(|slot| slot.and_then(|slot| segments.get(slot)).map(|segment| segment.base_offset));
    if clean && producers.latest_snapshot().is_none() {
        for offset in last_bases.into_iter().flatten().chain([last_offset]) {
            producers.set_end_offset(offset);
            producers.take_snapshot(files)?;
        }
        return Ok(());
    }
    let nothing_before = producers.is_empty() && producers.end_offset() >= last_offset;
    producers.truncate_and_reload(files, first_offset, last_offset, now)?;
    if last_offset > producers.end_offset() && !nothing_before {
        let first = segments
            .partition_point(|segment| segment.base_offset <= producers.end_offset())
            .saturating_sub(1);
        for segment in segments.iter().skip(first) {
            if segment.base_offset >= last_offset {
                break;
            }
            let start = segment.base_offset.max(producers.end_offset()).max(first_offset);
            producers.set_end_offset(start);
            if last_bases.contains(&Some(segment.base_offset)) && start == segment.base_offset {
                producers.take_snapshot(files)?;
            }
            load_producers(producers, files, segment, start, last_offset)?;
        }
    }
    producers.set_end_offset(last_offset);
    producers.take_snapshot(files)?;
    Ok(())
}

fn load_producers(
    producers: &mut ProducerState,
    files: &LogFiles,
    segment: &Segment,
    start: i64,
    until: i64,
) -> Result<()> {
    let Some(found) = segment.find(files, start)? else { return Ok(()) };
    let mut batches = Whole::new(files, segment.base_offset, found.position, segment.size);
    loop {
        let position = batches.position();
        let visited = batches.next(|batch| {
            if batch.last_offset() >= Offset(until) {
                return Ok(false);
            }
            apply_batch(producers, batch, |_| Ok(())).map(|()| true)
        })?;
        match visited {
            Ok(Some(more)) => {
                if !more? {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(broken) => return Err(broken.into_error(files, segment.base_offset, position)),
        }
    }
}
