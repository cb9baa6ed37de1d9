//! What readers are told of a partition while a write holds its locks: all of it as it was when the write began.
//!
//! As long as records are being written nothing changes but by them, and nobody knows of these yet. So who finds the
//! locks taken reads what was there before, if it is among the last batches, or hears that there is nothing new. A follower's place is
//! kept and taken into account when the write has ended.

use std::sync::Arc;
use std::time::Duration;

use base::{LeaderEpoch, MonoMs, NodeId, Offset};
use parking_lot::Mutex;
use replication::Event;
use storage::log::LogTail;
use tokio::sync::Semaphore;

use super::failure::PartitionFailure;
use super::lane::Use;
use super::locked::Locked;
use super::partition::Partition;
use super::read::{ReadRequest, ReadResult, Reader};
use crate::fetch::waiter::FetchWaiter;

/// Followers whose places are kept: more than any partition has.
const PLACES_MAX: usize = 64;

/// So long a thread of the runtime waits for one who writes.
const PATIENCE: Duration = Duration::from_millis(5);

/// Locks that are held without a write change hands soon: so often it is looked again, after a pause, before it is waited for them.
const LOOKS_MAX: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Who holds a partition's locks for so long stands still: a follower that waits longer for one partition would fall behind in others.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// Nobody has to wait for his turn here: whoever comes tries once.
static NO_TURN: Semaphore = Semaphore::const_new(Semaphore::MAX_PERMITS);

/// A partition as it is before records are written to it.
#[derive(Debug)]
struct Glimpse {
    leader_epoch: LeaderEpoch,
    latest_epoch: Option<LeaderEpoch>,
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start: Offset,
    log_end: Offset,
    tail: LogTail,
}

/// What can be seen now, if anything, and who was here meanwhile.
#[derive(Default)]
pub(super) struct Glimpses {
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    glimpse: Option<Arc<Glimpse>>,
    /// Where followers are.
    places: Vec<(NodeId, Event)>,
}

/// While it lives, the partition can be seen: no longer than the write lasts, however that ends.
struct Showing<'a>(&'a Glimpses);

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        self.0.hide();
    }
}

impl Glimpses {
    fn show(&self, glimpse: Glimpse) -> Showing<'_> {
        self.shown.lock().glimpse = Some(Arc::new(glimpse));
        Showing(self)
    }

    fn hide(&self) -> Vec<(NodeId, Event)> {
        std::mem::take(&mut *self.shown.lock()).places
    }

    fn get(&self) -> Option<Arc<Glimpse>> {
        self.shown.lock().glimpse.clone()
    }

    /// Keeps where a follower is; false when the write has ended, or there are too many.
    fn keep(&self, replica: NodeId, place: Event) -> bool {
        let mut shown = self.shown.lock();
        shown.places.retain(|(known, _)| *known != replica);
        let has_room = shown.glimpse.is_some() && shown.places.len() < PLACES_MAX;
        if has_room {
            shown.places.push((replica, place));
        }
        has_room
    }
}

impl Glimpse {
    fn of(state: &Locked<'_>) -> Option<Self> {
        let log = &state.log;
        Some(Self {
            leader_epoch: state.leader_epoch,
            latest_epoch: log.latest_epoch(),
            high_watermark: log.high_watermark(),
            last_stable_offset: log.last_stable_offset(),
            log_start: log.start_offset(),
            log_end: log.end_offset(),
            // Whoever writes meets the error, too.
            tail: log.tail().ok()?,
        })
    }

    fn upper(&self, reader: Reader) -> Offset {
        match reader {
            Reader::Consumer { read_committed: true, .. } => self.last_stable_offset,
            Reader::Consumer { .. } => self.high_watermark,
            Reader::Replica { .. } => self.log_end,
        }
    }

    /// Nothing has come for this reader since it saw the partition.
    fn is_as(&self, reader: Reader, seen: &ReadResult) -> bool {
        let upper = match reader {
            Reader::Consumer { read_committed: true, .. } => seen.last_stable_offset,
            Reader::Consumer { .. } => seen.high_watermark,
            Reader::Replica { .. } => seen.log_end,
        };
        self.log_start == seen.log_start && self.upper(reader) == upper
    }

