//! The group coordinator of a broker that leads the partition of committed offsets: the shard over the replicated log.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use base::machine::ReplyId;
use base::{LeaderEpoch, MonoMs, Offset};
use coordinator::{Effect, Event, Linger, LogRecord, RuntimeConfig, ShardRuntime};
use group::testing::Cluster;
use group::{GroupShard, Reply, Request, View, consumer};
use metadata::Image;
use protocol::ErrorCode;
use records::{BatchBuilder, Compression};
use replication::FollowerLog;

use super::context::Context;
use super::members::topics_of;
use super::message::{CallId, Tell};
use super::part_log::PartLog;
use super::quorum::Done;
use super::replica::Replica;
use super::replicas::{Logs, Replicas};
use super::tamper::Tamper;
use crate::groups;

pub(super) const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// `offsets.commit.timeout.ms`
const COMMIT_MS: u64 = 3_000;

pub(super) type Runtime = ShardRuntime<GroupShard>;

pub(super) struct Coordinator {
    runtime: Runtime,
    /// How many topics the view knows of.
    known_topics: usize,
    view: View,
    /// The epoch in which this broker leads the partition.
    epoch: Option<LeaderEpoch>,
    owed: BTreeMap<ReplyId, CallId>,
    next_id: u64,
    /// Appends that replicas have not confirmed, and how long they may take.
    uncommitted: VecDeque<(Offset, MonoMs)>,
}

/// What a client wants of the coordinator.
#[derive(Clone, Debug)]
pub(super) enum GroupAsk {
    Request(Request),
}

impl Coordinator {
    pub fn new() -> Self {
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        let mut view = group::testing::view(Cluster::default());
        view.offsets.retention_ms = u64::MAX / 4;
        view.classic.initial_rebalance_delay_ms = 500;
        view.consumer.session_timeout_ms = 6_000;
        view.consumer.heartbeat_interval_ms = 1_000;
        Self {
            runtime: ShardRuntime::new(GroupShard::default(), config),
            known_topics: 0,
            view,
            epoch: None,
            owed: BTreeMap::new(),
            next_id: 0,
            uncommitted: VecDeque::new(),
        }
    }

    /// With everything decided.
    pub fn state(&self) -> &GroupShard {
        self.runtime.tip()
    }

    /// The runtime, while it serves.
    pub fn serving(&self) -> Option<&Runtime> {
        self.runtime.is_active().then_some(&self.runtime)
    }

    /// Topics may have come: groups hear of it, if there are any here.
    fn follow_topics(&mut self, image: &Image) -> Option<Event<GroupShard>> {
        if image.topics.len() == self.known_topics {
            return None;
        }
        self.known_topics = image.topics.len();
        let topics = topics_of(image);
        let version = topics.version;
        let names: Vec<Arc<str>> = topics.topics.keys().cloned().collect();
        self.view.metadata = Arc::new(topics);
        let told = consumer::Request::MetadataChanged { version, topics: names.into(), new: true };
        self.next_id += 1;
        let (id, request) = (ReplyId(self.next_id), Request::Consumer(told));
        Some(Event::Request { id, request })
    }

