//! Producer: records wait in batches per partition, one task sends them to the leaders and answers each record.
//!
//! Start reading at [`accumulator`] (what waits, without time or I/O of its own), then `sender`; [`transaction`] says what may
//! happen when in a transactional producer.

pub mod accumulator;
mod ask;
mod batch;
pub mod delivery;
mod options;
mod partitioner;
mod queue;
mod request;
mod sender;
mod sequences;
mod split;
pub mod transaction;
mod transactional;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base::TopicPartition;
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::ErrorCode;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use accumulator::{Accumulator, Appended, Limits};
use ask::Transactional;
pub use delivery::{Delivery, RecordMetadata};
pub use options::{Acks, ProducerOptions};
pub use partitioner::Partitioner;
pub use transaction::GroupMetadata;

use crate::cluster::{Client, Topics};
use crate::error::{Error, Result};

/// A record to send. Without a partition the key chooses it, without a key the sticky partitioner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    pub topic: Arc<str>,
    pub partition: Option<i32>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970; now when there is none.
    pub timestamp: Option<i64>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) options: ProducerOptions,
    pub(crate) accumulator: Mutex<Accumulator>,
    pub(crate) partitioner: Mutex<Partitioner>,
    /// One permit per byte of `buffer.memory`.
    pub(crate) memory: Semaphore,
    pub(crate) transactional: Option<Transactional>,
    pub(crate) wake: Notify,
    pub(crate) flushing: AtomicUsize,
    pub(crate) closing: AtomicBool,
    pub(crate) started: Instant,
}

