//! What a running node does from time to time: flushes, failed directories, and what is due in each log directory.
//!
//! One task looks at the clock; what blocks runs beside the runtime's threads, that of each log directory on its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{DirectoryId, MonoMs, TopicIdPartition, TopicPartition};
use tokio::task::JoinHandle;
use tracing::error;

use super::Node;
use super::dir_upkeep::{DirUpkeep, Duties};
use crate::apply;
use crate::lifecycle::Lifecycle;
use crate::partitions::Partition;

/// An idle node wakes up once a second, unless retention is to be looked at more often.
const TICK_MS: u64 = 1000;
const TICK_MIN_MS: u64 = 50;
/// An interval as long as this is none: a hundred years.
const NEVER_MS: u64 = 100 * 366 * 86_400_000;

/// When each duty is due next.
struct Schedule {
    retention: MonoMs,
    recovery_points: MonoMs,
    log_starts: MonoMs,
    high_watermarks: MonoMs,
    producers: MonoMs,
    /// Of each log directory.
    dirs: Vec<DirUpkeep>,
    /// Logs that could not be opened are tried again.
    hosting: Option<JoinHandle<()>>,
    /// Since when the controller has not heard of a failed directory.
    untold: Option<MonoMs>,
}

pub fn start(node: &Arc<Node>, lifecycle: &Lifecycle) -> JoinHandle<()> {
    let (node, lifecycle) = (Arc::clone(node), lifecycle.clone());
    tokio::spawn(async move {
        let now = node.clock.mono();
        let mut schedule = Schedule {
            retention: now.plus_ms(ms(node.config().log.initial_task_delay_ms)),
            recovery_points: now.plus_ms(ms(node.config().log.initial_task_delay_ms)),
            log_starts: now.plus_ms(ms(node.config().log.initial_task_delay_ms)),
            high_watermarks: now,
            producers: now,
            dirs: node.logs.dirs().iter().map(|_| DirUpkeep::default()).collect(),
            hosting: None,
            untold: None,
        };
        let retention_ms = ms(node.config().log.retention_check_interval_ms);
        let every = Duration::from_millis(retention_ms.clamp(TICK_MIN_MS, TICK_MS));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Ends with this task.
        let mut flushing = tokio::task::JoinSet::new();
        for (index, dir) in node.logs.dirs().into_iter().enumerate() {
            flushing.spawn(flush(Arc::clone(&node), index, dir.dir));
        }
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                failed = node.neighbours.failed.take() => {
                    let (worker, lifecycle) = (Arc::clone(&node), lifecycle.clone());
                    let work = move || {
                        take_offline(&worker, &failed);
                        failures(&worker, &lifecycle);
                    };
                    if let Err(panic) = tokio::task::spawn_blocking(work).await {
                        error!("upkeep of the logs ended: {panic}");
                        return;
                    }
                    continue;
                }
            }
            if node.take_metadata_version_changed() {
                lifecycle.register_again();
            }
            let (worker, lifecycle) = (Arc::clone(&node), lifecycle.clone());
            let done = tokio::task::spawn_blocking(move || {
                tick(&worker, &lifecycle, &mut schedule);
                schedule
            });
            match done.await {
                Ok(back) => schedule = back,
                Err(panic) => {
                    error!("upkeep of the logs ended: {panic}");
                    return;
                }
            }
        }
    })
}

/// Flushes the logs of one directory whose `flush.ms` is over, as often as `log.flush.scheduler.interval.ms` says; it comes from the
/// file alone. A slow disk is waited for here, and by no other directory.
async fn flush(node: Arc<Node>, index: usize, dir: PathBuf) {
    let interval_ms = ms(node.static_config.log.flush_scheduler_interval_ms);
    if interval_ms == 0 || interval_ms >= NEVER_MS {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(interval_ms));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looking = Arc::clone(&node);
        let look = move || looking.logs.flush_due(index, looking.clock.wall());
        let due = match tokio::task::spawn_blocking(look).await {
            Ok(due) => due,
            Err(panic) => {
                error!("the flushing of logs ended: {panic}");
                return;
            }
        };
        // Closed when the last one is done.
        let (running, mut done) = tokio::sync::mpsc::channel::<()>(1);
        for entry in due {
            let (node, running) = (Arc::clone(&node), running.clone());
            let flusher = Arc::clone(&node.neighbours);
            flusher.flusher.add(&dir, move || {
                let _running = &running;
                node.logs.flush(&entry, node.clock.wall());
                false
            });
        }
        drop(running);
        done.recv().await;
    }
}

fn ms(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(u64::MAX >> 1)
}

/// Whether a duty is due; sets when it is due again.
fn due(at: &mut MonoMs, now: MonoMs, every_ms: u64) -> bool {
    let due = *at <= now;
    if due {
        *at = now.plus_ms(every_ms.max(1));
    }
    due
}

