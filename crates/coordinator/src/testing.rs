//! Runs a shard without a broker: the log is a vector, appends can be made to fail, commits to wait.

use std::collections::BTreeMap;

use base::machine::ReplyId;
use base::time::Now;
use base::{LeaderEpoch, Offset};
use protocol::ErrorCode;
use records::control::EndTxnMarker;
use records::{BatchBuilder, BuildError, Compression};

use crate::runtime::{Effect, Event, RuntimeConfig, ShardRuntime};
use crate::shard::{LogRecord, Producer, Shard};

/// A shard, its log and its clients.
pub struct TestContext<S: Shard> {
    pub runtime: ShardRuntime<S>,
    pub now: Now,
    pub view: S::View,
    /// The log in batches.
    pub log: Vec<Vec<LogRecord>>,
    /// Whose transaction batches are part of, by their place in the log, or whose end.
    pub transactions: BTreeMap<usize, (Producer, Option<EndTxnMarker>)>,
    /// The next appends fail with this.
    pub append_error: Option<ErrorCode>,
    /// Appended records are not committed until [`Self::commit`].
    pub hold_commits: bool,
    /// How far the next load knows the log to be committed, when that is not its end.
    pub known_at_load: Option<Offset>,
    pub replies: BTreeMap<ReplyId, Result<S::Reply, ErrorCode>>,
    /// Told and not taken.
    pub duties: Vec<S::Duty>,
    ending: BTreeMap<ReplyId, (Producer, EndTxnMarker)>,
    owed: Vec<ReplyId>,
    next_id: u64,
    blank: S,
    config: RuntimeConfig,
}

impl<S: Shard> TestContext<S> {
    /// An empty log that is led.
    pub fn new(blank: S, config: RuntimeConfig, view: S::View) -> Self {
        let mut context = Self {
            runtime: ShardRuntime::new(blank.clone(), config),
            now: Now::default(),
            view,
            log: Vec::new(),
            transactions: BTreeMap::new(),
            ending: BTreeMap::new(),
            append_error: None,
            hold_commits: false,
            known_at_load: None,
            replies: BTreeMap::new(),
            duties: Vec::new(),
            owed: Vec::new(),
            next_id: 0,
            blank,
            config,
        };
        context.event(Event::Lead { epoch: LeaderEpoch(1) });
        context
    }

    pub fn end(&self) -> Offset {
        Offset(self.log.iter().map(|batch| batch.len() as i64).sum())
    }

    /// Hands in a request; its reply comes into [`Self::replies`].
    pub fn request(&mut self, request: S::Request) -> ReplyId {
        let id = self.fresh();
        self.event(Event::Request { id, request });
        id
    }

    /// The same for a request whose records are part of a transaction.
    pub fn request_in_transaction(
        &mut self,
        producer: Producer,
        request: S::Request,
    ) -> Result<S::Reply, ErrorCode> {
        let id = self.fresh();
        self.event(Event::InTransaction { id, producer, request });
        self.replies.remove(&id).expect("the request is answered at once")
    }

    /// Ends a transaction; `reply` is what comes back once that is committed.
    pub fn end_transaction(
        &mut self,
        producer: Producer,
        commit: bool,
        reply: S::Reply,
    ) -> ReplyId {
        let id = self.fresh();
        self.ending.insert(id, (producer, EndTxnMarker { commit, coordinator_epoch: 0 }));
        self.event(Event::EndTransaction { id, producer, commit, reply });
        id
    }

    pub fn query(&mut self, query: S::Query) -> ReplyId {
        let id = self.fresh();
        self.event(Event::Query { id, query });
        id
    }

    /// Requests, and takes the reply that must be there at once.
    pub fn ask(&mut self, request: S::Request) -> Result<S::Reply, ErrorCode> {
        let id = self.request(request);
        self.event(Event::Drained);
        self.replies.remove(&id).expect("the request is answered at once")
    }

