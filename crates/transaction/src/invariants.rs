//! What must hold of transactions whenever one looks: named checks for tests and simulations. Each says what is wrong in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{ProducerEpoch, ProducerId, TopicPartition};

use crate::record::TransactionRecord;
use crate::shard::TransactionShard;
use crate::state::State;
use crate::transaction::{Transaction, is_exhausted};

/// What is wrong.
pub type Violation = String;

/// Each state has what belongs to it: partitions, a start, a producer, and somebody who works on it.
///
/// # Errors
/// With the transactional id.
pub fn states_are_sound(shard: &TransactionShard) -> Result<(), Violation> {
    let ongoing: BTreeSet<&Arc<str>> = shard.ongoing().collect();
    for (id, transaction) in shard.transactions() {
        let is_ongoing = transaction.state == State::Ongoing;
        let is_decided = transaction.state.decided().is_some();
        let rules = [
            (transaction.producer.id.is_some(), "it has a producer id"),
            (transaction.producer.epoch.is_some(), "it has an epoch"),
            (
                !transaction.state.is_at_rest() || transaction.partitions.is_empty(),
                "at rest it has no partitions",
            ),
            ((transaction.state == State::Empty) == (transaction.start_ms < 0), "it has a start"),
            (is_decided || transaction.next_id == ProducerId::NONE, "no id waits for nothing"),
            (!matches!(transaction.state, State::Dead | State::PrepareEpochFence), "it lives"),
            (ongoing.contains(id) == is_ongoing, "its timeout is watched while it is open"),
            (!is_decided || shard.has_duty(id), "somebody sends its markers"),
            (is_decided || is_ongoing || !shard.has_duty(id), "nobody works on it at rest"),
        ];
        for (holds, rule) in rules {
            if !holds {
                return Err(format!("{id}: not true that {rule}: {transaction:?}"));
            }
        }
    }
    match ongoing.into_iter().find(|id| shard.get(id).is_none()) {
        Some(id) => Err(format!("{id} is watched and does not exist")),
        None => Ok(()),
    }
}

/// No producer id belongs to two transactional ids.
///
/// # Errors
/// With both.
pub fn producer_ids_have_one_owner(shard: &TransactionShard) -> Result<(), Violation> {
    let mut owners: BTreeMap<ProducerId, &Arc<str>> = BTreeMap::new();
    for (id, transaction) in shard.transactions() {
        let own = [transaction.producer.id, transaction.next_id];
        for producer_id in own.into_iter().filter(|one| one.is_some()) {
            match owners.insert(producer_id, id) {
                Some(other) if other != id => {
                    return Err(format!("{id} and {other} have producer id {producer_id}"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The records of a log, in order, tell lives that are possible: states follow each other as they may, epochs never go back,
/// a producer id is replaced only when it is used up, transactions grow until they are decided, a decision is never changed, and
/// nothing is forgotten before it has ended.
///
/// # Errors
/// With the record.
pub fn lives_are_possible<'a>(
    records: impl IntoIterator<Item = &'a TransactionRecord>,
) -> Result<(), Violation> {
    let mut last: BTreeMap<&Arc<str>, &Transaction> = BTreeMap::new();
    for record in records {
        let id = &record.transactional_id;
        let before = last.remove(id);
        match (before, &record.transaction) {
            // Written once more, for an answer.
            (Some(before), Some(after)) if before == after => {}
            (Some(before), Some(after)) => may_follow(id, before, after)?,
            (None, Some(after)) if after.state != State::Empty => {
                return Err(format!("{id} begins with {after:?}"));
            }
            (Some(before), None) if !before.state.is_at_rest() => {
                return Err(format!("{id} is forgotten in {before:?}"));
            }
            _ => {}
        }
        if let Some(after) = &record.transaction {
            last.insert(id, after);
        }
    }
    Ok(())
}

fn may_follow(id: &str, before: &Transaction, after: &Transaction) -> Result<(), Violation> {
    let (old, new) = (before.producer, after.producer);
    let same_id = old.id == new.id;
    let grows = before.partitions.iter().all(|one| after.partitions.contains(one));
    let is_decision = after.state.decided().is_some();
    let rules = [
        (after.state.may_follow(before.state), "the state may follow"),
        (!same_id || new.epoch >= old.epoch, "the epoch does not go back"),
        (same_id || is_exhausted(old.epoch), "the old producer id is used up"),
        (same_id || new.epoch == ProducerEpoch(0), "a new producer id begins with epoch 0"),
        (after.state != State::Ongoing || grows, "an open transaction only grows"),
        (
            after.state != State::Ongoing || before.state != State::Ongoing || old == new,
            "an open transaction keeps its producer",
        ),
        (!is_decision || grows, "a decision forgets no partition"),
        // Version 0 of the record does not have it.
        (
            [old.id, ProducerId::NONE].contains(&after.previous_id),
            "the producer id before is remembered",
        ),
        (after.state == State::Empty || after.timeout_ms == before.timeout_ms, "the timeout holds"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(format!("{id}: not true that {rule}: {before:?}, {after:?}")),
        None => Ok(()),
    }
}

/// A transaction is complete only when every partition that its decision names has the marker, or does not exist any more.
///
/// # Errors
/// With the first partition that has none.
pub fn all_have_markers(
    id: &str,
    decided: &Transaction,
    marked: &BTreeSet<TopicPartition>,
) -> Result<(), Violation> {
    match decided.partitions.iter().find(|one| !marked.contains(*one)) {
        Some(partition) => Err(format!("{id} is complete, and {partition} has no marker")),
        None => Ok(()),
    }
}

/// Two states know the same as far as the log tells: a live one, and one that was replayed.
///
/// # Errors
/// With what differs.
pub fn same_durable_state(
    live: &TransactionShard,
    replayed: &TransactionShard,
) -> Result<(), Violation> {
    let (mut mine, mut log) = (live.transactions(), replayed.transactions());
    loop {
        match (mine.next(), log.next()) {
            (None, None) => return Ok(()),
            (Some((id, one)), Some((other_id, other))) if id == other_id && is_same(one, other) => {
            }
            (one, other) => return Err(format!("{one:?} is {other:?} in the log")),
        }
    }
}

/// The epoch before the last step is not in the log, nor which markers are written; in version 0, nor is the producer id before.
fn is_same(live: &Transaction, replayed: &Transaction) -> bool {
    let decided = live.state.decided().is_some();
    let fewer = live.partitions.iter().all(|one| replayed.partitions.contains(one));
    let partitions = if decided && fewer { &replayed.partitions } else { &live.partitions };
    let is_known = replayed.previous_id != ProducerId::NONE;
    let live = Transaction {
        last_epoch: replayed.last_epoch,
        previous_id: if is_known { live.previous_id } else { replayed.previous_id },
        partitions: partitions.clone(),
        ..live.clone()
    };
    live == *replayed
}
