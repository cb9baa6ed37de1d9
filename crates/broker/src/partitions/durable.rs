//! Durable appends (`flush.messages`): records are there for followers at once, but for everybody else, and for their producer, only
//! once they are on the disk.

use std::sync::Arc;

use base::time::Now;
use base::{MonoMs, Offset};
use replication::{Event, Waiting};
use tokio::sync::oneshot;

use super::locked::Locked;
use super::partition::{Partition, Written};
use crate::clock::Clock;

impl Partition {
    /// Makes everything durable that was appended before, without the locks meanwhile. Tells whether more has come that wants it.
    pub(crate) fn flush(&self, clock: Clock) -> bool {
        let (end, prepared) = {
            let mut state = self.lock();
            let end = state.log.end_offset();
            (end, state.log.prepare_flush(end))
        };
        let done = prepared.map(|work| work.map(|work| work.run()));
        let mut state = self.lock();
        let now = clock.now();
        let flushed = match done {
            Ok(Some(done)) => state.log.complete_flush(done, now.wall),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match flushed {
            Ok(()) => state.flushed_to(end, now),
            Err(error) => state.stop_serving(&error),
        }
        let more = flushed_more(&state, end);
        state.flushing = more;
        more
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
            self.neighbours().flusher.add(Arc::clone(self));
        }
    }
}

fn flushed_more(state: &Locked<'_>, end: Offset) -> bool {
    let log = &state.log;
    log.failure().is_none() && log.end_offset() > end && log.is_flush_due_by_count()
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

    fn flushed_to(&mut self, end: Offset, now: Now) {
        let known = self.leader.as_ref().map(|leader| leader.log_end());
        // It may have been cut meanwhile, or all of it counted by a later epoch of this leader.
        let log_end = end.min(self.log.end_offset());
        if known.is_some_and(|known| known < log_end) {
            self.step(now.mono, Event::Appended { log_end });
            // A follower that has it already has to tell so again.
            self.replicas.complete_all();
        }
        for waiting in self.flushes.release(end) {
            // A producer that went away meanwhile does not matter.
            let _gone = waiting.send(Written::Committed);
        }
    }
}

#[cfg(test)]
mod tests;
