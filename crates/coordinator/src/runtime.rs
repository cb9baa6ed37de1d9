//! One shard between its requests and its log, as a pure machine: events in, effects out.
//!
//! Decide, append, commit, tell. Decisions are replayed at once, so that the next request sees them; their records wait in a batch
//! for the append; replies wait for the high watermark. Every batch keeps the state from before it: a failed append puts that back
//! and fails every request that was handled since, so nothing is left behind that the log does not hold.

use std::collections::VecDeque;
use std::convert::Infallible;

use base::machine::{ReplyId, TimerChange};
use base::time::Now;
use base::{LeaderEpoch, MonoMs, Offset};
use protocol::ErrorCode;

use crate::shard::{Decision, LogRecord, Producer, Shard, error_for_client};
use crate::timers::Timers;

/// What the format of a batch adds to its records, at most.
const BATCH_OVERHEAD_BYTES: usize = 61;
/// What the format of a record adds to key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// When a timer comes again whose effects could not be written, as Kafka has it.
const TIMER_RETRY_MS: u64 = 500;

/// How long records wait for company before they are appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// Until the driver has nothing more to hand in ([`Event::Drained`]).
    Adaptive,
    /// So many milliseconds; zero appends every decision alone.
    Ms(u64),
}

#[derive(Clone, Copy, Debug)]
pub struct RuntimeConfig {
    pub linger: Linger,
    /// The topic's `max.message.bytes`.
    pub batch_bytes_max: usize,
}

/// What the driver tells.
#[derive(Debug)]
pub enum Event<S: Shard> {
    /// This node leads the partition now.
    Lead {
        epoch: LeaderEpoch,
    },
    /// All of the log was given to [`ShardRuntime::load`].
    Loaded {
        end: Offset,
        high_watermark: Offset,
    },
    LoadFailed,
    Request {
        id: ReplyId,
        request: S::Request,
    },
    Query {
        id: ReplyId,
        query: S::Query,
    },
    /// A request whose records are part of a transaction of another coordinator: in a batch of their own.
    InTransaction {
        id: ReplyId,
        producer: Producer,
        request: S::Request,
    },
    /// That transaction ends.
    EndTransaction {
        id: ReplyId,
        producer: Producer,
        commit: bool,
        /// Once the marker is committed.
        reply: S::Reply,
    },
    /// No more events wait.
    Drained,
    /// The batch that was asked for lies in the log, from `first` on, with `last` its last record.
    Appended {
        first: Offset,
        last: Offset,
    },
    /// The batch that was asked for does not lie in the log.
    AppendFailed {
        error: ErrorCode,
    },
    HighWatermark {
        to: Offset,
    },
    /// [`ShardRuntime::deadline`] has come.
    Tick,
    /// This node does not lead the partition any more.
    Unload,
}

/// What the driver is to do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect<R, D = Infallible> {
    /// Read the log from its start and give it to [`ShardRuntime::load`].
    Load {
        epoch: LeaderEpoch,
    },
    /// Append one batch and tell how it went. No second one is asked for before.
    Append {
        records: Vec<LogRecord>,
        /// The request that writes them, and in whose transaction, if so.
        transaction: Option<(ReplyId, Producer)>,
    },
    /// The same for the marker of this request.
    AppendMarker {
        id: ReplyId,
    },
    Reply {
        id: ReplyId,
        reply: Result<R, ErrorCode>,
    },
    /// What committed state asks for, once for each leadership: the driver does it, and tells the shard by a request. It forgets
    /// about it when it gets [`Self::FailAll`].
    Duty(D),
    /// Every request that is not answered yet gets this.
    FailAll {
        error: ErrorCode,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Another node leads.
    Idle,
    Loading {
        epoch: LeaderEpoch,
    },
    Active {
        epoch: LeaderEpoch,
    },
    /// The log cannot be read.
    Failed {
        epoch: LeaderEpoch,
    },
}

#[derive(Clone)]
struct State<S: Shard> {
    shard: S,
    timers: Timers<S::Timer>,
}

impl<S: Shard> State<S> {
    /// Timers whose effects are gone.
    fn set_again(&mut self, now: Now, timers: impl IntoIterator<Item = S::Timer>) {
        let at = now.mono.plus_ms(TIMER_RETRY_MS);
        for key in timers {
            self.timers.apply(TimerChange::Set { key, at });
        }
    }
}

