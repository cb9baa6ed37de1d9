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

/// Set once when a batch is stored or given up.
#[derive(Debug, Default)]
pub struct Completion {
    done: OnceLock<Result<Stored>>,
    notify: Notify,
}

impl Completion {
    pub fn complete(&self, result: Result<Stored>) {
        let _ = self.done.set(result);
        self.notify.notify_waiters();
    }

    pub fn result(&self) -> Option<&Result<Stored>> {
        self.done.get()
    }

    pub async fn wait(&self) -> Result<Stored> {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            // Registered before looking: a completion between the two is not missed.
            notified.as_mut().enable();
            if let Some(result) = self.done.get() {
                return result.clone();
            }
            notified.await;
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
        let result = self.completion.result()?;
        Some(result.as_ref().map(|stored| self.metadata(*stored)).map_err(Clone::clone))
    }

    /// Waits until the record is stored or given up.
    pub async fn wait(self) -> Result<RecordMetadata> {
        let stored = self.completion.wait().await?;
        Ok(self.metadata(stored))
    }

    fn metadata(&self, stored: Stored) -> RecordMetadata {
        let offset =
            if stored.base_offset < 0 { -1 } else { stored.base_offset.saturating_add(self.index) };
        let timestamp =
            if stored.log_append_time < 0 { self.timestamp } else { stored.log_append_time };
        RecordMetadata { partition: self.partition.clone(), offset, timestamp }
    }
}
