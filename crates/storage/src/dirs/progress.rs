//! How far the loading of a directory has come, told about once a second.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two lines of one directory.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Progress {
    dir: String,
    logs: usize,
    done: AtomicUsize,
    began: Instant,
    told: Mutex<Instant>,
}

impl Progress {
    pub fn new(dir: &Path, logs: usize) -> Self {
        let began = Instant::now();
        let dir = dir.display().to_string();
        Self { dir, logs, done: AtomicUsize::new(0), began, told: Mutex::new(began) }
    }

    /// One more is loaded.
    pub fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let ms = self.began.elapsed().as_millis();
        if done == self.logs {
            tracing::info!(dir = self.dir, logs = self.logs, ms, "all logs are loaded");
            return;
        }
        // Whoever finds it locked need not say the same again.
        let Some(mut told) = self.told.try_lock() else { return };
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            let remaining = self.logs.saturating_sub(done);
            tracing::info!(dir = self.dir, loaded = done, remaining, ms, "loading logs");
        }
    }
}