/// Whose decision is made.
struct Asked<S: Shard> {
    id: Option<ReplyId>,
    producer: Option<Producer>,
    timer: Option<S::Timer>,
}

/// What a batch holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Records,
    /// Of one request in a transaction.
    Transactional(ReplyId, Producer),
    Marker(ReplyId),
}

/// Records that are appended together.
struct Batch<S: Shard> {
    content: Content,
    /// The state without them.
    before: State<S>,
    first: Offset,
    /// Given away when they are sent.
    records: Vec<LogRecord>,
    count: usize,
    bytes: usize,
    replies: Vec<(ReplyId, S::Reply)>,
    /// Requests handled on top of `before`: they fail with the batch.
    requests: Vec<ReplyId>,
    /// Timers that came due on top of `before`: they come again when the batch fails.
    timers: Vec<S::Timer>,
    /// No more records join.
    sealed: bool,
    sent: bool,
    flush_at: MonoMs,
}

pub struct ShardRuntime<S: Shard> {
    config: RuntimeConfig,
    phase: Phase,
    blank: S,
    /// With everything decided.
    tip: State<S>,
    /// With everything below the high watermark.
    committed: S,
    /// Appended and not committed: the state at each end offset.
    appended: VecDeque<(Offset, S)>,
    /// Not appended; the first may be on its way.
    batches: VecDeque<Batch<S>>,
    /// Replies whose records are appended, by the offset that must be committed.
    waiting: VecDeque<(Offset, ReplyId, S::Reply)>,
    next_offset: Offset,
    high_watermark: Offset,
    /// While loading: `committed` is set.
    committed_found: bool,
    /// Where the log ended when it was loaded.
    loaded_end: Offset,
    /// The last duty that was told.
    duties_told: u64,
    /// Records of unknown types and later versions that the load met.
    passed_over: u64,
}

type Effects<S> = Vec<Effect<<S as Shard>::Reply, <S as Shard>::Duty>>;

impl<S: Shard> ShardRuntime<S> {
    /// `blank` is the state of an empty log.
    pub fn new(blank: S, config: RuntimeConfig) -> Self {
        let tip = State { shard: blank.clone(), timers: Timers::default() };
        Self {
            config,
            phase: Phase::Idle,
            tip,
            committed: blank.clone(),
            blank,
            appended: VecDeque::new(),
            batches: VecDeque::new(),
            waiting: VecDeque::new(),
            next_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            committed_found: false,
            loaded_end: Offset::ZERO,
            duties_told: 0,
            passed_over: 0,
        }
    }

    /// How many records the load has passed over, as it does not know their types or versions.
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    pub(crate) const fn pass_over(&mut self) {
        self.passed_over = self.passed_over.saturating_add(1);
    }

    /// The state with everything decided.
    pub fn tip(&self) -> &S {
        &self.tip.shard
    }

    /// The state with everything committed.
    pub fn committed(&self) -> &S {
        &self.committed
    }

