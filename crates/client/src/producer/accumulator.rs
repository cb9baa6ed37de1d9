//! What waits to be sent: batches per partition, their order, sequences and deadlines. Time is an argument.

use std::collections::HashMap;
use std::sync::Arc;

use base::{MonoMs, NodeId, TopicPartition};
use protocol::ErrorCode;
use records::builder::BatchBuilder;
use records::{Codec, Header};

use super::ProducerRecord;
use super::batch::ORDER_STEP;
pub use super::batch::{Batch, size_upper_bound};
use super::delivery::{Completion, Delivery, Stored};
use super::queue::Queue;
pub use super::sequences::Identity;
use crate::error::{Error, Result};

/// Times in milliseconds, sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub batch_size: usize,
    pub linger_ms: u64,
    pub delivery_timeout_ms: u64,
    pub codec: Codec,
    /// Batches belong to transactions.
    pub transactional: bool,
}

impl Limits {
    /// A batch that is written as these say.
    pub(super) fn builder(&self) -> BatchBuilder {
        let builder = BatchBuilder::new(self.codec);
        if self.transactional { builder.transactional() } else { builder }
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
    /// For whom batches are numbered; None: not at all, or not yet.
    identity: Option<Identity>,
    /// A partition has a gap: only another epoch gets past it.
    bump_wanted: bool,
}

impl Accumulator {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queues: HashMap::new(),
            in_flight: 0,
            completions: HashMap::new(),
            identity: None,
            bump_wanted: false,
        }
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
                builder: limits.builder(),
                bytes: None,
                created: now,
                order: None,
                order_room: ORDER_STEP,
                sequence: None,
                identity: None,
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
            if now < queue.waits_until() {
                sooner(&mut ready.look_again, queue.waits_until());
                continue;
            }
            let full = queue.batches.len() > 1
                || first.builder.uncompressed_size() >= self.limits.batch_size;
            let due = first.created.plus_ms(self.limits.linger_ms);
            if !(hurried || full || first.order.is_some() || now >= due) {
                sooner(&mut ready.look_again, due);
                continue;
            }
            if !queue.sendable(now, self.identity) {
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
    ) -> Vec<Batch> {
        let mut drained: Vec<Batch> = Vec::new();
        let mut bytes = 0usize;
        for partition in partitions {
            let identity = self.identity;
            let queue = self.queues.get_mut(partition);
            let Some(queue) = queue.filter(|queue| queue.sendable(now, identity)) else { continue };
            let size = queue.batches.front().map_or(0, Batch::size);
            if !drained.is_empty() && bytes.saturating_add(size) > max_bytes {
                break;
            }
            let Some(batch) = queue.take(identity) else { continue };
            bytes = bytes.saturating_add(size);
            self.in_flight += 1;
            drained.push(batch);
        }
        drained
    }

    /// The batch is stored. Returns the bytes of memory that are free again.
    pub fn complete(&mut self, batch: Batch, stored: Stored) -> usize {
        self.landed(&batch);
        if let (Some(first), Some(queue)) = (batch.sequence, self.queues.get_mut(&batch.partition))
        {
            queue.sequences.acknowledged(first, batch.records);
        }
        self.finish(batch, Ok(stored))
    }

    /// The batch is given up; `refused`: the server said so, it is certain that it has not stored it. Returns free bytes.
    pub fn give_up(&mut self, batch: Batch, refused: bool, error: Error) -> usize {
        self.landed(&batch);
        self.miss(&batch, refused);
        self.finish(batch, Err(error))
    }

    /// A numbered batch will not come: the numbers behind it have a gap, or nobody knows.
    fn miss(&mut self, batch: &Batch, certain: bool) {
        let queue = self.queues.get_mut(&batch.partition);
        if let (Some(_), Some(queue)) = (batch.sequence, queue) {
            if certain {
                queue.sequences.found_gap();
                self.bump_wanted = true;
            } else {
                queue.sequences.lost_sight();
            }
        }
    }

