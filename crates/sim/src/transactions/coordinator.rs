//! A node that coordinates: the product's runtime and shard, and a driver as its documentation asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::machine::ReplyId;
use base::{LeaderEpoch, Offset};
use coordinator::{Effect, Event as Input, Linger, LogRecord, RuntimeConfig, ShardRuntime};
use protocol::ErrorCode;
use records::{BatchBuilder, Compression};
use transaction::{Duty, Reply, Request, State, TimeOut, TransactionShard};

use super::Tamper;
use super::checks::Checks;
use super::markers::Sending;
use super::world::{Ask, Event, From, World};

/// Before what failed is handed in again.
const AGAIN_MS: u64 = 200;

pub struct Coordinator {
    pub runtime: ShardRuntime<TransactionShard>,
    pub epoch: LeaderEpoch,
    /// Of the log as it has it.
    end: Offset,
    owed: BTreeMap<ReplyId, (From, Option<Request>)>,
    pub sending: BTreeMap<(Arc<str>, u64), Sending>,
    next_id: u64,
    /// Something happened to it since it was looked at.
    pub is_new: bool,
}

impl Coordinator {
    pub fn new() -> Self {
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        Self {
            runtime: ShardRuntime::new(TransactionShard::default(), config),
            epoch: LeaderEpoch::NONE,
            end: Offset::ZERO,
            owed: BTreeMap::new(),
            sending: BTreeMap::new(),
            next_id: 0,
            is_new: true,
        }
    }
}

impl World {
    pub fn node(&mut self, node: usize) -> Result<&mut Coordinator, String> {
        self.coordinators.get_mut(node).ok_or_else(|| format!("there is no node {node}"))
    }

    /// The node becomes the leader of the log, of which the end may be lost that nobody knows to be committed.
    pub fn lead(&mut self, node: usize) -> Result<(), String> {
        self.epoch = LeaderEpoch(self.epoch.get() + 1);
        while self.log.end() > self.log.committed && self.rng.chance(40) {
            self.log.batches.pop();
        }
        if self.is(Tamper::LoseRecords) && self.rng.chance(30) {
            self.log.batches.pop();
        }
        self.log.batches.retain(|batch| !batch.is_empty());
        self.leader = node;
        self.log.committed = self.log.committed.min(self.log.end());
        self.note(&format!("node {node} leads in {} up to {}", self.epoch, self.log.end()));
        let epoch = self.epoch;
        for partition in 0..self.known.len() {
            let ms = self.until_heard();
            self.after(ms, Event::Learned { partition, leader: node, epoch });
        }
        let end = self.log.end();
        let one = self.node(node)?;
        (one.epoch, one.end) = (epoch, end);
        self.step(node, Input::Lead { epoch })?;
        let (ms, to) = (1 + self.rng.below(500), self.log.end());
        self.after(ms, Event::Committed { epoch, to });
        self.after(100, Event::Tick { node });
        Ok(())
    }

    pub fn crash(&mut self, node: usize) {
        if let Some(one) = self.coordinators.get_mut(node) {
            *one = Coordinator { next_id: one.next_id, ..Coordinator::new() };
        }
    }

    pub fn unload(&mut self, node: usize, epoch: LeaderEpoch) -> Result<(), String> {
        if self.node(node)?.epoch != epoch || self.leader == node {
            return Ok(());
        }
        self.step(node, Input::Unload)
    }

    pub fn committed(&mut self, epoch: LeaderEpoch, to: Offset) -> Result<(), String> {
        if epoch != self.epoch {
            return Ok(());
        }
        self.log.committed = self.log.committed.max(to);
        let node = self.leader;
        self.step(node, Input::HighWatermark { to })
    }

    pub fn tick(&mut self, node: usize) -> Result<(), String> {
        if !self.is(Tamper::StopTimers) {
            self.step(node, Input::Tick)?;
        }
        self.step(node, Input::Drained)?;
        if self.node(node)?.runtime.is_active() {
            self.after(500, Event::Tick { node });
        }
        Ok(())
    }

