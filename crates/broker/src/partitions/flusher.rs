//! Flushes that somebody waits for, in threads of their own: each log directory has some, so that a slow disk holds up nobody else's.
//!
//! Those of many partitions run side by side, which lets the file system join them. Must not know: partitions, logs.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::error;

/// Flushes at a time in one directory. They wait for the disk, not for a processor.
const THREADS_MAX: usize = 16;
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// Tells whether it is to run again, after others that wait.
type Job = Box<dyn FnMut() -> bool + Send>;

/// What is to be flushed, by directory, and the threads that do it; none while nobody asks.
#[derive(Default)]
pub struct Flusher {
    dirs: Mutex<HashMap<PathBuf, Arc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    due: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Flusher {
    /// Runs soon, where nothing but the disk of this directory is waited for. Whoever adds may hold locks that the job takes.
    pub fn add(&self, dir: &Path, job: impl FnMut() -> bool + Send + 'static) {
        self.queue(dir).add(Box::new(job));
    }

    fn queue(&self, dir: &Path) -> Arc<Queue> {
        let mut dirs = self.dirs.lock();
        if let Some(queue) = dirs.get(dir) {
            return Arc::clone(queue);
        }
        Arc::clone(dirs.entry(dir.to_path_buf()).or_default())
    }
}

impl Queue {
    fn add(self: Arc<Self>, job: Job) {
        let mut state = self.state.lock();
        state.due.push_back(job);
        if state.idle >= state.due.len() || state.threads >= THREADS_MAX {
            self.ready.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let queue = Arc::clone(&self);
        let thread = std::thread::Builder::new().name("flusher".into());
        if let Err(error) = thread.spawn(move || queue.run()) {
            // The job stays where it is: whoever comes next tries again.
            error!(%error, "no thread for flushes");
            self.state.lock().threads -= 1;
        }
    }

    fn run(&self) {
        while let Some(mut job) = self.next() {
            while job() {
                let mut state = self.state.lock();
                if !state.due.is_empty() {
                    state.due.push_back(job);
                    break;
                }
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.due.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            let late = self.ready.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if late && state.due.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_slow_directory_holds_up_no_other() {
        let flusher = Flusher::default();
        let (stuck, free) = (Path::new("/stuck"), Path::new("/free"));
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock();
        let (done, all) = mpsc::channel();
        for _ in 0..3 * THREADS_MAX {
            let (gate, done) = (Arc::clone(&gate), done.clone());
            flusher.add(stuck, move || {
                drop(gate.lock());
                done.send("stuck").is_err()
            });
        }
        let other = done.clone();
        flusher.add(free, move || other.send("free").is_err());
        assert_eq!(all.recv_timeout(LIMIT), Ok("free"));
        assert_eq!(flusher.queue(stuck).state.lock().threads, THREADS_MAX);
        drop(closed);
        for _ in 0..3 * THREADS_MAX {
            assert_eq!(all.recv_timeout(LIMIT), Ok("stuck"));
        }
    }

    #[test]
    fn what_wants_to_run_again_lets_others_go_first() {
        let flusher = Flusher::default();
        let (dir, (done, all)) = (Path::new("/dir"), mpsc::channel());
        let mut left = 3;
        let again = done.clone();
        flusher.add(dir, move || {
            left -= 1;
            again.send(left).is_ok() && left > 0
        });
        for n in 0..3 {
            assert_eq!(all.recv_timeout(LIMIT), Ok(2 - n));
        }
        // A thread is there for it now.
        flusher.add(dir, move || done.send(7).is_err());
        assert_eq!(all.recv_timeout(LIMIT), Ok(7));
    }
}
