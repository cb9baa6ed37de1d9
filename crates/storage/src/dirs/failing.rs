//! Taking a directory offline, while its disk may still be waited for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::TopicPartition;
use parking_lot::RwLock;

use super::manager::{DirFailure, LogEntry, LogManager, SharedLog};

/// So long a log is waited for that somebody is at work with.
const PATIENCE: Duration = Duration::from_millis(10);

type Logs = RwLock<HashMap<TopicPartition, LogEntry>>;

impl LogManager {
    /// Takes the directory of a log offline, after an operation on the log said that the disk failed.
    pub fn fail_log(&self, entry: &LogEntry, cause: &dyn std::fmt::Display) {
        self.fail_dir(entry.dir, cause.to_string());
    }

    /// Takes a directory offline with all its logs. Later calls for it change nothing. What stands still on its disk is not waited
    /// for: the failure has to be told, and others have to be served.
    pub(super) fn fail_dir(&self, index: usize, cause: String) {
        let Some(dir) = self.dirs.get(index) else { return };
        {
            let mut failure = dir.failure.lock();
            if failure.is_some() {
                return;
            }
            *failure = Some(cause.clone());
        }
        tracing::error!(dir = %dir.path.display(), cause, "log directory is offline");
        let mut held = Vec::new();
        let mut take = |logs: &Logs| {
            let gone = logs_in(logs, index).into_iter().map(|(partition, log)| {
                match log.try_write_for(PATIENCE) {
                    Some(mut log) => log.fail(cause.clone()),
                    None => held.push(Arc::clone(&log)),
                }
                partition
            });
            gone.collect()
        };
        let (partitions, futures) = (take(&self.logs), take(&self.futures));
        fail_later(held, cause.clone());
        let failure = DirFailure { dir: dir.path.clone(), id: dir.id, cause, partitions, futures };
        self.failures.lock().push(failure);
        dir.lock.lock().take();
    }
}

/// The logs of a directory, which are no longer there.
fn logs_in(logs: &Logs, index: usize) -> Vec<(TopicPartition, SharedLog)> {
    let mut gone = Vec::new();
    logs.write().retain(|partition, entry| {
        if entry.dir == index {
            gone.push((partition.clone(), Arc::clone(&entry.log)));
        }
        entry.dir != index
    });
    gone
}

/// Logs that somebody holds, who may stand still: they fail when they are let go.
fn fail_later(held: Vec<SharedLog>, cause: String) {
    if held.is_empty() {
        return;
    }
    let fail = move || {
        for log in &held {
            log.write().fail(cause.clone());
        }
    };
    if let Err(error) = std::thread::Builder::new().name("dir-failing".into()).spawn(fail) {
        tracing::error!(%error, "no thread for logs that stand still: they fail when they meet their disk");
    }
}
