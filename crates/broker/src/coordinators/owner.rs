//! One shard's owner: takes calls and timers, lets the runtime decide, appends, and answers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::machine::ReplyId;
use base::time::Now;
use base::{MonoMs, Offset};
use bytes::BytesMut;
use coordinator::{Effect, Event, Linger, LogRecord, RuntimeConfig, ShardRuntime};
use group::{GroupShard, Reply};
use protocol::ErrorCode;
use records::{BatchBuilder, Compression};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::{Ask, Call, Status, WeakNode, view};
use crate::clock::Clock;
use crate::node::Node;
use crate::partitions::{Partition, Written};

/// Calls taken before what they decided is appended.
const CALLS_PER_APPEND: usize = 500;
const WAIT_MS_MAX: u64 = 60_000;

type Answer = oneshot::Sender<Result<Reply, ErrorCode>>;

pub(super) struct Owner {
    node: WeakNode,
    partition: Arc<Partition>,
    status: Arc<Status>,
    runtime: ShardRuntime<GroupShard>,
    view: view::Current,
    owed: HashMap<ReplyId, Answer>,
    next_id: u64,
    /// Appends that replicas have not confirmed, in the order of the log.
    uncommitted: VecDeque<(Offset, oneshot::Receiver<Written>)>,
}

/// What wakes an owner.
enum Woken {
    Call(Call),
    Committed,
    /// Replication gave up: the partition moved, or time is over.
    CommitFailed,
    Time,
    Ended,
}

impl Owner {
    pub(super) fn new(node: &Arc<Node>, partition: Arc<Partition>, status: Arc<Status>) -> Self {
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        Self {
            node: Arc::downgrade(node),
            partition,
            status,
            runtime: ShardRuntime::new(GroupShard::default(), config),
            view: view::Current::new(node),
            owed: HashMap::new(),
            next_id: 0,
            uncommitted: VecDeque::new(),
        }
    }

    /// Until the partition is led elsewhere or the node ends.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Call>,
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
                error!("a shard of the offsets topic could not be loaded: {panic}");
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
        inbox: &mut mpsc::Receiver<Call>,
        ended: &mut oneshot::Receiver<()>,
    ) -> Woken {
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

    fn call(&mut self, node: &Node, call: Call) {
        self.next_id += 1;
        let id = ReplyId(self.next_id);
        self.owed.insert(id, call.answer);
        match call.ask {
            Ask::Request(request) => self.step(node, Event::Request { id, request }),
            Ask::Query(query) => self.step(node, Event::Query { id, query }),
        }
    }

    fn step(&mut self, node: &Node, event: Event<GroupShard>) {
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
        node: &Node,
        effect: Effect<Reply>,
        events: &mut VecDeque<Event<GroupShard>>,
    ) {
        match effect {
            // The owner loads before it serves.
            Effect::Load { .. } => {}
            Effect::Append { records } => match self.append(node, &records) {
                Ok((first, last, committed)) => {
                    node.note_appended();
                    events.push_back(Event::Appended { first, last });
                    match committed {
                        Some(waiting) => self.uncommitted.push_back((last.plus(1), waiting)),
                        None => events.push_back(Event::HighWatermark { to: last.plus(1) }),
                    }
                }
                Err(error) => events.push_back(Event::AppendFailed { error }),
            },
            Effect::Reply { id, reply } => {
                if let Some(answer) = self.owed.remove(&id) {
                    // Who asked may have gone.
                    let _gone = answer.send(reply);
                }
            }
            Effect::Duty(none) => match none {},
            Effect::FailAll { error } => {
                for (_, answer) in self.owed.drain() {
                    let _gone = answer.send(Err(error));
                }
            }
        }
    }

    fn append(
        &self,
        node: &Node,
        records: &[LogRecord],
    ) -> Result<(Offset, Offset, Option<oneshot::Receiver<Written>>), ErrorCode> {
        let now = node.clock.now();
        let bytes = encode(node, records, now).map_err(|fault| {
            warn!("records of a group cannot be written: {fault}");
            ErrorCode::UnknownServerError
        })?;
        let timeout_ms = u64::try_from(node.config().offsets.commit_timeout_ms).unwrap_or(0);
        let deadline: MonoMs = now.mono.plus_ms(timeout_ms);
        let appended =
            self.partition.append_as_coordinator(bytes, self.status.epoch(), now, deadline);
        let appended = appended.map_err(|fault| {
            warn!(partition = %self.name(), "append failed: {fault}");
            fault.code()
        })?;
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        Ok((appended.first_offset, appended.first_offset.plus(count - 1), appended.committed))
    }

    /// Replays the partition's log from its start.
    fn load(mut self) -> Self {
        let Some(node) = self.node.upgrade() else { return self };
        let started = node.clock.mono();
        let event = match self.read_all(&node) {
            Ok((end, high_watermark)) => {
                let (ms, groups) =
                    (node.clock.mono().since(started), self.runtime.tip().groups().size());
                if groups > 0 {
                    info!(partition = %self.name(), groups, ms, "groups loaded");
                }
                // What its predecessor wrote last is committed once the replicas follow this leader.
                let awaited = self.partition.committed(end);
                self.uncommitted.extend(awaited.map(|waiting| (end, waiting)));
                Event::Loaded { end, high_watermark }
            }
            Err(fault) => {
                error!(partition = %self.name(), "the groups cannot be loaded: {fault}");
                Event::LoadFailed
            }
        };
        self.step(&node, event);
        self.status.set_loaded(self.runtime.is_active());
        self
    }

    fn read_all(&mut self, node: &Node) -> Result<(Offset, Offset), String> {
        let read_bytes = u32::try_from(node.config().offsets.load_buffer_size).unwrap_or(1);
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
        let linger = match u64::try_from(node.config().group.coordinator_append_linger_ms) {
            Ok(ms) => Linger::Ms(ms),
            Err(_negative) => Linger::Adaptive,
        };
        let batch_bytes_max = self.partition.settings().validation.max_message_bytes;
        self.runtime.set_config(RuntimeConfig { linger, batch_bytes_max });
    }

    fn name(&self) -> String {
        format!("{}-{}", self.partition.topic(), self.partition.id().partition)
    }
}

/// One batch, with the codec of `offsets.topic.compression.codec`.
fn encode(node: &Node, records: &[LogRecord], now: Now) -> Result<BytesMut, String> {
    let id = u8::try_from(node.config().offsets.topic_compression_codec).unwrap_or(0);
    let mut builder = BatchBuilder::new(Compression::from_id(id).unwrap_or(Compression::None));
    for record in records {
        builder
            .append(now.wall.0, Some(&record.key), record.value.as_deref(), &[])
            .map_err(|fault| fault.to_string())?;
    }
    let bytes = builder.build().map_err(|fault| fault.to_string())?;
    Ok(BytesMut::from(&bytes[..]))
}
