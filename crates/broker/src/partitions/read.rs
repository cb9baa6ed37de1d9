//! Reading for fetches: what a reader may see, what its fetch tells the leader, and registering one that waits.

use std::sync::Arc;

use base::{BrokerEpoch, LeaderEpoch, MonoMs, NodeId, Offset};
use metadata::Image;
use replication::{Event, FetchRefused};
use storage::log::{FetchData, Log, LogError};

use super::failure::PartitionFailure;
use super::locked::Locked;
use super::partition::Partition;
use super::preferred::Client;
use crate::fetch::waiter::{FetchWaiter, Readers, Waiters};

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    Consumer {
        read_committed: bool,
        /// It knows nothing of reading from followers.
        leader_only: bool,
    },
    /// A follower: its place tells what it has.
    Replica { id: NodeId, broker_epoch: BrokerEpoch },
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    pub reader: Reader,
    pub offset: Offset,
    /// Where the log of a replica starts.
    pub log_start: Offset,
    /// The leader epoch the reader believes in; negative for none.
    pub leader_epoch: LeaderEpoch,
    /// Epoch of the record before `offset`, where the reader knows it: its log may have diverged from ours.
    pub last_fetched_epoch: LeaderEpoch,
    pub bytes_max: u32,
    /// The first batch is given whole, however large.
    pub whole_batch: bool,
    /// What is not in memory is not waited for: [`LogError::NotCached`] says what it is.
    pub cached_only: bool,
    /// A fetch counts once, however often it is looked at.
    pub counts: bool,
    /// One that may be sent to a nearer replica.
    pub client: Option<(&'a Client, &'a Image, NodeId)>,
    pub now: MonoMs,
}

/// What the partition has.
#[derive(Debug)]
pub struct ReadResult {
    pub data: Option<FetchData>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start: Offset,
    pub log_end: Offset,
    /// Where the reader's log and ours part, if they do.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Who should rather be asked.
    pub preferred: Option<NodeId>,
}

impl Partition {
    pub(super) fn read_locked(
        &self,
        state: &mut Locked<'_>,
        request: &ReadRequest<'_>,
    ) -> Result<ReadResult, PartitionFailure> {
        state.check_reader(request)?;
        let preferred = request.client.and_then(|(client, image, own)| {
            state.preferred_replica(client, request.offset, image, own, request.now)
        });
        let diverging = match request.last_fetched_epoch {
            epoch if epoch.is_some() && preferred.is_none() => {
                diverging(&state.log, epoch, request.offset)?
            }
            _ => None,
        };
        let mut data = match diverging {
            None if preferred.is_none() => Some(state.look_up(request)?),
            _ => None,
        };
        if let (Some(data), Reader::Replica { id, .. }) = (&mut data, request.reader)
            && state.neighbours.leader_throttle.is_limited()
        {
            self.throttle(state, data, id, request.now);
        }
        if let (true, Some(_), Reader::Replica { id, broker_epoch }) =
            (request.counts, &data, request.reader)
        {
            let fetched = Event::FollowerFetched {
                replica: id,
                fetch_offset: request.offset,
                log_start: request.log_start,
                broker_epoch,
            };
            state.step(request.now, fetched);
        }
        let log = &state.log;
        Ok(ReadResult {
            data,
            high_watermark: log.high_watermark(),
            last_stable_offset: log.last_stable_offset(),
            log_start: log.start_offset(),
            log_end: log.end_offset(),
            diverging,
            preferred,
        })
    }

    /// A replica that catches up gets no more than is allowed; what all get counts.
    fn throttle(&self, state: &Locked<'_>, data: &mut FetchData, replica: NodeId, now: MonoMs) {
        let throttle = &state.neighbours.leader_throttle;
        let own = state.neighbours.own;
        if !self.settings().leader_throttled.contains(self.id().partition, own) {
            return;
        }
        let in_sync = state.leader.as_ref().is_some_and(|leader| leader.isr().contains(&replica));
        if !in_sync && throttle.is_exceeded(now) {
            data.records = None;
        }
        throttle.record(data.len() as u64, now);
    }

