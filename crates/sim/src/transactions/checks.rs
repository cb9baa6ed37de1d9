//! What must hold: of the coordinator's state and log at every moment, of what readers see, and of every transaction in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Offset;
use coordinator::{LogRecord, Producer, Shard};
use transaction::{State, Transaction, TransactionRecord, TransactionShard, invariants};

use super::client::VALUES_MAX;
use super::world::World;
use crate::seeds::counts;

counts! {
    /// What happened.
    pub struct Stats {
        /// As clients were told.
        pub committed,
        pub aborted,
        /// Clients that were shut out by another.
        pub fenced,
        /// Of the coordinator.
        pub moves,
        pub crashes,
        pub failed_appends,
        /// Ids out of use.
        pub forgotten,
        /// Of wall clocks.
        pub jumps,
        /// What a coordinator wrote that was replaced and did not know.
        pub vain_appends,
        /// Writes for which a coordinator that was replaced would have been asked.
        pub stale_askings,
    }
}

/// A transaction as its client knows it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub client: usize,
    pub id: Arc<str>,
    pub producer: Producer,
    /// Partition and value.
    pub acked: Vec<(usize, u64)>,
    /// When the client first asked for the commit.
    pub commit_sent: Option<u64>,
    /// What the client was told: committed or aborted.
    pub outcome: Option<bool>,
}

/// A producer was initialized, and was told so.
#[derive(Clone, Debug)]
pub struct Grant {
    pub client: usize,
    pub id: Arc<str>,
    pub producer: Producer,
    pub at: u64,
}

#[derive(Default)]
pub struct Checks {
    pub stats: Stats,
    pub attempts: Vec<Attempt>,
    pub grants: Vec<Grant>,
    /// By partition: how long its log was, and what readers saw.
    seen: BTreeMap<usize, (usize, Vec<u64>)>,
}

fn decoded(record: &LogRecord) -> Result<TransactionRecord, String> {
    let decoded = TransactionShard::decode(&record.key, record.value.as_deref());
    decoded.map_err(|error| error.to_string())?.ok_or_else(|| "an unknown record".to_owned())
}

fn log(world: &World) -> Result<Vec<TransactionRecord>, String> {
    world.log.batches.iter().flatten().map(decoded).collect()
}

/// What the log says of an id.
fn last_of(world: &World, id: &Arc<str>) -> Result<Option<Transaction>, String> {
    for record in world.log.batches.iter().flatten().rev() {
        let record = decoded(record)?;
        if record.transactional_id == *id {
            return Ok(record.transaction);
        }
    }
    Ok(None)
}

impl Checks {
    /// Records are about to be appended.
    pub fn appended(world: &mut World, records: &[LogRecord]) -> Result<(), String> {
        for record in records {
            let record = decoded(record)?;
            let Some(transaction) = &record.transaction else {
                world.checks.stats.forgotten += 1;
                continue;
            };
            world.note(&format!(
                "{} is {:?} {:?}",
                record.transactional_id, transaction.state, transaction.producer
            ));
            if !matches!(transaction.state, State::CompleteCommit | State::CompleteAbort) {
                continue;
            }
            let Some(decision) = last_of(world, &record.transactional_id)? else { continue };
            let open = decision.partitions.iter().find(|one| {
                let at = usize::try_from(one.partition.get()).unwrap_or(0);
                world.partitions.get(at).is_some_and(|one| one.has_open(decision.producer.id))
            });
            if let Some(open) = open {
                return Err(format!("{} is complete, and open in {open}", record.transactional_id));
            }
        }
        Ok(())
    }

    /// After everything that happens.
    pub fn look(world: &mut World) -> Result<(), String> {
        for node in &mut world.coordinators {
            if !std::mem::take(&mut node.is_new) {
                continue;
            }
            for shard in [node.runtime.tip(), node.runtime.committed()] {
                if node.runtime.is_active() {
                    invariants::states_are_sound(shard)?;
                    invariants::producer_ids_have_one_owner(shard)?;
                }
            }
        }
        for (at, partition) in world.partitions.iter().enumerate() {
            let (length, seen) = world.checks.seen.entry(at).or_default();
            if *length == partition.log.len() {
                continue;
            }
            *length = partition.log.len();
            let visible = partition.visible();
            if !visible.starts_with(seen) {
                return Err(format!("in {at} readers saw {seen:?} and now see {visible:?}"));
            }
            *seen = visible;
        }
        Ok(())
    }

    /// Nothing happens any more.
    pub fn at_rest(world: &mut World) -> Result<(), String> {
        let log = log(world)?;
        invariants::lives_are_possible(&log)?;
        let mut replayed = TransactionShard::default();
        for record in &log {
            replayed.replay(Offset::ZERO, None, record);
        }
        let leader = world.coordinators.get(world.leader).ok_or("nobody leads")?;
        if !leader.runtime.is_active() {
            return Err("the coordinator does not work".to_owned());
        }
        invariants::same_durable_state(leader.runtime.tip(), &replayed)?;
        let mut states = leader.runtime.committed().transactions();
        if let Some((id, open)) = states.find(|(_, one)| !one.state.is_at_rest()) {
            return Err(format!("{id} does not end: {open:?}"));
        }
        for (at, partition) in world.partitions.iter().enumerate() {
            let stable = partition.last_stable();
            if stable != partition.log.len() {
                let entry = partition.log.get(stable);
                return Err(format!("readers of {at} wait for ever at {stable}: {entry:?}"));
            }
        }
        let visible: Vec<Vec<u64>> = world.partitions.iter().map(|one| one.visible()).collect();
        for (number, attempt) in world.checks.attempts.iter().enumerate() {
            is_whole(number, attempt, &visible)?;
            is_not_of_a_fenced_producer(number, attempt, &world.checks.grants)?;
        }
        Ok(())
    }
}

/// All of a transaction is seen once and in order, or nothing.
fn is_whole(number: usize, attempt: &Attempt, visible: &[Vec<u64>]) -> Result<(), String> {
    let mut seen = Vec::new();
    for (partition, values) in visible.iter().enumerate() {
        let own = values.iter().filter(|value| **value / VALUES_MAX == number as u64);
        seen.extend(own.map(|value| (partition, *value)));
    }
    let mut acked = attempt.acked.clone();
    // By partition, and in each as they were written.
    acked.sort_by_key(|(partition, _)| *partition);
    let may_be_all = attempt.outcome == Some(true)
        || (attempt.outcome.is_none() && attempt.commit_sent.is_some());
    let may_be_none = attempt.outcome != Some(true);
    let is_right = (may_be_all && seen == acked) || (may_be_none && seen.is_empty());
    if is_right {
        return Ok(());
    }
    Err(format!("of transaction {number}, {attempt:?}, readers see {seen:?}"))
}

/// What a producer asks for after another one has taken its id does not happen.
fn is_not_of_a_fenced_producer(
    number: usize,
    attempt: &Attempt,
    grants: &[Grant],
) -> Result<(), String> {
    let (Some(sent), Some(true)) = (attempt.commit_sent, attempt.outcome) else { return Ok(()) };
    let key = |producer: Producer| (producer.id, producer.epoch);
    let mut fences = grants.iter().filter(|grant| {
        grant.id == attempt.id
            && grant.client != attempt.client
            && grant.at < sent
            && key(grant.producer) > key(attempt.producer)
    });
    match fences.next() {
        Some(grant) => Err(format!("transaction {number}, {attempt:?}, was fenced by {grant:?}")),
        None => Ok(()),
    }
}
