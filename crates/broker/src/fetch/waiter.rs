//! A consumer that waits for bytes: registered at its partitions, completed when enough has come, when something must be told
//! (a leader change, an error), or at its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Shared by the waiting request and the partitions that may complete it.
#[derive(Debug)]
pub struct FetchWaiter {
    missing_bytes: AtomicI64,
    wanted_bytes: i64,
    done: AtomicBool,
    notify: Notify,
}

impl FetchWaiter {
    /// Completes once `missing_bytes` more bytes are readable.
    pub fn new(missing_bytes: i64) -> Arc<Self> {
        Arc::new(Self {
            missing_bytes: AtomicI64::new(missing_bytes),
            wanted_bytes: missing_bytes,
            done: AtomicBool::new(false),
            notify: Notify::new(),
        })
    }

    /// More can be read now.
    pub fn add_bytes(&self, bytes: i64) {
        if self.missing_bytes.fetch_sub(bytes, Ordering::AcqRel) <= bytes {
            self.complete();
        }
    }

    /// Any more byte completes it.
    fn wants_anything(&self) -> bool {
        self.missing_bytes.load(Ordering::Acquire) <= 1
    }

    /// There is something to tell, whatever the bytes.
    pub fn complete(&self) {
        if !self.done.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Nothing has come since it was made.
    pub fn is_untouched(&self) -> bool {
        let missing = self.missing_bytes.load(Ordering::Acquire);
        missing == self.wanted_bytes && !self.done.load(Ordering::Acquire)
    }

    /// Returns when the wait is over.
    pub async fn completed(&self) {
        // `notify_one` leaves a permit, so that completion between registration and this call is not lost.
        self.notify.notified().await;
    }
}

/// The waiters at one partition. Their lock is their own: who waited goes away without the partition's.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Vec<Arc<FetchWaiter>>>);

/// Who reads a partition and waits.
#[derive(Debug, Default)]
pub struct Readers {
    pub consumers: Waiters,
    /// Consumers that read committed transactions only, who wait for the last stable offset.
    pub stable: Waiters,
    /// Followers, who wait for appends.
    pub replicas: Waiters,
}

impl Readers {
    pub fn wake(&self) {
        self.wake_consumers();
        self.replicas.complete_all();
    }

    pub fn wake_consumers(&self) {
        self.consumers.complete_all();
        self.stable.complete_all();
    }

    pub fn remove(&self, waiter: &Arc<FetchWaiter>) {
        for waiters in [&self.consumers, &self.stable, &self.replicas] {
            waiters.remove(waiter);
        }
    }
}

impl Waiters {
    pub fn add(&self, waiter: &Arc<FetchWaiter>) {
        self.0.lock().push(Arc::clone(waiter));
    }

    pub fn remove(&self, waiter: &Arc<FetchWaiter>) {
        let mut waiters = self.0.lock();
        if let Some(at) = waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            waiters.swap_remove(at);
        }
        if waiters.is_empty() {
            *waiters = Vec::new(); // an idle partition holds no memory for this
        }
    }

    pub fn add_bytes(&self, bytes: i64) {
        for waiter in &*self.0.lock() {
            waiter.add_bytes(bytes);
        }
    }

    /// The same; the bytes are counted only if somebody waits for more than one.
    pub fn add_bytes_with(&self, bytes: impl Fn() -> i64) {
        let mut counted = None;
        for waiter in &*self.0.lock() {
            if waiter.wants_anything() {
                waiter.complete();
            } else {
                waiter.add_bytes(*counted.get_or_insert_with(&bytes));
            }
        }
    }

    pub fn complete_all(&self) {
        for waiter in &*self.0.lock() {
            waiter.complete();
        }
    }
}