    pub fn asked(&mut self, node: usize, from: From, ask: Ask) -> Result<(), String> {
        let one = self.node(node)?;
        one.next_id += 1;
        let id = ReplyId(one.next_id);
        match ask {
            Ask::Request(mut request) => {
                if self.is(Tamper::TrustProducers) {
                    self.trust(node, &mut request)?;
                }
                if self.is(Tamper::TrustOldCoordinators) && self.remembers(node, &request)? {
                    self.tell(from, Ok(Reply::AddPartitions(ErrorCode::None)));
                    return Ok(());
                }
                let one = self.node(node)?;
                one.owed.insert(id, (from, Some(request.clone())));
                self.step(node, Input::Request { id, request })?;
            }
            Ask::Query(query) => {
                one.owed.insert(id, (from, None));
                self.step(node, Input::Query { id, query })?;
            }
        }
        self.step(node, Input::Drained)
    }

    /// Whether a request is for partitions that are in the transaction already, as far as this node knows.
    fn remembers(&mut self, node: usize, request: &Request) -> Result<bool, String> {
        let Request::AddPartitions(ask) = request else { return Ok(false) };
        let known = self.node(node)?.runtime.committed().get(&ask.transactional_id);
        let known = known.filter(|one| one.state == State::Ongoing && one.producer == ask.producer);
        Ok(known.is_some_and(|one| ask.partitions.iter().all(|at| one.partitions.contains(at))))
    }

    /// Whoever asks is the present producer.
    fn trust(&mut self, node: usize, request: &mut Request) -> Result<(), String> {
        let (id, producer) = match request {
            Request::AddPartitions(ask) => (&ask.transactional_id, &mut ask.producer),
            Request::EndTxn(ask) => (&ask.transactional_id, &mut ask.producer),
            _ => return Ok(()),
        };
        if let Some(present) = self.node(node)?.runtime.tip().get(id) {
            *producer = present.producer;
        }
        Ok(())
    }