fn tick(node: &Arc<Node>, lifecycle: &Lifecycle, schedule: &mut Schedule) {
    let now = node.clock.now();
    let config = node.config();
    let log = &config.log;
    node.logs.look_at_dirs();
    node.logs.look_at_space(config.reserve_bytes);
    node.patience.set_aside(config.reserve_bytes);
    if schedule.hosting.as_ref().is_none_or(JoinHandle::is_finished) && apply::is_hosting_due(node)
    {
        let node = Arc::clone(node);
        schedule.hosting = Some(tokio::task::spawn_blocking(move || apply::host_again(&node)));
    }
    let starts_ms = ms(log.flush_start_offset_checkpoint_interval_ms);
    let points_ms = ms(log.flush_offset_checkpoint_interval_ms);
    let marks_ms = ms(config.replication.high_watermark_checkpoint_interval_ms);
    let expiry_ms = ms(config.transaction.producer_id_expiration_check_interval_ms);
    let duties = Duties {
        truncations: false,
        work: node.take_work(),
        removals: node.take_deleted(),
        retention: due(&mut schedule.retention, now.mono, ms(log.retention_check_interval_ms)),
        recovery_points: due(&mut schedule.recovery_points, now.mono, points_ms),
        log_starts: due(&mut schedule.log_starts, now.mono, starts_ms),
        high_watermarks: due(&mut schedule.high_watermarks, now.mono, marks_ms)
            && node.take_appended(),
        producers: due(&mut schedule.producers, now.mono, expiry_ms),
    };
    let cut = node.neighbours.truncations.due();
    let known = if cut.is_empty() { Vec::new() } else { node.logs.dirs() };
    for (index, dir) in schedule.dirs.iter_mut().enumerate() {
        let truncations = known.get(index).is_some_and(|known| cut.contains(&known.dir));
        dir.take_on(node, index, Duties { truncations, ..duties });
    }
    failures(node, lifecycle);
    tell_or_stop(node, lifecycle, &mut schedule.untold);
}

/// A broker that cannot tell the controller of a failed directory stops: the controller takes what was there for served.
fn tell_or_stop(node: &Node, lifecycle: &Lifecycle, untold: &mut Option<MonoMs>) {
    let Some(dir) = lifecycle.untold_dir() else {
        *untold = None;
        return;
    };
    let (now, limit_ms) = (node.clock.mono(), node.config().node.log_dir_failure_timeout_ms);
    let since = *untold.get_or_insert(now);
    if now.since(since) >= ms(limit_ms) {
        node.fail(format!("the controllers cannot be told of the failed log directory {dir}"));
    }
}

/// The directories of logs whose disk failed, with all their logs.
fn take_offline(node: &Node, failed: &[(TopicIdPartition, String)]) {
    for (id, cause) in failed {
        let Some(partition) = node.partitions.get(id.topic_id, id.partition) else { continue };
        let topic = Arc::clone(partition.topic());
        let name = TopicPartition { topic, partition: id.partition };
        if let Some(entry) = node.logs.get(&name) {
            node.logs.fail_log(&entry, cause);
        }
    }
}

/// Directories that failed: the controller is told, their partitions are served no longer; without any directory left the node
/// ends.
fn failures(node: &Arc<Node>, lifecycle: &Lifecycle) {
    let failed = node.logs.take_failures();
    if failed.is_empty() {
        return;
    }
    let offline = node.logs.dirs().into_iter().filter(|dir| dir.failure.is_some());
    lifecycle.set_offline_dirs(offline.filter_map(|dir| dir.id).collect());
    let mut held = Vec::new();
    for failure in &failed {
        for name in &failure.partitions {
            let Some(partition) = hosted(node, name) else { continue };
            node.replicas.forget(partition.id());
            // The controller knows of the move, but the log never got there.
            held.push((partition, true, failure.id));
        }
        for name in &failure.futures {
            let Some(partition) = hosted(node, name) else { continue };
            let log = node.logs.get(name);
            let stays = log.and_then(|log| node.logs.dir_of(&log).and_then(|(_, id)| id));
            held.push((partition, false, stays));
        }
    }
    held.retain(|(partition, is_gone, dir)| {
        let is_free = partition.is_free();
        if is_free {
            leave(node, partition, *is_gone, *dir);
        }
        !is_free
    });
    if !held.is_empty() {
        // Somebody stands still there, and nobody else for him.
        let node = Arc::clone(node);
        tokio::task::spawn_blocking(move || {
            for (partition, is_gone, dir) in held {
                leave(&node, &partition, is_gone, dir);
            }
        });
    }
    let metadata = Path::new(&node.static_config.metadata_log_dir);
    let metadata = std::path::absolute(metadata).unwrap_or_else(|_| metadata.to_path_buf());
    if let Some(failure) = failed.iter().find(|failure| failure.dir == metadata) {
        let (dir, cause) = (failure.dir.display(), &failure.cause);
        node.fail(format!("the directory of the metadata log, {dir}, has failed: {cause}"));
    } else if let Err(fault) = node.logs.check_any_online() {
        node.fail(fault.to_string());
    }
}

fn hosted(node: &Node, name: &TopicPartition) -> Option<Arc<Partition>> {
    let topic = node.image().topics.by_name(&name.topic)?.id;
    node.partitions.get(topic, name.partition)
}

/// The directory of the partition's log (`is_gone`), or of its copy, has failed; where the log is, or was.
fn leave(node: &Node, partition: &Partition, is_gone: bool, dir: Option<DirectoryId>) {
    if is_gone {
        partition.resign();
    }
    node.moves.abort(node, partition, dir);
}
