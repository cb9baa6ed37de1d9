//! What must hold of groups whenever one looks: named checks for tests and simulations. Each says what is wrong in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{MonoMs, Uuid};
use protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use protocol::{Decode, Reader};

use crate::classic::{Classic, State};
use crate::consumer::{Consumer, LEAVE_STATIC_EPOCH, MemberState};
use crate::groups::Kind;
use crate::shard::{GroupShard, Timer};
use crate::{classic, consumer};

/// What is wrong.
pub type Violation = String;

/// In consumer groups, no partition is assigned to two members or is given up by one while another has it, and the epochs of
/// partitions are those of their owners.
///
/// # Errors
/// With the partition.
pub fn partitions_have_one_owner(shard: &GroupShard) -> Result<(), Violation> {
    for (name, group) in consumer_groups(shard) {
        let mut owners: BTreeMap<(Uuid, i32), &Arc<str>> = BTreeMap::new();
        for member in group.members() {
            for owned in [&member.assigned, &member.revoking] {
                for (topic, partitions) in owned.iter() {
                    for partition in partitions.keys() {
                        let place = (*topic, *partition);
                        if let Some(other) = owners.insert(place, &member.id) {
                            return Err(format!(
                                "{name}: {place:?} is owned by {other} and {}",
                                member.id
                            ));
                        }
                        let known = group.partition_epoch(*topic, *partition);
                        if known.is_none() {
                            return Err(format!("{name}: {place:?} of {} is free", member.id));
                        }
                    }
                }
            }
        }
        let held = group.held_partitions();
        if held != owners.len() {
            return Err(format!("{name}: {held} partitions are held, {} owned", owners.len()));
        }
    }
    Ok(())
}

/// In stable classic groups of consumers, the leader's assignment gives no partition to two members.
///
/// # Errors
/// With the partition.
pub fn leaders_assign_once(shard: &GroupShard) -> Result<(), Violation> {
    for (name, group) in classic_groups(shard) {
        if group.state() != State::Stable || !group.is_of_consumers() {
            continue;
        }
        let mut owners: BTreeMap<(String, i32), &Arc<str>> = BTreeMap::new();
        for member in group.members() {
            for place in assigned(&member.assignment) {
                if let Some(other) = owners.insert(place.clone(), &member.id) {
                    return Err(format!(
                        "{name}: generation {} gives {place:?} to {other} and {}",
                        group.generation(),
                        member.id
                    ));
                }
            }
        }
    }
    Ok(())
}

fn assigned(bytes: &[u8]) -> Vec<(String, i32)> {
    let mut reader = Reader::new(bytes);
    let Ok(version) = reader.i16() else { return Vec::new() };
    let Ok(told) = ConsumerProtocolAssignment::decode(&mut reader, version.clamp(0, 3)) else {
        return Vec::new();
    };
    let topics = told.assigned_partitions.into_iter();
    let pairs = topics.flat_map(|topic| {
        let name = topic.topic.to_string();
        topic.partitions.into_iter().map(move |index| (name.clone(), index))
    });
    pairs.collect()
}

/// Members are not ahead of their group, and assignments not ahead of the group epoch.
///
/// # Errors
/// With the group.
pub fn epochs_are_in_order(shard: &GroupShard) -> Result<(), Violation> {
    for (name, group) in consumer_groups(shard) {
        if group.assignment_epoch > group.epoch {
            return Err(format!(
                "{name}: assignment epoch {} of group epoch {}",
                group.assignment_epoch, group.epoch
            ));
        }
        for member in group.members() {
            let ahead = member.epoch > group.assignment_epoch;
            let late = member.state == MemberState::Stable && !member.revoking.is_empty();
            if ahead || late {
                return Err(format!(
                    "{name}: member {} at epoch {} of assignment {}, {:?}, revoking {:?}",
                    member.id, member.epoch, group.assignment_epoch, member.state, member.revoking
                ));
            }
        }
    }
    Ok(())
}

