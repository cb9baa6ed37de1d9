//! Producers: they initialize, write to a few partitions, commit or abort, and begin again. Some stop in the middle, some sleep, and some
//! do not know that another one has taken their transactional id.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{ProducerEpoch, ProducerId};
use coordinator::Producer;
use protocol::ErrorCode;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use transaction::{AddPartitions, Added, EndTxn, InitProducerId, Reply, Request};

use super::checks::{Attempt, Grant};
use super::partition::Write;
use super::world::{Answer, Ask, Event, From, REQUEST_MS, World};

const TRIES_MAX: u32 = 15;
const BACKOFF_MS: u64 = 100;
/// Values of one attempt are less than so many.
pub const VALUES_MAX: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Init,
    /// With the producer that it has.
    Recover,
    Add,
    Write,
    End {
        commit: bool,
    },
    Rest,
    Gone,
}

pub struct Client {
    id: Arc<str>,
    /// Of the second generation.
    second: bool,
    timeout_ms: i32,
    phase: Phase,
    /// The request that is waited for.
    call: u64,
    tries: u32,
    producer: Producer,
    attempt: usize,
    todo: VecDeque<(usize, u64)>,
    commit: bool,
    /// Something of the transaction went wrong.
    failed: bool,
    sequences: BTreeMap<usize, i32>,
    sleeps_until: u64,
}

fn is_retriable(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::NotEnoughReplicas
    )
}

