//! A fetch that found too little: parked at its partitions until enough has come or its time is over.

use std::sync::Arc;
use std::time::Duration;

use net::Response;
use tokio::time::Instant;

use super::answer::Answer;
use super::waiter::FetchWaiter;
use crate::partitions::Partition;
use crate::request::RequestContext;

/// The waiting request: a deadline, and one waiter shared by its partitions.
pub struct Waiting {
    context: Arc<RequestContext>,
    answer: Answer,
    waiter: Registered,
    deadline: Instant,
}

/// Takes the waiter off its partitions however the wait ends: the peer may go away.
struct Registered {
    waiter: Arc<FetchWaiter>,
    partitions: Vec<Arc<Partition>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.remove_consumer(&self.waiter);
        }
    }
}

impl Waiting {
    pub async fn new(context: Arc<RequestContext>, answer: Answer, wait_ms: u64) -> Self {
        let missing = answer.limits.bytes_min.saturating_sub(answer.bytes);
        let waiter = FetchWaiter::new(i64::try_from(missing).unwrap_or(i64::MAX));
        let partitions = Vec::with_capacity(answer.entries.len());
        let mut registered = Registered { waiter: Arc::clone(&waiter), partitions };
        for entry in &answer.entries {
            let (Some(partition), Ok(result)) = (&entry.partition, &entry.result) else { continue };
            if partition.add_reader_beside(&waiter, answer.limits.reader, result).await {
                registered.partitions.push(Arc::clone(partition));
            } else {
                waiter.complete(); // something came between the look and the registration
                break;
            }
        }
        let deadline = Instant::now() + Duration::from_millis(wait_ms.min(1 << 40));
        Self { context, answer, waiter: registered, deadline }
    }

    pub async fn response(mut self) -> Option<Response> {
        let waiter = Arc::clone(&self.waiter.waiter);
        let in_time = tokio::time::timeout_at(self.deadline, waiter.completed()).await.is_ok();
        // Untouched, what was read before still holds. Bytes that were announced but are not in reach (other limits of the
        // request) are no reason to wait on: Kafka, too, answers what there is once a wait has completed.
        if in_time || !waiter.is_untouched() {
            self.answer.read_again(&self.context).await;
        }
        drop(self.waiter);
        self.answer.into_response(&self.context).await
    }
}