    fn find<'a>(
        replicas: &'a mut Replicas,
        logs: &'a mut Logs,
        image: &Image,
    ) -> Option<(&'a mut Replica, &'a mut PartLog)> {
        let topic = image.topics.by_name(OFFSETS_TOPIC)?.id;
        let id = base::TopicIdPartition::new(topic, 0);
        replicas.by_id.get_mut(&id).zip(logs.get_mut(&id))
    }

    /// After everything that happens to the broker: leads as the partition does, learns what is committed.
    pub fn follow(
        &mut self,
        cx: &mut Context<'_>,
        replicas: &mut Replicas,
        logs: &mut Logs,
        image: &Image,
    ) -> Done {
        let told = self.follow_topics(image);
        let found = Self::find(replicas, logs, image);
        let led = found.as_ref().and_then(|(replica, _)| replica.leader());
        let epoch = led.map(replication::Leader::epoch);
        let Some((replica, log)) = found.filter(|_| epoch.is_some()) else {
            if self.epoch.take().is_some() {
                self.uncommitted.clear();
                self.unload(cx);
            }
            return Ok(());
        };
        let committed = log.high_watermark();
        if self.epoch != epoch {
            (self.epoch, self.uncommitted) = (epoch, VecDeque::new());
            let epoch = epoch.unwrap_or(LeaderEpoch::NONE);
            self.step(cx, replica, log, image, Event::Lead { epoch })?;
        }
        if let Some(event) = told {
            self.step(cx, replica, log, image, event)?;
        }
        while self.uncommitted.front().is_some_and(|(end, _)| *end <= committed) {
            if let Some((to, _)) = self.uncommitted.pop_front() {
                self.step(cx, replica, log, image, Event::HighWatermark { to })?;
            }
        }
        if self.uncommitted.front().is_some_and(|(_, until)| *until <= cx.now.mono) {
            // What was appended may or may not survive: only the log can tell.
            self.uncommitted.clear();
            self.step(cx, replica, log, image, Event::Unload)?;
            let epoch = epoch.unwrap_or(LeaderEpoch::NONE);
            self.step(cx, replica, log, image, Event::Lead { epoch })?;
        }
        if self.runtime.deadline() <= cx.now.mono {
            self.step(cx, replica, log, image, Event::Tick)?;
        }
        self.step(cx, replica, log, image, Event::Drained)?;
        let news = std::mem::take(&mut replica.news);
        replicas.news |= news;
        Ok(())
    }

    fn unload(&mut self, cx: &mut Context<'_>) {
        let mut effects = Vec::new();
        self.runtime.step(cx.now, Event::Unload, &self.view, &mut effects);
        self.fail_all(cx, ErrorCode::NotCoordinator);
    }

    fn fail_all(&mut self, cx: &mut Context<'_>, error: ErrorCode) {
        for (_, call) in std::mem::take(&mut self.owed) {
            cx.reply(call, Tell::Group(Err(error)));
        }
    }

    /// A client asks.
    pub fn ask(
        &mut self,
        cx: &mut Context<'_>,
        (replicas, logs): (&mut Replicas, &mut Logs),
        image: &Image,
        call: CallId,
        ask: GroupAsk,
    ) -> Done {
        let found = Self::find(replicas, logs, image);
        let Some((replica, log)) = found.filter(|_| self.epoch.is_some()) else {
            cx.reply(call, Tell::Group(Err(ErrorCode::NotCoordinator)));
            return Ok(());
        };
        self.next_id += 1;
        let id = ReplyId(self.next_id);
        self.owed.insert(id, call);
        let GroupAsk::Request(mut request) = ask;
        if cx.is(Tamper::TrustsMembers) {
            request = groups::Tamper::trusted(request, self.runtime.tip());
        }
        self.step(cx, replica, log, image, Event::Request { id, request })
    }

    fn step(
        &mut self,
        cx: &mut Context<'_>,
        replica: &mut Replica,
        log: &mut PartLog,
        image: &Image,
        event: Event<GroupShard>,
    ) -> Done {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects: Vec<Effect<Reply>> = Vec::new();
            self.runtime.step(cx.now, event, &self.view, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Load { .. } => events.push_back(self.load(cx, log)?),
                    Effect::Append { records, .. } => {
                        let first = log.end();
                        let appended = replica.append_all(cx, log, image, records);
                        if let Err(error) = appended {
                            events.push_back(Event::AppendFailed { error });
                            continue;
                        }
                        replica.news = true;
                        let end = log.end();
                        self.uncommitted.push_back((end, cx.now.mono.plus_ms(COMMIT_MS)));
                        events.push_back(Event::Appended { first, last: end.plus(-1) });
                        if cx.is(Tamper::CommitsTooEarly) {
                            events.push_back(Event::HighWatermark { to: end });
                        }
                    }
                    // Nobody ends transactions here.
                    Effect::AppendMarker { .. } => {
                        events.push_back(Event::AppendFailed {
                            error: ErrorCode::UnknownServerError,
                        });
                    }
                    Effect::Reply { id, reply } => {
                        if let Some(call) = self.owed.remove(&id) {
                            cx.reply(call, Tell::Group(reply));
                        }
                    }
                    Effect::Duty(none) => match none {},
                    Effect::FailAll { error } => self.fail_all(cx, error),
                }
            }
        }
        Ok(())
    }

    /// Replays the log from its start.
    fn load(&mut self, cx: &Context<'_>, log: &PartLog) -> Result<Event<GroupShard>, String> {
        let (mut at, end, high_watermark) = (log.start(), log.end(), log.high_watermark());
        let records = if cx.is(Tamper::LoadsNothing) { &[] } else { log.records() };
        for record in records {
            let bytes = batch(record.payload.as_ref(), at)?;
            let loaded = self.runtime.load(&bytes, at, high_watermark);
            at = loaded.map_err(|error| error.to_string())?;
        }
        if high_watermark < end {
            // What its predecessor wrote last is committed once the replicas follow this leader.
            self.uncommitted.push_back((end, MonoMs::NEVER));
        }
        Ok(Event::Loaded { end, high_watermark })
    }
}

fn batch(record: Option<&Rc<LogRecord>>, at: Offset) -> Result<Vec<u8>, String> {
    let record = record.ok_or("a record of the offsets topic has no payload")?;
    let mut batch = BatchBuilder::new(Compression::None).base_offset(at);
    let appended = batch.append(0, Some(&record.key), record.value.as_deref(), &[]);
    appended.and_then(|_| batch.build()).map_err(|error| error.to_string())
}
