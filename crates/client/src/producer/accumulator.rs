//! What waits to be sent: batches per partition, their order, sequences and deadlines. Time is an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use base::{MonoMs, NodeId, ProducerEpoch, ProducerId, TopicPartition};
use records::batch::increment_sequence;
use records::builder::BatchBuilder;
use records::{Codec, Header};

use super::ProducerRecord;
use super::delivery::{Completion, Delivery, Stored};
use crate::error::{Error, Result};

/// Times in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub batch_size: usize,
    pub linger_ms: u64,
    pub delivery_timeout_ms: u64,
    pub codec: Codec,
}

/// The most bytes that a record takes in a batch of its own, header included: what `max.request.size` is compared with.
pub fn size_upper_bound(record: &ProducerRecord) -> usize {
    const RECORD_OVERHEAD: usize = 21;
    let field = |field: Option<&[u8]>| field.map_or(1, |f| varint_len(f.len()) + f.len());
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| field(Some(key.as_bytes())) + field(value.as_deref()))
        .sum();
    records::batch::HEADER_LEN
        + RECORD_OVERHEAD
        + field(record.key.as_deref())
        + field(record.value.as_deref())
        + varint_len(record.headers.len())
        + headers
}

/// Bytes of a zigzag varint of this length.
fn varint_len(value: usize) -> usize {
    let bits = usize::BITS - (value << 1).leading_zeros();
    (bits.max(1) as usize).div_ceil(7)
}

/// Between the orders of two batches: a batch can be halved twenty times.
const ORDER_STEP: u64 = 1 << 20;

/// The producer's identity for idempotence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// One batch, from its first record until it is answered.
#[derive(Debug)]
pub struct Batch {
    pub partition: TopicPartition,
    pub completion: Arc<Completion>,
    /// Bytes of `buffer.memory` that it holds.
    pub permits: u32,
    pub attempts: u32,
    pub last_error: Option<Error>,
    pub records: i32,
    pub(super) builder: BatchBuilder,
    /// Built when it first leaves; the same bytes leave again.
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) created: MonoMs,
    /// Counts up over all batches of a partition as they leave: their order when some come back.
    pub(super) order: Option<u64>,
    /// Orders from this batch's own on that no other has: room for the parts of a batch that is cut.
    pub(super) order_room: u64,
    pub(super) sequence: Option<i32>,
}

impl Batch {
    /// The finished batch. Compresses on the first call.
    pub fn build(&mut self, identity: Option<Identity>) -> Result<&[u8]> {
        if self.bytes.is_none() {
            let mut builder = std::mem::replace(&mut self.builder, BatchBuilder::new(Codec::None));
            if let (Some(identity), Some(sequence)) = (identity, self.sequence) {
                builder = builder.producer(identity.id, identity.epoch, sequence);
            }
            let built = builder.build();
            // Kept: a new identity builds it again.
            self.builder = builder;
            self.bytes = Some(built.map_err(|error| self.unbuildable(&error))?);
        }
        Ok(self.bytes.as_deref().unwrap_or_default())
    }

    fn unbuildable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::CorruptRecords {
            partition: self.partition.clone(),
            offset: -1,
            reason: error.to_string(),
        }
    }

    pub fn size(&self) -> usize {
        self.bytes.as_ref().map_or_else(|| self.builder.uncompressed_size(), Vec::len)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    /// Orders of the batches that are with a server.
    in_flight: BTreeMap<u64, ()>,
    not_before: MonoMs,
    next_order: u64,
    next_sequence: i32,
}

impl Queue {
    /// Puts a batch that left before into its place among those that wait.
    pub(super) fn insert(&mut self, batch: Batch) {
        let before = |other: &Batch| other.order.is_some() && other.order < batch.order;
        let at = self.batches.iter().take_while(|other| before(other)).count();
        self.batches.insert(at, batch);
    }

    /// Whether the first batch may leave, as far as order and retries go.
    fn sendable(&self, now: MonoMs) -> bool {
        let Some(first) = self.batches.front() else { return false };
        let retried_too_early = match (first.order, self.in_flight.first_key_value()) {
            // One that comes again waits until all before it are answered.
            (Some(order), Some((lowest, ()))) => *lowest < order,
            _ => false,
        };
        now >= self.not_before && !retried_too_early
    }
}

/// What became of an append.
pub struct Appended {
    pub delivery: Delivery,
    /// A batch is new or full: the sender has something to look at.
    pub wake: bool,
}

