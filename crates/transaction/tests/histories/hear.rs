//! What comes back, and what must hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Offset, ProducerEpoch, ProducerId};
use coordinator::{Event, Producer, Shard};
use transaction::{
    Duty, EndTxn, Reply, Request, State, TimeOut, Transaction, TransactionRecord, TransactionShard,
    Verdict, Written, invariants,
};

use super::world::{Sending, TIMEOUT_MS, World};

impl World {
    /// Takes in what the shard has said.
    pub fn hear(&mut self) {
        for duty in std::mem::take(&mut self.test.duties) {
            match duty {
                Duty::Markers(markers) => {
                    let left = markers.partitions.iter().cloned().collect();
                    self.sending.push(Sending { markers, left });
                }
                Duty::ProducerId { transactional_id, producer } => {
                    let fresh = self.fresh();
                    self.ask(Request::TimeOut(TimeOut { transactional_id, producer, fresh }));
                }
            }
        }
        for (id, reply) in std::mem::take(&mut self.test.replies) {
            // Some answers get lost, but not those between the driver and its shard.
            let Some(asked) = self.asked.remove(&id) else { continue };
            match (asked, reply) {
                (Request::Markers(written), Ok(Reply::Markers(verdicts))) => {
                    self.judge(&written, &verdicts);
                }
                (Request::Markers(_), Err(_)) => {}
                (Request::InitProducerId(mut ask), Ok(Reply::NeedsProducerId)) => {
                    assert_eq!(ask.fresh, None, "{ask:?}");
                    ask.fresh = Some(self.fresh());
                    self.ask(Request::InitProducerId(ask));
                }
                (Request::EndTxn(mut ask), Ok(Reply::NeedsProducerId)) => {
                    assert_eq!(ask.fresh, None, "{ask:?}");
                    ask.fresh = Some(self.fresh());
                    self.ask(Request::EndTxn(ask));
                }
                (Request::InitProducerId(ask), Ok(Reply::InitProducerId(Ok(producer)))) => {
                    let id = ask.request.transactional_id.unwrap();
                    self.producers.push((Arc::from(&*id), producer));
                }
                (Request::EndTxn(ask), Ok(Reply::EndTxn(Ok(producer)))) => {
                    self.is_in_log(&ask);
                    if producer.id != ProducerId::NONE {
                        self.producers.push((ask.transactional_id, producer));
                    }
                }
                _ => {}
            }
        }
    }

    pub fn judge(&mut self, written: &[Written], verdicts: &[Verdict]) {
        assert_eq!(written.len(), verdicts.len());
        for (one, verdict) in written.iter().zip(verdicts) {
            let is_it = |sending: &Sending| {
                sending.markers.transactional_id == one.transactional_id
                    && sending.markers.number == one.number
            };
            let again = match verdict {
                Verdict::Again(again) => again.as_slice(),
                Verdict::Done => &[],
                Verdict::Void | Verdict::Abandoned(_) => {
                    self.sending.retain(|sending| !is_it(sending));
                    continue;
                }
            };
            for sending in self.sending.iter_mut().filter(|sending| is_it(sending)) {
                for (partition, _) in &one.outcomes {
                    if !again.contains(partition) {
                        sending.left.remove(partition);
                    }
                }
            }
            self.sending.retain(|sending| !is_it(sending) || !sending.left.is_empty());
        }
    }

    /// What a client is told of its transaction is in the log.
    pub fn is_in_log(&self, ask: &EndTxn) {
        // In the first generation a client that asks twice, or after the coordinator, is told that all is as it wants it.
        let states = if ask.commit {
            [State::PrepareCommit, State::CompleteCommit]
        } else {
            [State::PrepareAbort, State::CompleteAbort]
        };
        let ahead = i16::from(ask.version >= 5);
        let epoch = ProducerEpoch(ask.producer.epoch.get() + ahead);
        let found = self.log().into_iter().any(|record| {
            record.transactional_id == ask.transactional_id
                && record.transaction.is_some_and(|one| {
                    states.contains(&one.state)
                        && one.producer == Producer { epoch, ..ask.producer }
                })
        });
        assert!(found, "{ask:?} was granted and is not in the log");
    }

    pub fn log(&self) -> Vec<TransactionRecord> {
        let records = self.test.log.iter().flatten();
        let decode = |key, value| TransactionShard::decode(key, value).unwrap().unwrap();
        records.map(|one| decode(&one.key, one.value.as_deref())).collect()
    }

    pub fn look(&mut self) {
        let runtime = &self.test.runtime;
        for shard in [runtime.tip(), runtime.committed()] {
            invariants::states_are_sound(shard).unwrap();
            invariants::producer_ids_have_one_owner(shard).unwrap();
        }
        let log = self.log();
        invariants::lives_are_possible(&log).unwrap();
        let mut decided: BTreeMap<&Arc<str>, &Transaction> = BTreeMap::new();
        for (at, record) in log.iter().enumerate() {
            let (id, Some(transaction)) = (&record.transactional_id, &record.transaction) else {
                continue;
            };
            if transaction.state.decided().is_some() {
                decided.insert(id, transaction);
            }
            let is_complete =
                matches!(transaction.state, State::CompleteCommit | State::CompleteAbort);
            // What is written once more, for an answer, has none.
            let decision = is_complete.then(|| decided.remove(id)).flatten();
            if let Some(decision) = decision.filter(|_| at >= self.log_checked) {
                let key = (Arc::clone(id), decision.producer.id, decision.producer.epoch);
                // In the first generation the next transaction has the same epoch, and needs markers of its own.
                let marked = self.marked.remove(&key).unwrap_or_default();
                invariants::all_have_markers(id, decision, &marked).unwrap();
            }
        }
        self.log_checked = log.len();
    }

    pub fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::default();
        for record in self.log() {
            shard.replay(Offset::ZERO, None, &record);
        }
        shard
    }

    /// Nothing goes wrong any more.
    pub fn settle(&mut self) {
        self.test.append_error = None;
        self.test.hold_commits = false;
        // Answers may ask for more: a producer id that was needed.
        for _ in 0..4 {
            self.test.event(Event::Drained);
            self.test.commit();
            self.hear();
        }
        invariants::same_durable_state(self.test.runtime.tip(), &self.replayed()).unwrap();
        for _ in 0..20 {
            self.send_markers(true);
            self.test.advance(u64::try_from(TIMEOUT_MS).unwrap() / 2);
            self.hear();
            self.look();
        }
    }
}
