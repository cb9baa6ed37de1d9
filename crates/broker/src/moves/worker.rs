//! A worker: copies one partition after the other, in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{DirectoryId, MonoMs};
use storage::dirs::{DirError, LogEntry};
use storage::log::LogError;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tracing::error;

use super::{Job, Queue};
use crate::node::Node;
use crate::partitions::{Moved, Partition};

/// So long a partition has the worker for itself while others wait.
const TURN: Duration = Duration::from_secs(10);
/// Pauses: when the limit is exceeded, and until a log that was caught up with is looked at again.
const THROTTLED: Duration = Duration::from_millis(50);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Nobody waits longer for a pause that a failure asked for.
const WAIT_MAX: Duration = Duration::from_secs(1);

pub async fn run(node: Weak<Node>, queue: Arc<Queue>) {
    loop {
        let mut job = queue.next().await;
        let Some(node) = node.upgrade() else { return };
        let began = Instant::now();
        loop {
            if !step(&node, &mut job).await {
                break;
            }
            if began.elapsed() > TURN && !queue.is_empty() {
                queue.add(job);
                break;
            }
        }
    }
}

/// False: this move has ended, one way or another.
async fn step(node: &Arc<Node>, job: &mut Job) -> bool {
    if node.moves.throttle.is_exceeded(node.clock.mono()) {
        sleep(THROTTLED).await;
        return job.partition.copy(job.number).is_some();
    }
    let bytes_max = u32::try_from(node.config().replication.fetch_max_bytes).unwrap_or(0);
    let (number, now) = (job.number, node.clock.now());
    let worker = Arc::clone(node);
    let stepping = blocking(job, move |partition| {
        let moved = partition.move_on(number, bytes_max, now);
        if let (Moved::Copied(_), Some(copy)) = (&moved, partition.copy(number)) {
            // Syncs what was rolled: the copy never has much that is not on the disk.
            worker.logs.run_work(&copy, now.wall);
        }
        moved
    });
    let Some(moved) = stepping.await else {
        return false;
    };
    match moved {
        Moved::Copied(bytes) => node.moves.throttle.record(bytes as u64, node.clock.mono()),
        Moved::Wait { until } => pause(node, until).await,
        Moved::Tell => tell(node, job).await,
        Moved::Told => listen(job).await,
        Moved::Ready => return !give_way(node, job).await,
        Moved::Failed(cause) => {
            if let Some(copy) = job.partition.copy(job.number) {
                node.fail_log(&copy, &cause);
            }
            return false;
        }
        Moved::Gone => return false,
    }
    true
}

async fn pause(node: &Node, until: MonoMs) {
    let until = Duration::from_millis(until.since(node.clock.mono()));
    sleep(until.min(WAIT_MAX)).await;
}

/// Says where the replica will be, once all that was copied so far is durable.
async fn tell(node: &Arc<Node>, job: &mut Job) {
    let Some(copy) = job.partition.copy(job.number) else { return };
    flush(node, &copy).await;
    match directory(node, &copy) {
        Some(directory) => {
            job.word = Some(node.assignments.tell(job.partition.id(), directory));
        }
        // The cluster knows no directories.
        None => job.partition.move_told(job.number, true),
    }
}

fn directory(node: &Node, copy: &LogEntry) -> Option<DirectoryId> {
    let version = node.image().features.metadata_version;
    version.filter(|version| version.supports_directory_assignment())?;
    node.logs.dir_of(copy).and_then(|(_, id)| id)
}

async fn listen(job: &mut Job) {
    let Some(word) = &mut job.word else { return job.partition.move_told(job.number, false) };
    match timeout(LOOK_AGAIN, word).await {
        Ok(heard) => {
            job.word = None;
            job.partition.move_told(job.number, heard.is_ok());
        }
        Err(_elapsed) => {}
    }
}

/// True: the move has ended.
async fn give_way(node: &Arc<Node>, job: &mut Job) -> bool {
    let Some(copy) = job.partition.copy(job.number) else { return true };
    flush(node, &copy).await;
    let (worker, moving) = (Arc::clone(node), copy.clone());
    let keeping = blocking(job, move |_| {
        let name = moving.log.read().name().clone();
        worker.logs.keep_start(&name)
    });
    if keeping.await == Some(false) {
        // The disk is full, or the move is over.
        sleep(LOOK_AGAIN).await;
        return job.partition.copy(job.number).is_none();
    }
    let (worker, number) = (Arc::clone(node), job.number);
    let given = blocking(job, move |partition| {
        let now = worker.clock.wall();
        let delay_ms = partition.settings().log.file_delete_delay_ms;
        let given = partition.give_way(number, &worker.logs, now);
        given.map(|promoted| {
            promoted.map(|promoted| worker.logs.finish_move(promoted, delay_ms, now)).is_some()
        })
    });
    match given.await {
        Some(Ok(true)) => {
            node.note_deleted();
            node.note_appended();
            true
        }
        Some(Ok(false)) => false,
        // Deleted, or told by whoever saw its disk fail.
        Some(Err(DirError::Log(LogError::Offline { .. }))) => true,
        Some(Err(error)) => {
            node.fail_log(&copy, &error);
            true
        }
        None => true,
    }
}

async fn flush(node: &Arc<Node>, copy: &LogEntry) {
    let (node, copy) = (Arc::clone(node), copy.clone());
    let flushed = spawn_blocking(move || node.logs.flush(&copy, node.clock.wall())).await;
    if let Err(panic) = flushed {
        error!("a flush ended: {panic}");
    }
}

/// Beside the runtime's threads; `None` when it panicked.
async fn blocking<T: Send + 'static>(
    job: &Job,
    work: impl FnOnce(&Partition) -> T + Send + 'static,
) -> Option<T> {
    let partition = Arc::clone(&job.partition);
    match spawn_blocking(move || work(&partition)).await {
        Ok(done) => Some(done),
        Err(panic) => {
            error!("a move between directories ended: {panic}");
            None
        }
    }
}
