//! Disk operations on the runtime's own threads: how many there may be at a time, and what they would leave behind.
//!
//! A thread of the runtime that goes into an operation takes two things along (tokio 1.54): the task that it woke last, which no
//! other thread can take, and the wait for sockets and timers, which nobody else takes up until somebody wakes them. So
//! whoever enters makes way for that task first, and a thread outside of the runtime wakes another one as long as an operation lasts.
//! It sleeps while there is none. It knows nothing of disks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::error;

/// So long an operation lasts at most until another thread waits for sockets and timers.
const PULSE: Duration = Duration::from_millis(10);

/// The threads of one runtime that may be in disk operations.
pub(super) struct Straight {
    shared: Arc<Shared>,
    /// None outside of a runtime with several threads: nothing has to be left free there.
    runtime: Option<Handle>,
    max: usize,
    /// The thread outside, from the first operation on.
    waker: OnceLock<Option<Thread>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    /// Operations on threads that the runtime was handed over from: others may wait for their locks.
    beside: AtomicUsize,
    /// Since the last pulse.
    entered: AtomicBool,
    is_awake: AtomicBool,
    is_closed: AtomicBool,
}

/// One operation.
pub(super) struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Straight {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        if let Some(Some(waker)) = self.waker.get() {
            waker.unpark();
        }
    }
}

impl Straight {
    /// In the runtime that serves requests.
    pub(super) fn new() -> Self {
        let runtime = Handle::try_current().ok();
        let runtime = runtime.filter(|one| one.runtime_flavor() == RuntimeFlavor::MultiThread);
        let threads = runtime.as_ref().map_or(2, |runtime| runtime.metrics().num_workers());
        let max = threads.saturating_sub(1).max(1);
        Self { shared: Arc::default(), runtime, max, waker: OnceLock::new() }
    }

    /// None: this one would be too many.
    pub(super) fn enter(&self) -> Option<Running<'_>> {
        let shared = &*self.shared;
        // With the thread outside: either it sees this one, or this one sees that it sleeps.
        if shared.running.fetch_add(1, Ordering::SeqCst) >= self.max {
            shared.running.fetch_sub(1, Ordering::Release);
            return None;
        }
        if let Some(runtime) = &self.runtime {
            // What takes the place of the task that was woken last makes it one that others can take.
            drop(runtime.spawn(async {}));
        }
        self.look_after();
        Some(Running(&shared.running))
    }

    /// For one that hands its thread over.
    pub(super) fn beside(&self) -> Running<'_> {
        self.shared.beside.fetch_add(1, Ordering::SeqCst);
        self.look_after();
        Running(&self.shared.beside)
    }

    fn look_after(&self) {
        if !self.shared.entered.load(Ordering::Relaxed) {
            self.shared.entered.store(true, Ordering::Relaxed);
        }
        if let Some(runtime) = &self.runtime
            && !self.shared.is_awake.load(Ordering::SeqCst)
        {
            self.awake(runtime);
        }
    }

    #[cold]
    fn awake(&self, runtime: &Handle) {
        let start = || {
            let (shared, runtime) = (Arc::clone(&self.shared), runtime.clone());
            let thread = std::thread::Builder::new().name("runtime-pulse".into());
            let started = thread.spawn(move || shared.pulse(&runtime));
            let failed = |cause| error!("no thread looks after those in disk operations: {cause}");
            Some(started.map_err(failed).ok()?.thread().clone())
        };
        if let Some(waker) = self.waker.get_or_init(start)
            && !self.shared.is_awake.swap(true, Ordering::SeqCst)
        {
            waker.unpark();
        }
    }
}

impl Shared {
    fn is_busy(&self) -> bool {
        self.running.load(Ordering::SeqCst) > 0 || self.beside.load(Ordering::SeqCst) > 0
    }

    fn pulse(&self, runtime: &Handle) {
        while !self.is_closed.load(Ordering::SeqCst) {
            let entered = self.entered.swap(false, Ordering::Relaxed);
            if self.is_busy() {
                // Whoever wakes for it goes on to wait for sockets and timers.
                drop(runtime.spawn(async {}));
            } else if !entered {
                self.is_awake.store(false, Ordering::SeqCst);
                if !self.is_busy() {
                    std::thread::park();
                }
                self.is_awake.store(true, Ordering::SeqCst);
            }
            std::thread::park_timeout(PULSE);
        }
    }
}
