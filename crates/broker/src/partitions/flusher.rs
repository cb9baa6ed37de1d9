//! Flushes that somebody waits for (`flush.messages`): one flush serves all who appended to a partition since the last one began,
//! and those of many partitions run side by side, which lets the file system join them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::error;

use super::partition::Partition;
use crate::clock::Clock;

/// Flushes at a time. They wait for the disk, not for a processor.
const THREADS_MAX: usize = 16;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// The partitions that are to be flushed, and the threads that do it; none while nobody asks.
pub struct Flusher {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    due: VecDeque<Arc<Partition>>,
    threads: usize,
    idle: usize,
}

impl Flusher {
    pub fn new(clock: Clock) -> Self {
        let (queue, ready) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { clock, queue, ready }) }
    }

    /// To be flushed soon; a partition is here once at a time.
    pub(super) fn add(&self, partition: Arc<Partition>) {
        let mut queue = self.shared.queue.lock();
        queue.due.push_back(partition);
        if queue.idle >= queue.due.len() || queue.threads >= THREADS_MAX {
            self.shared.ready.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("flusher".into());
        if let Err(error) = thread.spawn(move || shared.run()) {
            error!(%error, "no thread for flushes");
            let mut queue = self.shared.queue.lock();
            queue.threads -= 1;
            if queue.threads == 0 {
                let due = std::mem::take(&mut queue.due);
                drop(queue);
                due.iter().for_each(|partition| self.shared.flush(partition));
            }
        }
    }
}

impl Shared {
    fn run(&self) {
        while let Some(partition) = self.next() {
            self.flush(&partition);
        }
    }

    fn flush(&self, partition: &Arc<Partition>) {
        // More was appended meanwhile. Others had their turn if they waited.
        while partition.flush(self.clock) {
            let mut queue = self.queue.lock();
            if !queue.due.is_empty() && queue.threads > 0 {
                return queue.due.push_back(Arc::clone(partition));
            }
        }
    }

    fn next(&self) -> Option<Arc<Partition>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(partition) = queue.due.pop_front() {
                return Some(partition);
            }
            queue.idle += 1;
            let late = self.ready.wait_for(&mut queue, IDLE).timed_out();
            queue.idle -= 1;
            if late && queue.due.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}
