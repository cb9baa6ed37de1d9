//! What must hold of every assignment, for tests of whoever makes or carries one. Each says what is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use super::{GroupSpec, MemberId, Partitions, Topics};

type Assignment = BTreeMap<MemberId, Arc<Partitions>>;

/// No partition has two owners.
pub fn no_partition_twice(assignment: &Assignment) -> Result<(), String> {
    let mut owners: BTreeMap<(Uuid, i32), &MemberId> = BTreeMap::new();
    for (member, topic, partition) in places(assignment) {
        if let Some(other) = owners.insert((topic, partition), member) {
            return Err(format!("{topic}-{partition} belongs to {other} and {member}"));
        }
    }
    Ok(())
}

/// Everybody has partitions of topics they subscribe to only, and none that does not exist.
pub fn only_subscribed(
    spec: &GroupSpec,
    topics: &dyn Topics,
    assignment: &Assignment,
) -> Result<(), String> {
    for (member, topic, partition) in places(assignment) {
        let subscribed = spec.members.get(member).is_some_and(|spec| spec.topics.contains(&topic));
        let exists = topics.partitions(topic).is_some_and(|count| (0..count).contains(&partition));
        if !subscribed || !exists {
            return Err(format!("{member} has {topic}-{partition}"));
        }
    }
    Ok(())
}

/// Every partition of every topic that somebody subscribes to has an owner.
pub fn nothing_left(
    spec: &GroupSpec,
    topics: &dyn Topics,
    assignment: &Assignment,
) -> Result<(), String> {
    let mut owned: BTreeMap<Uuid, i32> = BTreeMap::new();
    for (_, topic, _) in places(assignment) {
        *owned.entry(topic).or_default() += 1;
    }
    for topic in spec.members.values().flat_map(|member| member.topics.iter()) {
        let (have, want) =
            (owned.get(topic).copied().unwrap_or(0), topics.partitions(*topic).unwrap_or(0));
        if have != want {
            return Err(format!("{have} of the {want} partitions of {topic} have an owner"));
        }
    }
    Ok(())
}

/// No two members differ by more than one partition.
pub fn balanced(assignment: &Assignment) -> Result<(), String> {
    let sizes = assignment.values().map(|partitions| size(partitions));
    match (sizes.clone().min(), sizes.max()) {
        (Some(least), Some(most)) if most > least + 1 => {
            Err(format!("somebody has {most} partitions, somebody {least}"))
        }
        _ => Ok(()),
    }
}

/// Of equal subscriptions: nobody loses a partition while they have no more than their share, and nobody loses more than what goes
/// beyond it.
pub fn sticky(
    spec: &GroupSpec,
    topics: &dyn Topics,
    assignment: &Assignment,
) -> Result<(), String> {
    let Some(first) = spec.members.values().next() else { return Ok(()) };
    let counts = first.topics.iter().filter_map(|topic| topics.partitions(*topic));
    let total: usize = counts.filter_map(|count| usize::try_from(count).ok()).sum();
    let share = total / spec.members.len();
    for (id, member) in &spec.members {
        let now = assignment.get(id).cloned().unwrap_or_default();
        let had = member.assigned.iter().filter(|(topic, _)| member.topics.contains(topic));
        let had: usize = had.map(|(_, partitions)| partitions.len()).sum();
        let kept = member.assigned.iter().map(|(topic, partitions)| {
            now.get(topic).map_or(0, |now| now.intersection(partitions).count())
        });
        let kept: usize = kept.sum();
        if kept < had.min(share) {
            return Err(format!("{id} kept {kept} of {had} partitions, its share is {share}"));
        }
    }
    Ok(())
}

fn places(assignment: &Assignment) -> impl Iterator<Item = (&MemberId, Uuid, i32)> {
    assignment.iter().flat_map(|(member, topics)| {
        topics.iter().flat_map(move |(topic, partitions)| {
            partitions.iter().map(move |partition| (member, *topic, *partition))
        })
    })
}

fn size(partitions: &Partitions) -> usize {
    partitions.values().map(|of_topic| of_topic.len()).sum()
}