impl World {
    pub fn add_client(&mut self, id: &Arc<str>) {
        let at = self.clients.len();
        let knows_second = self.view.transaction_version >= 2;
        // Clients of both generations share an id, in time.
        let second = knows_second && (!self.orderly || self.rng.chance(50));
        self.clients.push(Client {
            id: Arc::clone(id),
            second,
            timeout_ms: i32::try_from(self.rng.range(3_000, 8_000)).unwrap_or(3_000),
            phase: Phase::Init,
            call: 0,
            tries: 0,
            producer: Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE },
            attempt: 0,
            todo: VecDeque::new(),
            commit: false,
            failed: false,
            sequences: BTreeMap::new(),
            sleeps_until: 0,
        });
        self.note(&format!("client {at} for {id}, second: {second}"));
        self.act(at);
    }

    pub fn leave(&mut self, at: usize) {
        if let Some(client) = self.clients.get_mut(at) {
            client.phase = Phase::Gone;
            client.call += 1;
        }
    }

    pub fn pause_somebody(&mut self) {
        let at = usize::try_from(self.rng.below(self.clients.len() as u64)).unwrap_or(0);
        let until = self.now.mono.0 + self.rng.below(12_000);
        if let Some(client) = self.clients.get_mut(at) {
            client.sleeps_until = until;
        }
    }

    /// Sends what the phase asks for.
    fn act(&mut self, at: usize) {
        let node = self.guess();
        let now = self.now.mono.0;
        let Some(client) = self.clients.get_mut(at) else { return };
        client.call += 1;
        client.tries += 1;
        if client.tries > TRIES_MAX {
            client.phase = Phase::Gone;
        }
        let (call, id, producer) = (client.call, Arc::clone(&client.id), client.producer);
        let request = match client.phase {
            Phase::Gone | Phase::Rest => return,
            Phase::Init | Phase::Recover => Some(init(client)),
            Phase::Add => {
                let partitions = client.todo.iter().map(|(one, _)| Self::topic_partition(*one));
                Some(Request::AddPartitions(AddPartitions {
                    transactional_id: id,
                    producer,
                    partitions: partitions.collect(),
                    added: Added::Partitions { version: 3 },
                }))
            }
            Phase::Write => {
                let Some((partition, value)) = client.todo.front().copied() else { return };
                let sequence = client.sequences.get(&partition).copied().unwrap_or(0);
                let write = Write {
                    client: at,
                    call,
                    transactional_id: id,
                    producer,
                    sequence,
                    value,
                    adds: client.second,
                };
                self.send_late(Event::Write { partition, write });
                None
            }
            Phase::End { commit } => {
                if let Some(attempt) = self.checks.attempts.get_mut(client.attempt)
                    && commit
                {
                    attempt.commit_sent = attempt.commit_sent.or(Some(now));
                }
                let version = if client.second { 5 } else { 4 };
                Some(Request::EndTxn(EndTxn {
                    version,
                    transactional_id: id,
                    producer,
                    commit,
                    fresh: None,
                }))
            }
        };
        if let Some(request) = request {
            let from = From::Client { client: at, call };
            self.send(Event::Asked { node, from, ask: Ask::Request(request) });
        }
        self.after(REQUEST_MS, Event::Wake { client: at, call });
    }

    /// Nobody answered, or it is time to go on.
    pub fn wake(&mut self, at: usize, call: u64) {
        let now = self.now.mono.0;
        let Some(client) = self.clients.get_mut(at).filter(|client| client.call == call) else {
            return;
        };
        if client.sleeps_until > now {
            let ms = client.sleeps_until - now;
            self.after(ms, Event::Wake { client: at, call });
        } else if client.phase == Phase::Rest {
            self.begin(at);
        } else {
            self.act(at);
        }
    }

    fn begin(&mut self, at: usize) {
        if !self.chaos {
            return;
        }
        let attempt = self.checks.attempts.len();
        let writes = self.rng.range(1, 5);
        let mut todo = VecDeque::new();
        for value in 0..writes {
            let partition = usize::try_from(self.rng.below(4)).unwrap_or(0);
            todo.push_back((partition, attempt as u64 * VALUES_MAX + value));
        }
        let commit = self.rng.chance(75);
        let Some(client) = self.clients.get_mut(at) else { return };
        self.checks.attempts.push(Attempt {
            client: at,
            id: Arc::clone(&client.id),
            producer: client.producer,
            acked: Vec::new(),
            commit_sent: None,
            outcome: None,
        });
        (client.attempt, client.todo, client.commit, client.failed) =
            (attempt, todo, commit, false);
        self.enter(
            at,
            if self.clients.get(at).is_some_and(|client| client.second) {
                Phase::Write
            } else {
                Phase::Add
            },
        );
    }

    fn enter(&mut self, at: usize, phase: Phase) {
        let Some(client) = self.clients.get_mut(at) else { return };
        (client.phase, client.tries) = (phase, 0);
        self.act(at);
    }

    fn rest(&mut self, at: usize) {
        let ms = self.rng.below(400);
        let Some(client) = self.clients.get_mut(at) else { return };
        client.phase = Phase::Rest;
        client.call += 1;
        let call = client.call;
        self.after(ms, Event::Wake { client: at, call });
    }

    fn give_up(&mut self, at: usize, error: ErrorCode) {
        self.note(&format!("client {at} gives up: {error:?}"));
        self.checks.stats.fenced += u64::from(error == ErrorCode::ProducerFenced);
        if let Some(client) = self.clients.get_mut(at) {
            client.phase = Phase::Gone;
            client.call += 1;
        }
    }

    /// Whether an error is one to ask again after.
    fn again_after(&mut self, at: usize, call: u64, error: ErrorCode) -> bool {
        if is_retriable(error) {
            self.after(BACKOFF_MS, Event::Wake { client: at, call });
        }
        is_retriable(error)
    }

    pub fn told(&mut self, at: usize, call: u64, answer: Answer) {
        let now = self.now.mono.0;
        let Some(client) = self.clients.get(at).filter(|client| client.call == call) else {
            return;
        };
        if client.sleeps_until > now {
            let ms = client.sleeps_until - now;
            return self.after(ms, Event::Told { client: at, call, answer });
        }
        let phase = client.phase;
        self.note(&format!("client {at} {phase:?}: {answer:?}"));
        let error = match (phase, answer) {
            (Phase::Init | Phase::Recover, Ok(Reply::InitProducerId(Ok(producer)))) => {
                return self.initialized(at, producer);
            }
            (Phase::Add, Ok(Reply::AddPartitions(ErrorCode::None))) => {
                return self.enter(at, Phase::Write);
            }
            (Phase::End { commit }, Ok(Reply::EndTxn(Ok(producer)))) => {
                return self.ended(at, commit, producer);
            }
            (
                _,
                Ok(
                    Reply::InitProducerId(Err(error))
                    | Reply::EndTxn(Err(error))
                    | Reply::AddPartitions(error),
                )
                | Err(error),
            ) => error,
            (_, Ok(_)) => ErrorCode::UnknownServerError,
        };
        if !self.again_after(at, call, error) {
            self.give_up(at, error);
        }
    }

    fn initialized(&mut self, at: usize, producer: Producer) {
        let now = self.now.mono.0;
        let Some(client) = self.clients.get_mut(at) else { return };
        client.producer = producer;
        client.sequences.clear();
        self.checks.grants.push(Grant {
            client: at,
            id: Arc::clone(&client.id),
            producer,
            at: now,
        });
        self.rest(at);
    }

    fn ended(&mut self, at: usize, commit: bool, producer: Producer) {
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.second {
            client.producer = producer;
            client.sequences.clear();
        }
        let must_recover = client.failed && !client.second;
        if let Some(attempt) = self.checks.attempts.get_mut(client.attempt) {
            attempt.outcome = Some(commit);
        }
        let stats = &mut self.checks.stats;
        *(if commit { &mut stats.committed } else { &mut stats.aborted }) += 1;
        if must_recover {
            self.enter(at, Phase::Recover);
        } else {
            self.rest(at);
        }
    }

    pub fn wrote(&mut self, at: usize, call: u64, result: Result<(), ErrorCode>) {
        let now = self.now.mono.0;
        let Some(client) = self.clients.get_mut(at).filter(|client| client.call == call) else {
            return;
        };
        if client.sleeps_until > now {
            let ms = client.sleeps_until - now;
            return self.after(ms, Event::Wrote { client: at, call, result });
        }
        match result {
            Ok(()) => {
                let Some((partition, value)) = client.todo.pop_front() else { return };
                *client.sequences.entry(partition).or_default() += 1;
                let (attempt, commit) = (client.attempt, client.commit);
                let is_last = client.todo.is_empty();
                if let Some(attempt) = self.checks.attempts.get_mut(attempt) {
                    attempt.acked.push((partition, value));
                }
                self.enter(at, if is_last { Phase::End { commit } } else { Phase::Write });
            }
            Err(error) => {
                self.note(&format!("client {at} cannot write: {error:?}"));
                if self.again_after(at, call, error) {
                    return;
                }
                if matches!(error, ErrorCode::InvalidProducerIdMapping | ErrorCode::ProducerFenced)
                {
                    return self.give_up(at, error);
                }
                if let Some(client) = self.clients.get_mut(at) {
                    client.failed = true;
                }
                self.enter(at, Phase::End { commit: false });
            }
        }
    }
}

fn init(client: &Client) -> Request {
    let none = Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE };
    let expected = if client.phase == Phase::Recover { client.producer } else { none };
    let request = InitProducerIdRequest {
        transactional_id: Some(client.id.to_string().into()),
        transaction_timeout_ms: client.timeout_ms,
        producer_id: expected.id.get(),
        producer_epoch: expected.epoch.get(),
        ..Default::default()
    };
    Request::InitProducerId(InitProducerId { version: 5, request, fresh: None })
}