    /// `None`: only the partition itself can tell.
    fn read(&self, request: &ReadRequest<'_>) -> Option<ReadResult> {
        let (offset, epoch, last) =
            (request.offset, request.leader_epoch, request.last_fetched_epoch);
        let knows_epoch = !epoch.is_some() || epoch == self.leader_epoch;
        let may_diverge = last.is_some() && Some(last) != self.latest_epoch;
        let is_here = (self.log_start..=self.log_end).contains(&offset);
        if !knows_epoch || may_diverge || !is_here || request.client.is_some() {
            return None;
        }
        let read_committed =
            matches!(request.reader, Reader::Consumer { read_committed: true, .. });
        let upper = self.upper(request.reader);
        let (bytes_max, whole_batch) = (request.bytes_max, request.whole_batch);
        let data = self.tail.read(offset, bytes_max, upper, whole_batch, read_committed)?;
        Some(ReadResult {
            data: Some(data),
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset,
            log_start: self.log_start,
            log_end: self.log_end,
            diverging: None,
            preferred: None,
        })
    }
}

impl Partition {
    /// Does what writes to the log of a leader, under its locks. It can be seen meanwhile.
    pub(super) fn write<T>(
        &self,
        state: &mut Locked<'_>,
        now: MonoMs,
        write: impl FnOnce(&mut Locked<'_>) -> T,
    ) -> T {
        let Some(glimpse) = Glimpse::of(state) else { return write(state) };
        let showing = self.glimpses.show(glimpse);
        let done = write(state);
        let places = self.glimpses.hide();
        drop(showing);
        for (_, place) in places {
            state.step(now, place);
        }
        done
    }

    /// What a reader may see. It does not wait for long while somebody writes, but may know less than he does; nor for ever while
    /// somebody stands still.
    pub async fn read_beside(
        &self,
        request: &ReadRequest<'_>,
    ) -> Result<ReadResult, PartitionFailure> {
        for _ in 0..LOOKS_MAX {
            let patience = self.patience();
            let try_read = || Some(self.read_locked(&mut self.lock_within(patience)?, request));
            if let Some(read) = self.lane().run(Use::Read, &NO_TURN, try_read).await {
                return read;
            }
            match self.glimpses.get() {
                Some(glimpse) => match self.seen(&glimpse, request) {
                    Some(seen) => return Ok(seen),
                    None => break,
                },
                // Somebody is about to write, or done with it.
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        // It is one of many that are asked for together: they do not wait for ever.
        let read = || Some(self.read_locked(&mut self.lock_within(STANDS_STILL)?, request));
        match tokio::time::timeout(STANDS_STILL, self.enter(Use::Read, read)).await {
            Ok(Some(read)) => read,
            Ok(None) | Err(_) => Err(PartitionFailure::StandsStill),
        }
    }

    /// As [`Partition::add_reader`], in the same way.
    pub async fn add_reader_beside(
        &self,
        waiter: &Arc<FetchWaiter>,
        reader: Reader,
        seen: &ReadResult,
    ) -> bool {
        let patience = self.patience();
        let try_add = || Some(self.lock_within(patience)?.add_reader(waiter, reader, seen));
        if let Some(added) = self.lane().run(Use::Read, &NO_TURN, try_add).await {
            return added;
        }
        // Whoever writes looks for readers when he has hidden the partition again: first come, then look.
        reader.among(&self.readers).add(waiter);
        let same = self.glimpses.get().is_some_and(|glimpse| glimpse.is_as(reader, seen));
        if !same {
            self.remove_consumer(waiter);
        }
        same
    }

    /// How long a reader waits for the locks: a disk that is not known to be slow is done soon, mostly.
    fn patience(&self) -> Duration {
        if self.is_slow() { Duration::ZERO } else { PATIENCE }
    }

    fn seen(&self, glimpse: &Glimpse, request: &ReadRequest<'_>) -> Option<ReadResult> {
        let Reader::Replica { id, broker_epoch } = request.reader else {
            return glimpse.read(request);
        };
        if self.neighbours().leader_throttle.is_limited() {
            return None;
        }
        let seen = glimpse.read(request)?;
        let place = Event::FollowerFetched {
            replica: id,
            fetch_offset: request.offset,
            log_start: request.log_start,
            broker_epoch,
        };
        (!request.counts || self.glimpses.keep(id, place)).then_some(seen)
    }
}

#[cfg(test)]
pub(super) mod tests;