impl Shared {
    pub(crate) fn now(&self) -> base::MonoMs {
        base::MonoMs(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether batches leave without waiting for `linger.ms`.
    pub(crate) fn hurried(&self) -> bool {
        let completing = |t: &Transactional| t.machine.lock().state().completing();
        self.flushing.load(Ordering::Acquire) > 0
            || self.closing.load(Ordering::Acquire)
            || self.transactional.as_ref().is_some_and(completing)
    }
}

/// Sends records. Must live inside a tokio runtime. Dropping it lets what waits go out in the background;
/// [`Producer::close`] waits for that.
pub struct Producer {
    shared: Arc<Shared>,
    sender: Option<tokio::task::JoinHandle<()>>,
}

impl Producer {
    pub fn new(client: Client, options: ProducerOptions) -> Result<Self> {
        options.check()?;
        let limits = Limits {
            batch_size: options.batch_size,
            linger_ms: options.linger_ms,
            delivery_timeout_ms: options.delivery_timeout_ms,
            codec: options.codec,
            transactional: options.transactional_id.is_some(),
        };
        let transactional = options
            .transactional_id
            .as_deref()
            .map(|id| Transactional::new(client.clone(), id, options.transaction_timeout_ms));
        let shared = Arc::new(Shared {
            memory: Semaphore::new(options.buffer_memory.min(Semaphore::MAX_PERMITS)),
            accumulator: Mutex::new(Accumulator::new(limits)),
            partitioner: Mutex::new(Partitioner::new(options.batch_size, seed())),
            transactional,
            wake: Notify::new(),
            flushing: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            started: Instant::now(),
            client,
            options,
        });
        let sender = tokio::spawn(sender::run(Arc::clone(&shared)));
        Ok(Self { shared, sender: Some(sender) })
    }

    /// Puts the record into a batch. Waits, at most `max.block.ms`, for metadata and for room. A record that cannot be sent
    /// makes its transaction one that can only be aborted.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery> {
        let sent = self.put(record).await;
        if let (Some(transactional), Err(error)) = (&self.shared.transactional, &sent)
            && !matches!(error, Error::IllegalState(_) | Error::Transaction { .. })
        {
            transactional.machine.lock().records_failed(error);
        }
        sent
    }

    async fn put(&self, record: ProducerRecord) -> Result<Delivery> {
        let shared = &*self.shared;
        if shared.closing.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        let deadline = Instant::now() + Duration::from_millis(shared.options.max_block_ms);
        let partition = self.partition(&record, deadline).await?;
        let size = accumulator::size_upper_bound(&record);
        let permits = self.make_room(size, deadline).await?;
        let tp = TopicPartition::new(Arc::clone(&record.topic), partition);
        let appended = self.append(tp, &record, permits);
        let appended = appended.inspect_err(|_| shared.memory.add_permits(permits as usize))?;
        if record.partition.is_none() && record.key.is_none() {
            shared.partitioner.lock().sent(&record.topic, size);
        }
        if appended.wake {
            shared.wake.notify_one();
        }
        Ok(appended.delivery)
    }

    /// Takes so many bytes of `buffer.memory`.
    async fn make_room(&self, size: usize, deadline: Instant) -> Result<u32> {
        let shared = &*self.shared;
        let options = &shared.options;
        let limits = [
            ("max.request.size", options.max_request_size),
            ("buffer.memory", options.buffer_memory),
        ];
        if let Some((key, limit)) = limits.into_iter().find(|(_, limit)| size > *limit) {
            return Err(Error::RecordTooLarge { bytes: size, limit, key });
        }
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let full =
            || Error::BufferFull { after_ms: options.max_block_ms, bytes: options.buffer_memory };
        if let Ok(room) = shared.memory.try_acquire_many(permits) {
            room.forget();
        } else {
            // Batches must leave now, or room may never come.
            shared.wake.notify_one();
            let room = tokio::time::timeout_at(deadline, shared.memory.acquire_many(permits)).await;
            room.map_err(|_| full())?.map_err(|_| Error::Closed)?.forget();
        }
        Ok(permits)
    }

    /// A record and its partition become part of the transaction together: no end can come between.
    fn append(&self, tp: TopicPartition, record: &ProducerRecord, room: u32) -> Result<Appended> {
        let shared = &*self.shared;
        let mut machine = shared.transactional.as_ref().map(|t| t.machine.lock());
        if let Some(machine) = &mut machine {
            machine.add_partition(&tp)?;
        }
        let timestamp = record.timestamp.unwrap_or_else(wall_ms);
        shared.accumulator.lock().append(shared.now(), tp, timestamp, record, room)
    }

    /// Sends all that waits now and returns when every record before this call is answered.
    pub async fn flush(&self) {
        let waiting = self.shared.accumulator.lock().incomplete();
        self.shared.flushing.fetch_add(1, Ordering::AcqRel);
        self.shared.wake.notify_one();
        for completion in waiting {
            delivery::Completion::wait_for_all(completion).await;
        }
        self.shared.flushing.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes no more records, sends what waits, and ends.
    pub async fn close(mut self) {
        self.begin_close();
        if let Some(sender) = self.sender.take() {
            let _ = sender.await;
        }
    }

    fn begin_close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    /// How many partitions a topic has; asks the cluster, which may create the topic.
    async fn partition(&self, record: &ProducerRecord, deadline: Instant) -> Result<i32> {
        let client = &self.shared.client;
        let mut metadata = client.metadata();
        if metadata.topic(&record.topic).is_none_or(|t| t.partitions.is_empty()) {
            let topics = Topics::Named(vec![Arc::clone(&record.topic)]);
            metadata = client
                .retry("metadata", deadline, || async {
                    let metadata = client.refresh_once(&topics, true).await?;
                    match metadata.topic(&record.topic) {
                        Some(topic) if !topic.partitions.is_empty() => Ok(metadata),
                        _ => Err(Error::api(ErrorCode::UnknownTopicOrPartition, None)),
                    }
                })
                .await?;
        }
        let topic = metadata.topic(&record.topic).ok_or(Error::Closed)?;
        let count = topic.partitions.len();
        if let Some(partition) = record.partition {
            return if topic.partition(partition).is_some() {
                Ok(partition)
            } else {
                Err(Error::NoSuchPartition { topic: Arc::clone(&record.topic), partition, count })
            };
        }
        if let Some(key) = &record.key {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            return Ok(crate::murmur2::partition_for_key(key, count));
        }
        Ok(self.shared.partitioner.lock().sticky(topic))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.begin_close();
    }
}

fn seed() -> u64 {
    let mut bytes = [0u8; 8];
    // Without randomness every producer starts at the same partition: harmless.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
