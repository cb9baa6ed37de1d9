//! Reading for fetches: what a consumer may see, and registering one that waits.

use std::sync::Arc;

use base::{LeaderEpoch, Offset};
use replication::Leader;
use storage::log::{FetchData, LogError};

use super::partition::{Partition, PartitionFailure};
use crate::fetch::waiter::FetchWaiter;

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub offset: Offset,
    /// The leader epoch the client believes in; negative for none.
    pub leader_epoch: LeaderEpoch,
    /// Epoch of the record before `offset`, where the client knows it: its log may have diverged from ours.
    pub last_fetched_epoch: LeaderEpoch,
    pub bytes_max: u32,
    /// The first batch is given whole, however large.
    pub whole_batch: bool,
    pub read_committed: bool,
}

/// What the partition has.
#[derive(Debug)]
pub struct ReadResult {
    pub data: Option<FetchData>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start: Offset,
    /// Where the client's log and ours part, if they do.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

impl Partition {
    pub fn read(&self, request: &ReadRequest) -> Result<ReadResult, PartitionFailure> {
        let mut state = self.lock();
        state.check_leader(request.leader_epoch)?;
        let log = &state.log;
        let diverging = match request.last_fetched_epoch {
            epoch if epoch.is_some() => diverging(log, epoch, request.offset)?,
            _ => None,
        };
        let high_watermark = log.high_watermark();
        let last_stable_offset = log.last_stable_offset();
        let upper = if request.read_committed { last_stable_offset } else { high_watermark };
        let data = match diverging {
            Some(_) => None,
            None => {
                let read = log.read(
                    request.offset,
                    request.bytes_max,
                    upper,
                    request.whole_batch,
                    request.read_committed,
                );
                match read {
                    Ok(data) => Some(data),
                    Err(error) => {
                        if error.is_disk_failure() {
                            state.stop_serving();
                        }
                        return Err(error.into());
                    }
                }
            }
        };
        let log_start = log.start_offset();
        Ok(ReadResult { data, high_watermark, last_stable_offset, log_start, diverging })
    }

    /// Registers a consumer that saw the partition at `seen` (high watermark and log start): false, when the partition has moved
    /// since, so that the consumer must look again.
    pub fn add_consumer(&self, waiter: &Arc<FetchWaiter>, seen: (Offset, Offset)) -> bool {
        let mut state = self.lock();
        let same = state.leader.as_ref().is_some_and(|l: &Leader| l.high_watermark() == seen.0)
            && state.log.start_offset() == seen.1;
        if same {
            state.consumers.add(waiter);
        }
        same
    }
}

/// KIP-595's check: the epoch that the client has last must reach up to its offset in our log, too.
fn diverging(
    log: &storage::log::Log,
    epoch: LeaderEpoch,
    offset: Offset,
) -> Result<Option<(LeaderEpoch, Offset)>, LogError> {
    match log.end_offset_for_epoch(epoch) {
        Some((ours, end)) if ours < epoch || end < offset => Ok(Some((ours, end))),
        Some(_) => Ok(None),
        None => Err(LogError::OffsetOutOfRange {
            log: log.name().to_string(),
            requested: offset,
            start: log.start_offset(),
            end: log.end_offset(),
        }),
    }
}
