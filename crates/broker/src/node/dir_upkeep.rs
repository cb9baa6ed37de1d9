//! What is due from time to time in one log directory: a slow one keeps no other waiting.

use std::sync::Arc;

use base::WallMs;
use tokio::task::JoinHandle;
use tracing::error;

use super::Node;

/// What is to be done. What has come twice while the directory was busy is done once.
#[derive(Clone, Copy, Default)]
pub(super) struct Duties {
    /// Logs were cut below their recovery points.
    pub truncations: bool,
    /// Logs may have left something for later.
    pub work: bool,
    /// Something may be due to be removed.
    pub removals: bool,
    pub retention: bool,
    pub recovery_points: bool,
    pub log_starts: bool,
    pub high_watermarks: bool,
    pub producers: bool,
}

impl Duties {
    fn add(&mut self, more: Self) {
        self.truncations |= more.truncations;
        self.work |= more.work;
        self.removals |= more.removals;
        self.retention |= more.retention;
        self.recovery_points |= more.recovery_points;
        self.log_starts |= more.log_starts;
        self.high_watermarks |= more.high_watermarks;
        self.producers |= more.producers;
    }
}

/// One log directory's.
pub(super) struct DirUpkeep {
    duties: Duties,
    /// When something is to be removed next.
    removals: Option<WallMs>,
    /// Gives that time.
    running: Option<JoinHandle<Option<WallMs>>>,
}

impl Default for DirUpkeep {
    fn default() -> Self {
        // What an earlier life has left may be due.
        Self { duties: Duties::default(), removals: Some(WallMs(0)), running: None }
    }
}

impl DirUpkeep {
    /// Begins what is due, unless the directory is still busy with what was due before. On a thread that may
    /// block.
    pub fn take_on(&mut self, node: &Arc<Node>, index: usize, duties: Duties) {
        self.duties.add(duties);
        let runtime = tokio::runtime::Handle::current();
        if let Some(running) = self.running.take() {
            if !running.is_finished() {
                self.running = Some(running);
                return;
            }
            match runtime.block_on(running) {
                Ok(removals) => self.removals = removals,
                Err(panic) => error!("upkeep of a log directory ended: {panic}"),
            }
        }
        let now = node.clock.wall();
        let mut duties = std::mem::take(&mut self.duties);
        let short = self.removals.is_some() && node.logs.is_short_of_space();
        duties.removals |= short || duties.work || self.removals.is_some_and(|at| at <= now);
        let any = [
            duties.truncations,
            duties.removals,
            duties.retention,
            duties.recovery_points,
            duties.log_starts,
            duties.high_watermarks,
            duties.producers,
        ];
        if any.contains(&true) {
            let (node, removals) = (Arc::clone(node), self.removals);
            self.running =
                Some(runtime.spawn_blocking(move || run(&node, index, duties, removals)));
        }
    }
}

/// Does it; gives when something is to be removed next.
fn run(node: &Node, index: usize, duties: Duties, mut removals: Option<WallMs>) -> Option<WallMs> {
    let (logs, now) = (&node.logs, node.clock.wall());
    if duties.truncations
        && let Some(dir) = logs.dirs().get(index)
    {
        node.settle_truncations(&dir.dir);
    }
    if duties.work {
        logs.run_work_of(index, now);
    }
    if duties.retention {
        node.replicas.tell_starts(&logs.delete_old_segments_of(index, now).logs);
    }
    if duties.removals || duties.retention {
        removals = logs.run_removals_of(index, now);
    }
    if duties.recovery_points {
        logs.sync_created_of(index);
        logs.checkpoint_durable_of(index);
    }
    if duties.log_starts {
        logs.checkpoint_log_starts_of(index);
    }
    if duties.high_watermarks {
        logs.checkpoint_high_watermarks_of(index);
    }
    if duties.producers {
        logs.expire_producers_of(index, now);
    }
    removals
}
