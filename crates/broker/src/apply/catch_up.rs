//! Brings replicas up to date that are late, one thread for each log directory that has any.
//!
//! It waits for the locks of a partition as long as somebody writes, and tells the partition then what the newest image wants. That happens
//! under the lock under which metadata is applied, too, so nobody acts on what the other has overtaken; but it is never waited for
//! with a partition's locks held for longer than a moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{TopicIdPartition, TopicPartition};
use tracing::{debug, error, info};

use super::host_again;
use super::late::Tasks;
use super::role::bring_up;
use crate::node::Node;
use crate::partitions::Partition;

/// So long it waits for one of them before it looks at the others again.
const TURN: Duration = Duration::from_millis(250);
/// So long a partition waits for metadata that is being applied, which may wait for a slow directory itself.
const MOMENT: Duration = Duration::from_millis(10);

/// A replica whose log is to be deleted.
#[derive(Clone)]
pub struct Going {
    partition: Arc<Partition>,
}

impl Going {
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition }
    }

    pub fn delay_ms(&self) -> u64 {
        self.partition.settings().log.file_delete_delay_ms
    }

    /// Clients that wait there are told.
    fn tell(&self, limit: Duration) -> bool {
        let locked = self.partition.lock_within(limit);
        locked.map(|mut locked| locked.delete()).is_some()
    }
}

/// Where no thread is to be had the next update tries again.
pub fn begin(node: &Arc<Node>, dir: u16) {
    let worker = Arc::downgrade(node);
    let thread = std::thread::Builder::new().name("metadata-late".into());
    if let Err(cause) = thread.spawn(move || run(&worker, dir)) {
        error!("no thread for replicas that are late: {cause}");
        node.unhosted.lock().late.abandon(dir);
    }
}

/// One that panics gives its work back.
struct Worker<'a> {
    node: &'a Weak<Node>,
    dir: u16,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(node) = self.node.upgrade()
        {
            node.unhosted.lock().late.abandon(self.dir);
        }
    }
}

/// Until nothing is left, or the node ends.
fn run(node: &Weak<Node>, dir: u16) {
    let _worker = Worker { node, dir };
    debug!(dir, "replicas are late");
    loop {
        let Some(node) = node.upgrade() else { return };
        let tasks = node.unhosted.lock().late.tasks(dir);
        let Some(Tasks { behind, going }) = tasks else {
            return debug!(dir, "no replica is late any more");
        };
        let mut done = 0;
        for id in &behind {
            done += usize::from(bring(&node, *id, Duration::ZERO));
        }
        done += take_away(&node, dir, &going, Duration::ZERO);
        if done > 0 {
            continue;
        }
        // All of them are at work: any may be the first to be free.
        match behind.first() {
            Some(id) => drop(bring(&node, *id, TURN)),
            None => drop(take_away(&node, dir, going.get(..1).unwrap_or_default(), TURN)),
        }
    }
}

/// Tells whether there is nothing left to do for it.
fn bring(node: &Arc<Node>, id: TopicIdPartition, limit: Duration) -> bool {
    let find = || node.partitions.get(id.topic_id, id.partition);
    let Some(partition) = find() else {
        let mut unhosted = node.unhosted.lock();
        return find().is_none() && unhosted.late.settle(id);
    };
    let Some(locked) = partition.lock_within(limit) else { return false };
    let Some(mut unhosted) = node.unhosted.try_lock_for(MOMENT) else { return false };
    // It may have been deleted, and made anew.
    if find().is_none_or(|found| !Arc::ptr_eq(&found, &partition)) || !unhosted.late.settle(id) {
        return false;
    }
    if let Some(image) = unhosted.image() {
        bring_up(node, &image, &partition, locked);
    }
    let name = format_args!("{}-{}", partition.topic(), id.partition);
    info!(partition = %name, "metadata that came while its disk stood still is applied");
    true
}

/// Tells how many are gone.
fn take_away(
    node: &Arc<Node>,
    dir: u16,
    going: &[(TopicPartition, Going)],
    limit: Duration,
) -> usize {
    let mut names = Vec::new();
    let mut by_delay: BTreeMap<u64, Vec<TopicPartition>> = BTreeMap::new();
    for (name, going) in going.iter().filter(|(_, going)| going.tell(limit)) {
        names.push(name.clone());
        by_delay.entry(going.delay_ms()).or_default().push(name.clone());
    }
    if names.is_empty() {
        return 0;
    }
    // A disk that stands still is waited for here, not while nobody else may make or delete logs.
    node.logs.reach(&names);
    if !node.unhosted.lock().late.is_any_in(dir) {
        return 0; // the node ends
    }
    for (delay_ms, names) in by_delay {
        node.logs.delete(names, delay_ms, node.clock.wall());
        node.note_deleted();
    }
    let mut unhosted = node.unhosted.lock();
    unhosted.late.gone(dir, &names);
    // Others may have waited for their names.
    unhosted.hurry(node.clock.mono());
    drop(unhosted);
    host_again(node);
    names.len()
}