    /// The timers that are set.
    pub fn timers(&self) -> &Timers<S::Timer> {
        &self.tip.timers
    }

    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }

    pub fn set_config(&mut self, config: RuntimeConfig) {
        self.config = config;
    }

    /// When [`Event::Tick`] is to come.
    pub fn deadline(&self) -> MonoMs {
        if !self.is_active() {
            return MonoMs::NEVER;
        }
        let open = self.batches.back().filter(|batch| !batch.sealed);
        self.tip.timers.next().min(open.map_or(MonoMs::NEVER, |batch| batch.flush_at))
    }

    pub fn step(&mut self, now: Now, event: Event<S>, view: &S::View, effects: &mut Effects<S>) {
        match event {
            Event::Lead { epoch } => self.lead(epoch, effects),
            Event::Loaded { end, high_watermark } => {
                self.loaded(now, end, high_watermark, view, effects);
            }
            Event::LoadFailed => {
                if let Phase::Loading { epoch } = self.phase {
                    self.reset(Phase::Failed { epoch }, effects);
                }
            }
            Event::Unload => self.reset(Phase::Idle, effects),
            Event::Request { id, request } => match self.refusal() {
                Some(error) => effects.push(Effect::Reply { id, reply: Err(error) }),
                None => self
                    .decide(now, Some(id), effects, |shard| shard.handle(now, id, request, view)),
            },
            Event::InTransaction { id, producer, request } => match self.refusal() {
                Some(error) => effects.push(Effect::Reply { id, reply: Err(error) }),
                None => {
                    let who = Asked { id: Some(id), producer: Some(producer), timer: None };
                    self.decide_on(now, who, effects, |shard| shard.handle(now, id, request, view));
                }
            },
            Event::EndTransaction { id, producer, commit, reply } => match self.refusal() {
                Some(error) => effects.push(Effect::Reply { id, reply: Err(error) }),
                None => self.end_transaction(now, (id, reply), producer, commit, effects),
            },
            Event::Query { id, query } => {
                let reply = match self.refusal() {
                    Some(error) => Err(error),
                    // The predecessor has perhaps told more than this leader knows to be committed.
                    None if self.high_watermark < self.loaded_end => {
                        Err(ErrorCode::CoordinatorLoadInProgress)
                    }
                    None => Ok(self.committed.query(query, view)),
                };
                effects.push(Effect::Reply { id, reply });
            }
            Event::Drained => self.flush(effects),
            Event::Appended { first, last } => self.on_appended(first, last, effects),
            Event::AppendFailed { error } => {
                self.append_failed(now, error_for_client(error), effects);
            }
            Event::HighWatermark { to } => {
                self.high_watermark = self.high_watermark.max(to);
                self.release(effects);
            }
            Event::Tick => self.tick(now, view, effects),
        }
    }

    fn refusal(&self) -> Option<ErrorCode> {
        match self.phase {
            Phase::Active { .. } => None,
            Phase::Loading { .. } => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Idle | Phase::Failed { .. } => Some(ErrorCode::NotCoordinator),
        }
    }

    fn lead(&mut self, epoch: LeaderEpoch, effects: &mut Effects<S>) {
        match self.phase {
            Phase::Loading { epoch: known } | Phase::Active { epoch: known } if known >= epoch => {}
            // The state stays true: nobody else appended.
            _ => {
                self.reset(Phase::Loading { epoch }, effects);
                effects.push(Effect::Load { epoch });
            }
        }
    }

    fn reset(&mut self, phase: Phase, effects: &mut Effects<S>) {
        let config = self.config;
        *self = Self::new(self.tip.shard.anew(&self.blank), config);
        self.phase = phase;
        effects.push(Effect::FailAll { error: ErrorCode::NotCoordinator });
    }

    pub(crate) fn tip_mut(&mut self) -> &mut S {
        &mut self.tip.shard
    }

    /// The records from `at` on are replayed next: keep what is committed when they are not.
    pub(crate) fn note_loading(&mut self, at: Offset, high_watermark: Offset) {
        if at >= high_watermark && !self.committed_found {
            self.committed_found = true;
            self.committed = self.tip.shard.clone();
        }
    }

    fn loaded(
        &mut self,
        now: Now,
        end: Offset,
        high_watermark: Offset,
        view: &S::View,
        effects: &mut Effects<S>,
    ) {
        let Phase::Loading { epoch } = self.phase else { return };
        self.note_loading(end, high_watermark);
        self.phase = Phase::Active { epoch };
        (self.next_offset, self.high_watermark) = (end, high_watermark);
        self.loaded_end = end;
        self.appended.push_back((end, self.tip.shard.clone()));
        self.release(effects);
        self.decide(now, None, effects, |shard| shard.loaded(now, view));
    }

    fn tick(&mut self, now: Now, view: &S::View, effects: &mut Effects<S>) {
        if !self.is_active() {
            return;
        }
        while let Some(timer) = self.tip.timers.take_due(now.mono) {
            let due = timer.clone();
            let who = Asked { id: None, producer: None, timer: Some(timer) };
            self.decide_on(now, who, effects, |shard| shard.on_timer(now, due, view));
        }
        if self.batches.back().is_some_and(|batch| !batch.sealed && batch.flush_at <= now.mono) {
            self.flush(effects);
        }
    }

    fn decide(
        &mut self,
        now: Now,
        id: Option<ReplyId>,
        effects: &mut Effects<S>,
        decide: impl FnOnce(&mut S) -> Decision<S>,
    ) {
        let who = Asked { id, producer: None, timer: None };
        self.decide_on(now, who, effects, decide);
    }

    /// Lets the shard decide, and takes over what it says: all of it, or nothing. A timer that was taken comes again when
    /// nothing came of it.
    fn decide_on(
        &mut self,
        now: Now,
        who: Asked<S>,
        effects: &mut Effects<S>,
        decide: impl FnOnce(&mut S) -> Decision<S>,
    ) {
        let Asked { id, producer, timer } = who;
        let before = self.tip.clone();
        let Decision::<S> { records, reply: replies, timers, atomic } = decide(&mut self.tip.shard);
        let encoded: Result<Vec<LogRecord>, _> = records.iter().map(S::encode).collect();
        let fits = |records: &[LogRecord]| {
            let bytes: usize = records.iter().map(record_bytes).sum();
            bytes + BATCH_OVERHEAD_BYTES <= self.config.batch_bytes_max
        };
        // A transaction's records lie in one batch: they are replayed or not by its marker.
        let atomic = atomic || producer.is_some();
        let content = match (id, producer) {
            (Some(id), Some(producer)) => Content::Transactional(id, producer),
            _ => Content::Records,
        };
        let encoded = encoded.ok().filter(|all| {
            if atomic { fits(all) } else { all.iter().all(|one| fits(std::slice::from_ref(one))) }
        });
        let Some(encoded) = encoded else {
            self.tip = before;
            self.tip.set_again(now, timer);
            if let Some(id) = id {
                let reply = Err(ErrorCode::UnknownServerError);
                effects.push(Effect::Reply { id, reply });
            }
            return;
        };
        for change in timers {
            self.tip.timers.apply(change);
        }
        if encoded.is_empty() {
            self.answer_without_records(id, timer, replies, effects);
            return;
        }
        // What must be committed together is appended together.
        let together = if atomic { encoded.len() } else { 1 };
        let mut encoded = encoded.into_iter();
        let mut before = Some(before);
        for chunk in records.chunks(together) {
            let before = before.take().unwrap_or_else(|| self.tip.clone());
            let encoded = encoded.by_ref().take(together).collect();
            self.join_batch(now, before, content, encoded, effects);
            for record in chunk {
                self.tip.shard.replay(self.next_offset, producer, record);
                self.next_offset = self.next_offset.plus(1);
            }
        }
        if let Some(batch) = self.batches.back_mut() {
            batch.replies.extend(replies);
            batch.requests.extend(id);
            batch.timers.extend(timer);
        }
        if self.config.linger == Linger::Ms(0) || content != Content::Records {
            self.flush(effects);
        }
    }

    /// A marker has a batch of its own, after all that was decided before.
    fn end_transaction(
        &mut self,
        now: Now,
        (id, reply): (ReplyId, S::Reply),
        producer: Producer,
        commit: bool,
        effects: &mut Effects<S>,
    ) {
        let before = self.tip.clone();
        self.join_batch(now, before, Content::Marker(id), Vec::new(), effects);
        self.tip.shard.replay_marker(producer, commit);
        self.next_offset = self.next_offset.plus(1);
        if let Some(batch) = self.batches.back_mut() {
            batch.count = 1;
            batch.replies.push((id, reply));
            batch.requests.push(id);
        }
        self.flush(effects);
    }

    /// Puts records behind those that wait, in a new batch when the last is full or closed.
    fn join_batch(
        &mut self,
        now: Now,
        before: State<S>,
        content: Content,
        records: Vec<LogRecord>,
        effects: &mut Effects<S>,
    ) {
        let bytes: usize = records.iter().map(record_bytes).sum();
        let room = self.batches.back().is_some_and(|batch| {
            !batch.sealed
                && content == Content::Records
                && batch.bytes + bytes <= self.config.batch_bytes_max
        });
        if !room {
            self.flush(effects);
            let first = self.batches.back().map_or(self.next_offset, Batch::end);
            let flush_at = match self.config.linger {
                Linger::Adaptive => MonoMs::NEVER,
                Linger::Ms(ms) => now.mono.plus_ms(ms),
            };
            self.batches.push_back(Batch {
                content,
                before,
                first,
                records: Vec::new(),
                count: 0,
                bytes: BATCH_OVERHEAD_BYTES,
                replies: Vec::new(),
                requests: Vec::new(),
                timers: Vec::new(),
                sealed: false,
                sent: false,
                flush_at,
            });
        }
        if let Some(batch) = self.batches.back_mut() {
            batch.bytes += bytes;
            batch.count += records.len();
            batch.records.extend(records);
        }
    }

    /// Nothing to append: the replies wait only for what they may have seen.
    fn answer_without_records(
        &mut self,
        id: Option<ReplyId>,
        timer: Option<S::Timer>,
        replies: Vec<(ReplyId, S::Reply)>,
        effects: &mut Effects<S>,
    ) {
        if let Some(batch) = self.batches.back_mut() {
            batch.replies.extend(replies);
            batch.requests.extend(id);
            batch.timers.extend(timer);
            return;
        }
        let offset = self.next_offset;
        self.waiting.extend(replies.into_iter().map(|(id, reply)| (offset, id, reply)));
        // Queries see what no record holds once that is committed on which it rests.
        let state = self.tip.shard.clone();
        match self.appended.back_mut().filter(|(end, _)| *end == offset) {
            Some((_, last)) => *last = state,
            None => self.appended.push_back((offset, state)),
        }
        self.release(effects);
    }

    /// Closes the open batch and asks for the next append, if none is on its way.
    fn flush(&mut self, effects: &mut Effects<S>) {
        if let Some(batch) = self.batches.back_mut() {
            batch.sealed = true;
        }
        self.send(effects);
    }

    fn send(&mut self, effects: &mut Effects<S>) {
        if let Some(batch) = self.batches.front_mut()
            && batch.sealed
            && !batch.sent
        {
            batch.sent = true;
            let records = std::mem::take(&mut batch.records);
            effects.push(match batch.content {
                Content::Records => Effect::Append { records, transaction: None },
                Content::Transactional(id, producer) => {
                    Effect::Append { records, transaction: Some((id, producer)) }
                }
                Content::Marker(id) => Effect::AppendMarker { id },
            });
        }
    }

    fn on_appended(&mut self, first: Offset, last: Offset, effects: &mut Effects<S>) {
        if !self.batches.front().is_some_and(|batch| batch.sent) {
            return;
        }
        let Some(batch) = self.batches.pop_front() else { return };
        if first != batch.first {
            // Somebody else appended between: what is decided holds, the offsets that are still to come move on.
            let shift = last.get().saturating_add(1).saturating_sub(batch.end().get());
            self.next_offset = self.next_offset.plus(shift);
            for later in &mut self.batches {
                later.first = later.first.plus(shift);
            }
        }
        let end = last.plus(1);
        let state = self.batches.front().map_or(&self.tip, |next| &next.before);
        self.appended.push_back((end, state.shard.clone()));
        self.waiting.extend(batch.replies.into_iter().map(|(id, reply)| (end, id, reply)));
        self.release(effects);
        self.send(effects);
    }

    fn append_failed(&mut self, now: Now, error: ErrorCode, effects: &mut Effects<S>) {
        if !self.batches.front().is_some_and(|batch| batch.sent) {
            return;
        }
        let batches = std::mem::take(&mut self.batches);
        // What a producer's state forbids is no fault of those who come behind: they may try again.
        let own = batches.front().is_some_and(|batch| batch.content != Content::Records);
        for (at, batch) in batches.into_iter().enumerate() {
            let error = if own && at > 0 { ErrorCode::CoordinatorNotAvailable } else { error };
            let mut ids = batch.requests;
            ids.extend(batch.replies.into_iter().map(|(id, _)| id));
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                effects.push(Effect::Reply { id, reply: Err(error) });
            }
            if at == 0 {
                self.tip = batch.before;
                self.next_offset = batch.first;
            }
            self.tip.set_again(now, batch.timers);
        }
    }

    /// Makes committed what is below the high watermark, and tells.
    fn release(&mut self, effects: &mut Effects<S>) {
        while let Some((_, state)) =
            self.appended.pop_front_if(|(end, _)| *end <= self.high_watermark)
        {
            self.committed = state;
        }
        let uncommitted = self.high_watermark;
        while let Some((_, id, reply)) = self.waiting.pop_front_if(|(at, ..)| *at <= uncommitted) {
            effects.push(Effect::Reply { id, reply: Ok(reply) });
        }
        // What the predecessor wrote last may have ended what an older record asks for.
        if self.is_active() && self.high_watermark >= self.loaded_end {
            for (number, duty) in self.committed.duties(self.duties_told) {
                self.duties_told = number;
                effects.push(Effect::Duty(duty));
            }
        }
    }
}

impl<S: Shard> Batch<S> {
    fn end(&self) -> Offset {
        self.first.plus(i64::try_from(self.count).unwrap_or(i64::MAX))
    }
}

fn record_bytes(record: &LogRecord) -> usize {
    let value = record.value.as_ref().map_or(0, Vec::len);
    record.key.len().saturating_add(value).saturating_add(RECORD_OVERHEAD_BYTES)
}