/// What can leave now, and when to look again.
#[derive(Debug, Default)]
pub struct Ready {
    pub partitions: HashMap<NodeId, Vec<TopicPartition>>,
    /// Topics of partitions whose leader is not known.
    pub leaderless: Vec<Arc<str>>,
    pub look_again: Option<MonoMs>,
}

/// All batches of one producer.
#[derive(Debug)]
pub struct Accumulator {
    pub(super) limits: Limits,
    pub(super) queues: HashMap<TopicPartition, Queue>,
    /// Batches with servers.
    in_flight: usize,
    pub(super) completions: HashMap<usize, Arc<Completion>>,
}

impl Accumulator {
    pub fn new(limits: Limits) -> Self {
        Self { limits, queues: HashMap::new(), in_flight: 0, completions: HashMap::new() }
    }

    /// Adds a record to the last batch of its partition, or to a new one.
    pub fn append(
        &mut self,
        now: MonoMs,
        partition: TopicPartition,
        timestamp: i64,
        record: &ProducerRecord,
        permits: u32,
    ) -> Result<Appended> {
        let limits = self.limits;
        let size = size_upper_bound(record);
        let queue = self.queues.entry(partition.clone()).or_default();
        let open = queue.batches.back().is_some_and(|last| {
            last.bytes.is_none()
                && last.order.is_none()
                && last.builder.uncompressed_size() + size - records::batch::HEADER_LEN
                    <= limits.batch_size
        });
        let mut wake = false;
        if !open {
            let batch = Batch {
                partition: partition.clone(),
                completion: Arc::default(),
                permits: 0,
                attempts: 0,
                last_error: None,
                records: 0,
                builder: BatchBuilder::new(limits.codec),
                bytes: None,
                created: now,
                order: None,
                order_room: ORDER_STEP,
                sequence: None,
            };
            self.completions.insert(key(&batch.completion), Arc::clone(&batch.completion));
            queue.batches.push_back(batch);
            wake = true;
        }
        let Some(batch) = queue.batches.back_mut() else { return Err(Error::Closed) };
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() })
            .collect();
        let index = batch.builder.append(
            timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
        let index = index.map_err(|error| batch.unbuildable(&error))?;
        batch.permits = batch.permits.saturating_add(permits);
        batch.records = batch.builder.count();
        wake |= batch.builder.uncompressed_size() >= limits.batch_size;
        let completion = Arc::clone(&batch.completion);
        let delivery = Delivery { completion, partition, index: index.get(), timestamp };
        Ok(Appended { delivery, wake })
    }

    /// Which partitions have a batch that should leave: full, old enough, or `hurried`.
    pub fn ready(
        &self,
        now: MonoMs,
        hurried: bool,
        leader: impl Fn(&TopicPartition) -> Option<NodeId>,
    ) -> Ready {
        let mut ready = Ready::default();
        for (partition, queue) in &self.queues {
            let Some(first) = queue.batches.front() else { continue };
            if now < queue.not_before {
                sooner(&mut ready.look_again, queue.not_before);
                continue;
            }
            let full = queue.batches.len() > 1
                || first.builder.uncompressed_size() >= self.limits.batch_size;
            let due = first.created.plus_ms(self.limits.linger_ms);
            if !(hurried || full || first.order.is_some() || now >= due) {
                sooner(&mut ready.look_again, due);
                continue;
            }
            if !queue.sendable(now) {
                // An answer will wake the sender.
                continue;
            }
            match leader(partition) {
                Some(node) => ready.partitions.entry(node).or_default().push(partition.clone()),
                None => ready.leaderless.push(Arc::clone(&partition.topic)),
            }
        }
        ready.leaderless.sort_unstable();
        ready.leaderless.dedup();
        ready
    }

    /// Takes the first batch of each of these partitions, as long as they fit into one request.
    pub fn drain(
        &mut self,
        now: MonoMs,
        partitions: &[TopicPartition],
        max_bytes: usize,
        sequences: bool,
    ) -> Vec<Batch> {
        let mut drained: Vec<Batch> = Vec::new();
        let mut bytes = 0usize;
        for partition in partitions {
            let Some(queue) = self.queues.get_mut(partition).filter(|queue| queue.sendable(now))
            else {
                continue;
            };
            let size = queue.batches.front().map_or(0, Batch::size);
            if !drained.is_empty() && bytes.saturating_add(size) > max_bytes {
                break;
            }
            let Some(mut batch) = queue.batches.pop_front() else { continue };
            bytes = bytes.saturating_add(size);
            let order = *batch.order.get_or_insert_with(|| {
                queue.next_order += ORDER_STEP;
                queue.next_order
            });
            if sequences && batch.sequence.is_none() {
                batch.sequence = Some(queue.next_sequence);
                queue.next_sequence = increment_sequence(queue.next_sequence, batch.records);
            }
            queue.in_flight.insert(order, ());
            self.in_flight += 1;
            drained.push(batch);
        }
        drained
    }

    /// The batch is answered for good. Returns the bytes of memory that are free again.
    pub fn complete(&mut self, batch: Batch, result: Result<Stored>) -> usize {
        self.landed(&batch);
        self.finish(batch, result)
    }

    fn finish(&mut self, batch: Batch, result: Result<Stored>) -> usize {
        self.completions.remove(&key(&batch.completion));
        batch.completion.complete(result);
        batch.permits as usize
    }

    /// The batch goes back into line, before all that left after it.
    pub fn put_back(&mut self, mut batch: Batch, not_before: MonoMs, error: Error) {
        self.landed(&batch);
        batch.attempts = batch.attempts.saturating_add(1);
        batch.last_error = Some(error);
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        queue.not_before = queue.not_before.max(not_before);
        queue.insert(batch);
    }

    pub(super) fn landed(&mut self, batch: &Batch) {
        let queue = self.queues.get_mut(&batch.partition);
        if let (Some(queue), Some(order)) = (queue, batch.order)
            && queue.in_flight.remove(&order).is_some()
        {
            self.in_flight -= 1;
        }
    }

    /// Whether all batches of its partition before this one are answered for good: none is with a server, none waits
    /// to go again.
    pub fn is_next_to_answer(&self, batch: &Batch) -> bool {
        let Some(queue) = self.queues.get(&batch.partition) else { return true };
        let in_flight = queue.in_flight.keys().next().copied();
        let waiting = queue.batches.front().and_then(|first| first.order);
        let before = |order: Option<u64>| order.is_some_and(|order| Some(order) < batch.order);
        !before(in_flight) && !before(waiting)
    }

    pub fn past_deadline(&self, now: MonoMs, batch: &Batch) -> bool {
        now >= batch.created.plus_ms(self.limits.delivery_timeout_ms)
    }

    /// Gives up batches that waited too long. Returns free bytes, and whether one of them may be with a server
    /// already, which leaves a gap in the sequences.
    pub fn expire(&mut self, now: MonoMs) -> (usize, bool) {
        let mut expired = Vec::new();
        for queue in self.queues.values_mut() {
            let old = |b: &Batch| now >= b.created.plus_ms(self.limits.delivery_timeout_ms);
            while queue.batches.front().is_some_and(old) {
                expired.extend(queue.batches.pop_front());
            }
        }
        let mut freed = 0;
        let mut gap = false;
        for batch in expired {
            gap |= batch.sequence.is_some();
            let error = Error::DeliveryTimeout {
                partition: batch.partition.clone(),
                count: usize::try_from(batch.records).unwrap_or(0),
                after_ms: self.limits.delivery_timeout_ms,
                last: batch.last_error.clone().map(Box::new),
            };
            freed += self.finish(batch, Err(error));
        }
        (freed, gap)
    }

    /// A new producer id: every partition counts from zero again, and what waits is built anew.
    pub fn restart_sequences(&mut self) {
        for queue in self.queues.values_mut() {
            queue.next_sequence = 0;
            for batch in &mut queue.batches {
                batch.bytes = None;
                batch.sequence = None;
                if batch.order.is_some() {
                    batch.sequence = Some(queue.next_sequence);
                    queue.next_sequence = increment_sequence(queue.next_sequence, batch.records);
                }
            }
        }
    }

    /// Fails everything that waits. Returns free bytes.
    pub fn fail_waiting(&mut self, error: &Error) -> usize {
        let waiting: Vec<Batch> =
            self.queues.values_mut().flat_map(|q| q.batches.drain(..)).collect();
        waiting.into_iter().map(|batch| self.finish(batch, Err(error.clone()))).sum()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether nothing waits and nothing is with a server.
    pub fn is_empty(&self) -> bool {
        self.completions.is_empty()
    }

    /// The answers that are still owed.
    pub fn incomplete(&self) -> Vec<Arc<Completion>> {
        self.completions.values().cloned().collect()
    }

    /// Topics that were sent to, for the regular refresh.
    pub fn topics(&self) -> Vec<Arc<str>> {
        let mut topics: Vec<_> = self.queues.keys().map(|tp| Arc::clone(&tp.topic)).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

pub(super) fn key(completion: &Arc<Completion>) -> usize {
    Arc::as_ptr(completion).addr()
}

fn sooner(at: &mut Option<MonoMs>, candidate: MonoMs) {
    *at = Some(at.map_or(candidate, |at| at.min(candidate)));
}
