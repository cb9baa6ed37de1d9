//! The way to the disk of a log directory: straight on while it is quick, beside the runtime's threads and a few at a time while it
//! is slow.
//!
//! A thread of the runtime that waits for a disk serves nobody else. How long a write or a read will take nobody knows before, so
//! three rules bound what one slow disk can take away. At least one thread of the runtime is in no disk operation at any time, and
//! waits for sockets and timers ([`super::straight`]).
//! Once an operation took long, those that follow in the same directory hand over their thread first. And of these only a few at a
//! time get a thread for it, one of each partition: the others wait without one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::MonoMs;
use parking_lot::Mutex;
use storage::log::FileSlice;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use super::straight::Straight;
use crate::clock::Clock;

/// From here on an operation was slow.
const SLOW_MS: u64 = 20;
/// For so long after a slow operation the directory counts as slow.
const SLOW_FOR_MS: u64 = 2_000;
/// Once in so long it is said that a directory is slow.
const SAID_EVERY_MS: u64 = 60_000;
/// Threads that one slow directory gets for each of its uses.
const THREADS_MAX: usize = 8;

/// What is done on the disk: slow writes do not keep readers away, who may find what they want in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    Read,
    Write,
}

/// The ways to all log directories of a node.
pub struct Lanes {
    clock: Clock,
    straight: Arc<Straight>,
    by_dir: Mutex<HashMap<PathBuf, Arc<Lane>>>,
}

/// The way to one log directory.
pub struct Lane {
    dir: PathBuf,
    /// In the order in which they were first asked for.
    index: u16,
    clock: Clock,
    straight: Arc<Straight>,
    slow_until: AtomicU64,
    said: AtomicU64,
    reads: Semaphore,
    writes: Semaphore,
    loads: Arc<Semaphore>,
}

impl Lanes {
    /// In the runtime that serves requests; elsewhere nothing has to be left free.
    pub fn new(clock: Clock) -> Self {
        Self { clock, straight: Arc::new(Straight::new()), by_dir: Mutex::default() }
    }

    /// The way to the directory that a log's directory lies in.
    pub fn of_log(&self, log_dir: &Path) -> Arc<Lane> {
        let dir = log_dir.parent().unwrap_or(log_dir);
        let mut by_dir = self.by_dir.lock();
        if let Some(known) = by_dir.get(dir) {
            return Arc::clone(known);
        }
        let lane = Arc::new(Lane {
            dir: dir.to_path_buf(),
            index: u16::try_from(by_dir.len()).unwrap_or(u16::MAX),
            clock: self.clock,
            straight: Arc::clone(&self.straight),
            slow_until: AtomicU64::new(0),
            said: AtomicU64::new(0),
            reads: Semaphore::new(THREADS_MAX),
            writes: Semaphore::new(THREADS_MAX),
            loads: Arc::new(Semaphore::new(THREADS_MAX)),
        });
        by_dir.insert(dir.to_path_buf(), Arc::clone(&lane));
        lane
    }
}

impl Lane {
    /// Directories of a node have different ones.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Does what may wait for this disk. `turn` is the partition's: only one of those who would wait for its lock has a thread.
    pub async fn run<T>(&self, how: Use, turn: &Semaphore, operation: impl FnOnce() -> T) -> T {
        if let Some(now) = self.quick()
            && let Some(_running) = self.straight.enter()
        {
            return self.timed(now, operation);
        }
        // They are never closed.
        let _turn = turn.acquire().await;
        let places = match how {
            Use::Read => &self.reads,
            Use::Write => &self.writes,
        };
        let _place = places.acquire().await;
        self.beside(operation)
    }

    /// The same for tasks that are few, and cannot wait without a thread.
    pub fn run_now<T>(&self, operation: impl FnOnce() -> T) -> T {
        if let Some(now) = self.quick()
            && let Some(_running) = self.straight.enter()
        {
            return self.timed(now, operation);
        }
        self.beside(operation)
    }

    fn beside<T>(&self, operation: impl FnOnce() -> T) -> T {
        let _beside = self.straight.beside();
        beside(|| self.timed(self.clock.mono(), operation))
    }

    /// Brings a range into memory, on a thread of its own.
    pub async fn load(&self, slice: FileSlice, ahead: u64) {
        self.apart(move || slice.load(ahead)).await;
    }

    /// The place belongs to the thread: who waits for it may go away before it has come back.
    async fn apart(&self, operation: impl FnOnce() + Send + 'static) {
        let place = Arc::clone(&self.loads).acquire_owned().await;
        let operation = move || {
            operation();
            drop(place);
        };
        if let Err(panic) = tokio::task::spawn_blocking(operation).await {
            warn!(dir = %self.dir.display(), "a read ended: {panic}");
        }
    }

    /// The time, unless the directory is known to be slow.
    fn quick(&self) -> Option<MonoMs> {
        let now = self.clock.mono();
        (now.0 >= self.slow_until.load(Ordering::Relaxed)).then_some(now)
    }

    pub fn is_slow(&self) -> bool {
        self.quick().is_none()
    }

    fn timed<T>(&self, began: MonoMs, operation: impl FnOnce() -> T) -> T {
        let done = operation();
        let now = self.clock.mono();
        let took_ms = now.since(began);
        if took_ms >= SLOW_MS {
            self.slow_until.fetch_max(now.plus_ms(SLOW_FOR_MS).0, Ordering::Relaxed);
            self.say(now, took_ms);
        }
        done
    }

    fn say(&self, now: MonoMs, took_ms: u64) {
        let said = self.said.load(Ordering::Relaxed);
        let (dir, due) =
            (self.dir.display(), said == 0 || now.0 >= said.saturating_add(SAID_EVERY_MS));
        if due && took_ms >= SAID_FROM_MS && self.said.swap(now.0.max(1), Ordering::Relaxed) == said
        {
            info!(%dir, took_ms, "the log directory is slow");
        } else {
            debug!(%dir, took_ms, "a slow operation");
        }
    }
}

/// Nobody is told of what a busy machine does to a healthy disk.
const SAID_FROM_MS: u64 = 500;

/// Runs what blocks where it is, after the runtime's thread was handed over.
pub fn beside<T>(operation: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(operation)
        }
        _ => operation(),
    }
}

#[cfg(test)]
mod tests;
