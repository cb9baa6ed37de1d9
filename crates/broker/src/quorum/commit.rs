//! From decisions to the log, from the log to the committed image, from there to publishers and waiting requests.

use std::collections::VecDeque;
use std::path::Path;

use base::machine::TimerChange;
use base::{LeaderEpoch, Offset, WallMs};
use kraft::BatchId;
use metadata::{Provenance, ReplayError};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::no_op_record::NoOpRecord;
use records::{AnyBatch, record};

use super::QuorumError;
use super::batches::{self, Chunk};
use super::driver::Driver;
use super::handle::{Answer, Permit, SubmitError};
use super::machine::{Decision, Machine};

/// A batch that this node appended and that is not committed yet.
struct Appended {
    base: Offset,
    epoch: i32,
    time: WallMs,
    bytes: usize,
    records: Vec<MetadataRecord<'static>>,
}

impl Appended {
    fn next(&self) -> Offset {
        self.base.plus(i64::try_from(self.records.len()).unwrap_or(i64::MAX))
    }
}

/// What was appended since the last commit, so that it need not be read from the log again.
#[derive(Default)]
pub(super) struct Uncommitted {
    batches: VecDeque<Appended>,
}

impl Uncommitted {
    pub(super) fn clear(&mut self) {
        self.batches.clear();
    }
}

/// Replies that wait for the commit and publication of everything before an offset, in the order of those offsets.
pub(super) struct Pending<Reply> {
    waiting: VecDeque<(Offset, Reply, Waiter<Reply>)>,
}

/// Who gets a reply; the permit goes back with it.
pub(super) type Waiter<Reply> = (Answer<Result<Reply, SubmitError>>, Permit);

impl<Reply> Default for Pending<Reply> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<Reply> Pending<Reply> {
    fn add(&mut self, after: Offset, reply: Reply, waiter: Waiter<Reply>) {
        self.waiting.push_back((after, reply, waiter));
    }

    /// Sends what waited for the publication of everything before `published`.
    pub(super) fn release(&mut self, published: Offset) {
        while self.waiting.front().is_some_and(|(after, ..)| *after <= published) {
            if let Some((_, reply, (answer, _permit))) = self.waiting.pop_front() {
                // The client may have gone away.
                let _ = answer.send(Ok(reply));
            }
        }
    }

