//! Moves of replicas between the directories of this node (KIP-113): who copies, how fast, and when the controller is told.
//!
//! A few workers take the partitions that move in turns, each one partition at a time. What a step does is the partition's;
//! here stands when.

mod worker;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{TopicIdPartition, TopicPartition};
use parking_lot::Mutex;
use protocol::ErrorCode;
use storage::dirs::{DirError, LogEntry, NewFuture};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::node::Node;
use crate::partitions::{Partition, Throttle};

/// A partition that moves.
struct Job {
    partition: Arc<Partition>,
    /// Of this move; another one of the same partition has another.
    number: u64,
    /// Fires when the controller has taken the new directory; ends when something else was said since.
    word: Option<oneshot::Receiver<()>>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    come: Notify,
}

impl Queue {
    fn add(&self, job: Job) {
        self.jobs.lock().push_back(job);
        self.come.notify_one();
    }

    fn is_empty(&self) -> bool {
        self.jobs.lock().is_empty()
    }

    async fn next(&self) -> Job {
        loop {
            let next = self.jobs.lock().pop_front();
            if let Some(job) = next {
                if !self.is_empty() {
                    self.come.notify_one();
                }
                return job;
            }
            self.come.notified().await;
        }
    }
}

/// All moves of a node.
pub struct Moves {
    queue: Arc<Queue>,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`
    pub throttle: Throttle,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Of the next move.
    number: AtomicU64,
    /// Orders are taken one at a time.
    altering: Mutex<()>,
    /// Moves are resumed from the quorum's thread, too.
    runtime: Handle,
}

impl Moves {
    /// Within the runtime that is to run the workers.
    pub fn new() -> Self {
        Self {
            queue: Arc::default(),
            throttle: Throttle::default(),
            tasks: Mutex::default(),
            number: AtomicU64::new(0),
            altering: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// Starts `num.replica.alter.log.dirs.threads` workers, by default as many as there are directories.
    pub fn start(&self, node: &Arc<Node>) {
        let config = &node.static_config;
        let threads = config.log.num_replica_alter_log_dirs_threads;
        let threads = threads.and_then(|threads| usize::try_from(threads).ok());
        for _ in 0..threads.unwrap_or(config.log_dirs.len()).max(1) {
            let work = worker::run(Arc::downgrade(node), Arc::clone(&self.queue));
            self.tasks.lock().push(self.runtime.spawn(work));
        }
    }

    /// The node ends; copies stay as they are.
    pub fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        self.queue.jobs.lock().clear();
    }

    /// Goes on with a move that a restart interrupted.
    pub fn resume(&self, node: &Node, partition: &Arc<Partition>) {
        let Some(copy) = node.logs.future(&name(partition)) else { return };
        if let Err(error) = self.begin(node, partition, copy) {
            warn!(partition = %name(partition), "the move cannot go on: {error}");
        }
    }

    fn begin(
        &self,
        node: &Node,
        partition: &Arc<Partition>,
        copy: LogEntry,
    ) -> Result<(), DirError> {
        let backoff_ms = u64::try_from(node.config().replication.fetch_backoff_ms).unwrap_or(0);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let begun = partition.begin_move(number, copy.clone(), backoff_ms, node.clock.now());
        if let Err(error) = begun {
            if error.is_disk_failure() {
                node.fail_log(&copy, &error);
            }
            return Err(error.into());
        }
        self.queue.add(Job { partition: Arc::clone(partition), number, word: None });
        Ok(())
    }

    /// AlterReplicaLogDirs for one partition; `hosted` if it is here. Blocks.
    ///
    /// # Errors
    /// Kafka's code.
    pub fn alter(
        &self,
        node: &Node,
        partition: &TopicPartition,
        hosted: Option<&Arc<Partition>>,
        dir: &Path,
    ) -> Result<(), ErrorCode> {
        let told = |error: DirError| {
            warn!(%partition, dir = %dir.display(), "the replica cannot be moved: {error}");
            code(&error)
        };
        let _altering = self.altering.lock();
        node.logs.check_target(dir).map_err(told)?;
        let Some(hosted) = hosted else {
            node.logs.prefer(partition, dir);
            return Err(not_here(node, partition));
        };
        if hosted.is_offline() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let entry = node.logs.get(partition).ok_or(ErrorCode::KafkaStorageError)?;
        let lies_in = |entry: &LogEntry| node.logs.dir_of(entry).is_some_and(|(at, _)| at == dir);
        let copy = node.logs.future(partition);
        if copy.as_ref().is_some_and(|copy| !lies_in(copy)) {
            self.cancel(node, hosted);
        } else if copy.is_some() && hosted.is_moving() {
            return Ok(());
        }
        // The move may have been completed a moment ago.
        let entry = node.logs.get(partition).unwrap_or(entry);
        if lies_in(&entry) {
            return Ok(());
        }
        let config = Arc::clone(&hosted.settings().log);
        let topic_id = hosted.id().topic_id;
        let new = NewFuture { partition, topic_id, config, dir };
        let copy = node.logs.create_future(&new, node.clock.wall()).map_err(told)?;
        self.begin(node, hosted, copy).map_err(told)
    }

    /// Ends a move that is not wanted any more: the copy is removed, the controller hears where the log stays.
    fn cancel(&self, node: &Node, partition: &Arc<Partition>) {
        let name = name(partition);
        let announced = partition.end_move();
        let delay_ms = partition.settings().log.file_delete_delay_ms;
        if node.logs.remove_future(&name, delay_ms, node.clock.wall()) {
            info!(partition = %name, "the move is cancelled");
            node.note_deleted();
        }
        if announced {
            tell_where(node, partition);
        }
    }

    /// The disk of the log or of its copy failed: the controller hears where the log is, or was.
    pub fn abort(&self, node: &Node, partition: &Partition, dir: Option<base::DirectoryId>) {
        if partition.end_move()
            && let Some(dir) = dir
        {
            node.assignments.add(partition.id(), dir);
        }
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells the controller in which directory the log is.
pub fn tell_where(node: &Node, partition: &Partition) {
    let entry = node.logs.get(&name(partition));
    let dir = entry.and_then(|entry| node.logs.dir_of(&entry).and_then(|(_, id)| id));
    if let Some(dir) = dir {
        node.assignments.add(partition.id(), dir);
    }
}

fn name(partition: &Partition) -> TopicPartition {
    let TopicIdPartition { partition: index, .. } = partition.id();
    TopicPartition { topic: Arc::clone(partition.topic()), partition: index }
}

/// A partition that has no log here.
fn not_here(node: &Node, partition: &TopicPartition) -> ErrorCode {
    let image = node.image();
    let topic = image.topics.by_name(&partition.topic);
    let own = node.static_config.node_id;
    match topic.and_then(|topic| topic.partition(partition.partition)) {
        None => ErrorCode::UnknownTopicOrPartition,
        // It ought to be here: its directory is offline.
        Some(known) if known.replicas.contains(&own) => ErrorCode::KafkaStorageError,
        Some(_) => ErrorCode::ReplicaNotAvailable,
    }
}

fn code(error: &DirError) -> ErrorCode {
    match error {
        DirError::UnknownDir { .. } => ErrorCode::LogDirNotFound,
        DirError::Cordoned { .. } => ErrorCode::InvalidReplicaAssignment,
        DirError::TopicId { .. } => ErrorCode::InconsistentTopicId,
        DirError::Io { .. }
        | DirError::Offline { .. }
        | DirError::MaybeOffline { .. }
        | DirError::NoneOnline { .. }
        | DirError::Log(_) => ErrorCode::KafkaStorageError,
        _ => ErrorCode::UnknownServerError,
    }
}
