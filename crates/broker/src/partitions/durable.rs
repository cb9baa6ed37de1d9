//! Durable appends (`flush.messages`): records are there for followers at once, but for everybody else, and for their producer, only
//! once they are on the disk.

use std::path::Path;
use std::sync::Arc;

use base::time::Now;
use base::{MonoMs, Offset};
use parking_lot::ArcRwLockWriteGuard;
use replication::{Event, Waiting};
use storage::log::store_epochs;
use tokio::sync::oneshot;

use super::locked::Locked;
use super::partition::{Partition, Written};

impl Partition {
    /// Makes everything durable that was appended before, without the locks meanwhile. Tells whether more has come that wants it.
    fn flush(&self) -> bool {
        let log = Arc::clone(ArcRwLockWriteGuard::rwlock(&self.lock().log));
        let prepared = store_epochs(&log).and_then(|()| {
            let mut log = log.write();
            let end = log.end_offset();
            log.prepare_flush(end)
        });
        let done = prepared.map(|work| work.map(|work| work.run()));
        let mut state = self.lock();
        if !Arc::ptr_eq(&log, ArcRwLockWriteGuard::rwlock(&state.log)) {
            // Its copy serves by now: it is there that everything has to be durable.
            return true;
        }
        let now = self.neighbours().clock.now();
        let flushed = match done {
            Ok(Some(done)) => state.log.complete_flush(done, now.wall),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let more = match flushed {
            Ok(()) => {
                let counted = state.counted_end();
                state.flushed_to(counted, now);
                state.log.owes_flush()
            }
            Err(error) => {
                state.stop_serving(&error);
                false
            }
        };
        state.flushing = more;
        more
    }

    /// Completes when everything that is here now is as durable as it has to be, or nobody waits for that any more; `None` if it is.
    pub async fn until_durable(self: &Arc<Self>) -> Option<oneshot::Receiver<Written>> {
        self.briefly(|state| self.until_durable_locked(state)).await
    }

    pub(super) fn until_durable_locked(
        self: &Arc<Self>,
        state: &mut Locked<'_>,
    ) -> Option<oneshot::Receiver<Written>> {
        if state.log.failure().is_some() || !state.log.owes_flush() {
            return None;
        }
        self.flush_soon(state);
        let end = state.log.end_offset();
        Some(state.wait_for_flush(end, MonoMs::NEVER))
    }

    /// Completes when everything below `offset` is committed; at once if it is.
    pub fn committed(&self, offset: Offset) -> Option<oneshot::Receiver<Written>> {
        let mut state = self.lock();
        if state.log.high_watermark() >= offset {
            return None;
        }
        let (written, waiting) = oneshot::channel();
        if state.leader.is_some() {
            state.producers.park(offset, MonoMs::NEVER, written);
        }
        Some(waiting)
    }

    /// Somebody waits for what was just appended to be durable.
    pub(super) fn flush_soon(self: &Arc<Self>, state: &mut Locked<'_>) {
        if !std::mem::replace(&mut state.flushing, true) {
            let dir = state.log.dir();
            let partition = Arc::clone(self);
            let flush = move || partition.flush();
            self.neighbours().flusher.add(dir.parent().unwrap_or(Path::new("")), flush);
        }
    }
}

fn parked(
    waiting: &mut Waiting<oneshot::Sender<Written>>,
    required: Offset,
    deadline: MonoMs,
) -> oneshot::Receiver<Written> {
    let (written, reached) = oneshot::channel();
    waiting.park(required, deadline, written);
    reached
}

impl Locked<'_> {
    /// Parks a producer with acks=all until everything before `required` is committed.
    pub(super) fn wait_for_commit(
        &mut self,
        required: Offset,
        deadline: MonoMs,
    ) -> oneshot::Receiver<Written> {
        parked(&mut self.producers, required, deadline)
    }

    /// Parks a producer with acks=1 until everything before `required` is durable.
    pub(super) fn wait_for_flush(
        &mut self,
        required: Offset,
        deadline: MonoMs,
    ) -> oneshot::Receiver<Written> {
        parked(&mut self.flushes, required, deadline)
    }

    /// Up to where the log counts: with `flush.messages` what has to be durable does when it is. What is committed was counted before,
    /// somewhere.
    pub(super) fn counted_end(&self) -> Offset {
        let log = &self.log;
        if log.owes_flush() { log.synced_end().max(log.high_watermark()) } else { log.end_offset() }
    }

    fn flushed_to(&mut self, log_end: Offset, now: Now) {
        let known = self.leader.as_ref().map(|leader| leader.log_end());
        if known.is_some_and(|known| known < log_end) {
            self.step(now.mono, Event::Appended { log_end });
            // A follower that has it already has to tell so again.
            self.readers.replicas.complete_all();
        }
        for waiting in self.flushes.release(log_end) {
            // A producer that went away meanwhile does not matter.
            let _gone = waiting.send(Written::Committed);
        }
    }
}

#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod slow_disk;
#[cfg(test)]
mod tests;
