//! The sender's part in transactions: one request to a coordinator at a time, and batches that must not leave any more.

use std::sync::Arc;

use base::{MonoMs, TopicPartition};

use super::{Event, Sender};
use crate::backoff;
use crate::error::Error;
use crate::producer::Shared;
use crate::producer::transaction::{Answer, Next, Pause, Request, State};

/// Until the next try when only the end of the last transaction is waited for.
const SHORT_PAUSE_MS: u64 = 20;

impl Sender {
    /// Sends the next request of the transaction if its time has come; says when to look again.
    pub(super) fn transact(&mut self, now: MonoMs) -> Option<MonoMs> {
        let shared = Arc::clone(&self.shared);
        let transactional = shared.transactional.as_ref()?;
        let mut machine = transactional.machine.lock();
        if self.closing_since.is_some() {
            machine.abort_to_close();
        }
        let incomplete = {
            let mut accumulator = shared.accumulator.lock();
            let reason = machine.error().cloned().unwrap_or(Error::TransactionAborted);
            let freed = match machine.state() {
                State::FatalError => accumulator.fail_waiting(&reason),
                State::AbortableError | State::AbortingTransaction => {
                    accumulator.fail_unsent(&reason)
                }
                _ => 0,
            };
            shared.memory.add_permits(freed);
            !accumulator.is_empty()
        };
        if now < self.next_ask {
            return Some(self.next_ask);
        }
        let request = machine.next_request(incomplete);
        // An end that had nothing to say is answered by now.
        transactional.changed.notify_waiters();
        if let Some(request) = request {
            let (shared, events) = (Arc::clone(&self.shared), self.events.clone());
            tokio::spawn(async move {
                let Some(transactional) = &shared.transactional else { return };
                let answer = transactional.ask(&request).await;
                let _ = events.send(Event::Coordinated { request, answer });
            });
        }
        None
    }

    pub(super) fn coordinated(&mut self, request: Request, answer: Answer) {
        let shared = Arc::clone(&self.shared);
        let Some(transactional) = &shared.transactional else { return };
        let ask = request.ask.clone();
        let mut machine = transactional.machine.lock();
        tracing::debug!(kind = ?request.kind(), ?answer, "a coordinator answered");
        let Next { pause, look_up } = machine.answered(request, answer);
        if look_up {
            transactional.look_up(&ask);
        }
        let usual = || shared.client.options().retry_backoff.after(1, backoff::random());
        let pause_ms = match pause {
            None => 0,
            Some(Pause::Short) => usual().min(SHORT_PAUSE_MS),
            Some(Pause::Usual { .. }) => usual(),
        };
        self.next_ask = shared.now().plus_ms(pause_ms);
        let mut accumulator = shared.accumulator.lock();
        if let Some(identity) = machine.identity()
            && accumulator.identity() != Some(identity)
        {
            accumulator.identify(identity);
        }
        transactional.changed.notify_waiters();
    }

    /// Records were given up.
    pub(super) fn records_failed(&self, error: &Error) {
        if let Some(transactional) = &self.shared.transactional {
            transactional.machine.lock().records_failed(error);
            transactional.changed.notify_waiters();
        }
    }

    /// Whether a transaction keeps a closing producer from ending.
    pub(super) fn must_end_transaction(&self, now: MonoMs) -> bool {
        let Some(transactional) = &self.shared.transactional else { return false };
        let patience_ms = self.shared.client.options().api_timeout_ms;
        let out_of_time = self.closing_since.is_some_and(|since| now >= since.plus_ms(patience_ms));
        transactional.machine.lock().ongoing() && !out_of_time
    }
}

/// Without what is not part of the transaction yet.
pub(super) fn retain_added(shared: &Shared, partitions: &mut Vec<TopicPartition>) {
    if let Some(transactional) = &shared.transactional {
        let machine = transactional.machine.lock();
        partitions.retain(|tp| machine.may_send(tp));
    }
}