    /// Registers a reader that saw the partition so: false, when the partition has moved since, so that it must look again.
    pub fn add_reader(&self, waiter: &Arc<FetchWaiter>, reader: Reader, seen: &ReadResult) -> bool {
        self.lock().add_reader(waiter, reader, seen)
    }
}

impl Reader {
    /// Among whom it waits.
    pub(super) fn among(self, readers: &Readers) -> &Waiters {
        match self {
            Self::Consumer { read_committed: true, .. } => &readers.stable,
            Self::Consumer { .. } => &readers.consumers,
            Self::Replica { .. } => &readers.replicas,
        }
    }
}

impl Locked<'_> {
    pub(super) fn add_reader(
        &self,
        waiter: &Arc<FetchWaiter>,
        reader: Reader,
        seen: &ReadResult,
    ) -> bool {
        let log = &self.log;
        if self.deleted || log.start_offset() != seen.log_start {
            return false;
        }
        let same = match reader {
            Reader::Consumer { read_committed: true, .. } => {
                log.last_stable_offset() == seen.last_stable_offset
            }
            Reader::Consumer { .. } => log.high_watermark() == seen.high_watermark,
            Reader::Replica { .. } => log.end_offset() == seen.log_end,
        };
        if same {
            reader.among(&self.readers).add(waiter);
        }
        same
    }

    fn check_reader(&self, request: &ReadRequest<'_>) -> Result<(), PartitionFailure> {
        let epoch = request.leader_epoch;
        let (id, broker_epoch) = match request.reader {
            Reader::Consumer { leader_only: false, .. } => return self.check_replica(epoch),
            Reader::Consumer { .. } => return self.check_leader(epoch).map(drop),
            Reader::Replica { id, broker_epoch } => (id, broker_epoch),
        };
        let ours = self.check_leader(epoch)?;
        let Some(leader) = &self.leader else { return Err(PartitionFailure::NotLeader) };
        match leader.check_fetch(id, broker_epoch, self.neighbours) {
            Ok(()) => Ok(()),
            // A replica that the metadata here does not know yet, perhaps: it tries again.
            Err(FetchRefused::UnknownReplica) if epoch.is_some() => {
                Err(PartitionFailure::UnknownLeaderEpoch { ours })
            }
            Err(_) => Err(PartitionFailure::NotLeader),
        }
    }

    fn look_up(&mut self, request: &ReadRequest<'_>) -> Result<FetchData, PartitionFailure> {
        let log = &mut self.log;
        let (upper, read_committed) = match request.reader {
            Reader::Consumer { read_committed: true, .. } => (log.last_stable_offset(), true),
            Reader::Consumer { .. } => (log.high_watermark(), false),
            Reader::Replica { .. } => (log.end_offset(), false),
        };
        let (offset, bytes_max) = (request.offset, request.bytes_max);
        let whole_batch = request.whole_batch;
        let read = match request.cached_only {
            true => log.read_cached(offset, bytes_max, upper, whole_batch, read_committed),
            false => log.read(offset, bytes_max, upper, whole_batch, read_committed),
        };
        read.map_err(|error| {
            if error.is_disk_failure() {
                self.stop_serving(&error);
            }
            error.into()
        })
    }
}

/// KIP-595's check: the epoch that the reader has last must reach up to its offset in our log, too.
pub(super) fn diverging(
    log: &Log,
    epoch: LeaderEpoch,
    offset: Offset,
) -> Result<Option<(LeaderEpoch, Offset)>, LogError> {
    let out_of_range = || LogError::OffsetOutOfRange {
        log: log.name().to_string(),
        requested: offset,
        start: log.start_offset(),
        end: log.end_offset(),
    };
    if offset < log.start_offset() {
        return Err(out_of_range());
    }
    match log.end_offset_for_epoch(epoch) {
        Some((ours, end)) if ours < epoch || end < offset => Ok(Some((ours, end))),
        Some(_) => Ok(None),
        None => Err(out_of_range()),
    }
}
