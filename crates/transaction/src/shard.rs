//! One partition of `__transaction_state` as a state machine.

use std::sync::Arc;

use base::Offset;
use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::{Decision, LogRecord, Producer, Shard};
use protocol::{DecodeError, EncodeError, ErrorCode};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use self::duties::Duties;
use self::timers::Watch;
use crate::record::TransactionRecord;
use crate::request::{Duty, Query, Reply, Request, Timer};
use crate::state::State;
use crate::transaction::Transaction;
use crate::view::View;

mod add_partitions;
mod describe;
mod duties;
mod end_txn;
mod init_producer_id;
mod markers;
mod timers;
mod verify;

#[derive(Clone, PartialEq, Debug)]
pub struct TransactionShard {
    transactions: RedBlackTreeMapSync<Arc<str>, Transaction>,
    /// Those that may time out.
    ongoing: RedBlackTreeSetSync<Arc<str>>,
    duties: Duties,
    watch: Watch,
}

impl Default for TransactionShard {
    fn default() -> Self {
        Self {
            transactions: RedBlackTreeMapSync::new_sync(),
            ongoing: RedBlackTreeSetSync::new_sync(),
            duties: Duties::default(),
            watch: Watch::default(),
        }
    }
}

/// Why a request changes nothing.
enum Refusal {
    Error(ErrorCode),
    NeedsProducerId,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self::Error(error)
    }
}

impl TransactionShard {
    /// All, by transactional id.
    pub fn transactions(&self) -> impl Iterator<Item = (&Arc<str>, &Transaction)> {
        self.transactions.iter()
    }

    pub fn get(&self, transactional_id: &str) -> Option<&Transaction> {
        self.transactions.get(transactional_id)
    }

    /// How many ids it knows.
    pub fn len(&self) -> usize {
        self.transactions.size()
    }

    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    pub(crate) fn ongoing(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ongoing.iter()
    }

    pub(crate) fn has_duty(&self, transactional_id: &str) -> bool {
        self.duties.number(transactional_id).is_some()
    }
}

/// The records of a decision.
fn written(transactional_id: &Arc<str>, next: Transaction, view: &View) -> TransactionRecord {
    TransactionRecord {
        transactional_id: Arc::clone(transactional_id),
        transaction: Some(next),
        version: view.record_version(),
    }
}

/// A decided transaction, and its completion when no partition waits for a marker.
fn decided(
    transactional_id: &Arc<str>,
    next: Transaction,
    now: Now,
    view: &View,
) -> Vec<TransactionRecord> {
    let completed = next.partitions.is_empty().then(|| next.completed(now.wall.0)).flatten();
    let mut records = vec![written(transactional_id, next, view)];
    records.extend(completed.map(|completed| written(transactional_id, completed, view)));
    records
}

impl Shard for TransactionShard {
    type Request = Request;
    type Query = Query;
    type Reply = Reply;
    type Timer = Timer;
    type Record = TransactionRecord;
    type Duty = Duty;
    type View = View;

    fn handle(&mut self, now: Now, id: ReplyId, request: Request, view: &View) -> Decision<Self> {
        let (records, reply) = match request {
            Request::InitProducerId(ask) => self.init_producer_id(now, &ask, view),
            Request::AddPartitions(ask) => self.add_partitions(now, &ask, view),
            Request::EndTxn(ask) => self.end_txn(now, &ask, view),
            Request::TimeOut(ask) => (self.time_out(now, &ask, view), Reply::Done),
            Request::Markers(written) => {
                let (records, verdicts) = self.markers_written(now, &written, view);
                // Each transaction ends for itself.
                let reply = vec![(id, Reply::Markers(verdicts))];
                return Outcome { records, reply, timers: Vec::new(), atomic: false };
            }
        };
        Outcome::atomic(records, vec![(id, reply)])
    }

    fn query(&self, query: Query, _view: &View) -> Reply {
        match query {
            Query::Verify(ask) => Reply::Verify(self.verify(ask)),
            Query::Describe(transactional_id) => Reply::Describe(self.describe(&transactional_id)),
            Query::List(filters) => Reply::List(self.list(&filters)),
        }
    }

    fn on_timer(&mut self, now: Now, timer: Timer, view: &View) -> Decision<Self> {
        let records = match timer {
            Timer::Timeouts => self.abort_timed_out(now, view),
            Timer::Expiry => self.forget_expired(now, view),
        };
        Outcome { records, reply: Vec::new(), timers: vec![again(timer, now, view)], atomic: false }
    }

    fn loaded(&mut self, now: Now, view: &View) -> Decision<Self> {
        let timers = [Timer::Timeouts, Timer::Expiry].map(|timer| again(timer, now, view)).into();
        Outcome { timers, ..Outcome::reply(Vec::new()) }
    }

    fn duties(&self, after: u64) -> Vec<(u64, Duty)> {
        let due = self.duties.after(after);
        due.filter_map(|(number, id)| Some((number, self.duty(number, id)?))).collect()
    }

    /// Outcomes of markers may still be on their way: the numbers of duties go on.
    fn anew(&self, blank: &Self) -> Self {
        Self { duties: self.duties.anew(), ..blank.clone() }
    }

    fn replay(&mut self, _: Offset, _: Option<Producer>, record: &TransactionRecord) {
        let id = &record.transactional_id;
        let state = record.transaction.as_ref().map(|transaction| transaction.state);
        match &record.transaction {
            Some(transaction) => {
                self.transactions.insert_mut(Arc::clone(id), transaction.clone());
            }
            None => {
                self.transactions.remove_mut(id);
            }
        }
        if state == Some(State::Ongoing) {
            self.ongoing.insert_mut(Arc::clone(id));
        } else {
            self.ongoing.remove_mut(id);
        }
        if state.and_then(State::decided).is_some() {
            self.duties.add(id);
        } else {
            self.duties.remove(id);
        }
    }

    /// Nothing is written here in a transaction.
    fn replay_marker(&mut self, _: Producer, _: bool) {}

    fn encode(record: &TransactionRecord) -> Result<LogRecord, EncodeError> {
        record.encode()
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<TransactionRecord>, DecodeError> {
        TransactionRecord::decode(key, value)
    }
}

fn again(timer: Timer, now: Now, view: &View) -> TimerChange<Timer> {
    let after_ms = match timer {
        Timer::Timeouts => view.config.timeout_check_ms,
        Timer::Expiry => view.config.expiry_check_ms,
    };
    TimerChange::Set { key: timer, at: now.mono.plus_ms(after_ms) }
}
