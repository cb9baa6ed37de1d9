//! One shard's owner: takes calls and timers, lets the runtime decide, appends, and answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, Offset};
use bytes::BytesMut;
use coordinator::{Effect, Event, Linger, LogRecord, Producer, RuntimeConfig, ShardRuntime};
use protocol::ErrorCode;
use records::{BatchBuilder, Compression};
use storage::log::VerificationGuard;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use super::{Answered, Ask, Call, Hosted, Settings, Status, WeakNode, view};
use crate::clock::Clock;
use crate::node::Node;
use crate::partitions::{AppendFailure, Appended, Partition, TxnMarker, Written};

/// Calls taken before what they decided is appended.
const CALLS_PER_APPEND: usize = 500;
const WAIT_MS_MAX: u64 = 60_000;

/// Of every batch of a coordinator: nobody checks the sequences of its producers.
const FIRST_SEQUENCE: i32 = 0;

pub(super) struct Owner<S: Hosted> {
    node: WeakNode,
    partition: Arc<Partition>,
    status: Arc<Status>,
    runtime: ShardRuntime<S>,
    view: view::Current<S>,
    owed: HashMap<ReplyId, oneshot::Sender<Answered<S>>>,
    /// What requests that write in transactions came with, until they are answered.
    guards: HashMap<ReplyId, VerificationGuard>,
    markers: HashMap<ReplyId, TxnMarker>,
    next_id: u64,
    /// Appends that replicas have not confirmed, in the order of the log.
    uncommitted: VecDeque<(Offset, oneshot::Receiver<Written>)>,
}

/// What wakes an owner.
enum Woken<S: Hosted> {
    Call(Call<S>),
    Committed,
    /// Replication gave up: the partition moved, or time is over.
    CommitFailed,
    Time,
    Ended,
}

impl<S: Hosted> Owner<S> {
    pub(super) fn new(node: &Arc<Node>, partition: Arc<Partition>, status: Arc<Status>) -> Self {
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        Self {
            node: Arc::downgrade(node),
            partition,
            status,
            runtime: ShardRuntime::new(S::default(), config),
            view: view::Current::new(node),
            owed: HashMap::new(),
            guards: HashMap::new(),
            markers: HashMap::new(),
            next_id: 0,
            uncommitted: VecDeque::new(),
        }
    }

