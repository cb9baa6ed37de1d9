//! The answer to a record: shared by all records of a batch.

use std::sync::{Arc, OnceLock};

use base::TopicPartition;
use tokio::sync::Notify;

use crate::error::Result;

/// Where a record was stored. Offset -1 when the server did not tell (acks=0).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    pub partition: TopicPartition,
    pub offset: i64,
    /// Milliseconds since 1970: the record's own, or the server's with log append time.
    pub timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    pub base_offset: i64,
    /// -1 unless the topic has log append time.
    pub log_append_time: i64,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Answered(Result<Stored>),
    /// Cut in two: the records from this index on went with the second part.
    Split {
        at: i64,
        first: Arc<Completion>,
        second: Arc<Completion>,
    },
}

/// Set once when a batch is stored, given up or cut.
#[derive(Debug, Default)]
pub struct Completion {
    outcome: OnceLock<Outcome>,
    notify: Notify,
}

impl Completion {
    pub fn complete(&self, result: Result<Stored>) {
        self.set(Outcome::Answered(result));
    }

    pub(crate) fn set(&self, outcome: Outcome) {
        let _ = self.outcome.set(outcome);
        self.notify.notify_waiters();
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    pub(crate) async fn wait(&self) -> Outcome {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            // Registered before looking: a completion between the two is not missed.
            notified.as_mut().enable();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            notified.await;
        }
    }

    /// Waits for the batch, and for all parts when it was cut.
    pub(crate) async fn wait_for_all(completion: Arc<Self>) {
        let mut waiting = vec![completion];
        while let Some(next) = waiting.pop() {
            if let Outcome::Split { first, second, .. } = next.wait().await {
                waiting.extend([first, second]);
            }
        }
    }
}

/// A record on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(crate) completion: Arc<Completion>,
    pub(crate) partition: TopicPartition,
    pub(crate) index: i64,
    pub(crate) timestamp: i64,
}

impl Delivery {
    /// The answer when it is there already.
    pub fn answer(&self) -> Option<Result<RecordMetadata>> {
        let (mut completion, mut index) = (&self.completion, self.index);
        loop {
            match completion.outcome()? {
                Outcome::Answered(result) => {
                    let metadata = |stored: &Stored| self.metadata(*stored, index);
                    return Some(result.as_ref().map(metadata).map_err(Clone::clone));
                }
                Outcome::Split { at, first, .. } if index < *at => completion = first,
                Outcome::Split { at, second, .. } => {
                    completion = second;
                    index -= at;
                }
            }
        }
    }

    /// Waits until the record is stored or given up.
    pub async fn wait(self) -> Result<RecordMetadata> {
        let (mut completion, mut index) = (Arc::clone(&self.completion), self.index);
        loop {
            let outcome = completion.wait().await;
            match outcome {
                Outcome::Answered(result) => return Ok(self.metadata(result?, index)),
                Outcome::Split { at, first, .. } if index < at => completion = first,
                Outcome::Split { at, second, .. } => {
                    completion = second;
                    index -= at;
                }
            }
        }
    }

    fn metadata(&self, stored: Stored, index: i64) -> RecordMetadata {
        let offset =
            if stored.base_offset < 0 { -1 } else { stored.base_offset.saturating_add(index) };
        let timestamp =
            if stored.log_append_time < 0 { self.timestamp } else { stored.log_append_time };
        RecordMetadata { partition: self.partition.clone(), offset, timestamp }
    }
}
