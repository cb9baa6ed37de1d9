//! One producer's transactions: what may be called when, which requests follow, what their answers mean.
//!
//! Must not know: sockets, clocks, batches. Who sends calls [`Transaction::next_request`] and [`Transaction::answered`].

mod answers;
mod meaning;
mod request;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::TopicPartition;

pub use meaning::{Kind, Meaning};
pub use request::{Answer, Ask, GroupMetadata, Next, Operation, Pause, Request};
pub use state::State;

use super::sequences::Identity;
use crate::error::{Error, Result, TransactionFault};
use crate::group::Offsets;

/// The level of `transaction.version` from which on servers add partitions themselves.
const FIRST_V2: i16 = 2;

/// A call that changes the state and is not answered for good.
#[derive(Clone, Copy, Debug)]
struct Transition {
    name: &'static str,
    operation: Operation,
}

#[derive(Debug)]
pub struct Transaction {
    id: Arc<str>,
    state: State,
    identity: Option<Identity>,
    error: Option<Error>,
    /// Whether the next transaction is one of the second version, and whether this one is.
    v2: bool,
    sends_v2: bool,
    /// Of the newest finalized features that were looked at.
    features_epoch: i64,
    /// The next epoch must be asked for when the transaction has ended.
    bump_wanted: bool,
    /// Something may be part of it at the coordinator.
    started: bool,
    /// Partitions of the transaction: not asked for yet, asked for, in it.
    new: BTreeSet<TopicPartition>,
    pending: BTreeSet<TopicPartition>,
    added: BTreeSet<TopicPartition>,
    waiting: VecDeque<Request>,
    under_way: bool,
    transition: Option<Transition>,
    outcomes: BTreeMap<Operation, Option<Result<()>>>,
    next_operation: u64,
}

