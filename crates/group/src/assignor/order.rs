//! The orders in which Kafka's assignors meet members, topics and partitions.
//!
//! Exact, given the members' assignments as sets: members by their ids' hashes, topics by theirs, partitions within a table that is
//! as large as Kafka's. Elements of one bucket come in the order of their insertion, of which a set keeps no trace; there stands
//! what is most usual: members of one slot by their ids, topics as if all were assigned at once, partitions ascending.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;

use super::{GroupSpec, MemberId, MemberSpec, Partitions, Topics};
use crate::java::{Made, hash_order, string_cmp, string_hash, timeline_order, uuid_cmp, uuid_hash};

type Member<'a> = (&'a MemberId, &'a MemberSpec);

fn hashed(member: Member<'_>) -> (i32, Member<'_>) {
    (string_hash(member.0), member)
}

/// The group's members, a joining one last, then put into a new `HashMap`.
pub(super) fn members(spec: &GroupSpec) -> Vec<Member<'_>> {
    let (joining, present): (Vec<Member<'_>>, Vec<_>) =
        spec.members.iter().partition(|(id, _)| spec.joining.as_ref() == Some(*id));
    let present = timeline_order(present.into_iter().rev().map(hashed).collect());
    hash_order(present.into_iter().chain(joining).map(hashed).collect(), Made::Default)
}

/// A member's subscription: a `HashSet` of names that is made into one of ids.
pub(super) fn subscription(topics: &BTreeSet<Uuid>, describe: &dyn Topics) -> Vec<Uuid> {
    let made = Made::CopyOf(topics.len());
    let mut named: Vec<_> =
        topics.iter().map(|id| (describe.name(*id).unwrap_or_default(), *id)).collect();
    named.sort_by(|(a, x), (b, y)| string_cmp(a, b).then_with(|| uuid_cmp(*x, *y)));
    let by_name =
        hash_order(named.into_iter().map(|(name, id)| (string_hash(&name), id)).collect(), made);
    hash_order(by_name.into_iter().map(|id| (uuid_hash(id), id)).collect(), made)
}

/// Where each topic stands in the subscription.
pub(super) type Ranks = BTreeMap<Uuid, usize>;

/// The topics of an assignment in the order of the `HashMap` that its record was read into.
pub(super) fn assigned_topics(assigned: &Partitions, ranks: &Ranks) -> Vec<Uuid> {
    let mut topics: Vec<Uuid> = assigned.keys().copied().collect();
    // Kafka puts a member's new topic before those of its bucket (`computeIfAbsent`), hence the last one first. Those that are
    // not subscribed to matter for the size of the table only.
    topics.sort_by_key(|id| Reverse(ranks.get(id)));
    hash_order(topics.into_iter().map(|id| (uuid_hash(id), id)).collect(), Made::Default)
}

/// Partitions in the order of the `HashSet` that their record was read into.
pub(super) fn partitions(set: &BTreeSet<i32>) -> Vec<i32> {
    let inserted = set.iter().map(|partition| (*partition, *partition)).collect();
    hash_order(inserted, Made::CopyOf(set.len()))
}
