//! The batches of one partition that wait, and what is known of those that are with a server.

use std::collections::{BTreeSet, VecDeque};

use base::MonoMs;

use super::batch::{Batch, ORDER_STEP};
use super::sequences::{Identity, Sequences};

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    /// Orders of the batches that are with a server.
    in_flight: BTreeSet<u64>,
    not_before: MonoMs,
    next_order: u64,
    pub(super) sequences: Sequences,
}

impl Queue {
    /// Puts a batch that left before into its place among those that wait.
    pub(super) fn insert(&mut self, batch: Batch) {
        let before = |other: &Batch| other.order.is_some() && other.order < batch.order;
        let at = self.batches.iter().take_while(|other| before(other)).count();
        self.batches.insert(at, batch);
    }

    pub(super) fn waits_until(&self) -> MonoMs {
        self.not_before
    }

    pub(super) fn wait_until(&mut self, at: MonoMs) {
        self.not_before = self.not_before.max(at);
    }

    /// Whether nothing is with a server, and nothing waits to go there again.
    fn all_answered(&self) -> bool {
        self.in_flight.is_empty() && self.batches.front().is_none_or(|first| first.order.is_none())
    }

    /// Whether the first batch may leave for a producer that is `identity` (None: sequences do not matter).
    pub(super) fn sendable(&self, now: MonoMs, identity: Option<Identity>) -> bool {
        let Some(first) = self.batches.front() else { return false };
        let retried_too_early = match (first.order, self.in_flight.first()) {
            // One that comes again waits until all before it are answered.
            (Some(order), Some(lowest)) => *lowest < order,
            _ => false,
        };
        now >= self.not_before && !retried_too_early && self.in_sequence(first, identity)
    }

    fn in_sequence(&self, first: &Batch, identity: Option<Identity>) -> bool {
        if identity.is_none() {
            return true;
        }
        let stale = self.sequences.identity != identity;
        if self.sequences.has_gap() {
            // Numbered anew under the next epoch, when it is there and nothing of the old one is under way.
            return stale && self.in_flight.is_empty();
        }
        match (first.order, stale) {
            // What left before goes again as it was.
            (Some(_), _) => true,
            (None, true) => self.all_answered(),
            (None, false) => self.sequences.open(),
        }
    }

    /// Takes the first batch, which must be sendable.
    pub(super) fn take(&mut self, identity: Option<Identity>) -> Option<Batch> {
        if let Some(identity) = identity {
            self.adopt(identity);
        }
        let mut batch = self.batches.pop_front()?;
        let order = *batch.order.get_or_insert_with(|| {
            self.next_order += ORDER_STEP;
            self.next_order
        });
        if identity.is_some() && batch.sequence.is_none() {
            batch.sequence = Some(self.sequences.assign(batch.records));
            batch.identity = self.sequences.identity;
        }
        self.in_flight.insert(order);
        Some(batch)
    }

    /// Counts for a newer identity from now on, if nothing of the older one is left or a gap has ended it.
    fn adopt(&mut self, identity: Identity) {
        let ended = self.sequences.has_gap() && self.in_flight.is_empty() || self.all_answered();
        if self.sequences.identity == Some(identity) || !ended {
            return;
        }
        self.sequences = Sequences::of(identity);
        for batch in self.batches.iter_mut().filter(|batch| batch.order.is_some()) {
            batch.bytes = None;
            batch.sequence = Some(self.sequences.assign(batch.records));
            batch.identity = Some(identity);
        }
    }

    /// The batch is with no server any more. False when it was with none.
    pub(super) fn landed(&mut self, batch: &Batch) -> bool {
        batch.order.is_some_and(|order| self.in_flight.remove(&order))
    }

    /// Whether all batches before this one are answered for good: none is with a server, none waits to go again.
    pub(super) fn is_next_to_answer(&self, batch: &Batch) -> bool {
        let in_flight = self.in_flight.first().copied();
        let waiting = self.batches.front().and_then(|first| first.order);
        let before = |order: Option<u64>| order.is_some_and(|order| Some(order) < batch.order);
        !before(in_flight) && !before(waiting)
    }

    /// True when a gap came to light.
    pub(super) fn settle(&mut self) -> bool {
        self.all_answered() && self.sequences.settle()
    }
}