/// Between two moments of the log, generations and epochs of groups that live on only grow.
///
/// # Errors
/// With the group.
pub fn epochs_grow(before: &GroupShard, after: &GroupShard) -> Result<(), Violation> {
    for (name, kind) in after.groups().iter() {
        match (before.groups().get(name), kind) {
            (Some(Kind::Classic(old)), Kind::Classic(new))
                if new.generation() < old.generation() =>
            {
                return Err(format!(
                    "{name}: generation {} after {}",
                    new.generation(),
                    old.generation()
                ));
            }
            (Some(Kind::Consumer(old)), Kind::Consumer(new)) => consumer_grows(name, old, new)?,
            (Some(Kind::Classic(old)), Kind::Consumer(new)) if new.epoch < old.generation() => {
                return Err(format!(
                    "{name}: epoch {} after generation {}",
                    new.epoch,
                    old.generation()
                ));
            }
            (Some(Kind::Consumer(old)), Kind::Classic(new)) if new.generation() < old.epoch => {
                return Err(format!(
                    "{name}: generation {} after epoch {}",
                    new.generation(),
                    old.epoch
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn consumer_grows(name: &str, old: &Consumer, new: &Consumer) -> Result<(), Violation> {
    if new.epoch < old.epoch || new.assignment_epoch < old.assignment_epoch {
        return Err(format!(
            "{name}: group epoch {} after {}, assignment epoch {} after {}",
            new.epoch, old.epoch, new.assignment_epoch, old.assignment_epoch
        ));
    }
    for member in new.members() {
        let Some(was) = old.member(&member.id) else { continue };
        // A static member that left for a while starts anew.
        if member.epoch < was.epoch && member.epoch != LEAVE_STATIC_EPOCH {
            return Err(format!(
                "{name}: member {} at epoch {} after {}",
                member.id, member.epoch, was.epoch
            ));
        }
    }
    Ok(())
}

/// Two states know the same offsets and groups as far as the log tells of them: a live one, and one that was replayed.
///
/// # Errors
/// With what differs.
pub fn same_durable_state(live: &GroupShard, replayed: &GroupShard) -> Result<(), Violation> {
    let (mine, log) = (live.offsets().all(), replayed.offsets().all());
    if !mine.eq(log) {
        let log: BTreeMap<_, _> = replayed.offsets().all().collect();
        let mine: BTreeMap<_, _> = live.offsets().all().collect();
        let differs = mine.iter().find(|(place, value)| log.get(*place) != Some(*value));
        return Err(format!("offsets: {differs:?} is not in the log, or the log has more"));
    }
    for (name, kind) in replayed.groups().iter() {
        match (live.groups().get(name), kind) {
            (Some(Kind::Classic(mine)), Kind::Classic(log)) => same_classic(name, mine, log)?,
            (Some(Kind::Consumer(mine)), Kind::Consumer(log)) if mine != log => {
                return Err(format!("{name}: {mine:?} is {log:?} in the log"));
            }
            (Some(mine), log) if std::mem::discriminant(mine) == std::mem::discriminant(log) => {}
            (mine, log) => return Err(format!("{name}: {mine:?} is {log:?} in the log")),
        }
    }
    match live.groups().keys().find(|name| !replayed.groups().contains_key(*name)) {
        Some(name) if !is_memory_only(live, name) => Err(format!("{name} is not in the log")),
        _ => Ok(()),
    }
}

/// A classic group between its creation and its first generation may live in memory alone.
fn is_memory_only(live: &GroupShard, name: &Arc<str>) -> bool {
    matches!(live.groups().get(name), Some(Kind::Classic(group)) if group.state() != State::Stable)
}

/// Of a classic group only what holds between rebalances is in the log.
fn same_classic(name: &str, mine: &Classic, log: &Classic) -> Result<(), Violation> {
    if mine.state() != State::Stable {
        return Ok(());
    }
    let header = |group: &Classic| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        (
            group.generation(),
            owned(group.protocol_type()),
            owned(group.protocol()),
            owned(group.leader()),
        )
    };
    if header(mine) != header(log) {
        return Err(format!("{name}: {:?} is {:?} in the log", header(mine), header(log)));
    }
    let chosen = mine.protocol().unwrap_or_default();
    let rows = |group: &Classic| -> BTreeSet<_> {
        let row = |member: &Arc<classic::Member>| {
            (
                Arc::clone(&member.id),
                member.instance_id.clone(),
                (member.session_timeout_ms, member.rebalance_timeout_ms),
                member.metadata(chosen).to_vec(),
                Arc::clone(&member.assignment),
            )
        };
        group.members().map(row).collect()
    };
    let (mine, log) = (rows(mine), rows(log));
    if mine != log {
        return Err(format!("{name}: members {mine:?} are {log:?} in the log"));
    }
    Ok(())
}

/// Nobody can be forgotten: each member has a session timer, each rebalance its own.
///
/// # Errors
/// With the timer that is missing.
pub fn timers_are_set(
    shard: &GroupShard,
    is_set: impl Fn(&Timer) -> Option<MonoMs>,
) -> Result<(), Violation> {
    let need = |timer: Timer| match is_set(&timer) {
        Some(_) => Ok(()),
        None => Err(format!("{timer:?} is not set")),
    };
    need(Timer::Expiry)?;
    for (name, group) in classic_groups(shard) {
        let session = |member: &Arc<str>| {
            let (group, member) = (Arc::clone(name), Arc::clone(member));
            Timer::Classic(classic::Timer::Session { group, member })
        };
        // Who waits for the coordinator cannot be silent.
        for member in group.members().filter(|member| !member.is_excused()) {
            need(session(&member.id))?;
        }
        for id in group.pending_ids() {
            need(session(id))?;
        }
        let group_name = Arc::clone(name);
        match group.state() {
            State::PreparingRebalance => {
                need(Timer::Classic(classic::Timer::Join { group: group_name }))?;
            }
            State::CompletingRebalance => {
                need(Timer::Classic(classic::Timer::Sync { group: group_name }))?;
            }
            State::Empty | State::Stable => {}
        }
    }
    for (name, group) in consumer_groups(shard) {
        for member in group.members() {
            let (group, id) = (Arc::clone(name), Arc::clone(&member.id));
            // A static member that is away has no time to keep but its session, one of the classic protocol joins in time.
            let away = member.epoch == LEAVE_STATIC_EPOCH;
            let gives_up = member.state == MemberState::Unrevoked;
            if gives_up && !away && !member.uses_classic_protocol() {
                let (group, member) = (Arc::clone(&group), Arc::clone(&id));
                need(Timer::Consumer(consumer::Timer::Rebalance { group, member }))?;
            }
            need(Timer::Consumer(consumer::Timer::Session { group, member: id }))?;
        }
    }
    Ok(())
}

fn classic_groups(shard: &GroupShard) -> impl Iterator<Item = (&Arc<str>, &Classic)> {
    shard.groups().iter().filter_map(|(name, kind)| match kind {
        Kind::Classic(group) => Some((name, group)),
        _ => None,
    })
}

fn consumer_groups(shard: &GroupShard) -> impl Iterator<Item = (&Arc<str>, &Consumer)> {
    shard.groups().iter().filter_map(|(name, kind)| match kind {
        Kind::Consumer(group) => Some((name, group)),
        _ => None,
    })
}