    /// Fails what waits for a commit beyond `committed`.
    pub(super) fn fail_after(&mut self, committed: Offset, error: &SubmitError) {
        let stays = self.waiting.partition_point(|(after, ..)| *after <= committed);
        for (_, _, (answer, _permit)) in self.waiting.drain(stays..) {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// Hands every metadata record of a batch to `take`, with its offset.
fn each_record(
    batch: AnyBatch<'_>,
    path: &Path,
    mut take: impl FnMut(&MetadataRecord<'_>, Offset) -> Result<(), ReplayError>,
) -> Result<(), QuorumError> {
    let header = *batch.v2().ok_or_else(|| QuorumError::damaged(path, "an old batch"))?;
    if header.attributes.is_control() {
        return Ok(());
    }
    let mut buffer = Vec::new();
    let body = record::decompressed(batch.bytes(), &mut buffer, super::snapshot::DECOMPRESSED_MAX);
    let body = body.map_err(QuorumError::records(path))?;
    for record in record::Records::new(&header, body).map_err(QuorumError::records(path))? {
        let record = record.map_err(QuorumError::records(path))?;
        let value = record.value.unwrap_or_default();
        let decoded = MetadataRecord::decode_value(value).map_err(QuorumError::decode(path))?;
        take(&decoded, record.offset).map_err(|source| QuorumError::Replay {
            path: path.to_path_buf(),
            offset: record.offset.get(),
            source,
        })?;
    }
    Ok(())
}

impl<M: Machine> Driver<M> {
    /// Appends the records of a decision, replays them into the machine, and keeps the reply until they are
    /// committed. A decision without records waits for everything that it may have seen.
    pub(super) fn carry_out(
        &mut self,
        decision: Decision<M>,
        waiter: Option<Waiter<M::Reply>>,
    ) -> Result<(), QuorumError> {
        for timer in decision.timers {
            match timer {
                TimerChange::Set { key, at } => self.timers.insert(key, at),
                TimerChange::Cancel { key } => self.timers.remove(&key),
            };
        }
        let version = self.machine.tip().features.metadata_version_or_minimum();
        let chunks = match batches::chunks(decision.records, decision.atomic, version) {
            Ok(chunks) => chunks,
            Err(error) => {
                // Nothing was appended: the decision never happened.
                tracing::warn!(%error, "a decision of the controller cannot be written");
                if let Some((answer, _permit)) = waiter {
                    let _ = answer.send(Err(SubmitError::Refused(error.to_string())));
                }
                return Ok(());
            }
        };
        let placed = self.propose_all(chunks)?;
        match waiter {
            // What is in the log of it already, the next leader commits or cuts off.
            Some((answer, _permit)) if !placed || self.active.is_none() => {
                let _ = answer.send(Err(SubmitError::NotController));
            }
            Some(waiter) => self.pending.add(self.raft.log().end, decision.reply, waiter),
            None => {}
        }
        Ok(())
    }

    pub(super) fn append_noop(&mut self) -> Result<(), QuorumError> {
        let version = self.machine.tip().features.metadata_version_or_minimum();
        let record = MetadataRecord::NoOp(NoOpRecord::default());
        // When this node steps down, there is nobody to keep alive.
        let _placed = self.propose_all(batches::chunks(vec![record], true, version)?)?;
        Ok(())
    }

    /// Whether all of them got a place in the log; after the first that got none, none is tried.
    fn propose_all(&mut self, chunks: Vec<Chunk>) -> Result<bool, QuorumError> {
        for chunk in chunks {
            let Some(epoch) = self.active else { return Ok(false) };
            if !self.propose(chunk, epoch)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Consensus found the place of the proposed batch.
    pub(super) fn append_proposed(
        &mut self,
        _batch: BatchId,
        base: Offset,
        epoch: i32,
    ) -> Result<(), QuorumError> {
        let chunk: Chunk = self.proposed.take().expect("one batch is proposed at a time");
        // First: a record that cannot be replayed must not come into the log, where it would stop every later leader, too.
        for (index, record) in chunk.records.iter().enumerate() {
            self.machine.replay(record, base.plus(index as i64))?;
        }
        let now = self.clock.now();
        let bytes = batches::build(&chunk, base, LeaderEpoch(epoch), now.wall)?;
        self.log.append(&bytes, LeaderEpoch(epoch), now)?;
        self.uncommitted.batches.push_back(Appended {
            base,
            epoch,
            time: now.wall,
            bytes: bytes.len(),
            records: chunk.records,
        });
        Ok(())
    }

    /// Everything before `high_watermark` is committed: replay it, publish it. Only whole batches are.
    pub(super) fn commit(&mut self, high_watermark: Offset) -> Result<(), QuorumError> {
        self.log.set_high_watermark(high_watermark);
        while self.next_commit < high_watermark {
            let before = self.next_commit;
            match self.uncommitted.batches.front() {
                Some(front) if front.base == before && front.next() <= high_watermark => {
                    self.commit_own()?;
                }
                Some(front) if front.base <= before => break,
                Some(front) => self.commit_from_log(front.base.min(high_watermark))?,
                None => self.commit_from_log(high_watermark)?,
            }
            if self.next_commit == before {
                break;
            }
        }
        self.maybe_snapshot();
        Ok(())
    }

    fn commit_own(&mut self) -> Result<(), QuorumError> {
        let Some(batch) = self.uncommitted.batches.pop_front() else { return Ok(()) };
        for record in &batch.records {
            self.loader.replay(record)?;
        }
        self.next_commit = batch.next();
        self.snapshots.replayed(batch.bytes);
        self.publish(batch.epoch, batch.time);
        Ok(())
    }

    /// Replays what other leaders, or this node before a restart, have written.
    fn commit_from_log(&mut self, until: Offset) -> Result<(), QuorumError> {
        let mut last = None;
        let (mut bytes, mut left_out) = (0, false);
        let (log, loader, machine) = (&self.log, &mut self.loader, &mut self.machine);
        let is_follower = self.active.is_none();
        // As in Kafka: a controller must not go on without a record, a broker does.
        let may_leave_out = !self.config.can_be_voter;
        log.read_batches(self.next_commit, until, |batch, path| {
            let header = *batch.v2().ok_or_else(|| QuorumError::damaged(path, "an old batch"))?;
            last = Some((
                batch.next_offset(),
                header.partition_leader_epoch.get(),
                header.max_timestamp,
            ));
            bytes += batch.size();
            each_record(batch, path, |record, offset| match loader.replay(record) {
                Err(error) if may_leave_out => {
                    tracing::error!(%offset, %error, "a record of the metadata log cannot be applied and is left out");
                    left_out = true;
                    Ok(())
                }
                Ok(()) if is_follower => machine.replay(record, offset),
                replayed => replayed,
            })
        })?;
        self.snapshots.incomplete |= left_out;
        if let Some((next, epoch, time)) = last {
            self.next_commit = next;
            self.snapshots.replayed(bytes);
            self.publish(epoch, WallMs(time));
        }
        Ok(())
    }

    pub(super) fn last_committed(&self) -> Offset {
        Offset(self.next_commit.get() - 1)
    }

    fn publish(&mut self, epoch: i32, time: WallMs) {
        let offset = self.last_committed();
        let provenance = Provenance { offset, epoch: LeaderEpoch(epoch), time };
        if let Some(update) = self.loader.publish(provenance) {
            self.publishing.tell(update, self.next_commit);
        }
    }
}