impl Transaction {
    pub fn new(transactional_id: &str) -> Self {
        Self {
            id: transactional_id.into(),
            state: State::Uninitialized,
            identity: None,
            error: None,
            v2: false,
            sends_v2: false,
            features_epoch: -1,
            bump_wanted: false,
            started: false,
            new: BTreeSet::new(),
            pending: BTreeSet::new(),
            added: BTreeSet::new(),
            waiting: VecDeque::new(),
            under_way: false,
            transition: None,
            outcomes: BTreeMap::new(),
            next_operation: 0,
        }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether records of this transaction are sent as in the second version.
    pub fn sends_v2(&self) -> bool {
        self.sends_v2
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Whether something is begun that has not ended.
    pub fn ongoing(&self) -> bool {
        matches!(self.state, State::InTransaction | State::AbortableError)
            || self.state.completing()
    }

    /// What the servers have finalized. It counts from the next transaction on; a change to the second version asks for a
    /// new epoch first, which ends what partitions may believe to be part of the old one.
    pub fn features(&mut self, epoch: i64, transaction_version: i16, initializing: bool) {
        if self.features_epoch >= epoch {
            return;
        }
        self.features_epoch = epoch;
        let before = std::mem::replace(&mut self.v2, transaction_version >= FIRST_V2);
        self.bump_wanted |= !initializing && !before && self.v2;
    }

    /// Asks for an identity, which fences older producers of the same id.
    pub fn init(&mut self) -> Result<Operation> {
        if let Some(operation) = self.joined("initTransactions")? {
            return Ok(operation);
        }
        self.check()?;
        self.change_by_caller(State::Initializing)?;
        let operation = self.operation();
        self.enqueue(Ask::Init { bump: false }, self.v2, Some(operation));
        self.transition = Some(Transition { name: "initTransactions", operation });
        Ok(operation)
    }

    pub fn begin(&mut self) -> Result<()> {
        self.no_transition("beginTransaction")?;
        self.check()?;
        self.change_by_caller(State::InTransaction)?;
        self.sends_v2 = self.v2;
        self.outcomes.clear();
        Ok(())
    }

    /// A record for this partition is about to be sent.
    pub fn add_partition(&mut self, tp: &TopicPartition) -> Result<()> {
        self.check()?;
        self.no_transition("send")?;
        if self.identity.is_none() {
            return Err(Error::IllegalState(
                format!(
                    "Cannot add partition {tp} to transaction before completing a call to initTransactions"
                )
                .into(),
            ));
        }
        if self.state != State::InTransaction {
            let state = self.state.name();
            return Err(Error::IllegalState(
                format!("Cannot add partition {tp} to transaction while in state  {state}").into(),
            ));
        }
        if self.added.contains(tp) || self.pending.contains(tp) {
            return Ok(());
        }
        if self.v2 {
            self.added.insert(tp.clone());
            self.started = true;
        } else {
            self.new.insert(tp.clone());
        }
        Ok(())
    }

    /// Whether batches of this partition may leave.
    pub fn may_send(&self, tp: &TopicPartition) -> bool {
        self.state != State::FatalError && self.added.contains(tp)
    }

    /// Commits a group's offsets as a part of the transaction.
    pub fn send_offsets(&mut self, group: GroupMetadata, offsets: Offsets) -> Result<Operation> {
        self.no_transition("sendOffsetsToTransaction")?;
        self.check()?;
        if self.state != State::InTransaction {
            return Err(Error::IllegalState(
                format!(
                    "Cannot send offsets if a transaction is not in progress (currentState= {})",
                    self.state.name()
                )
                .into(),
            ));
        }
        let operation = self.operation();
        let ask = if self.v2 {
            self.started = true;
            Ask::CommitOffsets { group, offsets }
        } else {
            Ask::AddOffsets { group, offsets }
        };
        self.enqueue(ask, self.v2, Some(operation));
        Ok(operation)
    }

    /// Commits when all that was sent is stored.
    pub fn commit(&mut self) -> Result<Operation> {
        if let Some(operation) = self.joined("commitTransaction")? {
            return Ok(operation);
        }
        self.check()?;
        self.change_by_caller(State::CommittingTransaction)?;
        Ok(self.end("commitTransaction", true))
    }

    pub fn abort(&mut self) -> Result<Operation> {
        if let Some(operation) = self.joined("abortTransaction")? {
            return Ok(operation);
        }
        if self.state != State::AbortableError {
            self.check()?;
        }
        self.change_by_caller(State::AbortingTransaction)?;
        self.new.clear();
        Ok(self.end("abortTransaction", false))
    }

    /// The producer closes: what is open is aborted, whatever call is not answered.
    pub fn abort_to_close(&mut self) {
        if self.ongoing() && !self.state.completing() {
            self.transition = None;
            if self.abort().is_err() {
                self.fail(Error::Closed);
            }
        }
    }

    /// The caller looks at the servers' features between this and the request's way: it ends as it began.
    fn end(&mut self, name: &'static str, commit: bool) -> Operation {
        let operation = self.operation();
        self.ask_for_new_partitions();
        self.enqueue(Ask::End { commit }, self.v2, Some(operation));
        self.transition = Some(Transition { name, operation });
        operation
    }

    /// The next request, if one may leave. `incomplete`: records are still on their way, an end has to wait for them.
    pub fn next_request(&mut self, incomplete: bool) -> Option<Request> {
        if self.under_way || self.state.failed() {
            return None;
        }
        self.ask_for_new_partitions();
        loop {
            let next = self.waiting.front()?;
            let ends = matches!(next.ask, Ask::End { .. });
            if ends && incomplete {
                return None;
            }
            let mut next = self.waiting.pop_front()?;
            if ends && !self.started {
                // The coordinator knows of nothing that could end.
                self.ended(next.operation);
                continue;
            }
            if next.identity.is_none() {
                next.identity = self.identity;
            }
            self.under_way = true;
            return Some(next);
        }
    }

    /// The answer of a call when it is there; given once.
    pub fn take_outcome(&mut self, operation: Operation) -> Option<Result<()>> {
        let outcome = match self.outcomes.get_mut(&operation) {
            Some(outcome) => outcome.take()?,
            // Nobody waits for it any more.
            None => Err(Error::Closed),
        };
        self.outcomes.remove(&operation);
        if self.transition.is_some_and(|transition| transition.operation == operation) {
            self.transition = None;
        }
        Some(outcome)
    }

    /// Records that could not be sent make a transaction that can only be aborted.
    pub fn records_failed(&mut self, error: &Error) {
        if self.state == State::AbortingTransaction || !self.ongoing() {
            return;
        }
        let meaning = error.code().map(|code| Meaning::of(Kind::Produce, code));
        match meaning.unwrap_or(Meaning::AbortableWithNewEpoch) {
            Meaning::Fenced | Meaning::Fatal => self.fail(error.clone()),
            _ => {
                self.bump_wanted |= !self.v2 && !self.state.completing();
                self.must_abort(error.clone());
            }
        }
    }

    fn operation(&mut self) -> Operation {
        self.next_operation += 1;
        let operation = Operation(self.next_operation);
        self.outcomes.insert(operation, None);
        operation
    }

    fn enqueue(&mut self, ask: Ask, v2: bool, operation: Option<Operation>) {
        let identity = self.identity;
        self.put_in_line(Request { ask, identity, v2, attempts: 0, operation });
    }

    fn put_in_line(&mut self, request: Request) {
        let before = |other: &&Request| other.priority() <= request.priority();
        let at = self.waiting.iter().take_while(before).count();
        self.waiting.insert(at, request);
    }

    fn ask_for_new_partitions(&mut self) {
        if self.new.is_empty() {
            return;
        }
        self.pending.append(&mut self.new);
        let partitions = self.pending.iter().cloned().collect();
        self.enqueue(Ask::AddPartitions(partitions), self.v2, None);
    }

    /// The call that is not answered yet, if it is the same; another one must wait.
    fn joined(&mut self, name: &'static str) -> Result<Option<Operation>> {
        match self.transition {
            Some(transition) if transition.name == name => Ok(Some(transition.operation)),
            _ => self.no_transition(name).map(|()| None),
        }
    }

    fn no_transition(&self, name: &'static str) -> Result<()> {
        let Some(transition) = self.transition else { return Ok(()) };
        let before = transition.name;
        Err(Error::IllegalState(
            format!(
                "Cannot attempt operation `{name}` because the previous call to `{before}` timed out and must be retried"
            )
            .into(),
        ))
    }

    /// What failed stays failed.
    fn check(&self) -> Result<()> {
        let Some(error) = &self.error else { return Ok(()) };
        let fault = match self.state {
            State::AbortableError => TransactionFault::Abortable,
            State::FatalError => TransactionFault::Fatal,
            _ => return Ok(()),
        };
        Err(Error::Transaction { fault, source: Box::new(error.clone()) })
    }

    /// A call that does not fit is the caller's fault, and changes nothing.
    fn change_by_caller(&mut self, next: State) -> Result<()> {
        if !self.state.may_become(next) {
            return Err(self.invalid(next));
        }
        self.state = next;
        self.error = None;
        Ok(())
    }

    fn invalid(&self, next: State) -> Error {
        let (id, from, to) = (&self.id, self.state.name(), next.name());
        Error::IllegalState(
            format!(
                "TransactionalId {id}: Invalid transition attempted from state {from} to state {to}"
            )
            .into(),
        )
    }
}
