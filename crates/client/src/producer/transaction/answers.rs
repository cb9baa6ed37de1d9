//! What answers do to the state.

use base::TopicPartition;
use protocol::ErrorCode;

use super::{Answer, Ask, Kind, Meaning, Next, Operation, Pause, Request, State, Transaction};
use crate::error::{Error, Result, TransactionFault};

impl Transaction {
    /// The answer to the request that was under way.
    pub fn answered(&mut self, request: Request, answer: Answer) -> Next {
        self.under_way = false;
        if self.state == State::FatalError {
            self.settle(request.operation, self.failure());
            return Next::default();
        }
        match answer {
            Answer::Done => self.done(request),
            Answer::Identified(identity) => {
                self.identity = Some(identity);
                self.done(request)
            }
            Answer::Partitions(codes) => self.partitions_answered(request, &codes),
            Answer::Refused(error, code) => {
                let meaning = Meaning::of(request.kind(), code);
                self.refused(request, meaning, error)
            }
            Answer::NotFound(error, code) => {
                let meaning = Meaning::of(Kind::Lookup, code);
                self.refused(request, meaning, error)
            }
            Answer::Lost(error) => self.refused(request, Meaning::Elsewhere, error),
            Answer::Impossible(error) => self.refused(request, Meaning::Fatal, error),
        }
    }

    fn done(&mut self, request: Request) -> Next {
        let Request { ask, operation, v2, .. } = request;
        match ask {
            Ask::Init { .. } => {
                if self.change(State::Ready) {
                    self.settle(operation, Ok(()));
                }
            }
            Ask::AddPartitions(partitions) => {
                self.pending.retain(|tp| !partitions.contains(tp));
                self.added.extend(partitions);
                self.started = true;
            }
            Ask::AddOffsets { group, offsets } => {
                self.started = true;
                // The call is answered when the group's coordinator has them.
                self.enqueue(Ask::CommitOffsets { group, offsets }, v2, operation);
            }
            Ask::CommitOffsets { .. } => self.settle(operation, Ok(())),
            Ask::End { .. } => self.ended(operation),
        }
        Next::default()
    }

    /// The transaction is over; a new epoch may have to be asked for, and the call is answered after that.
    pub(super) fn ended(&mut self, operation: Option<Operation>) {
        self.started = false;
        self.new.clear();
        self.pending.clear();
        self.added.clear();
        let bump = std::mem::take(&mut self.bump_wanted);
        if !self.change(if bump { State::Initializing } else { State::Ready }) {
            return;
        }
        if bump {
            self.enqueue(Ask::Init { bump }, self.v2, operation);
        } else {
            self.settle(operation, Ok(()));
        }
    }

    /// The worst of the codes counts; of offsets, those that are stored need not go again.
    fn partitions_answered(
        &mut self,
        mut request: Request,
        codes: &[(TopicPartition, ErrorCode)],
    ) -> Next {
        let kind = request.kind();
        let meant = |code: ErrorCode| Meaning::of(kind, code);
        let refused = codes.iter().filter(|(_, code)| !code.is_none());
        let worst = refused.max_by_key(|(_, code)| {
            // What was not tried says less than why.
            (severity(meant(*code)), *code != ErrorCode::OperationNotAttempted)
        });
        let stored = |tp: &TopicPartition| codes.iter().any(|(t, c)| t == tp && c.is_none());
        if let Ask::CommitOffsets { offsets, .. } = &mut request.ask {
            offsets.retain(|tp, _| !stored(tp));
            if worst.is_none() && !offsets.is_empty() {
                // Partitions without an answer.
                return self.again(request, false);
            }
        }
        let Some((tp, code)) = worst else { return self.done(request) };
        let meaning = meant(*code);
        if kind == Kind::AddPartitions && !matches!(meaning, Meaning::Again | Meaning::Elsewhere) {
            self.pending.clear();
        }
        if kind == Kind::AddPartitions
            && *code == ErrorCode::ConcurrentTransactions
            && self.added.is_empty()
            && meaning == Meaning::Again
        {
            // The transaction before is being completed: that does not take long.
            let next = self.again(request, false);
            return Next { pause: next.pause.map(|_| Pause::Short), ..next };
        }
        let text = format!("{tp}: {}", code.message());
        self.refused(request, meaning, Error::api(*code, Some(&text)))
    }

    fn refused(&mut self, request: Request, meaning: Meaning, error: Error) -> Next {
        let operation = request.operation;
        match meaning {
            Meaning::Again => return self.again(request, false),
            Meaning::Elsewhere => return self.again(request, true),
            Meaning::NotReady => {
                self.change(State::Uninitialized);
                self.settle(operation, Err(error));
            }
            Meaning::Abortable | Meaning::AbortableWithNewEpoch => {
                self.bump_wanted |= meaning == Meaning::AbortableWithNewEpoch && !self.v2;
                self.must_abort(error);
                self.settle(operation, self.failure());
            }
            Meaning::Fenced => {
                self.fail(Error::api(ErrorCode::ProducerFenced, None));
                self.settle(operation, self.failure());
            }
            Meaning::Fatal => {
                self.fail(error);
                self.settle(operation, self.failure());
            }
        }
        Next::default()
    }

    fn again(&mut self, mut request: Request, look_up: bool) -> Next {
        if self.state.failed() {
            self.settle(request.operation, self.failure());
            return Next { pause: None, look_up };
        }
        request.attempts = request.attempts.saturating_add(1);
        let pause = Some(Pause::Usual { failures: request.attempts });
        self.put_in_line(request);
        Next { pause, look_up }
    }

    /// The transaction can only be aborted, unless that is just being done.
    pub(super) fn must_abort(&mut self, error: Error) {
        if self.state != State::AbortingTransaction && self.change(State::AbortableError) {
            self.error = Some(error);
            self.fail_all_calls();
        }
    }

    /// Nothing works any more.
    pub fn fail(&mut self, error: Error) {
        self.state = State::FatalError;
        self.error = Some(error);
        self.fail_all_calls();
    }

    fn fail_all_calls(&mut self) {
        self.new.clear();
        for request in std::mem::take(&mut self.waiting) {
            self.settle(request.operation, self.failure());
        }
        if self.state == State::FatalError
            && let Some(transition) = self.transition
        {
            self.settle(Some(transition.operation), self.failure());
        }
    }

    /// A change that does not fit is a fault of this machine: better nothing works than something wrong.
    fn change(&mut self, next: State) -> bool {
        if !self.state.may_become(next) {
            let error = self.invalid(next);
            self.fail(error);
            return false;
        }
        self.state = next;
        self.error = None;
        true
    }

    fn settle(&mut self, operation: Option<Operation>, outcome: Result<()>) {
        if let Some(waiting) = operation.and_then(|operation| self.outcomes.get_mut(&operation))
            && waiting.is_none()
        {
            *waiting = Some(outcome);
        }
    }

    fn failure(&self) -> Result<()> {
        let fault = match self.state {
            State::FatalError => TransactionFault::Fatal,
            _ => TransactionFault::Abortable,
        };
        let source = self.error.clone().unwrap_or(Error::Closed);
        Err(Error::Transaction { fault, source: Box::new(source) })
    }
}

const fn severity(meaning: Meaning) -> u8 {
    match meaning {
        Meaning::Again => 0,
        Meaning::Elsewhere => 1,
        Meaning::NotReady => 2,
        Meaning::Abortable => 3,
        Meaning::AbortableWithNewEpoch => 4,
        Meaning::Fenced => 5,
        Meaning::Fatal => 6,
    }
}