    /// Queries, and takes the reply.
    pub fn look(&mut self, query: S::Query) -> Result<S::Reply, ErrorCode> {
        let id = self.query(query);
        self.replies.remove(&id).expect("queries are answered at once")
    }

    /// Commits all that is appended.
    pub fn commit(&mut self) {
        let to = self.end();
        self.event(Event::HighWatermark { to });
    }

    /// Lets time pass, and timers run.
    pub fn advance(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall.0 = self.now.wall.0.saturating_add_unsigned(ms);
        if self.runtime.deadline() <= self.now.mono {
            self.event(Event::Tick);
        }
        self.event(Event::Drained);
    }

    /// A crash: a new runtime loads the log.
    pub fn reload(&mut self) {
        self.runtime = ShardRuntime::new(self.blank.clone(), self.config);
        self.owed.clear();
        self.duties.clear();
        self.event(Event::Lead { epoch: LeaderEpoch(1) });
    }

    pub fn event(&mut self, event: Event<S>) {
        let mut effects = Vec::new();
        self.runtime.step(self.now, event, &self.view, &mut effects);
        for effect in effects {
            self.execute(effect);
        }
    }

    fn fresh(&mut self) -> ReplyId {
        self.next_id += 1;
        self.owed.push(ReplyId(self.next_id));
        ReplyId(self.next_id)
    }

    fn execute(&mut self, effect: Effect<S::Reply, S::Duty>) {
        match effect {
            Effect::Load { .. } => self.load(),
            Effect::Append { records, transaction } => {
                self.append(records, transaction.map(|(_, producer)| (producer, None)));
            }
            Effect::AppendMarker { id } => {
                let (producer, marker) = self.ending[&id];
                let (key, value) = (marker.control_type().key(), marker.value());
                let record = LogRecord { key: key.to_vec(), value: Some(value.to_vec()) };
                self.append(vec![record], Some((producer, Some(marker))));
            }
            Effect::Reply { id, reply } => {
                self.owed.retain(|owed| *owed != id);
                self.replies.insert(id, reply);
            }
            Effect::Duty(duty) => self.duties.push(duty),
            Effect::FailAll { error } => {
                self.duties.clear();
                for id in std::mem::take(&mut self.owed) {
                    self.replies.insert(id, Err(error));
                }
            }
        }
    }

    fn append(
        &mut self,
        records: Vec<LogRecord>,
        transaction: Option<(Producer, Option<EndTxnMarker>)>,
    ) {
        if let Some(error) = self.append_error {
            return self.event(Event::AppendFailed { error });
        }
        let first = self.end();
        self.transactions.extend(transaction.map(|whose| (self.log.len(), whose)));
        self.log.push(records);
        let to = self.end();
        self.event(Event::Appended { first, last: to.plus(-1) });
        if !self.hold_commits {
            self.event(Event::HighWatermark { to });
        }
    }

    fn load(&mut self) {
        let (mut at, end) = (Offset::ZERO, self.end());
        for (place, batch) in self.log.iter().enumerate() {
            let bytes = encode(batch, self.transactions.get(&place), at);
            let bytes = bytes.expect("the batch can be written");
            let high_watermark = self.known_at_load.unwrap_or(end);
            at = self
                .runtime
                .load(&bytes, at, high_watermark)
                .expect("what was written can be read");
        }
        let high_watermark = self.known_at_load.take().unwrap_or(end);
        self.event(Event::Loaded { end, high_watermark });
    }
}

fn encode(
    records: &[LogRecord],
    transaction: Option<&(Producer, Option<EndTxnMarker>)>,
    first: Offset,
) -> Result<Vec<u8>, BuildError> {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(first);
    match transaction {
        Some((Producer { id, epoch }, Some(marker))) => {
            return marker.batch(first, LeaderEpoch(1), 0, *id, *epoch);
        }
        Some((producer, None)) => {
            builder = builder.producer(producer.id, producer.epoch, 0).transactional();
        }
        None => {}
    }
    for record in records {
        builder.append(0, Some(&record.key), record.value.as_deref(), &[])?;
    }
    builder.build()
}