    /// Until the partition is led elsewhere or the node ends.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Call<S>>,
        mut ended: oneshot::Receiver<()>,
    ) {
        let Some(node) = self.node.upgrade() else { return };
        let clock = node.clock;
        self.take_over_config(&node);
        self.step(&node, Event::Lead { epoch: self.status.epoch() });
        drop(node);
        self = match tokio::task::spawn_blocking(move || self.load()).await {
            Ok(owner) => owner,
            Err(panic) => {
                error!("a shard of {} could not be loaded: {panic}", S::TOPIC);
                return;
            }
        };
        loop {
            let woken = self.wait(clock, &mut inbox, &mut ended).await;
            let Some(node) = self.node.upgrade() else { return };
            self.take_over_config(&node);
            match woken {
                Woken::Call(call) => {
                    self.call(&node, call);
                    for _ in 1..CALLS_PER_APPEND {
                        let Ok(call) = inbox.try_recv() else { break };
                        self.call(&node, call);
                    }
                }
                Woken::Committed => {
                    if let Some((end, _)) = self.uncommitted.pop_front() {
                        self.step(&node, Event::HighWatermark { to: end });
                    }
                }
                Woken::CommitFailed => {
                    // What was appended may or may not survive: only the log can tell.
                    self.uncommitted.clear();
                    self.step(&node, Event::Unload);
                    self.step(&node, Event::Lead { epoch: self.status.epoch() });
                    self = tokio::task::block_in_place(|| self.load());
                    continue;
                }
                Woken::Time => self.step(&node, Event::Tick),
                Woken::Ended => {
                    self.step(&node, Event::Unload);
                    return;
                }
            }
            // However many calls there are, time does not stand still.
            if self.runtime.deadline() <= clock.mono() {
                self.step(&node, Event::Tick);
            }
            self.step(&node, Event::Drained);
        }
    }

    async fn wait(
        &mut self,
        clock: Clock,
        inbox: &mut mpsc::Receiver<Call<S>>,
        ended: &mut oneshot::Receiver<()>,
    ) -> Woken<S> {
        let ms = self.runtime.deadline().since(clock.mono()).min(WAIT_MS_MAX);
        let committed = async {
            match self.uncommitted.front_mut() {
                Some((_, waiting)) => {
                    matches!(waiting.await, Ok(Written::Committed | Written::TooFewReplicas))
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = ended => Woken::Ended,
            told = committed => if told { Woken::Committed } else { Woken::CommitFailed },
            call = inbox.recv() => call.map_or(Woken::Ended, Woken::Call),
            () = tokio::time::sleep(Duration::from_millis(ms)) => Woken::Time,
        }
    }

    fn call(&mut self, node: &Arc<Node>, call: Call<S>) {
        self.next_id += 1;
        let id = ReplyId(self.next_id);
        self.owed.insert(id, call.answer);
        match call.ask {
            Ask::Request(request) => self.step(node, Event::Request { id, request }),
            Ask::Query(query) => self.step(node, Event::Query { id, query }),
            Ask::InTransaction { request, producer, guard } => {
                self.guards.extend(guard.map(|guard| (id, guard)));
                self.step(node, Event::InTransaction { id, producer, request });
            }
            Ask::EndTransaction { marker, reply } => {
                self.markers.insert(id, marker);
                let producer = producer(&marker);
                let commit = marker.end.commit;
                self.step(node, Event::EndTransaction { id, producer, commit, reply });
            }
        }
    }

    fn step(&mut self, node: &Arc<Node>, event: Event<S>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.runtime.step(node.clock.now(), event, self.view.refresh(node), &mut effects);
            for effect in effects {
                self.execute(node, effect, &mut events);
            }
        }
    }

    fn execute(
        &mut self,
        node: &Arc<Node>,
        effect: Effect<S::Reply, S::Duty>,
        events: &mut VecDeque<Event<S>>,
    ) {
        match effect {
            // The owner loads before it serves.
            Effect::Load { .. } => {}
            Effect::Append { records, transaction } => {
                let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
                let appended = self.append(node, &records, transaction);
                self.appended(node, appended, count, events);
            }
            Effect::AppendMarker { id } => {
                let appended = self.append_marker(node, id);
                self.appended(node, appended, 1, events);
            }
            Effect::Reply { id, reply } => self.answer(id, reply),
            Effect::Duty(duty) => {
                S::carry_out(node, self.partition.id().partition, self.status.epoch(), duty);
            }
            Effect::FailAll { error } => {
                S::forget_duties(node, self.partition.id().partition, self.status.epoch());
                (self.guards, self.markers) = (HashMap::new(), HashMap::new());
                for (_, answer) in self.owed.drain() {
                    // Who asked may have gone.
                    let _gone = answer.send(Err(error));
                }
            }
        }
    }

    fn answer(&mut self, id: ReplyId, reply: Answered<S>) {
        self.guards.remove(&id);
        self.markers.remove(&id);
        if let Some(answer) = self.owed.remove(&id) {
            let _gone = answer.send(reply);
        }
    }

    fn appended(
        &mut self,
        node: &Node,
        appended: Result<Appended, ErrorCode>,
        count: i64,
        events: &mut VecDeque<Event<S>>,
    ) {
        let Appended { first_offset: first, committed, .. } = match appended {
            Ok(appended) => appended,
            Err(error) => return events.push_back(Event::AppendFailed { error }),
        };
        node.note_appended();
        let end = first.plus(count);
        events.push_back(Event::Appended { first, last: end.plus(-1) });
        match committed {
            Some(waiting) => self.uncommitted.push_back((end, waiting)),
            None => events.push_back(Event::HighWatermark { to: end }),
        }
    }

    fn append(
        &self,
        node: &Node,
        records: &[LogRecord],
        transaction: Option<(ReplyId, Producer)>,
    ) -> Result<Appended, ErrorCode> {
        let now = node.clock.now();
        let settings = S::settings(&node.config());
        let producer = transaction.map(|(_, producer)| producer);
        let bytes = encode(settings.compression, records, producer, now).map_err(|fault| {
            warn!(partition = %self.name(), "records cannot be written: {fault}");
            ErrorCode::UnknownServerError
        })?;
        let guard = transaction.and_then(|(id, _)| self.guards.get(&id).copied());
        let (epoch, deadline) = (self.status.epoch(), self.deadline(&settings, now));
        let appended = self
            .partition
            .enter_now(|| self.partition.append_as_coordinator(bytes, epoch, guard, now, deadline));
        appended.map_err(|failure| self.append_failed(&failure))
    }

    fn append_marker(&self, node: &Node, id: ReplyId) -> Result<Appended, ErrorCode> {
        let marker = self.markers.get(&id).ok_or(ErrorCode::UnknownServerError)?;
        let now = node.clock.now();
        let settings = S::settings(&node.config());
        let (epoch, deadline) = (self.status.epoch(), self.deadline(&settings, now));
        let appended =
            self.partition.enter_now(|| self.partition.append_marker(marker, epoch, now, deadline));
        appended.map_err(|failure| self.append_failed(&failure))
    }

    fn deadline(&self, settings: &Settings, now: Now) -> MonoMs {
        now.mono.plus_ms(settings.append_timeout_ms)
    }

    fn append_failed(&self, failure: &AppendFailure) -> ErrorCode {
        if failure.is_full() {
            debug!(partition = %self.name(), "append refused: {failure}");
        } else {
            warn!(partition = %self.name(), "append failed: {failure}");
        }
        match failure.code() {
            // Led by this node again, in another epoch: the shard is another owner's, clients look for it anew.
            ErrorCode::FencedLeaderEpoch | ErrorCode::UnknownLeaderEpoch => {
                ErrorCode::NotLeaderOrFollower
            }
            error => error,
        }
    }

    /// Replays the partition's log from its start.
    fn load(mut self) -> Self {
        let Some(node) = self.node.upgrade() else { return self };
        let started = node.clock.mono();
        let event = match self.read_all(&node) {
            Ok((end, high_watermark)) => {
                let (ms, count) = (node.clock.mono().since(started), self.runtime.tip().size());
                if count > 0 {
                    info!(partition = %self.name(), count, ms, "{} loaded", S::WHAT);
                }
                let skipped = self.runtime.passed_over();
                if skipped > 0 {
                    warn!(
                        partition = %self.name(),
                        skipped,
                        "records of unknown types or later versions are ignored: perhaps left over from an upgrade that was given up"
                    );
                }
                // What its predecessor wrote last is committed once the replicas follow this leader.
                let awaited = self.partition.committed(end);
                self.uncommitted.extend(awaited.map(|waiting| (end, waiting)));
                Event::Loaded { end, high_watermark }
            }
            Err(fault) => {
                error!(partition = %self.name(), "the {} cannot be loaded: {fault}", S::WHAT);
                Event::LoadFailed
            }
        };
        self.step(&node, event);
        self.status.set_loaded(self.runtime.is_active());
        self
    }

    fn read_all(&mut self, node: &Node) -> Result<(Offset, Offset), String> {
        let read_bytes = S::settings(&node.config()).load_bytes;
        let (mut at, end, high_watermark) = self
            .partition
            .with_log(|log| (log.start_offset(), log.end_offset(), log.high_watermark()));
        while at < end {
            let read = self.partition.with_log(|log| log.read(at, read_bytes, end, true, false));
            let data = read.map_err(|fault| fault.to_string())?;
            let Some(slice) = data.records else {
                return Err(format!("nothing is found at offset {at} of {end}"));
            };
            let bytes = slice.read().map_err(|fault| fault.to_string())?;
            at =
                self.runtime.load(&bytes, at, high_watermark).map_err(|fault| fault.to_string())?;
        }
        Ok((end, high_watermark))
    }

    fn take_over_config(&mut self, node: &Node) {
        let linger: Linger = S::settings(&node.config()).linger;
        let batch_bytes_max = self.partition.settings().validation.max_message_bytes;
        self.runtime.set_config(RuntimeConfig { linger, batch_bytes_max });
    }

    fn name(&self) -> String {
        format!("{}-{}", self.partition.topic(), self.partition.id().partition)
    }
}

fn producer(marker: &TxnMarker) -> Producer {
    Producer { id: marker.producer_id, epoch: marker.producer_epoch }
}

/// One batch, which is part of a transaction where there is a producer.
fn encode(
    compression: Compression,
    records: &[LogRecord],
    producer: Option<Producer>,
    now: Now,
) -> Result<BytesMut, String> {
    let mut builder = BatchBuilder::new(compression);
    if let Some(producer) = producer {
        builder = builder.producer(producer.id, producer.epoch, FIRST_SEQUENCE).transactional();
    }
    for record in records {
        builder
            .append(now.wall.0, Some(&record.key), record.value.as_deref(), &[])
            .map_err(|fault| fault.to_string())?;
    }
    let bytes = builder.build().map_err(|fault| fault.to_string())?;
    Ok(BytesMut::from(&bytes[..]))
}
