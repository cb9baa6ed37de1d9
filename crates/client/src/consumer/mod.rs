//! Consumer of partitions that are given to it: fetches from their leaders ahead of its user, decodes, filters.
//!
//! Start reading at [`decode`] (bytes to records), then `fetcher`.

pub mod decode;
mod fetcher;
mod options;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use bytes::Bytes;
use records::TimestampType;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use options::{ConsumerOptions, IsolationLevel, OffsetReset};

use crate::admin::OffsetSpec;
use crate::cluster::Client;
use crate::error::{Error, Result};
use decode::FetchedRecords;
use fetcher::Event;

/// Batches are handed out together while they hold fewer records than this, `max.poll.records` in Apache Kafka's client.
const POLL_RECORDS: usize = 500;

/// A record as it is stored. Key and value share the memory of the answer that they came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    /// Milliseconds since 1970, -1 for none.
    pub timestamp: i64,
    /// None in the oldest format, which has no timestamps.
    pub timestamp_type: Option<TimestampType>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Where reading a partition begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    Offset(i64),
    /// Asked from the leader; when a time lies after the last record, the end.
    At(OffsetSpec),
}

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) position: Position,
    /// What was fetched and not handed out yet.
    pub(crate) buffered: Option<FetchedRecords>,
    /// With a request that is under way.
    pub(crate) busy: bool,
    pub(crate) not_before: Option<Instant>,
    /// Told by the last answer; -1 before.
    pub(crate) high_watermark: i64,
    /// Leader epoch of the last record handed out; -1 before.
    pub(crate) last_epoch: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Position {
    /// The leader must be asked first.
    Unknown(OffsetSpec),
    At(i64),
}

/// Reads assigned partitions. Must live inside a tokio runtime.
pub struct Consumer {
    client: Client,
    options: Arc<ConsumerOptions>,
    partitions: HashMap<TopicPartition, Partition>,
    /// Partitions with buffered records, in the order in which they arrived.
    order: std::collections::VecDeque<TopicPartition>,
    /// What went wrong while there were records to be handed out first.
    untold: Option<Error>,
    fetching: HashMap<base::NodeId, u64>,
    /// Counts up with each assignment: answers to requests of an older one are thrown away.
    generation: u64,
    refreshing: bool,
    refresh_wanted: bool,
    last_refresh: Option<Instant>,
    events: mpsc::UnboundedSender<Event>,
    incoming: mpsc::UnboundedReceiver<Event>,
}

impl Consumer {
    pub fn new(client: Client, options: ConsumerOptions) -> Self {
        // Bounded by what is under way: one event per node and two more.
        let (events, incoming) = mpsc::unbounded_channel();
        Self {
            client,
            options: Arc::new(options),
            partitions: HashMap::new(),
            order: std::collections::VecDeque::new(),
            untold: None,
            fetching: HashMap::new(),
            generation: 0,
            refreshing: false,
            refresh_wanted: true,
            last_refresh: None,
            events,
            incoming,
        }
    }

    /// Reads exactly these partitions from now on. One that was assigned before begins anew.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        self.generation += 1;
        self.partitions.clear();
        self.order.clear();
        self.fetching.clear();
        self.add(partitions);
    }

    /// Reads these partitions as well. One that is assigned already stays where it is.
    pub fn add(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        for (tp, start) in partitions {
            let position = match start {
                Start::Offset(offset) => Position::At(offset),
                Start::At(spec) => Position::Unknown(spec),
            };
            self.partitions.entry(tp).or_insert(Partition {
                position,
                buffered: None,
                busy: false,
                not_before: None,
                high_watermark: -1,
                last_epoch: -1,
            });
        }
        self.refresh_wanted = true;
    }

    /// Stops reading these partitions; what was fetched of them is thrown away.
    pub fn remove<'a>(&mut self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        for tp in partitions {
            self.partitions.remove(tp);
        }
        let partitions = &self.partitions;
        self.order.retain(|tp| partitions.contains_key(tp));
    }

    /// Goes on with this offset in a partition that is assigned.
    pub fn seek(&mut self, tp: &TopicPartition, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.position = Position::At(offset);
            partition.buffered = None;
        }
    }

    /// Says which leader epoch the position of a partition is from, as long as no record of it was handed out.
    pub(crate) fn note_leader_epoch(&mut self, tp: &TopicPartition, epoch: i32) {
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.last_epoch = epoch;
        }
    }

    /// The leader epoch of the last record that was handed out of a partition; -1 before.
    pub fn leader_epoch(&self, tp: &TopicPartition) -> i32 {
        self.partitions.get(tp).map_or(-1, |partition| partition.last_epoch)
    }

    pub fn is_assigned(&self, partition: &TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// The offset of the next record that [`Self::poll`] would hand out; None while it must be asked for.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let partition = self.partitions.get(partition)?;
        match (&partition.buffered, partition.position) {
            (Some(buffered), _) => Some(buffered.position()),
            (None, Position::At(offset)) => Some(offset),
            (None, Position::Unknown(_)) => None,
        }
    }

    /// The next records, those of each partition in order; empty when none arrive within `wait`.
    ///
    /// Dropping the future loses nothing. An error of one partition is told once; the next call goes on with the
    /// others, and with that one where it makes sense.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            while let Ok(event) = self.incoming.try_recv() {
                self.handle(event)?;
            }
            if let Some(error) = self.untold.take() {
                return Err(error);
            }
            if let Some(mut records) = self.take_buffered()? {
                self.take_more(&mut records);
                // The next request is under way while the user works on these.
                self.fetch();
                return Ok(records);
            }
            let look_again = self.fetch();
            let until = match (deadline, look_again) {
                (Some(deadline), Some(again)) => Some(deadline.min(again)),
                (deadline, again) => deadline.or(again),
            };
            let event = match until {
                Some(until) => tokio::time::timeout_at(until, self.incoming.recv()).await,
                None => Ok(self.incoming.recv().await),
            };
            match event {
                Ok(Some(event)) => self.handle(event)?,
                Ok(None) => return Err(Error::Closed),
                Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Ok(Vec::new());
                }
                Err(_) => {}
            }
        }
    }

    /// Small batches that are here already come together.
    fn take_more(&mut self, records: &mut Vec<ConsumerRecord>) {
        while records.len() < POLL_RECORDS {
            match self.take_buffered() {
                Ok(Some(more)) => records.extend(more),
                Ok(None) => return,
                Err(error) => {
                    self.untold = Some(error);
                    return;
                }
            }
        }
    }

    fn take_buffered(&mut self) -> Result<Option<Vec<ConsumerRecord>>> {
        while let Some(tp) = self.order.front().cloned() {
            let Some(partition) = self.partitions.get_mut(&tp) else {
                self.order.pop_front();
                continue;
            };
            let Some(buffered) = partition.buffered.as_mut() else {
                self.order.pop_front();
                continue;
            };
            match buffered.next_records() {
                Some(Ok(records)) => {
                    if let Some(last) = records.last() {
                        partition.last_epoch = last.leader_epoch;
                        return Ok(Some(records));
                    }
                }
                None => {
                    partition.position = Position::At(buffered.position());
                    partition.buffered = None;
                    self.order.pop_front();
                }
                Some(Err(error)) => {
                    partition.position = Position::At(buffered.position());
                    partition.buffered = None;
                    self.order.pop_front();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}