    fn finish(&mut self, batch: Batch, result: Result<Stored>) -> usize {
        self.completions.remove(&key(&batch.completion));
        if let Some(queue) = self.queues.get_mut(&batch.partition) {
            self.bump_wanted |= queue.settle();
        }
        batch.completion.complete(result);
        batch.permits as usize
    }

    /// The server refused a batch for its number. Whether it should go again: the gap is not its own, or a new epoch
    /// ends it. A transaction with a gap must be aborted.
    pub fn out_of_sequence(&mut self, batch: &Batch, code: ErrorCode) -> bool {
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        let behind = !queue.is_next_to_answer(batch) || queue.sequences.has_gap();
        if code == ErrorCode::OutOfOrderSequenceNumber && behind {
            return true;
        }
        if !self.limits.transactional {
            queue.sequences.found_gap();
            self.bump_wanted = true;
        }
        !self.limits.transactional
    }

    /// The batch goes back into line, before all that left after it.
    pub fn put_back(&mut self, mut batch: Batch, not_before: MonoMs, error: Error) {
        self.landed(&batch);
        batch.attempts = batch.attempts.saturating_add(1);
        batch.last_error = Some(error);
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        queue.wait_until(not_before);
        queue.insert(batch);
    }

    pub(super) fn landed(&mut self, batch: &Batch) {
        let queue = self.queues.get_mut(&batch.partition);
        if queue.is_some_and(|queue| queue.landed(batch)) {
            self.in_flight -= 1;
        }
    }

    /// Whether all batches of its partition before this one are answered for good.
    pub fn is_next_to_answer(&self, batch: &Batch) -> bool {
        self.queues.get(&batch.partition).is_none_or(|queue| queue.is_next_to_answer(batch))
    }

    pub fn past_deadline(&self, now: MonoMs, batch: &Batch) -> bool {
        now >= batch.created.plus_ms(self.limits.delivery_timeout_ms)
    }

    /// Gives up batches that waited too long. Returns free bytes, and why.
    pub fn expire(&mut self, now: MonoMs) -> (usize, Option<Error>) {
        let mut expired = Vec::new();
        for queue in self.queues.values_mut() {
            let old = |b: &Batch| now >= b.created.plus_ms(self.limits.delivery_timeout_ms);
            while queue.batches.front().is_some_and(old) {
                expired.extend(queue.batches.pop_front());
            }
        }
        let mut freed = 0;
        let mut reason = None;
        for batch in expired {
            let error = Error::DeliveryTimeout {
                partition: batch.partition.clone(),
                count: usize::try_from(batch.records).unwrap_or(0),
                after_ms: self.limits.delivery_timeout_ms,
                last: batch.last_error.clone().map(Box::new),
            };
            self.miss(&batch, false);
            reason = Some(error.clone());
            freed += self.finish(batch, Err(error));
        }
        (freed, reason)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Numbers batches for this one from now on, each partition from zero as soon as it has no batches of an older one.
    pub fn identify(&mut self, identity: Identity) {
        self.identity = Some(identity);
        self.bump_wanted = false;
    }

    /// After a gap the producer goes on under its next epoch; without one left it needs another id.
    pub fn bump_if_wanted(&mut self) {
        if std::mem::take(&mut self.bump_wanted) && !self.limits.transactional {
            self.identity = self.identity.and_then(Identity::bumped);
        }
    }

    /// Fails what never left. Returns free bytes.
    pub fn fail_unsent(&mut self, error: &Error) -> usize {
        let mut unsent = Vec::new();
        for queue in self.queues.values_mut() {
            let (sent, new): (Vec<Batch>, Vec<Batch>) =
                queue.batches.drain(..).partition(|batch| batch.order.is_some());
            queue.batches.extend(sent);
            unsent.extend(new);
        }
        unsent.into_iter().map(|batch| self.finish(batch, Err(error.clone()))).sum()
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
