//! Transactions that take too long are aborted; ids out of use are forgotten.

use std::sync::Arc;

use base::ProducerId;
use base::time::Now;

use super::{TransactionShard, decided};
use crate::record::TransactionRecord;
use crate::request::TimeOut;
use crate::transaction::Transaction;
use crate::view::View;

impl TransactionShard {
    /// The aborts have a new epoch, which shuts out the producers.
    pub(super) fn abort_timed_out(&mut self, now: Now, view: &View) -> Vec<TransactionRecord> {
        let (mut records, mut need_ids) = (Vec::new(), Vec::new());
        for id in self.ongoing() {
            let Some(transaction) = self.transactions.get(id) else { continue };
            if !transaction.is_timed_out(now.wall.0) {
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
            transaction.producer == ask.producer && transaction.is_timed_out(now.wall.0)
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
