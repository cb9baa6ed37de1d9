//! Transactions that take too long are aborted; ids out of use are forgotten.
//!
//! Records have the time of a wall clock, which may have been set back since, or was another coordinator's: a transaction that was
//! watched for as long as it may take ends, too.

use std::sync::Arc;

use base::time::Now;
use base::{MonoMs, ProducerId};
use coordinator::Producer;

use rpds::RedBlackTreeMapSync;

use super::{TransactionShard, decided};
use crate::record::TransactionRecord;
use crate::request::TimeOut;
use crate::transaction::Transaction;
use crate::view::View;

/// Since when a transaction that may time out is known here.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Watched {
    producer: Producer,
    start_ms: i64,
    since: MonoMs,
}

/// By transactional id.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Watch(RedBlackTreeMapSync<Arc<str>, Watched>);

impl Default for Watch {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl Watch {
    fn of(&self, id: &str, transaction: &Transaction) -> Option<&Watched> {
        let known = self.0.get(id);
        known.filter(|one| {
            (one.producer, one.start_ms) == (transaction.producer, transaction.start_ms)
        })
    }

    fn is_over(&self, id: &str, transaction: &Transaction, now: Now) -> bool {
        let watched = self.of(id, transaction);
        transaction.is_timed_out(now.wall.0)
            || watched.is_some_and(|one| transaction.is_timed_out_after(now.mono.since(one.since)))
    }
}

impl TransactionShard {
    fn watch(&mut self, now: Now) {
        let mut next = RedBlackTreeMapSync::new_sync();
        for id in self.ongoing() {
            let Some(transaction) = self.transactions.get(id) else { continue };
            let (producer, start_ms) = (transaction.producer, transaction.start_ms);
            let fresh = Watched { producer, start_ms, since: now.mono };
            next.insert_mut(
                Arc::clone(id),
                self.watch.of(id, transaction).copied().unwrap_or(fresh),
            );
        }
        self.watch = Watch(next);
    }

    /// The aborts have a new epoch, which shuts out the producers.
    pub(super) fn abort_timed_out(&mut self, now: Now, view: &View) -> Vec<TransactionRecord> {
        self.watch(now);
        let (mut records, mut need_ids) = (Vec::new(), Vec::new());
        for id in self.ongoing() {
            let Some(transaction) = self.transactions.get(id) else { continue };
            if !self.watch.is_over(id, transaction, now) {
                continue;
            }
            if transaction.needs_next_id(view.transaction_version) {
                need_ids.push(Arc::clone(id));
            } else {
                records.extend(aborted(id, transaction, None, now, view));
            }
        }
        for id in need_ids {
            self.duties.add(&id);
        }
        records
    }

    /// One that waited for a producer id.
    pub(super) fn time_out(&self, now: Now, ask: &TimeOut, view: &View) -> Vec<TransactionRecord> {
        let id = &ask.transactional_id;
        let waits = |transaction: &&Transaction| {
            transaction.producer == ask.producer && self.watch.is_over(id, transaction, now)
        };
        let Some(transaction) = self.get(id).filter(waits) else { return Vec::new() };
        let needs_id = transaction.needs_next_id(view.transaction_version);
        aborted(id, transaction, needs_id.then_some(ask.fresh), now, view)
    }

    pub(super) fn forget_expired(&self, now: Now, view: &View) -> Vec<TransactionRecord> {
        let expiration_ms = view.config.expiration_ms;
        let expired =
            self.transactions().filter(|(_, one)| one.is_expired(now.wall.0, expiration_ms));
        let tombstone = |(id, _): (&Arc<str>, _)| TransactionRecord {
            transactional_id: Arc::clone(id),
            transaction: None,
            version: view.record_version(),
        };
        expired.map(tombstone).collect()
    }
}

fn aborted(
    id: &Arc<str>,
    transaction: &Transaction,
    next_id: Option<ProducerId>,
    now: Now,
    view: &View,
) -> Vec<TransactionRecord> {
    let next = transaction.fenced(view.transaction_version, next_id, now.wall.0);
    next.map(|next| decided(id, next, now, view)).unwrap_or_default()
}