    fn step(&mut self, node: usize, input: Input<TransactionShard>) -> Result<(), String> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (mut now, view) = (self.now, self.view);
            now.wall.0 += self.clocks.get(node).copied().unwrap_or(0);
            let mut effects = Vec::new();
            let one = self.node(node)?;
            one.is_new = true;
            one.runtime.step(now, input, &view, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Load { .. } => inputs.push_back(self.load(node)?),
                    Effect::Append { records, .. } => self.append(node, records, &mut inputs)?,
                    Effect::AppendMarker { .. } => return Err("a marker in its log".to_owned()),
                    Effect::Reply { id, reply } => self.reply(node, id, reply)?,
                    Effect::Duty(duty) => self.duty(node, duty)?,
                    Effect::FailAll { error } => {
                        let one = self.node(node)?;
                        one.sending.clear();
                        for (from, _) in std::mem::take(&mut one.owed).into_values() {
                            self.tell(from, Err(error));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        node: usize,
        records: Vec<LogRecord>,
        inputs: &mut VecDeque<Input<TransactionShard>>,
    ) -> Result<(), String> {
        let epoch = self.node(node)?.epoch;
        if epoch != self.epoch {
            // It does not know that it is replaced: its log grows, and nobody copies that.
            self.checks.stats.vain_appends += 1;
            let one = self.node(node)?;
            let first = one.end;
            one.end = first.plus(i64::try_from(records.len()).unwrap_or(i64::MAX));
            let last = one.end.plus(-1);
            inputs.push_back(Input::Appended { first, last });
            return Ok(());
        }
        let error = if self.chaos && self.rng.chance(4) {
            self.checks.stats.failed_appends += 1;
            Some(ErrorCode::NotEnoughReplicas)
        } else {
            None
        };
        if let Some(error) = error {
            inputs.push_back(Input::AppendFailed { error });
            return Ok(());
        }
        Checks::appended(self, &records)?;
        let first = self.log.end();
        self.log.batches.push(records);
        let to = self.log.end();
        self.node(node)?.end = to;
        inputs.push_back(Input::Appended { first, last: to.plus(-1) });
        if self.is(Tamper::CommitTooEarly) {
            inputs.push_back(Input::HighWatermark { to });
        }
        let most_ms = if self.rng.chance(5) { 3_000 } else { 50 };
        let (ms, epoch) = (1 + self.rng.below(most_ms), self.epoch);
        self.after(ms, Event::Committed { epoch, to });
        Ok(())
    }

    fn load(&mut self, node: usize) -> Result<Input<TransactionShard>, String> {
        let (mut at, end) = (Offset::ZERO, self.log.end());
        // A new leader does not know all that is committed.
        let known =
            Offset(self.log.committed.get() - i64::try_from(self.rng.below(3)).unwrap_or(0));
        let high_watermark = known.max(Offset::ZERO);
        for batch in self.log.batches.clone() {
            let bytes = encode(&batch, at).ok_or("a batch cannot be written")?;
            let loaded = self.node(node)?.runtime.load(&bytes, at, high_watermark);
            at = loaded.map_err(|error| error.to_string())?;
        }
        Ok(Input::Loaded { end, high_watermark })
    }

    fn reply(
        &mut self,
        node: usize,
        id: ReplyId,
        reply: Result<Reply, ErrorCode>,
    ) -> Result<(), String> {
        let Some((from, request)) = self.node(node)?.owed.remove(&id) else { return Ok(()) };
        if reply == Ok(Reply::NeedsProducerId) {
            let fresh = Some(self.fresh_producer_id());
            let again = match request {
                Some(Request::InitProducerId(mut ask)) => {
                    ask.fresh = fresh;
                    Request::InitProducerId(ask)
                }
                Some(Request::EndTxn(mut ask)) => {
                    ask.fresh = fresh;
                    Request::EndTxn(ask)
                }
                other => return Err(format!("{other:?} needs a producer id")),
            };
            let ask = Ask::Request(again);
            self.after(1, Event::Asked { node, from, ask });
            return Ok(());
        }
        let leads = self.node(node)?.runtime.is_active();
        match (from, request) {
            (From::Sender, _) if !leads => {}
            (From::Sender, Some(Request::Markers(written))) => match reply {
                Ok(Reply::Markers(verdicts)) => self.judged(node, &written, &verdicts)?,
                // Not the markers are sent again, but what came of them.
                _ => {
                    let ask = Ask::Request(Request::Markers(written));
                    self.after(AGAIN_MS, Event::Asked { node, from: From::Sender, ask });
                }
            },
            (from, _) => self.tell(from, reply),
        }
        Ok(())
    }

    fn tell(&mut self, from: From, answer: Result<Reply, ErrorCode>) {
        match from {
            From::Client { client, call } => self.send(Event::Told { client, call, answer }),
            From::Partition { partition, number } => {
                self.send(Event::Verified { partition, number, answer });
            }
            From::Sender => {}
        }
    }

    fn duty(&mut self, node: usize, duty: Duty) -> Result<(), String> {
        if self.is(Tamper::LoseDuties) && self.rng.chance(20) {
            return Ok(());
        }
        match duty {
            Duty::Markers(markers) => {
                let (id, number) = (Arc::clone(&markers.transactional_id), markers.number);
                let one = self.node(node)?;
                let epoch = one.epoch;
                one.sending.insert((Arc::clone(&id), number), Sending::new(markers));
                self.send_markers(node, epoch, &id, number);
            }
            Duty::ProducerId { transactional_id, producer } => {
                let fresh = self.fresh_producer_id();
                let request = Request::TimeOut(TimeOut { transactional_id, producer, fresh });
                let ask = Ask::Request(request);
                self.after(5, Event::Asked { node, from: From::Sender, ask });
            }
        }
        Ok(())
    }
}

fn encode(records: &[LogRecord], first: Offset) -> Option<Vec<u8>> {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(first);
    for record in records {
        builder.append(0, Some(&record.key), record.value.as_deref(), &[]).ok()?;
    }
    builder.build().ok()
}
