//! The threads that clean compacted logs, the filthiest first, and remove what retention does not keep of them.
//!
//! One task chooses; each log is cleaned on a thread of its own, at most `log.cleaner.threads` at a time, with a lower
//! priority than what serves requests. Between two looks nothing runs. The settings are read anew each time, so that they
//! take effect at once.

mod pace;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use config::broker::CleanerConfig;
use parking_lot::Mutex;
use storage::dirs::{CleanResult, Grabbed};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, warn};

use super::Node;
use pace::Pace;

/// How much less of the processor a cleaner gets than others who want it (nice).
#[cfg(target_os = "linux")]
const NICE: i32 = 5;
/// A pause is looked at again after so long: the node may stop, the log may be gone.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What all cleaners of a node share.
struct Shared {
    pace: Mutex<Pace>,
    since: Instant,
    stopped: AtomicBool,
    stop: Notify,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The running cleaner of a node.
pub struct Cleaner {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Begins to clean, unless `log.cleaner.enable` says not to.
pub fn start(node: &Arc<Node>) -> Option<Cleaner> {
    if !node.static_config.cleaner.enable {
        warn!("log.cleaner.enable is false: compacted topics grow without end");
        return None;
    }
    let shared = Arc::new(Shared {
        pace: Mutex::default(),
        since: Instant::now(),
        stopped: AtomicBool::new(false),
        stop: Notify::new(),
    });
    let task = tokio::spawn(run(Arc::clone(node), Arc::clone(&shared)));
    Some(Cleaner { shared, task })
}

impl Cleaner {
    /// Ends; logs that are being cleaned stay as they were.
    pub async fn stop(self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.stop.notify_one();
        if let Err(panic) = self.task.await {
            warn!("the cleaner had ended before: {panic}");
        }
    }
}

async fn run(node: Arc<Node>, shared: Arc<Shared>) {
    let mut running: JoinSet<bool> = JoinSet::new();
    while !shared.is_stopped() {
        let worker = Arc::clone(&node);
        let pass = tokio::task::spawn_blocking(move || {
            let deleted = worker.logs.delete_old_compacted(worker.clock.wall());
            if deleted.segments > 0 {
                worker.replicas.tell_starts(&deleted.logs);
                worker.note_deleted();
            }
        });
        if let Err(panic) = pass.await {
            error!("retention of compacted logs ended: {panic}");
            return;
        }
        let config = node.config().cleaner.clone();
        fill(&node, &shared, &config, &mut running).await;
        let backoff = Duration::from_millis(u64::try_from(config.backoff_ms).unwrap_or(0).max(1));
        tokio::select! {
            Some(ended) = running.join_next() => {
                if !ended.unwrap_or(false) {
                    // Not at once again to where nothing came of it.
                    pause(&node, &shared, backoff).await;
                }
            }
            () = pause(&node, &shared, backoff) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Until settings change, or the node stops.
async fn pause(node: &Node, shared: &Shared, backoff: Duration) {
    tokio::select! {
        () = tokio::time::sleep(backoff) => {}
        () = node.cleaner_settings.notified() => {}
        () = shared.stop.notified() => {}
    }
}

/// Begins with as many logs as there are threads and dirty logs.
async fn fill(
    node: &Arc<Node>,
    shared: &Arc<Shared>,
    config: &CleanerConfig,
    running: &mut JoinSet<bool>,
) {
    let threads = usize::try_from(config.threads).unwrap_or(0);
    while running.len() < threads && !shared.is_stopped() {
        let worker = Arc::clone(node);
        let look = move || worker.logs.grab_filthiest(worker.clock.wall());
        let Ok(Some(grabbed)) = tokio::task::spawn_blocking(look).await else { break };
        let (worker, shared, config) = (Arc::clone(node), Arc::clone(shared), config.clone());
        let (done, ended) = tokio::sync::oneshot::channel();
        let log = Arc::clone(&grabbed.entry.log);
        let thread = std::thread::Builder::new().name("log-cleaner".into()).spawn(move || {
            lower_priority();
            // Nobody waits any more when the runtime ends.
            let _ = done.send(clean(&worker, &shared, &config, &grabbed));
        });
        match thread {
            Ok(_) => {
                running.spawn(async move { ended.await.unwrap_or(false) });
            }
            Err(fault) => {
                error!("no thread for the cleaner: {fault}");
                log.write().end_cleaning(None);
                return;
            }
        }
    }
}

/// Who serves requests goes first where processors are short.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(fault) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%fault, "the cleaner keeps its priority");
    }
}

/// Tells whether the log is cleaner than before.
fn clean(node: &Node, shared: &Shared, config: &CleanerConfig, grabbed: &Grabbed) -> bool {
    let result = CleanResult::of(|| work::clean(node, shared, config, grabbed));
    let came_on =
        matches!(&result, CleanResult::Upto(upto) if upto.get() > grabbed.dirt.first_dirty);
    node.logs.cleaned(grabbed, result, node.clock.wall());
    node.note_deleted();
    came_on
}
